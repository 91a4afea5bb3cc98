"""Requests: what each field of a head means, and who is refused."""

import pytest

from interlock.protocols.http.wire.messages import BadMessage, BodyEnd, BodyKind, RequestHead
from interlock.protocols.http.wire.requests import RequestParser
from tests.protocols.http.wire.reading import Read, chunked, read_requests, request
from tests.protocols.http.wire.refused_requests import CHUNKED, FIVE, GET, POST, REFUSED


def head(stream: bytes) -> RequestHead:
    read = read_requests(stream).only
    assert isinstance(read.head, RequestHead)
    return read.head


def test_a_head_as_it_came() -> None:
    stream = b"PATCH /A/b?c=%20d HTTP/1.1\r\nHost: a.example:8080\r\n"
    stream += b"X-Thing:\t one  two \t\r\nAccept:\r\nX-Thing: \xe9\r\n\r\n"
    assert read_requests(stream).messages == [
        Read(
            RequestHead(
                b"PATCH",
                b"/A/b?c=%20d",
                1,
                (
                    (b"host", b"a.example:8080"),
                    (b"x-thing", b"one  two"),
                    (b"accept", b""),
                    (b"x-thing", b"\xe9"),
                ),
                BodyKind.NONE,
                0,
                True,
                False,
                b"",
            ),
            ended=True,
        )
    ]


@pytest.mark.parametrize("line", [b"FROB /a HTTP/1.1", b"M-SEARCH /a HTTP/1.1", b"DELETE /a HTTP/1.1"])
def test_any_token_in_capitals_is_a_method(line: bytes) -> None:
    assert head(request(line)).method == line.partition(b" ")[0]


@pytest.mark.parametrize(
    "line",
    [
        b"OPTIONS * HTTP/1.1",
        b"CONNECT a.example:443 HTTP/1.1",
        b"CONNECT [::1]:443 HTTP/1.1",
        b"GET HTTPS://b/ HTTP/1.1",
    ],
)
def test_targets_of_every_form(line: bytes) -> None:
    assert head(request(line)).target == line.split()[1]


@pytest.mark.parametrize(
    ("fields", "keep_alive"),
    [
        ([GET], True),
        ([GET, b"Connection: close"], False),
        ([GET, b"Connection: Keep-Alive, Close"], False),
        ([GET, b"Connection: x", b"Connection: CLOSE"], False),
        ([b"GET /a HTTP/1.0"], False),
        ([b"GET /a HTTP/1.0", b"Connection: keep-alive"], True),
        ([b"GET /a HTTP/1.0", b"Connection: Keep-Alive"], True),
        ([b"GET /a HTTP/1.0", b"Connection: keep-alive, close"], False),
    ],
)
def test_whether_the_connection_is_kept(fields: list[bytes], keep_alive: bool) -> None:
    assert head(request(*fields)).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("fields", "body", "kind", "read"),
    [
        ([FIVE], b"hello", BodyKind.LENGTH, b"hello"),
        ([b"Content-Length: 0"], b"", BodyKind.NONE, b""),
        ([], b"", BodyKind.NONE, b""),
        ([CHUNKED], b"5\r\nhello\r\n0\r\n\r\n", BodyKind.CHUNKED, b"hello"),
        ([CHUNKED], b"2\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n", BodyKind.CHUNKED, b"hello"),
        ([CHUNKED], b'A;a;b=c;d="e\\"; f"\r\n0123456789\r\n00;x\r\n\r\n', BodyKind.CHUNKED, b"0123456789"),
        ([CHUNKED], b"0\r\n\r\n", BodyKind.CHUNKED, b""),
    ],
)
def test_bodies(fields: list[bytes], body: bytes, kind: BodyKind, read: bytes) -> None:
    message = read_requests(request(POST, *fields, body=body)).only
    assert (message.head.body, message.body) == (kind, read)
    assert message.head.length == (5 if kind is BodyKind.LENGTH else 0)


@pytest.mark.parametrize("method", [b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"FROB"])
def test_bodies_of_other_methods(method: bytes) -> None:
    assert read_requests(request(method + b" /a HTTP/1.1", FIVE, body=b"hello")).only.body == b"hello"


def test_trailers() -> None:
    message = read_requests(chunked(b"1\r\na\r\n0\r\nX-Checksum:  1 \r\nServer-Timing: a\r\n\r\n")).only
    assert message.trailers == ((b"x-checksum", b"1"), (b"server-timing", b"a"))


def test_one_request_after_the_other() -> None:
    first = request(POST, FIVE, body=b"GET /")
    reading = read_requests(first + b"\r\n" + chunked(b"0\r\n\r\n") + request(GET))
    assert reading.bad is None
    assert [message.head.body for message in reading.messages] == [BodyKind.LENGTH, BodyKind.CHUNKED, BodyKind.NONE]
    assert reading.messages[0].body == b"GET /"


def test_the_next_request_waits_until_it_is_asked_for() -> None:
    parser = RequestParser()
    parser.feed(request(GET) + request(b"GET /b HTTP/1.1"))
    assert isinstance(parser.next(), RequestHead)
    assert parser.buffered == len(request(b"GET /b HTTP/1.1"))
    assert parser.next() == BodyEnd()
    assert parser.take_rest() == request(b"GET /b HTTP/1.1")
    assert parser.next() is None
    assert parser.eof() is None


