"""One stream after the other of an HTTP/2 connection, as the one HTTP/1.1 client that a driver knows.

The driver cannot tell it from a socket: it is given requests as bytes, and what it writes is read as answers. Between
two streams it waits, as a kept-alive connection does. Holds of a request what its driver does not take, at most the
stream's window, and of an answer what the client does not take, at most what the driver gives before it is told to
wait.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from h2.errors import ErrorCodes

from interlock.protocols.base import Side
from interlock.protocols.http.wire.messages import Headers
from interlock.protocols.http.wire.writing import chunk, last_chunk
from interlock.runtime.certificate_tls import ListenerTls
from interlock.runtime.client_peer import PeerOwner
from interlock.runtime.http2_answers import AnswerCut, AnswerData, AnswerEnd, AnswerHead, AnswerPart, AnswerReader
from interlock.runtime.http2_limits import Http2Limits
from interlock.runtime.http2_requests import Http1Request
from interlock.runtime.peer import CLOSE_TIMEOUT_S
from interlock.runtime.tls import TlsEnd

GONE: Final = -1


class Carrier(Protocol):
    """The connection, as its streams use it. Whatever is sent on a stream that is gone is dropped."""

    @property
    def tls(self) -> TlsEnd | None: ...

    @property
    def address(self) -> str: ...

    @property
    def unsent_bytes(self) -> int: ...

    @property
    def has_left(self) -> bool: ...

    def room(self, stream_id: int) -> int:
        """How many bytes may be sent on a stream in one frame now; ``GONE`` when it is not there any more."""

    def send_fields(self, stream_id: int, fields: Headers, *, last: bool) -> None: ...

    def send_data(self, stream_id: int, data: bytes, *, last: bool) -> None: ...

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """End a stream, of which nothing more comes."""

    def taken(self, stream_id: int, size: int) -> None:
        """The driver has taken so many bytes of what counts against the stream's window."""

    def stream_over(self, peer: "Http2Peer", stream_id: int) -> None:
        """The stream is complete in both directions or gone; ``peer`` is free, if it is open."""

    def forget(self, peer: "Http2Peer") -> None:
        """The driver of ``peer`` has ended."""

    def drop_unsent(self) -> None:
        """Close everything at once when something was written that has not left."""


class Http2Owner(PeerOwner, Protocol):
    """The driver: who is told, and whether somebody has ended it."""

    @property
    def killed(self) -> bool: ...


