"""A provider's requests to log somebody out: genuine ones are done and answered, others refused with their reason."""

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from interlock.adapters.identity.saml.names import POST_BINDING, REDIRECT_BINDING, RSA_SHA256, SUCCESS
from interlock.adapters.identity.saml.signatures import signed_element
from interlock.core.errors import LoginRefused
from interlock.services.sign_in import PostedForm, Redirect
from interlock.services.single_logout import LogoutDemand, LogoutMessage
from tests.adapters.identity.saml.asserter import ENTITY_ID, NOW_S, Asserter, at
from tests.adapters.identity.saml.test_provider import PLACES, SECOND, Party

SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
BOMB = b"<a>" + b"x" * (50 << 20) + b"</a>"


@dataclass(frozen=True)
class Asked:
    """What a logout request says."""

    identifier: str = "_logout-1"
    issuer: str = ENTITY_ID
    destination: str = PLACES.logout_url
    issued_at_s: float = NOW_S
    ends_at_s: float | None = None
    name: str = "<saml:NameID>ada-4711</saml:NameID>"
    sessions: tuple[str, ...] = ("session-1",)
    kind: str = "LogoutRequest"

    def xml(self) -> bytes:
        sessions = "".join(f"<samlp:SessionIndex>{session}</samlp:SessionIndex>" for session in self.sessions)
        end = "" if self.ends_at_s is None else f' NotOnOrAfter="{at(self.ends_at_s)}"'
        return f"""<samlp:{self.kind} xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
 xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{self.identifier}" Version="2.0"
 IssueInstant="{at(self.issued_at_s)}"{end} Destination="{self.destination}"><saml:Issuer>{self.issuer}</saml:Issuer>
{self.name}{sessions}</samlp:{self.kind}>""".encode()


def in_query(
    content: bytes, signer: Asserter, algorithm: str = RSA_SHA256, relay_state: str = "there"
) -> LogoutMessage:
    packer = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(packer.compress(content) + packer.flush()).decode()
    query = f"SAMLRequest={quote(packed, safe='')}&RelayState={relay_state}&SigAlg={quote(algorithm, safe='')}"
    signature = base64.b64encode(signer.raw_signature(query.encode(), algorithm)).decode()
    return LogoutMessage(f"{query}&Signature={quote(signature, safe='')}", {})


def in_form(content: bytes, signer: Asserter, identifier: str | None = "_logout-1") -> LogoutMessage:
    root = etree.fromstring(content)
    if identifier is not None:
        signer.sign(root, identifier)
    return LogoutMessage("", {"SAMLRequest": base64.b64encode(etree.tostring(root)).decode(), "RelayState": "there"})


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party(tmp_path)


@pytest.mark.parametrize("carried", [in_query, in_form], ids=["query", "form"])
async def test_whose_sessions_are_over(party: Party, carried: Callable[[bytes, Asserter], LogoutMessage]) -> None:
    demand = await party.provider.demand(carried(Asked().xml(), party.asserter))
    assert demand == LogoutDemand(ENTITY_ID, "ada-4711", ("session-1",), "_logout-1", "there")


async def test_all_sessions_of_a_person(party: Party) -> None:
    demand = await party.provider.demand(in_query(Asked(sessions=()).xml(), party.asserter))
    assert (demand.subject, demand.sessions) == ("ada-4711", ())


async def test_a_person_who_is_known_by_an_attribute(tmp_path: Path) -> None:
    party = Party(tmp_path, subject_attribute="oid")
    demand = await party.provider.demand(in_query(Asked().xml(), party.asserter))
    assert (demand.subject, demand.sessions) == ("", ("session-1",))
    with pytest.raises(LoginRefused) as refused:
        await party.provider.demand(in_query(Asked(identifier="_2", sessions=()).xml(), party.asserter))
    assert "names no session" in refused.value.reason


async def test_the_answer_in_a_url(party: Party) -> None:
    demand = await party.provider.demand(in_query(Asked().xml(), party.asserter))
    place = await party.provider.answer(demand)
    assert isinstance(place, Redirect)
    query = urlsplit(place.url).query
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    key = party.keys.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signed = query.partition("&Signature=")[0].encode()
    key.verify(base64.b64decode(fields["Signature"]), signed, padding.PKCS1v15(), hashes.SHA256())
    response = etree.fromstring(zlib.decompress(base64.b64decode(fields["SAMLResponse"]), -15))
    assert (response.get("InResponseTo"), fields["RelayState"]) == ("_logout-1", "there")
    assert [code.get("Value") for code in response.iter("{*}StatusCode")] == [SUCCESS]


