"""A genuine response is read; a forged one, or one that is about something else, is refused with its reason."""

import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from interlock.adapters.identity.saml.names import saml
from interlock.adapters.identity.saml.response import Expected, Refused, accept
from interlock.adapters.identity.saml.signatures import NotSigned, signed_element
from tests.adapters.identity.saml.asserter import AUDIENCE, CONSUMER_URL, ENTITY_ID, NOW_S, REQUEST, Asserter
from tests.adapters.identity.saml.forgeries import (
    EVIL,
    FORGERIES,
    Forgery,
    hmac_with_the_certificate,
    hmac_with_the_public_key,
)

PROVIDER = Asserter()


def expected(provider: Asserter = PROVIDER, **changes: Any) -> Expected:
    values = {
        "issuer": ENTITY_ID,
        "certificates": (provider.certificate,),
        "audience": AUDIENCE,
        "consumer_url": CONSUMER_URL,
        "request": REQUEST,
        "now_s": NOW_S,
        "skew_s": 60,
    }
    return Expected(**{**values, **changes})


@pytest.mark.parametrize("signed", ["assertion", "response", "both"])
@pytest.mark.parametrize("key", [None, ec.generate_private_key(ec.SECP256R1())], ids=["rsa", "ec"])
def test_a_genuine_response_is_read(signed: str, key: Any) -> None:
    provider = Asserter(key)
    algorithm = "rsa-sha256" if key is None else "ecdsa-sha256"
    assertion = accept(provider.respond(sign=signed, algorithm=algorithm), expected(provider))
    assert assertion.name_id == "ada-4711"
    assert assertion.attributes == {"groups": ("g-1", "g-2"), "mail": ("ada@example.org",)}
    assert (assertion.session_index, assertion.session_ends_at_s) == ("session-1", NOW_S + 20_000)
    assert assertion.authenticated_at_s == NOW_S - 100


def test_nothing_of_a_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assertion = accept(PROVIDER.respond(sign="both"), expected())
    assert "ada-4711" not in f"{caplog.text}{assertion!r}"


def test_any_signing_certificate_of_a_rollover_will_do() -> None:
    old = Asserter()
    both = (old.certificate, PROVIDER.certificate)
    assert accept(PROVIDER.respond(), expected(certificates=both)).name_id == "ada-4711"


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_refused(forgery: Forgery) -> None:
    genuine = PROVIDER.respond(sign=forgery.signed)
    assert accept(genuine, expected()).name_id == "ada-4711"
    forged = forgery.forge(genuine)
    assert forged != genuine
    with pytest.raises(Refused) as refused:
        accept(forged, expected())
    assert forgery.reason in str(refused.value)
    assert EVIL not in str(refused.value)


@pytest.mark.parametrize("path", ["", saml("Assertion")], ids=["response", "assertion"])
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_what_is_handed_out_as_signed_was_signed(forgery: Forgery, path: str) -> None:
    """Even where nothing looks at the shape of the document."""
    try:
        root = etree.fromstring(forgery.forge(PROVIDER.respond(sign=forgery.signed)))
        signed = signed_element(root, path, (PROVIDER.certificate,))
    except (etree.XMLSyntaxError, NotSigned):
        return
    assert {name_id.text for name_id in signed.iter(saml("NameID"))} == {"ada-4711"}


@pytest.mark.parametrize("forge", [hmac_with_the_certificate, hmac_with_the_public_key])
def test_a_switch_to_a_key_that_everybody_knows_is_refused(forge: Any) -> None:
    with pytest.raises(Refused, match="algorithm is not accepted"):
        accept(forge(PROVIDER.respond(), PROVIDER), expected())


def test_sha1_is_refused() -> None:
    with pytest.raises(Refused, match="algorithm is not accepted"):
        accept(PROVIDER.respond(algorithm="rsa-sha1"), expected())


