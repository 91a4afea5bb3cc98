"""An HTTP/2 client in memory before a connection of the gateway, whose drivers are simple HTTP/1.1 servers."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from interlock.protocols.base import Side
from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, RequestHead
from interlock.protocols.http.wire.requests import RequestParser
from interlock.runtime.certificate_tls import ListenerTls
from interlock.runtime.http2_connection import Http2Connection
from interlock.runtime.http2_limits import Http2Limits
from interlock.runtime.http2_peer import Http2Peer
from interlock.runtime.tls import TlsPump

Fields = list[tuple[bytes, bytes]]


def get(path: bytes = b"/", method: bytes = b"GET", *more: tuple[bytes, bytes]) -> Fields:
    return [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", b"gateway.example"),
        (b":path", path),
        *more,
    ]


class Socket:
    """Both ends of a client's socket, in memory."""

    def __init__(self) -> None:
        self.received_bytes = self.sent_bytes = 0
        self.written = bytearray()
        self.pauses: set[str] = set()
        self.closed = False
        self.dropped = False
        self.unsent = 0

    @property
    def tls(self) -> TlsPump | None:
        return None

    @property
    def address(self) -> str:
        return "192.0.2.1:4711"

    @property
    def unsent_bytes(self) -> int:
        return self.unsent

    @property
    def has_left(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def start_tls(self, context: ListenerTls, received: bytes, *, server_side: bool, host: str | None) -> None:
        raise AssertionError

    def pause(self, reason: str) -> None:
        self.pauses.add(reason)

    def resume(self, reason: str) -> None:
        self.pauses.discard(reason)

    def linger(self) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def drop_unsent(self) -> None:
        self.dropped = self.closed = bool(self.unsent)


Answer = Callable[["Server", RequestHead], bytes | None]


class Server:
    """A driver that answers each request when it is complete; with ``answer`` None it answers when told to."""

    def __init__(self, peer: Http2Peer, answer: Answer | None) -> None:
        self.peer = peer
        self.killed = False
        self.heads: list[RequestHead] = []
        self.bodies: list[bytes] = []
        self.trailers: list[tuple[tuple[bytes, bytes], ...]] = []
        self.bad: list[BadMessage] = []
        self.left = 0
        self.waits = False
        self.raw = bytearray()
        self._answer = answer
        self._parser = RequestParser()

    def connected(self, side: Side) -> None:
        raise AssertionError

    def tls_established(self, side: Side) -> None:
        raise AssertionError

    def tls_refused(self, side: Side, reason: str) -> None:
        raise AssertionError

    def eof_received(self, side: Side) -> None:
        raise AssertionError

    def data_received(self, side: Side, data: bytes) -> None:
        assert side is Side.CLIENT
        self.raw += data
        self._parser.feed(data)
        while (found := self._parser.next()) is not None:
            if isinstance(found, RequestHead):
                self.heads.append(found)
                self.bodies.append(b"")
            elif isinstance(found, BodyData):
                self.bodies[-1] += found.data
            elif isinstance(found, BodyEnd):
                self.trailers.append(found.trailers)
                if self._answer is not None:
                    answer = self._answer(self, self.heads[-1])
                    if answer is not None:
                        self.peer.write(answer)
            else:
                self.bad.append(found)
                self.peer.write(answer_of(b"bad", f"{found.status} Bad"))
                self.peer.close()
                return

    def writing_paused(self, side: Side, paused: bool) -> None:
        assert side is Side.CLIENT
        self.waits = paused

    def connection_lost(self, side: Side) -> None:
        self.left += 1
        self.peer.close()


def answer_of(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def echo(server: Server, head: RequestHead) -> bytes:
    return answer_of(server.bodies[-1] or head.target, "200 OK", "Connection: keep-alive", "X-Method: test")


class Client:
    """``answers`` has, by stream, what came of each answer."""

    def __init__(
        self,
        answer: Answer | None = echo,
        limits: Http2Limits = Http2Limits(),  # noqa: B008 - immutable
        *,
        window: int | None = None,
        validate: bool = True,
        cut: int = 1 << 20,
        greets: bool = True,
    ) -> None:
        """With ``greets`` false it says nothing by itself."""
        self.socket = Socket()
        self.servers: list[Server] = []
        self.ended = 0
        self.end = asyncio.Event()
        self._answer = answer
        self._cut = cut
        self.h2 = H2Connection(
            H2Configuration(client_side=True, validate_outbound_headers=validate, normalize_outbound_headers=validate)
        )
        if window is not None:
            values = {SettingCodes.INITIAL_WINDOW_SIZE: window}
            self.h2.local_settings = Settings(client=True, initial_values=values)
        self.heads: defaultdict[int, list[dict[bytes, bytes]]] = defaultdict(list)
        self.bodies: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.trailers: dict[int, Fields] = {}
        self.complete: set[int] = set()
        self.resets: dict[int, int] = {}
        self.went_away: int | None = None
        self.acknowledges = True
        self.connection = Http2Connection(lambda _: self.socket, self._new_driver, limits, self._count_end)
        self.connection.begin()
        if greets:
            self.h2.initiate_connection()
            self.pump()

    def _new_driver(self, _: Http2Connection, peer: Http2Peer) -> None:
        server = Server(peer, self._answer)
        peer.owner = server
        self.servers.append(server)

    def _count_end(self, _: Http2Connection) -> None:
        self.ended += 1
        self.end.set()

    def open(self, fields: Fields, body: bytes | None = None, *, end: bool = True) -> int:
        """Begin a stream; with a body, as much of it as the window lets through is sent with ``pump``."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, fields, end_stream=body is None and end)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=end)
        return stream_id

    def pump(self) -> None:
        """Carry bytes until nobody has anything to say."""
        while True:
            sent = b"" if self.socket.pauses else self.h2.data_to_send()
            for at in range(0, len(sent), self._cut):
                self.connection.data_received(Side.CLIENT, sent[at : at + self._cut])
            received = bytes(self.socket.written)
            self.socket.written.clear()
            if received:
                self._take(self.h2.receive_data(received))
            elif not sent:
                return

    def _take(self, found: Sequence[events.Event]) -> None:
        for event in found:
            match event:
                case events.ResponseReceived() | events.InformationalResponseReceived():
                    self.heads[event.stream_id or 0].append(dict(event.headers or []))
                case events.DataReceived():
                    assert event.data is not None
                    self.bodies[event.stream_id or 0] += event.data
                    if self.acknowledges and event.flow_controlled_length:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
                case events.TrailersReceived():
                    self.trailers[event.stream_id or 0] = list(event.headers or [])
                case events.StreamEnded():
                    self.complete.add(event.stream_id or 0)
                case events.StreamReset():
                    self.resets[event.stream_id or 0] = int(event.error_code or 0)
                case events.ConnectionTerminated():
                    self.went_away = int(event.error_code or 0)
                case _:
                    pass

    def status(self, stream_id: int) -> bytes:
        return self.heads[stream_id][-1][b":status"]
