"""Answers of a target: where they end, and every way to be refused."""

import pytest

from interlock.protocols.http.wire.messages import BadMessage, BodyEnd, BodyKind, ResponseHead
from interlock.protocols.http.wire.responses import ResponseParser
from tests.protocols.http.wire.reading import Read, read_response, response

OK = b"HTTP/1.1 200 OK"
FIVE = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def head(stream: bytes, method: bytes = b"GET", upgrade: bool = False) -> ResponseHead:
    read = read_response(stream, method, upgrade=upgrade).only
    assert isinstance(read.head, ResponseHead)
    return read.head


def test_a_head_as_it_came() -> None:
    stream = response(
        b"HTTP/1.1 207 Mul\xe9 ti", b"Server:  x ", b"Set-Cookie: a", b"set-cookie: b", b"X_Y: 1", FIVE, body=b"hello"
    )
    fields = (
        (b"server", b"x"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"x_y", b"1"),
        (b"content-length", b"5"),
    )
    assert read_response(stream).only == Read(
        ResponseHead(207, b"Mul\xe9 ti", 1, fields, BodyKind.LENGTH, 5, True), b"hello", ended=True
    )


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.0 599 A\tb"])
def test_reasons_may_be_empty(line: bytes) -> None:
    assert head(response(line)).status == int(line.split()[1])


@pytest.mark.parametrize(
    ("method", "line", "fields", "body", "kind", "left"),
    [
        (b"GET", OK, [FIVE], b"hello!", BodyKind.LENGTH, 1),
        (b"GET", OK, [CHUNKED], CHUNKS + b"!", BodyKind.CHUNKED, 1),
        (b"GET", OK, [], b"hello", BodyKind.UNTIL_CLOSE, 0),
        (b"GET", OK, [b"Content-Length: 0"], b"hello", BodyKind.NONE, 5),
        (b"HEAD", OK, [FIVE], b"hello", BodyKind.NONE, 5),
        (b"HEAD", OK, [CHUNKED], CHUNKS, BodyKind.NONE, len(CHUNKS)),
        (b"HEAD", OK, [], b"hello", BodyKind.NONE, 5),
        (b"GET", b"HTTP/1.1 304 Not Modified", [FIVE], b"hello", BodyKind.NONE, 5),
        (b"GET", b"HTTP/1.1 204 No Content", [], b"hello", BodyKind.NONE, 5),
        (b"GET", b"HTTP/1.1 204 No Content", [b"Content-Length: 0"], b"hello", BodyKind.NONE, 5),
        (b"GET", b"HTTP/1.1 205 Reset Content", [b"Content-Length: 0"], b"", BodyKind.NONE, 0),
        (b"CONNECT", OK, [], b"hello", BodyKind.NONE, 5),
        (b"CONNECT", b"HTTP/1.1 403 No", [FIVE], b"hello!", BodyKind.LENGTH, 1),
        (b"CONNECT", b"HTTP/1.1 302 There", [], b"hello", BodyKind.UNTIL_CLOSE, 0),
    ],
)
def test_bodies(method: bytes, line: bytes, fields: list[bytes], body: bytes, kind: BodyKind, left: int) -> None:
    reading = read_response(response(line, *fields, body=body), method)
    assert reading.only.head.body is kind
    assert reading.only.body == (b"" if kind is BodyKind.NONE else b"hello")
    assert reading.unread == left


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (OK, [FIVE], True),
        (OK, [FIVE, b"Connection: close"], False),
        (OK, [], False),
        (b"HTTP/1.0 200 OK", [FIVE], False),
        (b"HTTP/1.0 200 OK", [FIVE, b"Connection: keep-alive"], True),
    ],
)
def test_whether_the_connection_is_kept(line: bytes, fields: list[bytes], keep_alive: bool) -> None:
    assert head(response(line, *fields, body=b"hello")).keep_alive is keep_alive


def test_interim_answers_come_first() -> None:
    stream = (
        response(b"HTTP/1.1 100 Continue")
        + response(b"HTTP/1.1 103 Early Hints", b"Link: a")
        + response(OK, FIVE, body=b"hello")
    )
    reading = read_response(stream)
    assert [interim.status for interim in reading.interim] == [100, 103]
    assert reading.only.body == b"hello"


def test_a_switch_of_protocols_ends_http() -> None:
    stream = response(
        b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", body=b"\x81\x00"
    )
    parser = ResponseParser()
    parser.begin(b"GET", upgrade=True)
    parser.feed(stream)
    assert isinstance(found := parser.next(), ResponseHead)
    assert (found.status, found.body) == (101, BodyKind.NONE)
    assert parser.next() == BodyEnd()
    assert parser.next() is None
    assert parser.take_rest() == b"\x81\x00"


def test_answers_one_after_the_other() -> None:
    parser = ResponseParser()
    for method, stream in (
        (b"GET", response(OK, FIVE, body=b"hello")),
        (b"HEAD", response(OK, FIVE)),
        (b"GET", response(OK, CHUNKED, body=CHUNKS)),
    ):
        parser.begin(method)
        assert parser.next() is None
        parser.feed(stream)
        assert isinstance(parser.next(), ResponseHead)
        while not isinstance(event := parser.next(), BodyEnd):
            assert event is not None
        assert parser.buffered == 0
    assert parser.eof() is None


