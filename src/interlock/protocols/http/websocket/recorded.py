"""How messages of a WebSocket connection are kept in a recording: as frames of RFC 6455, unmasked and not compressed.

A part of a message names its kind like the first one does, so that what was not kept in front of it does not matter.
"""

import struct
from typing import Final

import msgspec

from interlock.protocols.http.websocket.frames import frame
from interlock.protocols.http.websocket.values import Kind, Message

_KINDS: Final = frozenset(int(kind) for kind in Kind)
MAX_PAYLOAD_BYTES: Final = 64 << 20


class RecordedMessage(msgspec.Struct, frozen=True):
    """A message, or a part of one that is not ``final``."""

    kind: Kind
    payload: bytes
    final: bool


def recorded(message: Message) -> bytes:
    """A message as it is put into a recording: as answer when it goes to the client, else as request."""
    return frame(int(message.kind), message.payload, b"", final=message.final)


def take_recorded(buffer: bytearray) -> RecordedMessage | None:
    """The first message in the buffer, which it leaves; None when none is whole. Raises ``ValueError`` for others."""
    if len(buffer) < 2:
        return None
    first, length = buffer[0], buffer[1]
    if first & 0x70 or first & 0x0F not in _KINDS or length & 0x80:
        raise ValueError("no recorded message")
    head = 2 if length < 126 else 4 if length == 126 else 10
    if len(buffer) < head:
        return None
    if length >= 126:
        (length,) = struct.unpack_from(">H" if length == 126 else ">Q", buffer, 2)
    if length > MAX_PAYLOAD_BYTES:
        raise ValueError("no recorded message")
    if len(buffer) < head + length:
        return None
    payload = bytes(buffer[head : head + length])
    del buffer[: head + length]
    return RecordedMessage(Kind(first & 0x0F), payload, bool(first & 0x80))
