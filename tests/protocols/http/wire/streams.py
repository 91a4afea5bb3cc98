"""Streams to begin from: ordinary ones, tricks of request smuggling, and how both are changed at random."""

import random
from typing import Final

from tests.protocols.http.wire.reading import chunked, request, response

_POST: Final = b"POST /a HTTP/1.1"
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_SMUGGLED: Final = b"GET /admin HTTP/1.1\r\nHost: a.example\r\n\r\n"
_CHUNKS: Final = b"5\r\nhello\r\n0\r\n\r\n"

REQUESTS: Final = [
    request(b"GET /a?b=c HTTP/1.1", b"Accept: */*", b"User-Agent: x"),
    request(b"GET /a HTTP/1.0", b"Connection: keep-alive", host=False),
    request(b"HEAD / HTTP/1.1", b"Connection: close"),
    request(b"DELETE /a/b HTTP/1.1", b"Content-Length: 2", body=b"{}"),
    request(b"OPTIONS * HTTP/1.1"),
    request(b"GET http://a.example/b HTTP/1.1"),
    request(b"CONNECT a.example:443 HTTP/1.1", body=b"\x16\x03\x01"),
    request(b"GET /ws HTTP/1.1", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: AA=="),
    request(_POST, b"Content-Length: 5", b"Expect: 100-continue", body=b"hello"),
    request(_POST, b"Content-Length: 44", body=_SMUGGLED),
    request(_POST, b"Content-Type: text/plain", b"Content-Length: 0"),
    chunked(_CHUNKS),
    chunked(b"0\r\n\r\n"),
    chunked(b'1;a="b;\\"c"\r\nx\r\n0;d=e\r\nX-A: b\r\n\r\n'),
    chunked(b"c\r\nhello, world\r\n000\r\n\r\n") + request(b"GET /next HTTP/1.1"),
    # CL.TE, TE.CL, and codings that one side overlooks.
    request(_POST, b"Content-Length: 6", _CHUNKED, body=b"0\r\n\r\nG"),
    request(_POST, b"Content-Length: 4", _CHUNKED, body=b"2c\r\n" + _SMUGGLED + b"\r\n0\r\n\r\n"),
    request(_POST, _CHUNKED, b"Transfer-Encoding: x", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding: xchunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding : chunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding:\x0bchunked", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding:\tchunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding: chunked\t", body=_CHUNKS),
    request(_POST, b"Content-Length: 5\t", body=b"hello"),
    request(_POST, b"Transfer-Encoding:\r\n chunked", body=_CHUNKS),
    request(_POST, b"X: y\nTransfer-Encoding: chunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"X: y\rTransfer-Encoding: chunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"Transfer_Encoding: chunked", b"Content-Length: 5", body=_CHUNKS),
    request(_POST, b"Transfer-Encoding: chunked, identity", body=_CHUNKS),
    request(_POST, b'Transfer-Encoding: "chunked"', body=_CHUNKS),
    request(_POST, b"Content-Length: 5", b"Content-Length: 0", body=b"hello"),
    request(_POST, b"Content-Length: 5,5", body=b"hello"),
    request(_POST, b"Content-Length: +5", body=b"hello"),
    request(_POST, b"Content-Length: 0x5", body=b"hello"),
    request(_POST, b"Connection: Content-Length", b"Content-Length: 41", body=_SMUGGLED),
    # CL.0, and bodies where nobody looks for one.
    request(b"GET /a HTTP/1.1", b"Content-Length: 41", body=_SMUGGLED),
    request(b"GET /a HTTP/1.1", _CHUNKED, body=b"0\r\n\r\n" + _SMUGGLED),
    request(b"POST /a HTTP/1.0", _CHUNKED, body=_CHUNKS),
    # Ends of lines around chunks.
    chunked(b"5;\nx\r\nhello\r\n0\r\n\r\n"),
    chunked(b"5;a=\rb\r\nhello\r\n0\r\n\r\n"),
    chunked(b"5\r\nhelloXX0\r\n\r\n"),
    chunked(b"5\nhello\r\n0\r\n\r\n"),
    chunked(b"5\r\nhello\r\n0\r\nX: y\n\r\n" + _SMUGGLED),
    chunked(b"5 ;a\r\nhello\r\n0\r\n\r\n"),
    chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    chunked(b"0\r\n" + _SMUGGLED),
    chunked(b"0\r\nContent-Length: 5\r\n\r\nhello"),
    b"\r\n" + request(b"GET /a HTTP/1.1") + b"\r\n" + request(b"GET /b HTTP/1.1"),
    request(b"GET /a HTTP/1.1", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]

_OK: Final = b"HTTP/1.1 200 OK"

RESPONSES: Final = [
    response(_OK, b"Content-Length: 5", b"Content-Type: text/plain", body=b"hello"),
    response(_OK, b"Content-Length: 0"),
    response(_OK, _CHUNKED, body=_CHUNKS),
    response(_OK, _CHUNKED, body=b"1;a=b\r\nx\r\n0\r\nX-A: b\r\n\r\n"),
    response(_OK, body=b"until the end"),
    response(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 2", body=b"hi"),
    response(b"HTTP/1.1 204 No Content"),
    response(b"HTTP/1.1 304 Not Modified", b"Content-Length: 5", b'ETag: "a"'),
    response(b"HTTP/1.1 302 Found", b"Location: /b", b"Content-Length: 0"),
    response(b"HTTP/1.1 100 Continue") + response(_OK, b"Content-Length: 5", body=b"hello"),
    response(b"HTTP/1.1 103 Early Hints", b"Link: a") + response(_OK, _CHUNKED, body=_CHUNKS),
    response(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", body=b"\x81\x00"),
    response(_OK, b"Content-Length: 5", body=b"hello") + response(_OK, b"Content-Length: 5", body=b"other"),
    response(_OK, b"Content-Length: 5", _CHUNKED, body=_CHUNKS),
    response(_OK, b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    response(_OK, b"Transfer-Encoding: gzip, chunked", body=_CHUNKS),
    response(_OK, b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    response(b"HTTP/1.1 204 No Content", b"Content-Length: 5", body=b"hello"),
    response(b"HTTP/1.1 200", b"Content-Length: 5", body=b"hello"),
    response(_OK, b"X: a\r\n b", b"Content-Length: 5", body=b"hello"),
    response(_OK, b"X: a\nContent-Length: 5", body=b"hello"),
]

_INSERTED: Final = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"\x0b", b"\x80", b"\xff", b"_", b"-",
    b"+", b'"', b"0", b"5", b"a", b"0x", b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"chunked",
    b"\r\n ", b"0\r\n\r\n", b"\r\nConnection: close", b"\r\nHost: b", b"\r\nExpect: 100-continue", b" HTTP/1.1",
    b"HTTP/1.0", b"GET ", b"5\r\nhello\r\n",
]  # fmt: skip


def mutated(stream: bytes, source: random.Random) -> bytes:
    """The stream with at most four changes: bytes changed, inserted, taken out or repeated."""
    for _ in range(source.randrange(5)):
        at = source.randrange(len(stream) + 1)
        end = min(len(stream), at + source.choice((1, 1, 2, 8, 30)))
        stream = source.choice(
            (
                stream[:at] + source.choice(_INSERTED) + stream[at:],
                stream[:at] + source.choice(_INSERTED) + stream[end:],
                stream[:at] + source.randbytes(1) + stream[at + 1 :],
                stream[:at] + stream[end:],
                stream[:end] + stream[at:],
                stream[:at] + stream[at:end].swapcase() + stream[end:],
            )
        )
    return stream
