"""A provider's answers to what this gateway has asked: whom they name, how they count once, what keys they may have."""

import base64
import contextlib
import functools
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.saml import memory
from interlock.adapters.identity.saml.metadata_source import COOLDOWN_S, MetadataSource
from interlock.adapters.identity.saml.names import POST_BINDING, RSA_SHA256, saml
from interlock.adapters.identity.saml.own_keys import OwnKeys, open_own_keys
from interlock.adapters.identity.saml.own_messages import OwnPlaces
from interlock.adapters.identity.saml.person import GROUPS_LINK
from interlock.adapters.identity.saml.provider import SamlProvider
from interlock.adapters.identity.saml.signatures import signed_element
from interlock.core.errors import ConfigurationError, LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.settings import IdentityKind, IdentityRule, SamlSettings
from interlock.services.sign_in import Attempt, Attempts, PostedForm, Redirect
from tests.adapters.identity.saml.asserter import AUDIENCE, CONSUMER_URL, ENTITY_ID, NOW_S, Asserter
from tests.clocks import ManualClock

PLACES = OwnPlaces(AUDIENCE, CONSUMER_URL, "https://gateway.example/saml/corp/slo")
RULES = (
    IdentityRule(
        issuer="corp", when={"groups": "g-2"}, identity="corp:{sub}", kind=IdentityKind.USER, groups_claim="groups"
    ),
)


FIRST, SECOND = Asserter(), Asserter()


@functools.cache
def own_keys() -> OwnKeys:
    """Making some takes a second."""
    with tempfile.TemporaryDirectory() as directory:
        return open_own_keys(
            SamlSettings(name="corp", provider_entity_id=ENTITY_ID, metadata_file="corp.xml"), Path(directory), NOW_S
        )


class Party:
    """A provider and this gateway, as they know each other."""

    def __init__(self, directory: Path, rules: tuple[IdentityRule, ...] = RULES, **settings: Any) -> None:
        self.asserter = FIRST
        self.clock = ManualClock(NOW_S - 1000)
        self.file = directory / "corp.xml"
        self.file.write_bytes(self.asserter.metadata())
        self.settings = SamlSettings(
            name="corp",
            provider_entity_id=ENTITY_ID,
            metadata_file=str(self.file),
            **{"groups_attribute": "groups", **settings},
        )
        self.keys = own_keys()
        source = MetadataSource(self.settings, self.clock)
        self.provider = SamlProvider(self.settings, PLACES, self.keys, Rules(rules, {}), source, self.clock)
        self.attempts = Attempts(self.clock)
        self.clock.at_s = NOW_S

    def attempt(self) -> Attempt:
        return self.attempts.begin("corp", None, "192.0.2.1")[0]

    def answer(self, attempt: Attempt | None, **changes: Any) -> dict[str, str]:
        request = None if attempt is None else f"_{attempt.nonce}"
        response = self.asserter.respond(request=request, confirmed_request=request, **changes)
        return {"SAMLResponse": base64.b64encode(response).decode()}

    async def sign_in(self, **changes: Any) -> Principal:
        attempt = self.attempt()
        return await self.provider.complete(attempt, self.answer(attempt, **changes))


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party(tmp_path)


@contextlib.contextmanager
def refused(reason: str) -> Iterator[None]:
    with pytest.raises(LoginRefused) as refusal:
        yield
    assert reason in refusal.value.reason
    assert reason not in str(refusal.value)


async def test_the_person_that_a_rule_names(party: Party) -> None:
    principal = await party.sign_in()
    assert (principal.kind, principal.name) == (PrincipalKind.USER, "corp:ada-4711")
    assert principal.groups == {"g-1", "g-2"}
    assert (principal.issuer, principal.subject, principal.login) == (ENTITY_ID, "ada-4711", "session-1")
    assert (principal.issued_at_s, principal.expires_at_s) == (NOW_S - 100, NOW_S + 20_000)
    assert principal.token_id == "saml:_assertion-1"


async def test_a_session_without_an_end_has_none(party: Party) -> None:
    assert (await party.sign_in(session_ends_at_s=None)).expires_at_s is None


async def test_one_group_is_a_list_as_well(party: Party) -> None:
    assert (await party.sign_in(attributes={"groups": ("g-2",)})).groups == {"g-2"}


