"""The gateway between the two sides of a WebSocket connection, after both have answered the handshake.

How a session uses it: ``receive`` with the bytes of either side, ``side_left`` when one is gone, ``close`` when the
gateway ends it. Each returns what to do, in order:

* ``Send``, ``Pause``, ``Resume`` as the protocol seam has them.
* ``Message``: keep it on record. It comes before the ``Send`` of the same message.
* ``Decide``: the client's text is an operation. Nothing of the client goes on until ``permit`` or ``refuse`` was
  called, once; what it sends meanwhile waits, up to a bound. Pings, and what the target says, go on.
* ``Ended``: the last there is. Close both sides after what was sent.

A message that somebody looks into is held until it is whole, up to ``Limits.max_message_bytes``: behind that the
connection is closed with code 1009. Others go on in parts. The relay never forwards a frame as it came: it writes its
own, so that both sides read the same.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from interlock.protocols.base import Pause, Resume, Send, Side
from interlock.protocols.http.websocket.closing import (
    GATEWAY_ERROR,
    GOING_AWAY,
    LEFT,
    POLICY,
    TOO_BIG,
    close_payload,
    read_close,
)
from interlock.protocols.http.websocket.frames import MaskingKeys
from interlock.protocols.http.websocket.messages import MessageReader
from interlock.protocols.http.websocket.sending import MessageWriter
from interlock.protocols.http.websocket.values import (
    Control,
    Decide,
    Deflate,
    Ended,
    Fault,
    Filtered,
    Kind,
    Limits,
    Message,
    Part,
    RelayEffect,
)

MessageFilter = Callable[[bytes], Filtered | str]
"""What a text becomes, or why it cannot be looked into."""

_STREAM_BYTES: Final = 1 << 16
_PINGS_MAX: Final = 16
_WAITING_MESSAGE_BYTES: Final = 64  # what a waiting message weighs besides its text


class _Way:
    """One direction: how its messages are looked at, and what of one is held."""

    def __init__(self, to: Side, reader: MessageReader, writer: MessageWriter) -> None:
        self.to = to
        self.reader = reader
        self.writer = writer
        self.filter: MessageFilter | None = None
        self.held = bytearray()
        self.streaming = False
        self.over = False
        """Whether the sender has sent its close frame."""
        self.closed = False
        """Whether a close frame went on to ``to``."""
        self.pings: deque[bytes] = deque(maxlen=_PINGS_MAX)
        """What the last pings in this direction held."""


class WebSocketRelay:
    """One connection. ``entropy`` is for masking keys, at least 16 bytes.

    ``asks`` says whether a text of the client is an operation; without it none is. ``filter_requests`` and
    ``filter_answers`` are what texts to the target and to the client go through, None for nothing. Where there is
    either, binary messages of that side are refused (1008) unless ``pass_binary``, and control frames carry nothing
    across that somebody else made up.
    """

    def __init__(
        self,
        entropy: bytes,
        *,
        client_deflate: Deflate | None = None,
        target_deflate: Deflate | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        asks: Callable[[bytes], bool] | None = None,
        filter_requests: MessageFilter | None = None,
        filter_answers: MessageFilter | None = None,
        pass_binary: bool = False,
    ) -> None:
        self._limits = limits
        self._asks = asks
        self._pass_binary = pass_binary
        keys = MaskingKeys(entropy)
        self._up = _Way(
            Side.TARGET, MessageReader(masked=True, deflate=client_deflate), MessageWriter(keys, target_deflate)
        )
        self._down = _Way(
            Side.CLIENT, MessageReader(masked=False, deflate=target_deflate), MessageWriter(None, client_deflate)
        )
        self._up.filter = filter_requests
        self._down.filter = filter_answers
        self._effects: list[RelayEffect] = []
        self._deciding = False
        self._waiting: deque[tuple[Kind, bytes, bool]] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._ended = False

    @property
    def deciding(self) -> bool:
        """Whether ``permit`` or ``refuse`` is due."""
        return self._deciding

    @property
    def ended(self) -> bool:
        return self._ended

    def change_filters(self, requests: MessageFilter | None, answers: MessageFilter | None) -> None:
        """Messages that begin from here on go through these."""
        self._up.filter = requests
        self._down.filter = answers

    # ------------------------------------------------------------ what happens

    def receive(self, side: Side, data: bytes) -> list[RelayEffect]:
        """Bytes of a side, in any cut."""
        way = self._up if side is Side.CLIENT else self._down
        if not self._ended and not way.over:
            way.reader.feed(data)
            self._read(way)
        return self._taken()

    def side_left(self, side: Side) -> list[RelayEffect]:
        """A side sends nothing more."""
        if self._ended:
            return []
        if side is Side.CLIENT:
            self._tell(self._up, GOING_AWAY, "the client has left")
            self._end(LEFT, "the client left before the connection was closed")
        else:
            self._tell(self._down, GATEWAY_ERROR, "the target has left")
            self._end(LEFT, "the target left before the connection was closed")
        return self._taken()

    def close(self, code: int, reason: str) -> list[RelayEffect]:
        """The gateway ends the connection."""
        if not self._ended:
            self._close_both(code, reason)
        return self._taken()

    def permit(self, text: bytes) -> list[RelayEffect]:
        """The operation that was asked about goes to the target, as ``text``."""
        if self._deciding and not self._ended:
            self._deciding = False
            self._forward(self._up, Kind.TEXT, text, 0, False)
            self._go_on()
        return self._taken()

    def refuse(self, answer: bytes) -> list[RelayEffect]:
        """It does not; the client is told with a text message."""
        if self._deciding and not self._ended:
            self._deciding = False
            self._forward(self._down, Kind.TEXT, answer, 0, False)
            self._go_on()
        return self._taken()

    def _taken(self) -> list[RelayEffect]:
        effects, self._effects = self._effects, []
        return effects

    # ------------------------------------------------------------ reading

    def _read(self, way: _Way) -> None:
        """Take what a side has sent, as far as it may go."""
        while not self._ended and not way.over and not (way is self._up and self._paused):
            found = way.reader.next()
            if found is None:
                return
            if type(found) is Part:
                self._take_part(way, found)
            elif type(found) is Control:
                self._take_control(way, found)
            elif type(found) is Fault:
                self._fail(way, found)

    def _take_part(self, way: _Way, part: Part) -> None:
        if part.kind is Kind.BINARY and self._looks_into(way) and not self._pass_binary:
            self._close_both(POLICY, "binary messages cannot be looked into here; send text")
            return
        way.held += part.data
        if way.streaming or (len(way.held) > _STREAM_BYTES and not self._must_hold(way, part.kind)):
            self._stream(way, part)
        elif len(way.held) > self._limits.max_message_bytes:
            limit = self._limits.max_message_bytes
            self._close_both(TOO_BIG, f"a message is longer than the {limit} bytes that are looked into")
        elif part.final:
            text = bytes(way.held)
            way.held.clear()
            self._take_message(way, part.kind, text, part.compressed)

    def _looks_into(self, way: _Way) -> bool:
        return way.filter is not None or (way is self._up and self._asks is not None)

    def _must_hold(self, way: _Way, kind: Kind) -> bool:
        """Also whatever could come behind an operation, which waits with it."""
        return (kind is Kind.TEXT and way.filter is not None) or (way is self._up and self._asks is not None)

    def _stream(self, way: _Way, part: Part) -> None:
        """Send on what is there of a message that nobody looks into."""
        data = bytes(way.held)
        way.held.clear()
        way.streaming = not part.final
        if data or part.final:
            self._effects.append(Message(way.to, part.kind, data, part.final))
            self._effects.append(Send(way.to, way.writer.part(part.kind, data, final=part.final)))

    def _take_message(self, way: _Way, kind: Kind, data: bytes, compressed: bool) -> None:
        if way is self._up and self._deciding:
            self._wait(kind, data, compressed)
            return
        masked_values = 0
        if kind is Kind.TEXT and way.filter is not None:
            filtered = way.filter(data)
            if isinstance(filtered, str):
                self._close_both(POLICY, filtered)
                return
            if filtered.instead is not None:
                self._forward_all(way, filtered.instead, filtered.masked_values, compressed)
                return
            data, masked_values = filtered.text, filtered.masked_values
        if way is self._up and kind is Kind.TEXT and self._asks is not None and self._asks(data):
            self._deciding = True
            self._effects.append(Decide(data))
            return
        self._forward(way, kind, data, masked_values, compressed)

    def _forward_all(self, way: _Way, texts: tuple[bytes, ...], masked_values: int, compressed: bool) -> None:
        """Several texts in the place of one; only of answers, as a text of the client is decided as it is."""
        if way is self._up:
            self._close_both(POLICY, "a text of the client cannot be cut in several")
            return
        for text in texts:
            self._forward(way, Kind.TEXT, text, masked_values, compressed)
            masked_values = 0

    def _forward(self, way: _Way, kind: Kind, data: bytes, masked_values: int, compressed: bool) -> None:
        if not way.closed:
            self._effects.append(Message(way.to, kind, data, masked_values=masked_values))
            self._effects.append(Send(way.to, way.writer.message(kind, data, compressed=compressed)))

    # ------------------------------------------------------------ what waits for a decision

    def _wait(self, kind: Kind, data: bytes, compressed: bool) -> None:
        self._waiting.append((kind, data, compressed))
        self._waiting_bytes += len(data) + _WAITING_MESSAGE_BYTES
        if self._waiting_bytes > self._limits.max_waiting_bytes:
            self._paused = True
            self._effects.append(Pause(Side.CLIENT))

    def _go_on(self) -> None:
        """Take what has waited, up to the next operation."""
        while self._waiting and not self._deciding and not self._ended:
            kind, data, compressed = self._waiting.popleft()
            self._waiting_bytes -= len(data) + _WAITING_MESSAGE_BYTES
            if kind is Kind.CLOSE:
                self._take_close(self._up, data)
            else:
                self._take_message(self._up, kind, data, compressed)
        if self._paused and not self._waiting and not self._ended:
            self._paused = False
            self._effects.append(Resume(Side.CLIENT))
            self._read(self._up)

    # ------------------------------------------------------------ control frames

    def _take_control(self, way: _Way, control: Control) -> None:
        if control.kind is Kind.CLOSE:
            way.over = True
            if way is self._up and self._deciding:
                self._wait(Kind.CLOSE, control.payload, False)
            else:
                self._take_close(way, control.payload)
        elif control.kind is Kind.PING:
            self._take_ping(way, control.payload)
        else:
            self._take_pong(way, control.payload)

    def _take_ping(self, way: _Way, payload: bytes) -> None:
        """Pass it on; where texts are filtered, what a ping holds would go round that: the gateway answers it."""
        if way.filter is None:
            way.pings.append(payload)
            self._send_control(way, Kind.PING, payload)
        else:
            self._send_control(self._back(way), Kind.PONG, payload)

    def _take_pong(self, way: _Way, payload: bytes) -> None:
        """Pass it on when it answers a ping that went the other way."""
        asked = self._back(way).pings
        if payload in asked:
            while asked.popleft() != payload:
                pass
            self._send_control(way, Kind.PONG, payload)
        elif way.filter is None:
            self._send_control(way, Kind.PONG, payload)

    def _send_control(self, way: _Way, kind: Kind, payload: bytes) -> None:
        if not way.closed:
            self._effects.append(Message(way.to, kind, payload))
            self._effects.append(Send(way.to, way.writer.control(kind, payload)))

    def _back(self, way: _Way) -> _Way:
        return self._down if way is self._up else self._up

    # ------------------------------------------------------------ the end

    def _take_close(self, way: _Way, payload: bytes) -> None:
        said = read_close(payload)
        if type(said) is Fault:
            self._fail(way, said)
            return
        code, reason = said  # type: ignore[misc] # the other part of the union
        if reason and way.filter is not None:
            filtered = way.filter(reason.encode())
            reason = "" if isinstance(filtered, str) else filtered.text.decode(errors="replace")
        self._tell(way, code, reason)
        if self._back(way).closed:
            self._end(code, reason)

    def _fail(self, way: _Way, fault: Fault) -> None:
        """A side has broken the protocol: it is told so, and the other one that there is no more."""
        other_code, other = (
            (GOING_AWAY, "the client broke the protocol")
            if way is self._up
            else (
                GATEWAY_ERROR,
                "the target broke the protocol",
            )
        )
        self._tell(self._back(way), fault.code, fault.reason)
        self._tell(way, other_code, other)
        who = "client" if way is self._up else "target"
        self._end(fault.code, f"the {who} broke the protocol: {fault.reason}")

    def _close_both(self, code: int, reason: str) -> None:
        self._tell(self._down, code, reason)
        self._tell(self._up, code, reason)
        self._end(code, reason)

    def _tell(self, way: _Way, code: int, reason: str) -> None:
        """Send a close frame, once."""
        self._send_control(way, Kind.CLOSE, close_payload(code, reason))
        way.closed = True

    def _end(self, code: int, reason: str) -> None:
        self._ended = True
        self._deciding = False
        self._waiting.clear()
        self._effects.append(Ended(code, reason))
