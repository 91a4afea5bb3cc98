"""What a parser makes of a stream, in a form that tests compare."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, Headers, RequestHead, ResponseHead
from interlock.protocols.http.wire.requests import RequestParser
from interlock.protocols.http.wire.responses import ResponseParser


@dataclass
class Read:
    """A message as far as it was read."""

    head: RequestHead | ResponseHead
    body: bytes = b""
    trailers: Headers = ()
    ended: bool = False


@dataclass
class Reading:
    """All messages of a stream, and what ended it."""

    messages: list[Read] = field(default_factory=list)
    interim: list[ResponseHead] = field(default_factory=list)
    bad: BadMessage | None = None
    unread: int = 0

    @property
    def only(self) -> Read:
        """The one message of the stream, which is whole."""
        assert self.bad is None, self.bad
        assert len(self.messages) == 1
        assert self.messages[0].ended
        return self.messages[0]

    def take(self, event: Any) -> None:
        match event:
            case ResponseHead(status=status) if status < 200 and status != 101:
                self.interim.append(event)
            case RequestHead() | ResponseHead():
                assert not self.messages or self.messages[-1].ended
                self.messages.append(Read(event))
            case BodyData():
                assert event.data
                self.messages[-1].body += event.data
            case BodyEnd():
                self.messages[-1].trailers = event.trailers
                self.messages[-1].ended = True
            case BadMessage():
                self.bad = event


def events(parser: RequestParser | ResponseParser) -> Iterator[Any]:
    while (event := parser.next()) is not None:
        yield event
        if isinstance(event, BadMessage):
            assert parser.next() == event
            assert parser.buffered == 0
            return


def pieces(stream: bytes, sizes: list[int] | None = None) -> Iterator[bytes]:
    """The stream in pieces of these sizes, over and over; in one piece when there are none."""
    at, turn = 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)] if sizes else len(stream)
        yield stream[at : at + size]
        at, turn = at + size, turn + 1


def read_requests(stream: bytes, sizes: list[int] | None = None, eof: bool = True) -> Reading:
    parser, reading = RequestParser(), Reading()
    for piece in pieces(stream, sizes):
        parser.feed(piece)
        for event in events(parser):
            reading.take(event)
    reading.unread = parser.buffered
    if eof and reading.bad is None:
        reading.take(parser.eof())
    return reading


def read_response(
    stream: bytes, method: bytes = b"GET", sizes: list[int] | None = None, upgrade: bool = False
) -> Reading:
    """The answer to one request. Bytes behind it are left unread."""
    parser, reading = ResponseParser(), Reading()
    parser.begin(method, upgrade)
    for piece in pieces(stream, sizes):
        parser.feed(piece)
        for event in events(parser):
            reading.take(event)
    reading.unread = parser.buffered
    if reading.bad is None:
        reading.take(parser.eof())
    return reading


def request(line: bytes = b"POST /a HTTP/1.1", *fields: bytes, body: bytes = b"", host: bool = True) -> bytes:
    """A request, with a Host field unless told otherwise."""
    return b"\r\n".join([line, *([b"Host: a.example"] if host else []), *fields, b"", b""]) + body


def response(line: bytes = b"HTTP/1.1 200 OK", *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""]) + body


def chunked(body: bytes) -> bytes:
    """A request whose chunked body is written as given."""
    return request(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", body=body)