async def test_nobody_whom_no_rule_names(party: Party) -> None:
    with refused("no identity rule applies"):
        await party.sign_in(attributes={})


async def test_attributes_cannot_stand_for_what_saml_says(party: Party) -> None:
    claims = {"sub": ("root",), "iss": ("x",), "sid": ("x",), "iat": ("5",), "groups": ("g-2",)}
    principal = await party.sign_in(attributes=claims)
    assert (principal.subject, principal.login, principal.issued_at_s) == ("ada-4711", "session-1", NOW_S - 100)


async def test_a_subject_from_an_attribute(tmp_path: Path) -> None:
    party = Party(tmp_path, subject_attribute="oid")
    transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    attributes = {"oid": ("4f2a",), "groups": ("g-2",)}
    assert (await party.sign_in(attributes=attributes, name_id_format=transient)).name == "corp:4f2a"
    for oids in ((), ("a", "b"), ("a\n",), ("x" * 300,)):
        with refused("the subject's attribute has not exactly one"):
            await party.sign_in(
                attributes={"oid": oids, "groups": ("g-2",)}, identifier=f"_of-{len(oids)}-{oids[:1]}"[:9]
            )


async def test_groups_that_are_somewhere_else(party: Party) -> None:
    with refused("a link in place of the groups"):
        await party.sign_in(attributes={"groups": ("g-2",), GROUPS_LINK: ("https://graph.example/x",)})


async def test_a_person_is_authenticated_as_asked(tmp_path: Path) -> None:
    second_factor = "https://refeds.org/profile/mfa"
    party = Party(tmp_path, authentication_contexts=(second_factor,))
    place = await party.provider.begin(party.attempt())
    assert isinstance(place, Redirect)
    fields = parse_qs(urlsplit(place.url).query)
    request = etree.fromstring(zlib.decompress(base64.b64decode(fields["SAMLRequest"][0]), -15))
    assert [each.text for each in request.iter(saml("AuthnContextClassRef"))] == [second_factor]
    with refused("not authenticated as asked"):
        await party.sign_in()
    assert (await party.sign_in(context=second_factor, identifier="_a2")).name == "corp:ada-4711"