async def test_the_answer_in_a_form(party: Party) -> None:
    redirected, posted = (f'LogoutService Binding="{name}"'.encode() for name in (REDIRECT_BINDING, POST_BINDING))
    party.file.write_bytes(party.asserter.metadata().replace(redirected, posted))
    form = await party.provider.answer(await party.provider.demand(in_form(Asked().xml(), party.asserter)))
    assert isinstance(form, PostedForm)
    root = etree.fromstring(base64.b64decode(dict(form.fields)["SAMLResponse"]))
    assert signed_element(root, "", (party.keys.certificate,)).get("InResponseTo") == "_logout-1"


async def test_a_request_counts_once(party: Party) -> None:
    message = in_query(Asked().xml(), party.asserter)
    await party.provider.demand(message)
    with pytest.raises(LoginRefused) as refused:
        await party.provider.demand(message)
    assert "used before" in refused.value.reason


GOOD = Asked()
REFUSED: dict[str, tuple[Callable[[Asserter], LogoutMessage], str]] = {
    "foreign key": (lambda p: in_query(GOOD.xml(), SECOND), "the signature does not hold"),
    "foreign key, posted": (lambda p: in_form(GOOD.xml(), SECOND), "the signature does not hold"),
    "unsigned": (lambda p: LogoutMessage(in_query(GOOD.xml(), p).query.partition("&Sig")[0], {}), "no signature"),
    "unsigned, posted": (lambda p: in_form(GOOD.xml(), p, None), "not exactly one signature"),
    "SHA-1": (lambda p: in_query(GOOD.xml(), p, SHA1), "algorithm is not accepted"),
    "HMAC": (lambda p: in_query(GOOD.xml(), p, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"), "not accepted"),
    "another state": (
        lambda p: LogoutMessage(in_query(GOOD.xml(), p).query.replace("=there", "=elsewhere"), {}),
        "the signature does not hold",
    ),
    "two requests": (
        lambda p: LogoutMessage("SAMLRequest=x&" + in_query(GOOD.xml(), p).query, {}),
        "a parameter is given twice",
    ),
    "long state": (lambda p: in_query(GOOD.xml(), p, relay_state="x" * 81), "RelayState"),
    "issuer": (lambda p: in_query(replace(GOOD, issuer="https://other.example").xml(), p), "Issuer"),
    "destination": (lambda p: in_query(replace(GOOD, destination="https://other.example").xml(), p), "Destination"),
    "old": (lambda p: in_query(replace(GOOD, issued_at_s=NOW_S - 361).xml(), p), "too old"),
    "ended": (lambda p: in_query(replace(GOOD, ends_at_s=NOW_S - 61).xml(), p), "too old"),
    "future": (lambda p: in_query(replace(GOOD, issued_at_s=NOW_S + 61).xml(), p), "IssueInstant"),
    "another message": (lambda p: in_query(replace(GOOD, kind="LogoutResponse").xml(), p), "no logout request"),
    "encrypted name": (lambda p: in_query(replace(GOOD, name="<saml:EncryptedID/>").xml(), p), "no NameID"),
    "many sessions": (lambda p: in_query(replace(GOOD, sessions=("s",) * 21).xml(), p), "more than 20 sessions"),
    "doctype": (lambda p: in_query(b"<!DOCTYPE x>" + GOOD.xml(), p), "has a DOCTYPE"),
    "deflate bomb": (lambda p: in_query(BOMB, p), "larger than"),
    "more behind": (
        lambda p: _query_of(zlib.compress(GOOD.xml(), wbits=-15) + b"more", p),
        "cut short, or followed by something else",
    ),
    "cut short": (lambda p: _query_of(zlib.compress(GOOD.xml(), wbits=-15)[:-9], p), "cut short"),
    "not compressed": (lambda p: _query_of(b"\xff\xff\xff", p), "not compressed"),
}


def _query_of(packed: bytes, signer: Asserter) -> LogoutMessage:
    encoded = quote(base64.b64encode(packed).decode(), safe="")
    query = f"SAMLRequest={encoded}&SigAlg={quote(RSA_SHA256, safe='')}"
    signature = base64.b64encode(signer.raw_signature(query.encode(), RSA_SHA256)).decode()
    return LogoutMessage(f"{query}&Signature={quote(signature, safe='')}", {})


@pytest.mark.parametrize(("carried", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused(party: Party, carried: Callable[[Asserter], LogoutMessage], reason: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        await party.provider.demand(carried(party.asserter))
    assert reason in refused.value.reason
    assert str(refused.value) == "the provider's request is not accepted"
