"""``permessage-deflate`` in ``Sec-WebSocket-Extensions`` (RFC 7692, 7.1): what the gateway offers, and agrees to.

No extension but this one is passed on or agreed to. With neither side does the gateway keep what earlier messages
held: compressors cost a quarter of a megabyte each.
"""

from typing import Final

from interlock.protocols.http.websocket.values import Deflate

_NAME: Final = b"permessage-deflate"
_SERVER_ALONE: Final = b"server_no_context_takeover"
_CLIENT_ALONE: Final = b"client_no_context_takeover"
_SERVER_BITS: Final = b"server_max_window_bits"
_CLIENT_BITS: Final = b"client_max_window_bits"
_KNOWN: Final = frozenset((_SERVER_ALONE, _CLIENT_ALONE, _SERVER_BITS, _CLIENT_BITS))

OFFER: Final = b"; ".join((_NAME, _SERVER_ALONE, _CLIENT_ALONE))
"""What the target is offered."""

_Parameters = dict[bytes, bytes]


def first_deflate_offer(values: list[bytes]) -> Deflate | None:
    """The first of a client's offers that the gateway can agree to."""
    for name, parameters in _extensions(values):
        bits = _window_bits(parameters)
        if name == _NAME and bits is not None and bits > 8:  # zlib cannot compress with a window of 256 bytes
            return Deflate(window_bits=bits)
    return None


def agreed_text(deflate: Deflate) -> bytes:
    """The answer to a client's offer."""
    bits = b"; %b=%d" % (_SERVER_BITS, deflate.window_bits) if deflate.window_bits < 15 else b""
    return OFFER + bits


def agreed_deflate(values: list[bytes], offered: bool) -> Deflate | str | None:
    """What the target agreed to, or what is wrong with that."""
    extensions = _extensions(values)
    if not extensions:
        return None
    name, parameters = extensions[0]
    if not offered or len(extensions) > 1 or name != _NAME:
        return "it chose an extension that was not offered"
    if parameters is None or _CLIENT_BITS in parameters or _window_bits(parameters) is None:
        return "its parameters of permessage-deflate are not possible"
    return Deflate(takeover=_SERVER_ALONE not in parameters)


def _window_bits(parameters: _Parameters | None) -> int | None:
    """How far the server's compressor may refer back; None when the parameters are not allowed (RFC 7692, 7.1)."""
    if parameters is None or not parameters.keys() <= _KNOWN:
        return None
    if parameters.get(_SERVER_ALONE) or parameters.get(_CLIENT_ALONE):
        return None
    if parameters.get(_CLIENT_BITS) and _bits(parameters[_CLIENT_BITS]) is None:
        return None
    return _bits(parameters.get(_SERVER_BITS, b"15"))


def _bits(value: bytes) -> int | None:
    return int(value) if value in (b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15") else None


def _extensions(values: list[bytes]) -> list[tuple[bytes, _Parameters | None]]:
    """Names and parameters; no parameters at all where one is there twice. A parameter without a value has none."""
    found = []
    for extension in b",".join(values).split(b","):
        name, *rest = (word.strip() for word in extension.split(b";"))
        pairs = [(key.strip(), value.strip().strip(b'"')) for key, _, value in (word.partition(b"=") for word in rest)]
        if name:
            found.append((name, dict(pairs) if len(dict(pairs)) == len(pairs) else None))
    return found