class Http2Peer:
    """Implements ``client_peer.ClientPeer``. ``owner`` is set before the first stream.

    ``key`` is what the requests of all of its streams have in common.
    """

    owner: Http2Owner

    def __init__(self, carrier: Carrier, limits: Http2Limits, key: object) -> None:
        self.key = key
        self._carrier = carrier
        self._max_unsent_bytes = limits.max_unsent_bytes
        self._answers = AnswerReader(limits.max_head_bytes)
        self._stream_id = 0
        self._chunked = False
        self._request_given = True
        self._inbox = bytearray()
        self._inbox_size = 0
        self._inbox_final = False
        self._end_of_chunks = b""
        self._pauses: set[str] = set()
        self._unsent: deque[bytes] = deque()
        self._sent_of_first = 0
        self._unsent_bytes = 0
        self._ending: AnswerEnd | AnswerCut | None = None
        self._answer_sent = True
        self._source_waits = False
        self._gone = False
        self._told = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self.received_bytes = 0
        self.sent_bytes = 0

    # ------------------------------------------------------------ what the driver asks for

    @property
    def tls(self) -> TlsEnd | None:
        return self._carrier.tls

    @property
    def address(self) -> str:
        return self._carrier.address

    @property
    def unsent_bytes(self) -> int:
        return self._unsent_bytes + self._carrier.unsent_bytes

    @property
    def has_left(self) -> bool:
        return self._gone or self._carrier.has_left

    @property
    def open(self) -> bool:
        """Whether its driver would take another stream."""
        return not self._closed and not self._gone

    def start_tls(self, context: ListenerTls, received: bytes, *, server_side: bool, host: str | None) -> None:
        """Never: TLS is up before there is a stream."""
        raise AssertionError("TLS within HTTP/2")

    def write(self, data: bytes) -> None:
        """Read an answer and send it on; nothing when there is no stream that it could answer."""
        if self._closed or not self._stream_id:
            return
        self.sent_bytes += len(data)
        for part in self._answers.feed(data):
            self._take_answer(part)
        self.send_more()

    def pause(self, reason: str) -> None:
        self._pauses.add(reason)

    def resume(self, reason: str) -> None:
        self._pauses.discard(reason)
        if not self._pauses and (self._inbox or self._inbox_final):
            data, size, final = bytes(self._inbox), self._inbox_size, self._inbox_final
            self._empty_inbox()
            self._give(data, size, final)

    def close(self) -> None:
        """Nothing more comes of the driver: end the stream after what was written, but do not wait for ever."""
        if self._closed:
            return
        self._closed = True
        if self._stream_id:
            rest = None if self._answer_sent or self._ending else self._answers.eof()
            if rest is not None:
                self._take_answer(rest)
            self._request_given = True
            self._empty_inbox()
            self.send_more()
            self._look_whether_over()
        if self._stream_id:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._end_stream, ErrorCodes.CANCEL)
        self._carrier.forget(self)

    def linger(self) -> None:
        """Nothing of a stream is lost by closing it."""
        self.close()

    def abort(self) -> None:
        """End the stream at once."""
        self._end_stream(ErrorCodes.CANCEL)
        self.lose()

    def drop_unsent(self) -> None:
        """End the stream at once when something was written that has not left; nothing more does."""
        if self.unsent_bytes:
            self._end_stream(ErrorCodes.CANCEL)
            self._carrier.drop_unsent()

    # ------------------------------------------------------------ what the connection tells

    def begin(self, stream_id: int, request: Http1Request, *, has_body: bool) -> None:
        """A stream begins with this request."""
        self._stream_id = stream_id
        self._chunked = request.chunked
        self._end_of_chunks = last_chunk()
        self._request_given = False
        self._answer_sent = False
        self._ending = None
        self._answers.begin(request.method)
        self._deliver(request.head, 0, not has_body)

    def body(self, data: bytes, size: int) -> None:
        """Some of the request's body; ``size`` is what counts against the window."""
        self._deliver(chunk(data) if self._chunked else data, size, False)

    def trailers(self, section: bytes) -> None:
        """The trailers of the request, as the end of a chunked body. Other bodies have no place for them."""
        self._end_of_chunks = section

    def end_request(self) -> None:
        """The request is complete."""
        if not self._request_given:
            self._deliver(self._end_of_chunks if self._chunked else b"", 0, True)

    def lose(self) -> None:
        """The client has reset the stream, or is gone: the driver is told that it has left."""
        self._drop_stream()
        self._gone = True
        if not self._told and not self._closed:
            self._told = True
            self.owner.connection_lost(Side.CLIENT)

    def send_more(self, frames: int = 1 << 30) -> bool:
        """Send at most so many frames of what waits; whether anything was sent."""
        sent = 0
        while self._unsent and sent < frames:
            room = self._carrier.room(self._stream_id)
            if room <= 0:
                break
            self._send_frame(self._unsent[0], room)
            sent += 1
        if not self._unsent and self._ending is not None and self._stream_id:
            self._finish(self._ending)
        self._tell_source()
        return sent > 0

    # ------------------------------------------------------------ requests

    def _deliver(self, data: bytes, size: int, final: bool) -> None:
        if self._pauses:
            self._inbox += data
            self._inbox_size += size
            self._inbox_final = final
        else:
            self._give(data, size, final)

    def _give(self, data: bytes, size: int, final: bool) -> None:
        if final:
            self._request_given = True
        if data and self.open:
            self._carrier.taken(self._stream_id, size)
            self.received_bytes += len(data)
            self.owner.data_received(Side.CLIENT, data)
        if final:
            self._look_whether_over()

    def _empty_inbox(self) -> None:
        self._inbox.clear()
        self._inbox_size = 0
        self._inbox_final = False

    # ------------------------------------------------------------ answers

    def _take_answer(self, part: AnswerPart) -> None:
        if self._answer_sent or not self._stream_id:
            return
        if type(part) is AnswerData:
            self._unsent.append(part.data)
            self._unsent_bytes += len(part.data)
        elif type(part) is AnswerHead:
            self._carrier.send_fields(self._stream_id, part.fields, last=part.last)
            if part.last:
                self._answer_sent = True
                self._look_whether_over()
        elif type(part) is AnswerEnd or type(part) is AnswerCut:
            self._ending = part

    def _send_frame(self, data: bytes, room: int) -> None:
        start = self._sent_of_first
        piece = data[start : start + room]
        self._unsent_bytes -= len(piece)
        if start + len(piece) == len(data):
            self._unsent.popleft()
            self._sent_of_first = 0
        else:
            self._sent_of_first = start + len(piece)
        ending = self._ending
        last = not self._unsent and type(ending) is AnswerEnd and not ending.trailers
        self._carrier.send_data(self._stream_id, piece, last=last)
        if last:
            self._answer_sent = True
            self._ending = None
            self._look_whether_over()

    def _finish(self, ending: AnswerEnd | AnswerCut) -> None:
        """All data is out: what is left is the end."""
        if type(ending) is AnswerCut:
            self._end_stream(ErrorCodes.INTERNAL_ERROR)
            self.lose()
            return
        self._ending = None
        self._answer_sent = True
        if type(ending) is AnswerEnd and ending.trailers:
            self._carrier.send_fields(self._stream_id, ending.trailers, last=True)
        else:
            self._carrier.send_data(self._stream_id, b"", last=True)
        self._look_whether_over()

    def _tell_source(self) -> None:
        """Have the target wait, or go on, with the client's pace."""
        waits = self._unsent_bytes > (self._max_unsent_bytes // 4 if self._source_waits else self._max_unsent_bytes)
        if waits != self._source_waits and not self._closed:
            self._source_waits = waits
            self.owner.writing_paused(Side.CLIENT, waits)

    # ------------------------------------------------------------ the end of a stream

    def _look_whether_over(self) -> None:
        if self._stream_id and self._answer_sent and self._request_given:
            stream_id = self._drop_stream()
            self._carrier.stream_over(self, stream_id)

    def _end_stream(self, code: ErrorCodes) -> None:
        if self._stream_id:
            self._carrier.reset(self._stream_id, code)
            stream_id = self._drop_stream()
            self._gone = True
            self._carrier.stream_over(self, stream_id)

    def _drop_stream(self) -> int:
        stream_id, self._stream_id = self._stream_id, 0
        self._empty_inbox()
        self._unsent.clear()
        self._unsent_bytes = self._sent_of_first = 0
        self._ending = None
        self._answer_sent = self._request_given = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return stream_id
