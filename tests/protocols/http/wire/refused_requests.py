"""Every way for a request to be refused: the status, and what came."""

from typing import Final

from tests.protocols.http.wire.reading import chunked, request

GET: Final = b"GET /a HTTP/1.1"
POST: Final = b"POST /a HTTP/1.1"
FIVE: Final = b"Content-Length: 5"
CHUNKED: Final = b"Transfer-Encoding: chunked"

_LENGTHS: Final = [
    b"", b"+5", b"-5", b"5 5", b"0x5", b"5;", b"5.0", b"1e1", b"5_0", b"05", b"00", b"a", b'"5"', b"5,", b"\xb2",
    b"\xd9\xa5", b"9" * 19, b"1" * 400,
]  # fmt: skip
_CODINGS: Final = [
    b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity",
    b"xchunked", b"chunked;q=1", b"Chunked", b"CHUNKED", b"chun ked", b'"chunked"', b"x chunked", b",chunked",
    b"chunked,", b"chun\xe2\x84\xaaed", b"\xffchunked", b"chunked\x80",
]  # fmt: skip
_HOSTS: Final = [
    b"", b"a b", b"a, b", b"a/b", b"a?b", b"a#b", b"u@a", b"u:p@a", b"a:b", b"a:", b"a:123456", b"::1", b"[::1",
    b"[::1]a", b"[::1%25eth0]", b"\xe9", b"a\\b", b"a%2eb", b"http://a", b"[v1.a]",
]  # fmt: skip
_OPTIONS: Final = [
    b"Content-Length", b"Transfer-Encoding", b"Host", b"Content-Type", b"content-encoding", b"Authorization",
    b"Cookie", b"Cache-Control", b"a b", b"a:b", b"\xe9",
]  # fmt: skip
_CHUNK_LINES: Final = [
    b"", b"+5", b"-5", b"0x5", b"5h", b"5 ", b" 5", b"\t5", b"5\t", b"5 ;a", b"5; a", b"5;", b"5;;a", b"5;a=",
    b"5;=b", b"5;a= b", b'5;a="b', b'5;a="b"c', b"5;a\nb", b"5;a\rb", b"5\r", b"5\n", b"5;a=\x01", b'5;a="\0"',
    b"5;\xe9", b"5,5", b"5.", b"g", b"5_0", b"\xd9\xa5", b"0" * 15 + b"5", b"f" * 16, b"1" + b"0" * 16,
    b"5;" + b"a" * 300,
]  # fmt: skip
_NO_TRAILERS: Final = [
    b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Cookie", b"Set-Cookie", b"Connection",
    b"Trailer", b"TE", b"Upgrade", b"Content-Type", b"Content-Encoding", b"Expect", b"Cache-Control", b"Location",
    b"Proxy-Authorization",
]  # fmt: skip

