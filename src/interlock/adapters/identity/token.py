"""Takes a compact JWS (RFC 7515) apart and refuses what cannot be a bearer token, before any key is looked at.

Nothing is believed in here: what ``take_apart`` returns is unverified.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from interlock.core.errors import LoginRefused
from interlock.core.spiffe import SCHEME, workload_id

MAX_TOKEN_BYTES: Final = 16_384
MAX_KEY_ID_CHARACTERS: Final = 256
MAX_JSON_DEPTH: Final = 16

NOT_ACCEPTED: Final = "the token is not accepted"
_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
BEARER_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_PLAIN_TYPE: Final = "jwt"
_KEYS_FROM_THE_SENDER: Final = ("jwk", "jku", "x5u", "x5c")
_UNSUPPORTED_HEADERS: Final = ("crit", "b64", "enc", "zip")


class UnverifiedToken(msgspec.Struct, frozen=True):
    """A token's parts, before its signature is checked. Only ``issuer`` may be used, to find the keys."""

    algorithm: str
    key_id: str | None
    token_type: str
    issuer: str
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        return "UnverifiedToken(...)"


def looks_signed(text: str) -> bool:
    """Whether it has the form of a compact JWS."""
    return _SEGMENTS.fullmatch(text) is not None


def take_apart(token: str, types: Collection[str] = BEARER_TYPES) -> UnverifiedToken:
    """The parts of a compact JWS. Raises LoginRefused for anything that is not a plain signed token of these types.

    Types are in lower case; a token that says none is a ``jwt``.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise LoginRefused("the token is too long", f"token of {len(token)} characters")
    if not looks_signed(token):
        raise LoginRefused("the password is not a token", "not a compact JWS")
    header_text, payload_text, signature_text = token.split(".")
    header = _decode_object(header_text, "header")
    claims = _decode_object(payload_text, "payload")
    _check_header(header, types)
    if "iss" not in claims:
        claims["iss"] = _trust_domain(claims.get("sub"))
    issuer = claims["iss"]
    if not isinstance(issuer, str):
        raise LoginRefused(NOT_ACCEPTED, "no iss claim")
    return UnverifiedToken(
        algorithm=header["alg"],
        key_id=header.get("kid"),
        token_type=header.get("typ", _PLAIN_TYPE).lower(),
        issuer=issuer,
        claims=claims,
        signing_input=f"{header_text}.{payload_text}".encode("ascii"),
        signature=_decode(signature_text, "signature"),
    )


def _trust_domain(subject: object) -> str | None:
    """Who vouches for a token that does not say so: a JWT-SVID (section 3) is its subject's trust domain's."""
    workload = workload_id(subject) if isinstance(subject, str) else None
    return f"{SCHEME}{workload.trust_domain}" if workload is not None else None


def _check_header(header: dict[str, Any], types: Collection[str]) -> None:
    if not isinstance(header.get("alg"), str):
        raise LoginRefused(NOT_ACCEPTED, "no alg in the header")
    for name in _KEYS_FROM_THE_SENDER:
        if name in header:
            raise LoginRefused(NOT_ACCEPTED, f"the header brings its own key ({name})")
    for name in _UNSUPPORTED_HEADERS:
        if name in header:
            raise LoginRefused(NOT_ACCEPTED, f"the header uses {name}")
    key_id = header.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_CHARACTERS):
        raise LoginRefused(NOT_ACCEPTED, "kid is not a short text")
    # RFC 8725 section 3.11: a token made for another purpose (logout, identity assertion) must not log anyone in.
    token_type = header.get("typ", _PLAIN_TYPE)
    if not isinstance(token_type, str) or token_type.lower() not in types:
        raise LoginRefused(NOT_ACCEPTED, "typ is not that of a bearer token")


def _decode_object(segment: str, part: str) -> dict[str, Any]:
    try:
        document = load_strict_json(_decode(segment, part))
    except ValueError as error:
        raise LoginRefused(NOT_ACCEPTED, f"{part}: {error}") from None
    if not isinstance(document, dict):
        raise LoginRefused(NOT_ACCEPTED, f"{part} is not a JSON object")
    return document


def _decode(segment: str, part: str) -> bytes:
    try:
        decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise LoginRefused(NOT_ACCEPTED, f"{part} is not base64url") from None
    # One value has one spelling: stray bits in the last character would make a second one.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode("ascii"):
        raise LoginRefused(NOT_ACCEPTED, f"{part} is not canonical base64url")
    return decoded


def load_strict_json(content: bytes) -> object:
    """JSON without duplicate names, NaN, infinities or deep nesting. Raises ValueError, which quotes nothing."""
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _depth(document) > MAX_JSON_DEPTH:
        raise ValueError("nested too deeply")
    return document


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name is used twice")
    return document


def _refuse_constant(_constant: str) -> object:
    raise ValueError("a number is not finite")


def _depth(document: object) -> int:
    level, depth = [document], 0
    while level and depth <= MAX_JSON_DEPTH:
        depth += 1
        inner: list[object] = []
        for entry in level:
            if isinstance(entry, dict):
                inner.extend(entry.values())
            elif isinstance(entry, list):
                inner.extend(entry)
        level = inner
    return depth
