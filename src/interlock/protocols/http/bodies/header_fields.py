"""Masks what header fields of an answer say of what its body must not show.

Masked are fields that are called as a masked field is, with or without ``X-`` in front, cookies and parameters of
addresses that are; in all others what is detected, and fields of JSON. What has a meaning in HTTP itself stays.
"""

import re
from typing import Final
from urllib.parse import quote, unquote_plus

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.texts import masked_field, masked_text

_OF_HTTP: Final = frozenset(
    b"accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods"
    b" access-control-allow-origin access-control-expose-headers access-control-max-age age allow cache-control"
    b" connection content-encoding content-language content-length content-security-policy content-type date expires"
    b" keep-alive pragma retry-after server strict-transport-security trailer transfer-encoding upgrade vary"
    b" x-content-type-options x-frame-options".split()
)
_ADDRESSES: Final = frozenset((b"location", b"content-location", b"link", b"refresh"))
_PARAMETER: Final = re.compile(r"(?<=[?&;#])([^=&;#<>\"\s]+)=([^&;#<>\"\s]*)")


def masked_header(name: bytes, value: bytes, plan: Plan, tally: Tally) -> bytes:
    """The value that a field may have. Raises ``BodyRefused`` when it must not be there at all."""
    if name in _OF_HTTP or not value:
        return value
    try:
        text, charset = value.decode(), "utf-8"
    except UnicodeDecodeError:
        text, charset = value.decode("latin-1"), "latin-1"
    if name == b"set-cookie":
        masked = _cookie(text, plan, tally)
    elif name in _ADDRESSES:
        masked = _address(text, plan, tally)
    else:
        masked = _named(name.decode("ascii"), text, plan, tally)
    return value if masked == text else masked.encode(charset, "replace")


def _named(name: str, text: str, plan: Plan, tally: Tally) -> str:
    place = plan.fields.root.member(name.encode())
    if place.mask is None:
        place = plan.fields.root.member(name.removeprefix("x-").encode())
    return masked_field(text, plan, tally, place, name)


def _cookie(text: str, plan: Plan, tally: Tally) -> str:
    name, equals, rest = text.partition("=")
    value, semicolon, attributes = rest.partition(";")
    place = plan.fields.root.member(name.strip().encode())
    cookie = name + equals + masked_field(value, plan, tally, place, name) + semicolon + attributes
    return masked_text(cookie.encode(), plan, tally).decode()


def _address(text: str, plan: Plan, tally: Tally) -> str:
    def parameter(found: re.Match[str]) -> str:
        name, value = unquote_plus(found[1]), unquote_plus(found[2])
        place = plan.fields.root.member(name.encode(errors="surrogatepass"))
        masked = value if place.mask is None else masked_field(value, plan, tally, place, name)
        return found[0] if masked == value else f"{found[1]}={quote(masked, safe='*')}"

    return masked_text(_PARAMETER.sub(parameter, text).encode(), plan, tally).decode()