REFUSED: dict[str, tuple[int, bytes]] = {
    # Two lengths, or none that everybody reads alike.
    "length and chunked": (400, request(POST, FIVE, CHUNKED, body=b"0\r\n\r\n")),
    "chunked and length": (400, request(POST, CHUNKED, FIVE, body=b"0\r\n\r\n")),
    "length 0 and chunked": (400, request(POST, CHUNKED, b"Content-Length: 0")),
    "two lengths": (400, request(POST, FIVE, b"Content-Length: 6")),
    "two equal lengths": (400, request(POST, FIVE, FIVE)),
    "list of equal lengths": (400, request(POST, b"Content-Length: 5, 5")),
    **{f"length {value!r}": (400, request(POST, b"Content-Length: " + value)) for value in _LENGTHS},
    **{f"coding {value!r}": (501, request(POST, b"Transfer-Encoding: " + value)) for value in _CODINGS},
    **{
        f"blanks around {field!r}": (400, request(POST, field))
        for field in [
            b"Content-Length:\t5",
            b"Content-Length:  5",
            b"Content-Length: 5 ",
            b"Transfer-Encoding:\tchunked",
            b"Transfer-Encoding: chunked\t",
            b"Transfer-Encoding:  chunked",
            b"Transfer-Encoding: chunked ",
        ]
    },
    "two codings": (400, request(POST, CHUNKED, CHUNKED)),
    "two codings, one unknown": (400, request(POST, CHUNKED, b"Transfer-Encoding: x")),
    "coding in 1.0": (400, request(b"POST /a HTTP/1.0", CHUNKED)),
    # Lines and names.
    "folded": (400, request(POST, b"X-A: b\r\n c")),
    "folded with a tab": (400, request(POST, b"X-A: b\r\n\tc")),
    "folded coding": (400, request(POST, b"Transfer-Encoding:\r\n chunked")),
    "folded first line": (400, b"GET /a HTTP/1.1\r\n Host: a\r\n\r\n"),
    "bare CR": (400, request(POST, b"X-A: b\rTransfer-Encoding: chunked")),
    "CR CR LF": (400, request(POST, b"X-A: b\r")),
    "bare LF": (400, request(POST, b"X-A: b\nTransfer-Encoding: chunked")),
    "LF first": (400, request(POST, b"\nTransfer-Encoding: chunked")),
    "only LF": (400, b"GET /a HTTP/1.1\nHost: a\n\n"),
    "LF at the end": (400, b"GET /a HTTP/1.1\r\nHost: a\r\n\n"),
    "NUL": (400, request(POST, b"X-A: b\0c")),
    "vertical tab": (400, request(POST, b"Transfer-Encoding: \x0bchunked")),
    "escape": (400, request(POST, b"X-A: \x1b[2J")),
    "DEL": (400, request(POST, b"X-A: \x7f")),
    "blank before the colon": (400, request(POST, b"Transfer-Encoding : chunked")),
    "tab before the colon": (400, request(POST, b"Content-Length\t: 5")),
    "blank in a name": (400, request(POST, b"Content Length: 5")),
    "no colon": (400, request(POST, b"Content-Length 5")),
    "no name": (400, request(POST, b": 5")),
    "underscore": (400, request(POST, b"Content_Length: 5")),
    "underscore before hyphen": (400, request(POST, b"X_A-B: 5")),
    "Kelvin sign": (400, request(POST, b"Transfer-Encoding\xe2\x84\xaa: chunked")),
    "Latin-1 name": (400, request(POST, b"Caf\xe9: 5")),
    "delimiter in a name": (400, request(POST, b"X(A): 5")),
    "control in a name": (400, request(POST, b"X\x01A: 5")),
    # Hosts.
    "no host": (400, request(GET, host=False)),
    "two hosts": (400, request(GET, b"Host: a.example")),
    **{f"host {value!r}": (400, request(GET, b"Host: " + value, host=False)) for value in _HOSTS},
    # Request lines.
    "0.9": (400, b"GET /a\r\n\r\n"),
    "0.9 without fields": (400, b"GET /a\r\n"),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "version 1.2": (505, request(b"GET /a HTTP/1.2")),
    "version 2": (505, request(b"GET /a HTTP/2")),
    "version 0.9": (505, request(b"GET /a HTTP/0.9")),
    "version in lower case": (400, request(b"GET /a http/1.1")),
    "version 1.10": (400, request(b"GET /a HTTP/1.10")),
    "version 01.1": (400, request(b"GET /a HTTP/01.1")),
    "version 1": (505, request(b"GET /a HTTP/1")),
    "other protocol": (400, request(b"GET /a RTSP/1.1")),
    "method in small letters": (400, request(b"delete /a HTTP/1.1")),
    "method with a small letter": (400, request(b"DELETe /a HTTP/1.1")),
    "two blanks": (400, request(b"GET  /a HTTP/1.1")),
    "two blanks behind": (400, request(b"GET /a  HTTP/1.1")),
    "tab between": (400, request(b"GET\t/a HTTP/1.1")),
    "blank before": (400, request(b" GET /a HTTP/1.1")),
    "blank after": (400, request(b"GET /a HTTP/1.1 ")),
    "blank in the target": (400, request(b"GET /a b HTTP/1.1")),
    "no target": (400, request(b"GET HTTP/1.1")),
    "empty target": (400, request(b"GET  HTTP/1.1")),
    "non-ASCII target": (400, request(b"GET /\xe9 HTTP/1.1")),
    "control in the target": (400, request(b"GET /a\x01 HTTP/1.1")),
    "NUL in the target": (400, request(b"GET /a\0 HTTP/1.1")),
    "method with a delimiter": (400, request(b"GE(T /a HTTP/1.1")),
    "long method": (501, request(b"A" * 33 + b" /a HTTP/1.1")),
    "two empty lines before": (400, b"\r\n\r\n" + request(GET)),
    "LF before": (400, b"\n" + request(GET)),
    "CR before": (400, b"\r" + request(GET)),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "byte order mark": (400, b"\xef\xbb\xbf" + request(GET)),
    # Forms of the target.
    "CONNECT of a path": (400, request(b"CONNECT /a HTTP/1.1")),
    "CONNECT without a port": (400, request(b"CONNECT a.example HTTP/1.1")),
    "CONNECT of an address": (400, request(b"CONNECT http://a.example:443 HTTP/1.1")),
    "CONNECT with a user": (400, request(b"CONNECT u@a.example:443 HTTP/1.1")),
    "GET of an authority": (400, request(b"GET a.example:443 HTTP/1.1")),
    "GET of *": (400, request(b"GET * HTTP/1.1")),
    "relative target": (400, request(b"GET a HTTP/1.1")),
    "other scheme": (400, request(b"GET file:///etc/passwd HTTP/1.1")),
    "address with a user": (400, request(b"GET http://u@a.example/ HTTP/1.1")),
    "address with a quote": (400, request(b'GET http://a"b/ HTTP/1.1')),
    "address without a host": (400, request(b"GET http:///a HTTP/1.1")),
    "address with a fragment": (400, request(b"GET http://a.example#b HTTP/1.1")),
    "query only": (400, request(b"GET ?a HTTP/1.1")),
    # Bodies where there should be none.
    "GET with a length": (400, request(GET, FIVE, body=b"hello")),
    "GET with chunks": (400, request(GET, CHUNKED, body=b"0\r\n\r\n")),
    "HEAD with a length": (400, request(b"HEAD /a HTTP/1.1", FIVE, body=b"hello")),
    "TRACE with a length": (400, request(b"TRACE /a HTTP/1.1", FIVE, body=b"hello")),
    "CONNECT with chunks": (400, request(b"CONNECT a:1 HTTP/1.1", CHUNKED, body=b"0\r\n\r\n")),
    # Between neighbours.
    "other expectation": (417, request(POST, FIVE, b"Expect: 200-ok")),
    "two expectations": (400, request(POST, FIVE, b"Expect: 100-continue", b"Expect: 100-continue")),
    "list of expectations": (417, request(POST, FIVE, b"Expect: 100-continue, x")),
    "upgrade to h2c": (
        400,
        request(GET, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"),
    ),
    "upgrade to websocket and h2c": (400, request(GET, b"Connection: Upgrade", b"Upgrade: websocket, H2C")),
    "upgrade to h2c unsaid": (400, request(GET, b"Upgrade: h2c")),
    "upgrade to HTTP/2.0": (400, request(GET, b"Connection: Upgrade", b"Upgrade: HTTP/2.0")),
    **{
        f"connection {name!r}": (400, request(POST, FIVE, b"Connection: close, " + name, body=b"hello"))
        for name in _OPTIONS
    },
    # Fields of which one only can be meant.
    **{
        f"two fields {name!r}": (400, request(GET, name + b": a", name.lower() + b": a"))
        for name in [b"Authorization", b"Proxy-Authorization", b"Content-Type", b"Range"]
    },
    # Chunks.
    **{f"chunk {line!r}": (400, chunked(line + b"\r\nhello\r\n0\r\n\r\n")) for line in _CHUNK_LINES},
    "chunk line with LF": (400, chunked(b"5\nhello\r\n0\r\n\r\n")),
    "chunk line with LF in an extension": (400, chunked(b"5;\nhello\r\n0\r\n\r\n")),
    "chunk ends with LF": (400, chunked(b"5\r\nhello\n0\r\n\r\n")),
    "chunk ends with CR": (400, chunked(b"5\r\nhello\r0\r\n\r\n")),
    "chunk ends with two other bytes": (400, chunked(b"5\r\nhelloXX0\r\n\r\n")),
    "chunk too long": (400, chunked(b"5\r\nhello!\r\n0\r\n\r\n")),
    "chunk too short": (400, chunked(b"5\r\nhell\r\n0\r\n\r\n")),
    "last chunk ends with LF": (400, chunked(b"0\n\n")),
    "trailers end with LF": (400, chunked(b"0\r\nA: b\n\n")),
    "trailer folded": (400, chunked(b"0\r\nA: b\r\n c\r\n\r\n")),
    "trailer without a colon": (400, chunked(b"0\r\nGET / HTTP/1.1\r\n\r\n")),
    "trailer with an underscore": (400, chunked(b"0\r\nA_B: c\r\n\r\n")),
    **{f"trailer {name!r}": (400, chunked(b"0\r\n" + name + b": x\r\n\r\n")) for name in _NO_TRAILERS},
    # Ends in the middle.
    "cut request line": (400, b"GET /a HTT"),
    "cut fields": (400, b"GET /a HTTP/1.1\r\nHost: a\r\n"),
    "cut body": (400, request(POST, FIVE, body=b"hell")),
    "cut chunk": (400, chunked(b"5\r\nhell")),
    "cut chunks": (400, chunked(b"5\r\nhello\r\n")),
    "cut trailers": (400, chunked(b"5\r\nhello\r\n0\r\n")),
}