async def test_a_transient_name_is_nobodys(party: Party) -> None:
    with refused("transient"):
        await party.sign_in(name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient")


async def test_an_assertion_counts_once(party: Party) -> None:
    """Even when the browser has asked the same thing again."""
    attempt = party.attempt()
    answer = party.answer(attempt)
    await party.provider.complete(attempt, answer)
    with refused("the assertion was used before"):
        await party.provider.complete(attempt, answer)


async def test_what_cannot_be_remembered_is_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    used = memory.UsedAssertions(most=2)
    monkeypatch.setattr(party.provider, "_used", used)
    for number in range(2):
        await party.sign_in(identifier=f"_a{number}")
    with refused("too many assertions"):
        await party.sign_in(identifier="_a2")
    party.clock.advance(361)
    later = {"issued_at_s": party.clock.at_s, "ends_at_s": party.clock.at_s + 300}
    await party.sign_in(identifier="_a3", confirmation_ends_at_s=party.clock.at_s + 300, **later)


async def test_answers_that_nobody_asked_for(tmp_path: Path) -> None:
    refusing = Party(tmp_path)
    assert not refusing.provider.unsolicited
    party = Party(tmp_path, allow_idp_initiated=True)
    assert party.provider.unsolicited
    answer = party.answer(None)
    assert (await party.provider.complete(None, answer)).name == "corp:ada-4711"
    with refused("the assertion was used before"):
        await party.provider.complete(None, answer)


async def test_an_unasked_answer_from_before_the_start_may_have_been_used(tmp_path: Path) -> None:
    party = Party(tmp_path, allow_idp_initiated=True)
    with refused("issued before the gateway started"):
        await party.provider.complete(None, party.answer(None, issued_at_s=NOW_S - 1000 + 60))


@pytest.mark.parametrize("field", ["", "%%%", "PHg+", base64.b64encode(b"<x>" * 200_000).decode()])
async def test_what_is_no_response(party: Party, field: str) -> None:
    with pytest.raises(LoginRefused):
        await party.provider.complete(party.attempt(), {"SAMLResponse": field})
    with pytest.raises(LoginRefused):
        await party.provider.complete(party.attempt(), {})


async def test_without_a_clock_nobody_gets_in(party: Party) -> None:
    attempt = party.attempt()
    answer = party.answer(attempt)
    await party.provider.begin(attempt)
    party.clock.broken = True
    with pytest.raises(LoginRefused, match="cannot tell the time"):
        await party.provider.complete(attempt, answer)


async def test_keys_may_change_before_the_metadata_is_read_again(party: Party) -> None:
    await party.sign_in()
    old = party.asserter
    party.asserter = SECOND
    with refused("does not hold"):
        await party.sign_in(identifier="_a2")
    party.file.write_bytes(party.asserter.metadata(old.certificate))
    party.clock.advance(COOLDOWN_S)
    await party.sign_in(identifier="_a3")
    party.asserter = old
    await party.sign_in(identifier="_a4")


async def test_old_metadata_lasts_a_while_and_no_longer(party: Party) -> None:
    await party.sign_in()
    party.file.unlink()
    party.clock.advance(party.settings.metadata_max_stale_s - 1)
    await party.provider.begin(party.attempt())
    party.clock.advance(1)
    with refused("no current metadata"):
        await party.provider.begin(party.attempt())


async def test_metadata_that_has_ended_counts_no_more(party: Party) -> None:
    party.file.write_bytes(party.asserter.metadata(head='validUntil="2027-01-15T08:01:00Z"'))
    await party.provider.begin(party.attempt())
    party.clock.advance(60)
    with refused("no current metadata"):
        await party.provider.begin(party.attempt())


async def test_a_request_in_a_url(party: Party) -> None:
    attempt = party.attempt()
    place = await party.provider.begin(attempt)
    assert isinstance(place, Redirect)
    query = urlsplit(place.url).query
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    assert (fields["RelayState"], fields["SigAlg"]) == (attempt.state, RSA_SHA256)
    signed, _, _ = query.partition("&Signature=")
    key = party.keys.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(fields["Signature"]), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    request = etree.fromstring(zlib.decompress(base64.b64decode(fields["SAMLRequest"]), -15))
    assert request.get("ID") == f"_{attempt.nonce}"
    assert request.get("Destination") == "https://idp.example/sso"
    assert request.get("AssertionConsumerServiceURL") == CONSUMER_URL
    assert request.get("ForceAuthn") is None


async def test_a_request_in_a_form(tmp_path: Path) -> None:
    party = Party(tmp_path, name_id_format="persistent", force_authentication=True)
    party.file.write_bytes(party.asserter.metadata(binding=POST_BINDING))
    attempt = party.attempt()
    form = await party.provider.begin(attempt)
    assert isinstance(form, PostedForm)
    fields = dict(form.fields)
    assert (form.url, fields["RelayState"]) == ("https://idp.example/sso", attempt.state)
    root = etree.fromstring(base64.b64decode(fields["SAMLRequest"]))
    request = signed_element(root, "", (party.keys.certificate,))
    assert (request.get("ID"), request.get("ForceAuthn")) == (f"_{attempt.nonce}", "true")
    assert request[-1].get("Format", "").endswith("persistent")


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    settings = SamlSettings(name="corp", provider_entity_id=ENTITY_ID, metadata_file="corp.xml")
    first, second = (open_own_keys(settings, tmp_path, NOW_S) for _ in range(2))
    assert first.certificate == second.certificate
    (tmp_path / "saml.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="only its owner"):
        open_own_keys(settings, tmp_path, NOW_S)
    (tmp_path / "saml.key").chmod(0o600)
    (tmp_path / "saml.crt").write_bytes(FIRST.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigurationError, match="must be the RSA key"):
        open_own_keys(settings, tmp_path, NOW_S)


def test_what_the_provider_is_told(party: Party) -> None:
    root = etree.fromstring(party.provider.metadata)
    assert root.get("entityID") == AUDIENCE
    service = next(each for each in root.iter() if str(each.tag).endswith("AssertionConsumerService"))
    assert (service.get("Location"), service.get("Binding")) == (CONSUMER_URL, POST_BINDING)
    assert b"PRIVATE" not in party.provider.metadata
