"""Whether a SAML response logs somebody in, here and now, in answer to what was asked (SAML profiles 4.1.4.3).

Pure: it is given the provider's certificates, what was asked, and the time. What it returns comes from signed bytes.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.x509 import Certificate
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.assertion import Assertion, read_assertion, text_of
from interlock.adapters.identity.saml.document import Malformed, read_document
from interlock.adapters.identity.saml.names import SUCCESS, ds, saml, samlp
from interlock.adapters.identity.saml.signatures import NotSigned, signed_element

MAX_ASSERTION_LIFE_S: Final = 86_400.0
_ENCRYPTED: Final = (saml("EncryptedAssertion"), saml("EncryptedID"), saml("EncryptedAttribute"))


class Refused(ValueError):
    """The response logs nobody in. The text names the check, for the ledger; it quotes nothing of the response."""


class NoSuchKey(Refused):
    """No key that is known of the provider has signed it, or not so that it counts."""


class Expected(msgspec.Struct, frozen=True):
    """What a response must be about. ``request`` is the id of the request that it answers, None: of none."""

    issuer: str
    certificates: Sequence[Certificate]
    audience: str
    consumer_url: str
    request: str | None
    now_s: float
    skew_s: float


def accept(content: bytes, expected: Expected) -> Assertion:
    """The one assertion of a response, after every check but that it was not used before. Raises Refused."""
    try:
        response = read_document(content)
        _check_shape(response)
        _check_message(response, expected)
        assertion = read_assertion(_signed_assertion(response, expected.certificates))
    except Malformed as error:
        raise Refused(str(error)) from None
    except NotSigned as error:
        raise NoSuchKey(str(error)) from None
    _check_assertion(assertion, expected)
    return assertion


def usable_until_s(assertion: Assertion, expected: Expected) -> float:
    """When an accepted assertion would not be accepted any more."""
    ends = [each.ends_at_s for each in assertion.confirmations if each.recipient == expected.consumer_url]
    last_s = max(ends) if assertion.ends_at_s is None else min(max(ends), assertion.ends_at_s)
    return last_s + expected.skew_s


def _check_shape(response: Element) -> None:
    """A response with one assertion, where SAML has it; nothing in it that a wrapped message needs."""
    if response.tag != samlp("Response") or response.get("Version") != "2.0":
        raise Refused("not a response of SAML 2.0")
    if next(response.iter(*_ENCRYPTED), None) is not None:
        raise Refused("the assertion is encrypted, which is not supported: have the provider send it in the clear")
    if sum(1 for _ in response.iter(saml("Assertion"))) != 1 or len(response.findall(saml("Assertion"))) != 1:
        raise Refused("not exactly one assertion")
    if sum(1 for _ in response.iter(samlp("Response"))) != 1:
        raise Refused("a response in the response")
    parents = [signature.getparent() for signature in response.iter(ds("Signature"))]
    if any(parent is not response and parent is not response.find(saml("Assertion")) for parent in parents):
        raise Refused("a signature where there should be none")


def _check_message(response: Element, expected: Expected) -> None:
    """What the response says around the assertion. It may be unsigned: none of this lets anybody in."""
    code = response.find(f"{samlp('Status')}/{samlp('StatusCode')}")
    if code is None or code.get("Value") != SUCCESS:
        raise Refused("the provider reports that nobody was logged in (status)")
    if response.get("Destination") != expected.consumer_url:
        raise Refused("Destination is another place")
    if response.get("InResponseTo") != expected.request:
        raise Refused("InResponseTo is not what this browser asked")
    issuer = response.find(saml("Issuer"))
    if issuer is not None and text_of(issuer) != expected.issuer:
        raise Refused("the response's Issuer is somebody else")


def _signed_assertion(response: Element, certificates: Sequence[Certificate]) -> Element:
    """The assertion as it was signed, by itself or with the response. Every signature that is there must hold.

    Raises NotSigned.
    """
    signed = None
    if response.find(ds("Signature")) is not None:
        signed = signed_element(response, "", certificates).find(saml("Assertion"))
    if response.find(f"{saml('Assertion')}/{ds('Signature')}") is not None:
        signed = signed_element(response, saml("Assertion"), certificates)
    if signed is None:
        raise NotSigned("no signature over the assertion")
    return signed


def _check_assertion(assertion: Assertion, expected: Expected) -> None:
    if assertion.issuer != expected.issuer:
        raise Refused("the assertion's Issuer is somebody else")
    if not assertion.audiences or not all(expected.audience in audience for audience in assertion.audiences):
        raise Refused("Audience is somebody else")
    _check_times(assertion, expected)
    _check_confirmations(assertion, expected)


def _check_times(assertion: Assertion, expected: Expected) -> None:
    earliest_s, latest_s = expected.now_s - expected.skew_s, expected.now_s + expected.skew_s
    if assertion.begins_at_s is not None and assertion.begins_at_s > latest_s:
        raise Refused("NotBefore is in the future")
    if assertion.ends_at_s is not None and assertion.ends_at_s <= earliest_s:
        raise Refused("NotOnOrAfter is past")
    if assertion.issued_at_s > latest_s or assertion.authenticated_at_s > latest_s:
        raise Refused("IssueInstant or AuthnInstant is in the future")
    if assertion.session_ends_at_s is not None and assertion.session_ends_at_s <= expected.now_s:
        raise Refused("SessionNotOnOrAfter is past")


def _check_confirmations(assertion: Assertion, expected: Expected) -> None:
    """One that holds is enough (SAML core 2.4.1); which of the others failed how says the reason."""
    reason = "no bearer confirmation with an end"
    for confirmation in assertion.confirmations:
        if confirmation.recipient != expected.consumer_url:
            reason = "Recipient is another place"
        elif confirmation.in_response_to != expected.request:
            reason = "the confirmation's InResponseTo is not what this browser asked"
        elif confirmation.ends_at_s <= expected.now_s - expected.skew_s:
            reason = "the confirmation's NotOnOrAfter is past"
        elif confirmation.ends_at_s > expected.now_s + MAX_ASSERTION_LIFE_S:
            reason = "the confirmation's NotOnOrAfter is too far off"
        else:
            return
    raise Refused(reason)
