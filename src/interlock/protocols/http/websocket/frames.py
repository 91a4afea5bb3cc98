"""Frames of a WebSocket connection (RFC 6455, 5): bytes in any cut to pieces of messages and control frames, and back.

Holds no more than a head, a control frame, or what it was fed last; long frames come in pieces. The bound on what is
fed is the caller's.
"""

import hashlib
from typing import Final

from interlock.protocols.http.websocket.values import Control, Fault, Kind, Piece

PROTOCOL_ERROR: Final = 1002

_FIN: Final = 0x80
_COMPRESSED: Final = 0x40  # RSV1 of RFC 7692, 6
_RESERVED: Final = 0x30
_MASKED: Final = 0x80
_CONTINUATION: Final = 0x0
_MAX_CONTROL_BYTES: Final = 125
_KINDS: Final = {int(kind): kind for kind in Kind}
_KEYS_BYTES: Final = 256


class FrameReader:
    """Reads what one peer sends. ``masked``: that peer is the client of the connection (RFC 6455, 5.3).

    ``compressed``: ``permessage-deflate`` was agreed. After a ``Fault`` nothing more may be read.
    """

    def __init__(self, *, masked: bool, compressed: bool) -> None:
        self._masked = masked
        self._may_compress = compressed
        self._buffer = bytearray()
        self._remaining = 0
        self._key = b""
        self._in_payload = False
        self._final = False
        self._control: Kind | None = None
        self._kind: Kind | None = None
        self._compressed = False

    @property
    def buffered_bytes(self) -> int:
        """How much was fed and not read."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def next(self) -> Piece | Control | Fault | None:
        """What comes next; None when more bytes are needed."""
        if not self._in_payload:
            fault = self._read_head()
            if fault is not None or not self._in_payload:
                return fault
        if self._control is not None:
            return self._read_control(self._control)
        return self._read_piece()

    def _read_head(self) -> Fault | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        length = second & 0x7F
        at = 2 if length < 126 else 4 if length == 126 else 10
        fault = self._check(first, second, length)
        end = at + 4 if self._masked else at
        if fault is not None or len(buffer) < end:
            return fault
        if at > 2:
            length = int.from_bytes(buffer[2:at], "big")
            if length < (126 if at == 4 else 1 << 16) or length >> 63:
                return Fault(PROTOCOL_ERROR, "a length is not in its shortest form")
        self._key = bytes(buffer[at:end])
        del buffer[:end]
        self._begin(first, length)
        return None

    def _check(self, first: int, second: int, length: int) -> Fault | None:
        opcode = first & 0x0F
        if first & _RESERVED or (first & _COMPRESSED and not self._may_compress):
            return Fault(PROTOCOL_ERROR, "a reserved bit is set")
        if opcode != _CONTINUATION and opcode not in _KINDS:
            return Fault(PROTOCOL_ERROR, f"opcode {opcode} is not known")
        if (second & _MASKED != 0) != self._masked:
            return Fault(PROTOCOL_ERROR, "a frame is not masked" if self._masked else "a frame is masked")
        if opcode >= Kind.CLOSE:
            return _check_control(first, length)
        if (opcode == _CONTINUATION) != (self._kind is not None):
            return Fault(PROTOCOL_ERROR, "a message begins within another, or goes on without having begun")
        if opcode == _CONTINUATION and first & _COMPRESSED:
            return Fault(PROTOCOL_ERROR, "a message is said to be compressed after its first frame")
        return None

    def _begin(self, first: int, length: int) -> None:
        opcode = first & 0x0F
        self._in_payload = True
        self._remaining = length
        self._final = first & _FIN != 0
        self._control = _KINDS[opcode] if opcode >= Kind.CLOSE else None
        if opcode in (Kind.TEXT, Kind.BINARY):
            self._kind = _KINDS[opcode]
            self._compressed = first & _COMPRESSED != 0

    def _read_control(self, kind: Kind) -> Control | None:
        if len(self._buffer) < self._remaining:
            return None
        self._in_payload = False
        return Control(kind, self._take(self._remaining))

    def _read_piece(self) -> Piece | None:
        size = min(self._remaining, len(self._buffer))
        if size == 0 and self._remaining:
            return None
        assert self._kind is not None
        data = self._take(size)
        self._remaining -= size
        final = self._remaining == 0 and self._final
        piece = Piece(self._kind, data, self._compressed, final)
        self._in_payload = self._remaining > 0
        if final:
            self._kind = None
        return piece

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        if not self._masked:
            return data
        key = self._key
        turn = size % 4
        self._key = key[turn:] + key[:turn]
        return masked(data, key)


def _check_control(first: int, length: int) -> Fault | None:
    if not first & _FIN:
        return Fault(PROTOCOL_ERROR, "a control frame is fragmented")
    if first & _COMPRESSED:
        return Fault(PROTOCOL_ERROR, "a control frame is compressed")
    return Fault(PROTOCOL_ERROR, "a control frame is too long") if length > _MAX_CONTROL_BYTES else None


class MaskingKeys:
    """Masking keys that nobody can foresee who does not know the entropy (RFC 6455, 10.3)."""

    def __init__(self, entropy: bytes) -> None:
        self._entropy = entropy
        self._block = b""
        self._number = 0

    def next(self) -> bytes:
        """Four bytes, never the same place of the stream again."""
        if not self._block:
            self._block = hashlib.shake_256(self._entropy + self._number.to_bytes(8, "big")).digest(_KEYS_BYTES)
            self._number += 1
        key, self._block = self._block[:4], self._block[4:]
        return key


def frame(opcode: int, payload: bytes, key: bytes, *, final: bool = True, compressed: bool = False) -> bytes:
    """One frame; masked with ``key`` unless that is empty. Opcode 0 goes on with a message."""
    first = (_FIN if final else 0) | (_COMPRESSED if compressed else 0) | opcode
    length = len(payload)
    bit = _MASKED if key else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 1 << 16:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    return head + key + masked(payload, key) if key else head + payload


def masked(data: bytes, key: bytes) -> bytes:
    """``data`` with the key put on or taken off (RFC 6455, 5.3)."""
    size = len(data)
    stretched = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(stretched, "little")).to_bytes(size, "little")
