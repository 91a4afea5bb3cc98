"""An HTTP/2 connection of a client (RFC 9113): takes over its socket when TLS has chosen ``h2``, and gives each stream
to a driver as a client of its own.

Drivers are kept for later streams of the same caller to the same connection, so that there are only as many sessions
as there are streams at a time. What a client does too often (resetting streams, pings, settings) ends the connection;
so does whatever breaks the protocol. A driver that is ended takes its stream with it, and the connection when it was
the last.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import structlog
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from interlock.protocols.base import Side
from interlock.protocols.http.wire.messages import BadMessage, Headers
from interlock.runtime.client_peer import ClientPeer
from interlock.runtime.http2_limits import Allowance, Http2Limits
from interlock.runtime.http2_peer import GONE, Http2Peer
from interlock.runtime.http2_requests import caller_key, http1_request, http1_trailers, problem_answer
from interlock.runtime.tls import TlsEnd

log = structlog.get_logger()

_MAX_CONNECTION_WINDOW: Final = 1 << 20
_SMALL_BYTES: Final = 128
_SMALL_WINDOW_BYTES: Final = 1024


class Http2Connection:
    """Implements ``PeerOwner`` for the socket and ``http2_peer.Carrier`` for the streams.

    ``take_over`` gives the socket, which this owns from then on. ``new_driver`` makes the driver of a new peer, and
    sets its owner. ``on_end`` is called once.
    """

    def __init__(
        self,
        take_over: Callable[["Http2Connection"], ClientPeer],
        new_driver: Callable[["Http2Connection", Http2Peer], None],
        limits: Http2Limits,
        on_end: Callable[["Http2Connection"], None],
    ) -> None:
        self._socket = take_over(self)
        self._new_driver = new_driver
        self._limits = limits
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._h2 = H2Connection(_configuration())
        self._h2.local_settings = Settings(client=False, initial_values=_settings(limits))
        self._resets = Allowance(limits.reset_burst, limits.resets_per_s, self._loop.time)
        self._controls = Allowance(limits.control_burst, limits.controls_per_s, self._loop.time)
        self._small = Allowance(limits.small_burst, limits.small_per_s, self._loop.time)
        self._streams: dict[int, Http2Peer] = {}
        self._receiving: set[int] = set()
        """Streams on which the client has not said that its request is complete."""
        self._taken: dict[int, int] = {}
        """Bytes by stream that were taken and that the client was not told about yet."""
        self._received = 0
        """The same for the connection, where they count as soon as they came."""
        self._peers: set[Http2Peer] = set()
        """Those whose driver has not ended."""
        self._idle: list[Http2Peer] = []
        """Those of them without a stream; the one that waits for longest is first."""
        self._handling = False
        self._clogged = False
        self._going = False
        self._ended = False
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def stream_count(self) -> int:
        return len(self._streams)

    def begin(self) -> None:
        """Take over the socket: say what holds here."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_MAX_CONNECTION_WINDOW - self._h2.inbound_flow_control_window)
        self._flush()
        self._look_whether_idle()

    def go_away(self) -> None:
        """Take no more streams, and close when those that there are have ended.

        The client is told then and not before: some give up their streams when they hear it.
        """
        self._going = True
        self._look_whether_idle()

    def kill(self, code: str, reason: str) -> None:
        """Close it, with what goes on in it."""
        self._break_off(ErrorCodes.NO_ERROR)

    def abort(self) -> None:
        """The same, and wait for nothing."""
        self._socket.abort()

    # ------------------------------------------------------------ as a carrier of streams

    @property
    def tls(self) -> TlsEnd | None:
        return self._socket.tls

    @property
    def address(self) -> str:
        return self._socket.address

    @property
    def unsent_bytes(self) -> int:
        return self._socket.unsent_bytes

    @property
    def has_left(self) -> bool:
        return self._ended or self._socket.has_left

    def room(self, stream_id: int) -> int:
        if self._clogged:
            return 0
        try:
            return min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
        except ProtocolError:
            return GONE

    def send_fields(self, stream_id: int, fields: Headers, *, last: bool) -> None:
        self._send(lambda: self._h2.send_headers(stream_id, fields, end_stream=last))

    def send_data(self, stream_id: int, data: bytes, *, last: bool) -> None:
        self._send(lambda: self._h2.send_data(stream_id, data, end_stream=last))

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        self._receiving.discard(stream_id)
        self._send(lambda: self._h2.reset_stream(stream_id, code))

    def taken(self, stream_id: int, size: int) -> None:
        taken = self._taken.pop(stream_id, 0) + size
        if taken < self._limits.window_bytes // 2:
            self._taken[stream_id] = taken
        elif stream_id in self._receiving:
            self._send(lambda: self._h2.increment_flow_control_window(taken, stream_id))

    def stream_over(self, peer: Http2Peer, stream_id: int) -> None:
        if stream_id in self._receiving:
            self.reset(stream_id, ErrorCodes.NO_ERROR)  # RFC 9113, 8.1: the answer does not need the rest
        self._drop(stream_id)
        if peer.open:
            self._idle.append(peer)
        self._look_whether_idle()

    def forget(self, peer: Http2Peer) -> None:
        self._peers.discard(peer)
        if peer in self._idle:
            self._idle.remove(peer)
        if peer.owner.killed and not self._peers:
            self.go_away()

    def drop_unsent(self) -> None:
        self._socket.drop_unsent()

    def _send(self, send: Callable[[], None]) -> None:
        """Send something, unless the client has reset the stream meanwhile: that is told when its turn comes."""
        if self._ended:
            return
        with contextlib.suppress(ProtocolError, KeyError):
            send()
        if not self._handling:
            self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._socket.write(data)

    # ------------------------------------------------------------ as the owner of the socket

    def connected(self, side: Side) -> None:
        """It was, long ago."""

    def tls_established(self, side: Side) -> None:
        """It was, before."""

    def tls_refused(self, side: Side, reason: str) -> None:
        self._close()

    def eof_received(self, side: Side) -> None:
        self._close()

    def connection_lost(self, side: Side) -> None:
        self._end()

    def writing_paused(self, side: Side, paused: bool) -> None:
        """The client takes less than it is sent: it is not read either, since what it says may have to be answered."""
        self._clogged = paused
        if paused:
            self._socket.pause("write")
        else:
            self._socket.resume("write")
            self._send_waiting()

    def data_received(self, side: Side, data: bytes) -> None:
        if self._ended:
            return
        self._handling = True
        try:
            self._take(self._h2.receive_data(data))
        except ProtocolError as error:
            log.info("HTTP/2 connection broken off", error=type(error).__name__)
            self._close()
        except Exception as error:  # the boundary: an error ends this connection and nothing else
            log.error("HTTP/2 connection failed", error=type(error).__name__, exc_info=True)
            self._break_off(ErrorCodes.INTERNAL_ERROR)
        finally:
            self._handling = False
        if not self._ended:
            self._flush()

    def _close(self) -> None:
        self._flush()
        self._socket.close()
        self._end()

    def _break_off(self, code: ErrorCodes) -> None:
        with contextlib.suppress(ProtocolError):
            self._h2.close_connection(code)
        self._close()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._rest()
        for peer in {*self._peers, *self._streams.values()}:
            peer.lose()
        self._streams.clear()
        self._on_end(self)

    # ------------------------------------------------------------ what comes

    def _take(self, found: list[events.Event]) -> None:
        resets = {event.stream_id for event in found if type(event) is events.StreamReset}
        for event in found:
            if self._ended:
                return
            if type(event) is events.RequestReceived and event.stream_id in resets:
                continue  # it is not worth a driver
            handle = _HANDLERS.get(type(event))
            if handle is not None:
                handle(self, event)
        if self._received >= _MAX_CONNECTION_WINDOW // 2:
            received, self._received = self._received, 0
            self._send(lambda: self._h2.increment_flow_control_window(received))

    def _request_received(self, event: events.RequestReceived) -> None:
        stream_id, fields = _stream_id(event), tuple(event.headers or ())
        has_body = event.stream_ended is None
        if has_body:
            self._receiving.add(stream_id)
        request = http1_request(fields, has_body)
        if isinstance(request, BadMessage):
            self._refuse(stream_id, request)
            return
        peer = None if self._going else self._peer_for(caller_key(fields))
        if peer is None:
            self.reset(stream_id, ErrorCodes.REFUSED_STREAM)
            self._count(self._resets)
            return
        self._rest()
        self._streams[stream_id] = peer
        peer.begin(stream_id, request, has_body=has_body)

    def _peer_for(self, key: object) -> Http2Peer | None:
        """Whoever is free and has served the like, or a new one; None when there are too many."""
        for peer in reversed(self._idle):
            if peer.key == key:
                self._idle.remove(peer)
                return peer
        if len(self._peers) >= self._limits.max_streams and self._idle:
            self._idle.pop(0).lose()
        if len(self._peers) >= self._limits.max_streams:
            return None
        peer = Http2Peer(self, self._limits, key)
        self._peers.add(peer)
        self._new_driver(self, peer)
        return peer if peer.open else None

    def _refuse(self, stream_id: int, bad: BadMessage) -> None:
        """Answer what cannot be given to anybody, if the client takes that much."""
        fields, body = problem_answer(bad)
        if self.room(stream_id) < len(body):
            self.reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            self.send_fields(stream_id, fields, last=False)
            self.send_data(stream_id, body, last=True)
        if stream_id in self._receiving:
            self.reset(stream_id, ErrorCodes.NO_ERROR)
        self._count(self._resets)

    def _data_received(self, event: events.DataReceived) -> None:
        size = event.flow_controlled_length or 0
        self._received += size
        peer = self._streams.get(_stream_id(event))
        if size < _SMALL_BYTES and event.stream_ended is None:
            self._count(self._controls if size == 0 else self._small)
        if peer is not None and event.data:
            peer.body(event.data, size)

    def _trailers_received(self, event: events.TrailersReceived) -> None:
        peer = self._streams.get(_stream_id(event))
        section = http1_trailers(tuple(event.headers or ()))
        if peer is None:
            return
        if isinstance(section, BadMessage):
            self.reset(_stream_id(event), ErrorCodes.PROTOCOL_ERROR)
            self._lose(_stream_id(event))
        else:
            peer.trailers(section)

    def _stream_ended(self, event: events.StreamEnded) -> None:
        self._receiving.discard(_stream_id(event))
        peer = self._streams.get(_stream_id(event))
        if peer is not None:
            peer.end_request()

    def _stream_reset(self, event: events.StreamReset) -> None:
        self._lose(_stream_id(event))
        self._count(self._resets)

    def _count(self, allowance: Allowance) -> None:
        """Break off when there is too much of something that comes to nothing."""
        if not self._ended and not allowance.take():
            self._break_off(ErrorCodes.ENHANCE_YOUR_CALM)

    def _control_received(self, event: events.Event) -> None:
        self._count(self._controls)
        if type(event) is events.RemoteSettingsChanged:
            self._send_waiting()

    def _priority_updated(self, _: events.PriorityUpdated) -> None:
        self._count(self._small)

    def _window_updated(self, event: events.WindowUpdated) -> None:
        if (event.delta or 0) < _SMALL_WINDOW_BYTES:
            self._count(self._small)
        peer = self._streams.get(event.stream_id or 0)
        if peer is not None:
            peer.send_more()
        elif event.stream_id == 0:
            self._send_waiting()

    def _send_waiting(self) -> None:
        """Frame by frame in turn, so that no stream takes all of a window that they share."""
        waiting = list(self._streams.values())
        while waiting:
            waiting = [peer for peer in waiting if peer.send_more(frames=1)]

    def _terminated(self, _: events.ConnectionTerminated) -> None:
        self._close()

    # ------------------------------------------------------------ streams that end, and none at all

    def _lose(self, stream_id: int) -> None:
        peer = self._streams.get(stream_id)
        self._receiving.discard(stream_id)
        self._drop(stream_id)
        if peer is not None:
            peer.lose()
        self._look_whether_idle()

    def _drop(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)
        self._taken.pop(stream_id, None)

    def _look_whether_idle(self) -> None:
        if self._streams or self._ended:
            return
        if self._going:
            self._break_off(ErrorCodes.NO_ERROR)
        elif self._idle_timer is None:
            self._idle_timer = self._loop.call_later(self._limits.idle_timeout_s, self.go_away)

    def _rest(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


def _configuration() -> H2Configuration:
    """What fields may be is looked at in ``http2_requests``, and by the parser of answers."""
    return H2Configuration(
        client_side=False,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )


def _settings(limits: Http2Limits) -> dict[SettingCodes, int]:
    return {
        SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_streams,
        SettingCodes.INITIAL_WINDOW_SIZE: limits.window_bytes,
        SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
    }


def _stream_id(event: Any) -> int:
    """The types of ``h2`` allow for events without one, which it never gives."""
    assert event.stream_id is not None
    return int(event.stream_id)


_HANDLERS: Final[dict[type, Callable[[Http2Connection, Any], None]]] = {
    events.RequestReceived: Http2Connection._request_received,
    events.DataReceived: Http2Connection._data_received,
    events.TrailersReceived: Http2Connection._trailers_received,
    events.StreamEnded: Http2Connection._stream_ended,
    events.StreamReset: Http2Connection._stream_reset,
    events.WindowUpdated: Http2Connection._window_updated,
    events.PriorityUpdated: Http2Connection._priority_updated,
    events.ConnectionTerminated: Http2Connection._terminated,
    events.PingReceived: Http2Connection._control_received,
    events.RemoteSettingsChanged: Http2Connection._control_received,
    events.UnknownFrameReceived: Http2Connection._control_received,
}