def test_bytes_that_nobody_asked_for_are_seen_and_never_an_answer() -> None:
    parser = ResponseParser()
    parser.begin(b"GET")
    parser.feed(response(OK, FIVE, body=b"hello") + response(OK, FIVE, body=b"other"))
    while not isinstance(parser.next(), BodyEnd):
        pass
    assert parser.buffered == len(response(OK, FIVE, body=b"other"))
    assert parser.next() is None
    parser.begin(b"GET")
    assert isinstance(bad := parser.next(), BadMessage)
    assert bad.status == 502


REFUSED: dict[str, bytes] = {
    "length and chunked": response(OK, FIVE, CHUNKED, body=CHUNKS),
    "two lengths": response(OK, FIVE, b"Content-Length: 6"),
    "two equal lengths": response(OK, FIVE, FIVE, body=b"hello"),
    "list of equal lengths": response(OK, b"Content-Length: 5, 5", body=b"hello"),
    "signed length": response(OK, b"Content-Length: +5", body=b"hello"),
    "empty length": response(OK, b"Content-Length:", body=b"hello"),
    "other coding": response(OK, b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "identity": response(OK, b"Transfer-Encoding: identity", FIVE, body=b"hello"),
    "two codings": response(OK, CHUNKED, CHUNKED, body=CHUNKS),
    "coding in 1.0": response(b"HTTP/1.0 200 OK", CHUNKED, body=CHUNKS),
    "coding with a blank": response(OK, b"Transfer-Encoding : chunked", body=CHUNKS),
    "folded": response(OK, b"X: a\r\n b", FIVE, body=b"hello"),
    "bare LF": response(OK, b"X: a\nY: b", FIVE, body=b"hello"),
    "bare CR": response(OK, b"X: a\rY: b", FIVE, body=b"hello"),
    "NUL": response(OK, b"X: a\0", FIVE, body=b"hello"),
    "two types": response(OK, b"Content-Type: a/b", b"Content-Type: c/d", FIVE, body=b"hello"),
    "two locations": response(b"HTTP/1.1 302 There", b"Location: /a", b"Location: /b", b"Content-Length: 0"),
    "connection names the length": response(OK, b"Connection: content-length", FIVE, body=b"hello"),
    "204 with a length": response(b"HTTP/1.1 204 No Content", FIVE, body=b"hello"),
    "204 with chunks": response(b"HTTP/1.1 204 No Content", CHUNKED, body=CHUNKS),
    "100 with a length": response(b"HTTP/1.1 100 Continue", FIVE, body=b"hello"),
    "100 of 1.0": response(b"HTTP/1.0 100 Continue") + response(OK, FIVE, body=b"hello"),
    "100 that closes": response(b"HTTP/1.1 100 Continue", b"Connection: close") + response(OK, FIVE, body=b"hello"),
    "101 unasked": response(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x", b"Connection: Upgrade"),
    "interim answers without end": response(b"HTTP/1.1 102 Processing") * 33,
    "no version": response(b"200 OK"),
    "other version": response(b"HTTP/2 200"),
    "version 1.2": response(b"HTTP/1.2 200 OK"),
    "version in lower case": response(b"http/1.1 200 OK"),
    "ICY": response(b"ICY 200 OK"),
    "0.9": b"<html>hello</html>",
    "status of two digits": response(b"HTTP/1.1 20 OK"),
    "status of four digits": response(b"HTTP/1.1 2000 OK"),
    "status 000": response(b"HTTP/1.1 000 OK"),
    "status 600": response(b"HTTP/1.1 600 OK"),
    "status with a sign": response(b"HTTP/1.1 +20 OK"),
    "status in other digits": response(b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK"),
    "two blanks": response(b"HTTP/1.1  200 OK"),
    "control in the reason": response(b"HTTP/1.1 200 \x1b[2J"),
    "line end first": b"\r\n" + response(OK, FIVE, body=b"hello"),
    "bad chunk": response(OK, CHUNKED, body=b"5 \r\nhello\r\n0\r\n\r\n"),
    "bad chunk end": response(OK, CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n"),
    "bad trailer": response(OK, CHUNKED, body=b"0\r\nSet-Cookie: a\r\n\r\n"),
    "cut before the head": b"",
    "cut head": b"HTTP/1.1 200 OK\r\nConte",
    "cut after an interim answer": response(b"HTTP/1.1 100 Continue"),
    "cut body": response(OK, FIVE, body=b"hell"),
    "cut chunk": response(OK, CHUNKED, body=b"5\r\nhell"),
    "cut before the last chunk": response(OK, CHUNKED, body=b"5\r\nhello\r\n"),
    "cut last chunk": response(OK, CHUNKED, body=b"5\r\nhello\r\n0\r\n"),
    "long head": response(OK, b"X: " + b"a" * (64 << 10), FIVE, body=b"hello"),
    "many fields": response(OK, *[b"X: a"] * 201),
}


@pytest.mark.parametrize("stream", REFUSED.values(), ids=REFUSED)
def test_refused(stream: bytes) -> None:
    reading = read_response(stream)
    assert reading.bad is not None
    assert reading.bad.status == 502
    assert not any(message.ended for message in reading.messages)
    assert reading == read_response(stream, sizes=[1])


def test_a_tunnel_cannot_have_a_body() -> None:
    for fields, body in ((FIVE, b"hello"), (CHUNKED, CHUNKS)):
        assert read_response(response(OK, fields, body=body), b"CONNECT").bad is not None