@pytest.mark.parametrize(
    ("fields", "expects"),
    [
        ([POST, FIVE, b"Expect: 100-continue"], True),
        ([POST, CHUNKED, b"Expect: 100-Continue"], True),
        ([POST, b"Expect: 100-continue"], False),
        ([b"POST /a HTTP/1.0", FIVE, b"Expect: 100-continue"], False),
        ([b"POST /a HTTP/1.0", FIVE, b"Expect: 200-ok"], False),
    ],
)
def test_who_waits_for_a_100(fields: list[bytes], expects: bool) -> None:
    parser = RequestParser()
    parser.feed(request(*fields))
    found = parser.next()
    assert isinstance(found, RequestHead)
    assert found.expects_continue is expects


@pytest.mark.parametrize(
    ("fields", "upgrade"),
    [
        ([b"Upgrade: WebSocket", b"Connection: Upgrade"], b"websocket"),
        ([b"Upgrade: WebSocket", b"Connection: keep-alive, upgrade"], b"websocket"),
        ([b"Upgrade: a, b", b"Upgrade: c", b"Connection: Upgrade"], b"a,b,c"),
        ([b"Upgrade: websocket"], b""),
        ([b"Connection: Upgrade"], b""),
    ],
)
def test_an_upgrade_needs_both_fields(fields: list[bytes], upgrade: bytes) -> None:
    assert head(request(GET, *fields)).upgrade == upgrade


@pytest.mark.parametrize(("status", "stream"), REFUSED.values(), ids=REFUSED)
def test_refused(status: int, stream: bytes) -> None:
    reading = read_requests(stream)
    assert reading.bad is not None
    assert reading.bad.status == status
    assert not any(message.ended for message in reading.messages)
    assert reading == read_requests(stream, [1])


def test_nothing_is_read_behind_a_refusal() -> None:
    reading = read_requests(request(GET) + request(POST, FIVE, CHUNKED, body=b"hello") + request(GET))
    assert reading.bad is not None
    assert len(reading.messages) == 1
    assert reading.unread == 0


def test_a_reason_does_not_repeat_what_came() -> None:
    for stream in (request(POST, b"X_SECRET: 5"), request(b"SECRET /a b HTTP/1.1"), request(GET, b"Host: SECRET/")):
        bad = read_requests(stream).bad
        assert bad is not None
        assert "SECRET" not in bad.reason


def test_body_bytes_before_a_malformed_chunk_are_given() -> None:
    reading = read_requests(chunked(b"5\r\nhello\r\nzz\r\n"))
    assert reading.messages[0].body == b"hello"
    assert reading.bad is not None


LIMITS: dict[str, tuple[int, bytes, bytes]] = {
    "request line": (414, b"GET /" + b"a" * (15 << 10) + b" HTTP/1.1\r\n", b"GET /" + b"a" * (16 << 10)),
    "fields": (431, b"GET / HTTP/1.1\r\nA: " + b"b" * (63 << 10), b"GET / HTTP/1.1\r\nA: " + b"b" * (64 << 10)),
    "number of fields": (431, request(GET, *[b"A: b"] * 198), request(GET, *[b"A: b"] * 200)),
    "chunk line": (400, chunked(b"5;" + b"a" * 250), chunked(b"5;" + b"a" * 254)),
    "extensions": (
        400,
        chunked((b"1;" + b"a" * 99 + b"\r\nb\r\n") * 160),
        chunked((b"1;" + b"a" * 99 + b"\r\nb\r\n") * 170),
    ),
    "trailers": (431, chunked(b"0\r\nA: " + b"b" * (8 << 10))[:-10], chunked(b"0\r\nA: " + b"b" * (8 << 10))),
    "number of trailers": (
        431,
        chunked(b"0\r\n" + b"A: b\r\n" * 50 + b"\r\n"),
        chunked(b"0\r\n" + b"A: b\r\n" * 51 + b"\r\n"),
    ),
}


@pytest.mark.parametrize(("status", "within", "beyond"), LIMITS.values(), ids=LIMITS)
def test_limits(status: int, within: bytes, beyond: bytes) -> None:
    assert read_requests(within, eof=False).bad is None
    for sizes in ([], [1000], [997, 3]):
        bad = read_requests(beyond, sizes, eof=False).bad
        assert bad is not None
        assert bad.status == status


def test_a_parser_has_the_limits_it_was_given() -> None:
    parser = RequestParser(max_head_bytes=100, max_headers=2)
    parser.feed(request(GET, b"A: b"))
    assert isinstance(parser.next(), RequestHead)
    assert parser.next() == BodyEnd()
    parser.feed(request(GET, b"A: b", b"C: d"))
    assert isinstance(bad := parser.next(), BadMessage)
    assert bad.status == 431
    parser = RequestParser(max_head_bytes=100)
    parser.feed(request(GET, b"A: " + b"b" * 100))
    assert isinstance(bad := parser.next(), BadMessage)
    assert bad.status == 431


def test_a_connection_may_end_between_requests_and_after_an_empty_line_too_many() -> None:
    assert read_requests(b"").bad is None
    assert read_requests(request(GET)).bad is None
    assert read_requests(request(GET) + b"\r\n").bad is None
