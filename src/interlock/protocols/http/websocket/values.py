"""What the two halves of a WebSocket connection are made of, and what the relay asks for."""

import enum

import msgspec

from interlock.protocols.base import Pause, Resume, Send, Side


class Kind(enum.IntEnum):
    """Kinds of messages and control frames, by opcode (RFC 6455, 11.8)."""

    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Deflate(msgspec.Struct, frozen=True):
    """``permessage-deflate`` as agreed with one peer (RFC 7692, 7.1).

    ``takeover``: the peer compresses a message with what its earlier ones held. ``window_bits`` bounds what the gateway
    may refer to in what it sends; it never refers to earlier messages.
    """

    takeover: bool = False
    window_bits: int = 15


class Limits(msgspec.Struct, frozen=True):
    """``max_message_bytes`` is the longest message that is looked into. ``max_waiting_bytes`` bounds what the client
    may send behind a message that is being decided, before reading from it stops."""

    max_message_bytes: int = 1 << 20
    max_waiting_bytes: int = 1 << 20


class Piece(msgspec.Struct, frozen=True):
    """A part of a data message as framed: payload without its masking key, not inflated."""

    kind: Kind
    data: bytes
    compressed: bool
    final: bool


class Part(msgspec.Struct, frozen=True):
    """A part of a data message, inflated; of a text one no byte that is not UTF-8."""

    kind: Kind
    data: bytes
    compressed: bool
    final: bool


class Control(msgspec.Struct, frozen=True):
    """A control frame: a ping, a pong or a close."""

    kind: Kind
    payload: bytes


class Fault(msgspec.Struct, frozen=True):
    """What a peer did that ends the connection, with the status code to close with (RFC 6455, 7.4.1)."""

    code: int
    reason: str


class Filtered(msgspec.Struct, frozen=True):
    """What a text became, and how many values in it were masked.

    With ``instead``, these go on in the place of the one text: several, or none.
    """

    text: bytes
    masked_values: int = 0
    instead: tuple[bytes, ...] | None = None


class Message(msgspec.Struct, frozen=True):
    """Effect: keep a message or control frame that goes to ``to``, as it goes there.

    A message that is longer than what is held comes in several, of which only the last is ``final``.
    """

    to: Side
    kind: Kind
    payload: bytes
    final: bool = True
    masked_values: int = 0


class Decide(msgspec.Struct, frozen=True):
    """Effect: this text of the client is an operation. Answer with ``permit`` or ``refuse`` of the relay."""

    text: bytes


class Ended(msgspec.Struct, frozen=True):
    """Effect: the conversation is over; both sides are to be closed after what was sent. ``code`` is that of RFC 6455,
    7.4.1, 1006 where a side left without a close."""

    code: int
    reason: str


RelayEffect = Send | Pause | Resume | Message | Decide | Ended
