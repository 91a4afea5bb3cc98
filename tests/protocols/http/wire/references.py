"""The same stream as read here, by h11 and by llhttp (httptools), each one message at a time.

None means that a parser refuses the message. Where two that accept it read it differently, somebody could be told
something else than was decided.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import h11
import httptools

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, RequestHead, ResponseHead
from interlock.protocols.http.wire.requests import RequestParser
from interlock.protocols.http.wire.responses import ResponseParser

Field = tuple[bytes, bytes]

# Of all methods, llhttp knows these.
_KNOWN_TO_LLHTTP: Final = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND"
    b" UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK"
    b" UNLINK SOURCE QUERY".split()
)


@dataclass
class Message:
    """A message and where it ends in its stream; ``end`` is -1 for one that is not whole."""

    first: tuple[bytes, ...] = ()
    minor: int = 1
    headers: list[Field] = field(default_factory=list)
    body: bytes = b""
    trailers: list[Field] = field(default_factory=list)
    end: int = -1

    def has(self, name: bytes) -> bool:
        return any(name == other for other, _ in self.headers)


def check_request(stream: bytes) -> int:
    """Raises when an accepted request is read differently. The number of requests that were accepted."""
    accepted = 0
    while (message := read_here(RequestParser(), stream)) is not None and message.first:
        lines = 2 if stream.startswith(b"\r\n") else 0
        _compare(message, h11_request(stream[lines:]), lines)
        if message.first[0] in _KNOWN_TO_LLHTTP:
            _compare(message, llhttp_request(stream))
        if message.end < 0:
            break
        accepted += 1
        if message.first[0] == b"CONNECT" or message.has(b"upgrade"):
            break
        stream = stream[message.end :]
    return accepted


def check_response(stream: bytes, method: bytes) -> int:
    """Raises when an accepted answer is read differently. 1 when it was accepted."""
    parser = ResponseParser()
    parser.begin(method)
    message = read_here(parser, stream)
    if message is None or message.end < 0:
        return 0
    _compare(message, h11_response(stream, method))
    if method == b"GET":
        _compare(message, llhttp_response(stream))
    return 1


def _compare(message: Message, reference: Message | None, offset: int = 0) -> None:
    if message.end < 0:
        assert reference is None or reference.end < 0, (message, reference)
    else:
        assert reference is not None, message
        assert message == replace(reference, end=reference.end + offset)


def read_here(parser: RequestParser | ResponseParser, stream: bytes) -> Message | None:
    """The first message, or the final answer. An answer that ends with the connection ends with the stream."""
    parser.feed(stream)
    message = Message()
    while True:
        event = parser.next()
        if event is None and isinstance(parser, ResponseParser):
            event = parser.eof()
        match event:
            case RequestHead():
                message.first = (event.method, event.target)
                message.headers, message.minor = list(event.headers), event.minor
            case ResponseHead():
                message.first = (b"%d" % event.status, event.reason)
                message.headers, message.minor = list(event.headers), event.minor
            case BodyData():
                message.body += event.data
            case BodyEnd():
                message.trailers = list(event.trailers)
                message.end = len(stream) - parser.buffered
                return message
            case BadMessage():
                return None
            case None:
                return message


def h11_request(stream: bytes) -> Message | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(stream)
    return _h11_events(connection, len(stream))


def h11_response(stream: bytes, method: bytes) -> Message | None:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    target = b"a.example:443" if method == b"CONNECT" else b"/"
    connection.send(h11.Request(method=method, target=target, headers=[(b"Host", b"a.example")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(stream)
    connection.receive_data(b"")
    return _h11_events(connection, len(stream))


def _h11_events(connection: h11.Connection, size: int) -> Message | None:
    message = Message()
    try:
        while True:
            match connection.next_event():
                case h11.Request() as event:
                    message.first = (event.method, event.target)
                    message.minor = int(event.http_version[2:])
                    message.headers = list(event.headers)
                case h11.Response() as event:
                    message.first = (b"%d" % event.status_code, event.reason)
                    message.minor = int(event.http_version[2:])
                    message.headers = list(event.headers)
                case h11.Data() as event:
                    message.body += bytes(event.data)
                case h11.EndOfMessage() as event:
                    message.trailers = list(event.headers)
                    message.end = size - len(connection.trailing_data[0])
                    return message
                case h11.PAUSED:  # an answer that opens a tunnel
                    message.end = size - len(connection.trailing_data[0])
                    return message
                case h11.NEED_DATA:
                    return message
    except h11.RemoteProtocolError:
        return None


class _Calls:
    """What llhttp calls back, put together. Interim answers are forgotten when the next one begins."""

    def __init__(self) -> None:
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self.message = Message()
        self.first = b""
        self.head_is_whole = False
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.first += url

    def on_status(self, status: bytes) -> None:
        self.first += status

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self.message.trailers if self.head_is_whole else self.message.headers
        fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.head_is_whole = True

    def on_body(self, body: bytes) -> None:
        self.message.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def llhttp_request(stream: bytes) -> Message | None:
    calls = _Calls()
    parser = httptools.HttpRequestParser(calls)
    for at in range(len(stream)):  # only so does llhttp show where a message ends
        try:
            parser.feed_data(stream[at : at + 1])
        except httptools.HttpParserUpgrade:
            calls.complete = True
        except httptools.HttpParserError:
            return None
        if calls.complete:
            calls.message.end = at + 1
            break
    if calls.head_is_whole:
        calls.message.first = (parser.get_method(), calls.first)
        calls.message.minor = int(parser.get_http_version()[2:])
    return calls.message


def llhttp_response(stream: bytes) -> Message | None:
    """The final answer to a GET request. httptools cannot be told that the connection ended."""
    calls = _Calls()
    parser = httptools.HttpResponseParser(calls)
    for at in range(len(stream)):
        try:
            parser.feed_data(stream[at : at + 1])
        except httptools.HttpParserError:
            return None
        if calls.complete and parser.get_status_code() >= 200:
            calls.message.end = at + 1
            break
    if calls.head_is_whole:
        calls.message.first = (b"%d" % parser.get_status_code(), calls.first)
        calls.message.minor = int(parser.get_http_version()[2:])
        if (
            not calls.message.has(b"content-length")
            and not calls.message.has(b"transfer-encoding")
            and not calls.complete
        ):
            calls.message.end = len(stream)
    return calls.message
