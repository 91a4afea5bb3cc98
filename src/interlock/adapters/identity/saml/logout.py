"""Reads a provider's request to log somebody out (SAML core 3.7.1): signed, for this place, fresh.

Pure: what it says is not done here. A request by URL has its signature beside it (SAML bindings 3.4.4.1), over the
octets of the query as they were sent; a posted one has it inside.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import Certificate
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.assertion import (
    MAX_ID_CHARACTERS,
    MAX_NAME_ID_CHARACTERS,
    read_time,
    short_text,
    text_of,
    whole_text,
)
from interlock.adapters.identity.saml.bindings import unpack_redirected
from interlock.adapters.identity.saml.document import Malformed, read_document
from interlock.adapters.identity.saml.names import ds, saml, samlp
from interlock.adapters.identity.saml.response import Refused
from interlock.adapters.identity.saml.signatures import NotSigned, signed_element

MAX_AGE_S: Final = 300.0
"""How long a request is taken that does not say so itself."""
MAX_SESSIONS: Final = 20
_HASHES: Final = {
    f"http://www.w3.org/2001/04/xmldsig-more#rsa-sha{bits}": algorithm
    for bits, algorithm in ((256, hashes.SHA256()), (384, hashes.SHA384()), (512, hashes.SHA512()))
}


class LogoutRequest(msgspec.Struct, frozen=True):
    """Whose sessions are over at the provider: the named ones, or all of the person's when none is named."""

    identifier: str
    name_id: str
    sessions: tuple[str, ...]
    ends_at_s: float


class ExpectedLogout(msgspec.Struct, frozen=True):
    """What a request must be about."""

    issuer: str
    certificates: Sequence[Certificate]
    logout_url: str
    now_s: float
    skew_s: float


def redirected_request(query: str, expected: ExpectedLogout) -> LogoutRequest:
    """The request in a URL's query, as it was sent. Raises Refused."""
    try:
        fields = _raw_fields(query)
        _check_query(fields, expected.certificates)
        root = read_document(unpack_redirected(unquote_plus(fields["SAMLRequest"])))
        return _read(root, expected)
    except (Malformed, NotSigned) as error:
        raise Refused(str(error)) from None


def posted_request(content: bytes, expected: ExpectedLogout) -> LogoutRequest:
    """The request in a form. Raises Refused."""
    try:
        root = read_document(content)
        if any(signature.getparent() is not root for signature in root.iter(ds("Signature"))):
            raise Refused("a signature where there should be none")
        return _read(signed_element(root, "", expected.certificates), expected)
    except (Malformed, NotSigned) as error:
        raise Refused(str(error)) from None


def _raw_fields(query: str) -> dict[str, str]:
    """The fields of a query, still encoded. Raises Malformed when one is there twice."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    fields = {name: value for name, _, value in pairs}
    if len(fields) != len(pairs):
        raise Malformed("a parameter is given twice")
    if not {"SAMLRequest", "SigAlg", "Signature"} <= fields.keys():
        raise NotSigned("no request, or no signature")
    return fields


def _check_query(fields: dict[str, str], certificates: Sequence[Certificate]) -> None:
    algorithm = _HASHES.get(unquote_plus(fields["SigAlg"]))
    if algorithm is None:
        raise NotSigned("the signature's algorithm is not accepted")
    names = [name for name in ("SAMLRequest", "RelayState", "SigAlg") if name in fields]
    octets = "&".join(f"{name}={fields[name]}" for name in names).encode()
    try:
        signature = base64.b64decode(unquote_plus(fields["Signature"]), validate=True)
    except (binascii.Error, ValueError):
        raise NotSigned("the signature cannot be read") from None
    if not any(_holds(certificate, signature, octets, algorithm) for certificate in certificates):
        raise NotSigned("the signature does not hold")


def _holds(certificate: Certificate, signature: bytes, octets: bytes, algorithm: hashes.HashAlgorithm) -> bool:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, octets, padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True


def _read(root: Element, expected: ExpectedLogout) -> LogoutRequest:
    if root.tag != samlp("LogoutRequest") or root.get("Version") != "2.0":
        raise Refused("no logout request of SAML 2.0")
    issuer, name_id = root.find(saml("Issuer")), root.find(saml("NameID"))
    if issuer is None or text_of(issuer) != expected.issuer:
        raise Refused("Issuer is somebody else")
    if root.get("Destination") != expected.logout_url:
        raise Refused("Destination is another place")
    if name_id is None:
        raise Refused("no NameID in the clear")
    sessions = [
        short_text(text_of(each), MAX_ID_CHARACTERS, "SessionIndex") for each in root.iter(samlp("SessionIndex"))
    ]
    if len(sessions) > MAX_SESSIONS:
        raise Refused(f"more than {MAX_SESSIONS} sessions")
    return LogoutRequest(
        identifier=short_text(root.get("ID"), MAX_ID_CHARACTERS, "ID"),
        name_id=short_text(whole_text(name_id), MAX_NAME_ID_CHARACTERS, "NameID"),
        sessions=tuple(sessions),
        ends_at_s=_end(root, expected),
    )


def _end(root: Element, expected: ExpectedLogout) -> float:
    """When the request counts no more. Raises Refused when that is past, or it is from the future."""
    issued_at_s, ends_at_s = read_time(root, "IssueInstant"), read_time(root, "NotOnOrAfter")
    if issued_at_s is None or issued_at_s > expected.now_s + expected.skew_s:
        raise Refused("IssueInstant is missing or in the future")
    latest_s = issued_at_s + MAX_AGE_S
    end_s = (latest_s if ends_at_s is None else min(ends_at_s, latest_s)) + expected.skew_s
    if end_s <= expected.now_s:
        raise Refused("the request is too old")
    return end_s