LATER = NOW_S + 61
EARLIER = NOW_S - 61
ABOUT_SOMETHING_ELSE: dict[str, tuple[dict[str, Any], str]] = {
    "status": ({"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}, "status"),
    "destination": ({"destination": "https://elsewhere.example/acs"}, "Destination"),
    "no destination": ({"destination": None}, "Destination"),
    "recipient": ({"recipient": "https://elsewhere.example/acs"}, "Recipient"),
    "no recipient": ({"recipient": None}, "Recipient"),
    "audience": ({"audience": "https://elsewhere.example"}, "Audience"),
    "no audience": ({"audience": None}, "Audience"),
    "two restrictions": (
        {"condition": "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction>"},
        "Audience",
    ),
    "issuer": ({"issuer": "https://other.example"}, "assertion's Issuer"),
    "issuer of the response": ({"response_issuer": "https://other.example"}, "response's Issuer"),
    "request of another browser": ({"request": "_other", "confirmed_request": "_other"}, "InResponseTo"),
    "confirmed request of another browser": ({"confirmed_request": "_other"}, "confirmation's InResponseTo"),
    "response of no request": ({"request": None}, "InResponseTo"),
    "confirmation of no request": ({"confirmed_request": None}, "confirmation's InResponseTo"),
    "not a bearer's": ({"method": "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"}, "no bearer confirmation"),
    "no end": ({"confirmation_ends_at_s": None}, "no bearer confirmation"),
    "confirmation ended": ({"confirmation_ends_at_s": EARLIER}, "confirmation's NotOnOrAfter is past"),
    "confirmation without a near end": ({"confirmation_ends_at_s": NOW_S + 90_000}, "too far off"),
    "ended": ({"ends_at_s": EARLIER}, "NotOnOrAfter is past"),
    "not yet": ({"begins_at_s": LATER}, "NotBefore is in the future"),
    "issued in the future": ({"issued_at_s": LATER}, "in the future"),
    "authenticated in the future": ({"authenticated_at_s": LATER}, "in the future"),
    "session ended": ({"session_ends_at_s": NOW_S - 1}, "SessionNotOnOrAfter"),
    "unknown condition": ({"condition": "<saml:Condition/>"}, "a condition that is not understood"),
    "no name": ({"name_id": ""}, "NameID"),
    "long name": ({"name_id": "x" * 257}, "NameID"),
    "name of two lines": ({"name_id": "ada&#10;x"}, "NameID"),
    "no id": ({"identifier": ""}, "nothing to refer to"),
    "long attribute": ({"attributes": {"a": ("x" * 5000,)}}, "an attribute of more than"),
    "many attributes": ({"attributes": {f"a{n}": ("x",) for n in range(201)}}, "more than 200 attributes"),
    "many values": ({"attributes": {"a": ("x",) * 1001}}, "more than 200 attributes or 1000 values"),
}


@pytest.mark.parametrize(("changes", "reason"), ABOUT_SOMETHING_ELSE.values(), ids=ABOUT_SOMETHING_ELSE)
def test_a_genuine_response_about_something_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        accept(PROVIDER.respond(**changes), expected())
    assert reason in str(refused.value)


def test_clocks_may_differ_a_little() -> None:
    edge: dict[str, Any] = {"begins_at_s": NOW_S + 59, "ends_at_s": NOW_S - 59, "confirmation_ends_at_s": NOW_S - 59}
    assert accept(PROVIDER.respond(**edge), expected()).name_id == "ada-4711"


def test_an_answer_nobody_asked_for_is_for_those_who_asked_nothing() -> None:
    unsolicited = PROVIDER.respond(request=None, confirmed_request=None)
    assert accept(unsolicited, expected(request=None)).name_id == "ada-4711"
    with pytest.raises(Refused, match="InResponseTo"):
        accept(PROVIDER.respond(), expected(request=None))


def test_space_around_a_name_is_a_part_of_it() -> None:
    assert accept(PROVIDER.respond(name_id=" ada-4711"), expected()).name_id == " ada-4711"
