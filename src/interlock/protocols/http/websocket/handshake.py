"""The opening handshake of WebSocket on both sides of the gateway (RFC 6455, 4; RFC 7692, 7).

The gateway has a handshake of its own with each side: another key, its own extensions. It reads the client's request
(``read_upgrade``), asks the target (``target_headers``), checks the answer (``check_answer``), and only then answers
the client (``client_headers``). Header names are lower-cased here as everywhere behind ``wire``.
"""

import base64
import binascii
import hashlib
from typing import Final

import msgspec

from interlock.protocols.http.websocket.extensions import (
    OFFER,
    agreed_deflate,
    agreed_text,
    first_deflate_offer,
)
from interlock.protocols.http.websocket.values import Deflate

Headers = tuple[tuple[bytes, bytes], ...]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_OWN: Final = frozenset((b"connection", b"upgrade"))
_PREFIX: Final = b"sec-websocket-"
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Upgrade(msgspec.Struct, frozen=True):
    """What a client asked for. ``protocols`` are subprotocols; ``deflate`` is what the gateway agrees to with it."""

    key: bytes
    protocols: tuple[bytes, ...] = ()
    deflate: Deflate | None = None


class Rejection(msgspec.Struct, frozen=True):
    """Why an upgrade is not one: the status and further headers to answer with, and a sentence."""

    status: int
    reason: str
    headers: Headers = ()


class Agreement(msgspec.Struct, frozen=True):
    """What the target agreed to."""

    protocol: bytes = b""
    deflate: Deflate | None = None


def read_upgrade(method: bytes, minor: int, headers: Headers) -> Upgrade | Rejection:
    """The client's request, of which the caller knows that it upgrades to ``websocket`` (RFC 6455, 4.2.1)."""
    if method != b"GET" or minor < 1:
        return Rejection(400, "a WebSocket begins with GET of HTTP/1.1")
    if _values(headers, b"version") != [b"13"]:
        return Rejection(426, "Sec-WebSocket-Version has to be 13", ((b"sec-websocket-version", b"13"),))
    keys = _values(headers, b"key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return Rejection(400, "Sec-WebSocket-Key has to be 16 bytes in base64, once")
    protocols = _listed(_values(headers, b"protocol"))
    if not all(_is_token(name) for name in protocols) or len(set(protocols)) != len(protocols):
        return Rejection(400, "Sec-WebSocket-Protocol has to be a list of different names")
    return Upgrade(keys[0], protocols, first_deflate_offer(_values(headers, b"extensions")))


def new_key(entropy: bytes) -> bytes:
    """``Sec-WebSocket-Key`` from 16 fresh random bytes."""
    return base64.b64encode(entropy[:16])


def target_headers(upgrade: Upgrade, headers: Headers, key: bytes) -> Headers:
    """The header fields for the target: ``headers`` with the gateway's own handshake in place of the client's."""
    own: list[tuple[bytes, bytes]] = [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", key),
    ]
    if upgrade.protocols:
        own.append((b"sec-websocket-protocol", b", ".join(upgrade.protocols)))
    if upgrade.deflate is not None:
        own.append((b"sec-websocket-extensions", OFFER))
    return _without_handshake(headers) + tuple(own)


def check_answer(upgrade: Upgrade, key: bytes, headers: Headers) -> Agreement | str:
    """The target's 101: what it agreed to, or what is wrong with it (RFC 6455, 4.1)."""
    if b"upgrade" not in [word.lower() for word in _listed(_named(headers, b"connection"))]:
        return "its Connection header does not say Upgrade"
    if [value.lower() for value in _named(headers, b"upgrade")] != [b"websocket"]:
        return "it does not upgrade to websocket"
    if _values(headers, b"accept") != [_accept(key)]:
        return "its Sec-WebSocket-Accept does not answer the key"
    protocols = _values(headers, b"protocol")
    if len(protocols) > 1 or (protocols and protocols[0] not in upgrade.protocols):
        return "it chose a subprotocol that was not offered"
    deflate = agreed_deflate(_values(headers, b"extensions"), upgrade.deflate is not None)
    if isinstance(deflate, str):
        return deflate
    return Agreement(protocols[0] if protocols else b"", deflate)


def client_headers(upgrade: Upgrade, agreement: Agreement, headers: Headers) -> Headers:
    """The header fields of the 101 for the client, from those of the target's."""
    own: list[tuple[bytes, bytes]] = [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-accept", _accept(upgrade.key)),
    ]
    if agreement.protocol:
        own.append((b"sec-websocket-protocol", agreement.protocol))
    if upgrade.deflate is not None:
        own.append((b"sec-websocket-extensions", agreed_text(upgrade.deflate)))
    return _without_handshake(headers) + tuple(own)


def _without_handshake(headers: Headers) -> Headers:
    return tuple(pair for pair in headers if pair[0] not in _OWN and not pair[0].startswith(_PREFIX))


def _accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return _named(headers, _PREFIX + name)


def _named(headers: Headers, name: bytes) -> list[bytes]:
    return [value for header, value in headers if header == name]


def _listed(values: list[bytes]) -> tuple[bytes, ...]:
    return tuple(word for value in values for word in (part.strip() for part in value.split(b",")) if word)


def _is_token(word: bytes) -> bool:
    return all(byte in _TOKEN for byte in word)


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False
