"""Requests of a hostile client. ``@P`` stands for the connection's path, ``@T`` for the fields Host and Authorization.

``statuses`` are those of the answers. ``forwarded`` is what the target gets, byte for byte, but for the Host field,
which is the first and left out here. ``closes``: the gateway reads nothing more from the client, so that what follows
reaches nobody.
"""

from dataclasses import dataclass
from typing import Final

_BODY_FOLLOWS: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    request: bytes
    statuses: tuple[int, ...] = (400,)
    forwarded: tuple[bytes, ...] = ()
    closes: bool = True


def _request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((line + b" HTTP/1.1", b"@T", *fields)) + _BODY_FOLLOWS + body


def _get(*fields: bytes, body: bytes = b"", path: bytes = b"/a") -> bytes:
    return _request(b"GET @P" + path, *fields, body=body)


def _post(*fields: bytes, body: bytes = b"", path: bytes = b"/a") -> bytes:
    return _request(b"POST @P" + path, *fields, body=body)


def _refused(request: bytes, status: int = 400) -> Hostile:
    return Hostile(request, (status,))


def _passes(request: bytes, *forwarded: bytes, statuses: tuple[int, ...] = (200,)) -> Hostile:
    return Hostile(request, statuses, forwarded, closes=False)


def _posted(body: bytes, media_type: bytes = b"application/json") -> bytes:
    return _post(b"Content-Type: " + media_type, b"Content-Length: %d" % len(body), body=body)


def _denied(request: bytes, *statuses: int) -> Hostile:
    return Hostile(request, statuses or (403,), closes=False)


_SMUGGLED = b"GET @P/smuggled HTTP/1.1\r\n@T\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked"
_TWO = b"Content-Length: 2"
_AB = b"2\r\nab\r\n0\r\n\r\n"
_GET_A = b"GET /a HTTP/1.1\r\n\r\n"
_POST_AB = b"POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nab"
_POST_NOTHING = b"POST /a HTTP/1.1\r\ncontent-length: 0\r\n\r\n"

LENGTHS: dict[str, Hostile] = {
    "both, chunks end first": _refused(_post(b"Content-Length: 6", _CHUNKED, body=b"0\r\n\r\n" + _SMUGGLED)),
    "both, length ends first": _refused(_post(_CHUNKED, b"Content-Length: 4", body=b"5c\r\n" + _SMUGGLED)),
    "both, other order": _refused(_post(_CHUNKED, _TWO, body=_AB)),
    "two lengths": _refused(_post(_TWO, b"Content-Length: 30", body=b"ab" + _SMUGGLED)),
    "two equal lengths": _refused(_post(_TWO, _TWO, body=b"ab")),
    "a list of lengths": _refused(_post(b"Content-Length: 2, 2", body=b"ab")),
    "no body but what follows": _passes(
        _post(b"Content-Length: 0") + _get(), _POST_NOTHING, _GET_A, statuses=(200, 200)
    ),
    "a length with nothing behind it": _passes(_post() + _get(), _POST_NOTHING, _GET_A, statuses=(200, 200)),
    **{
        f"length {value!r}": _refused(_post(b"Content-Length: " + value, body=b"ab"))
        for value in (
            b"+2", b"-2", b"02", b"0x2", b"2.0", b"2e0", b"1_0", b"2 ", b" 2", b"\t2", b"2\t", b"1 2", b"2;", b'"2"',
            b"",
            b"2\0", b"\xd9\xa2", b"\xef\xbc\x92", b"9" * 19, b"18446744073709551618", b"2,", b"2\x0b", b"two",
        )
    },
    **{
        f"transfer coding {value!r}": _refused(_post(b"Transfer-Encoding: " + value, body=_AB), 501)
        for value in (
            b"xchunked", b"Chunked", b"CHUNKED", b'"chunked"', b"gzip, chunked", b"chunked, identity", b"identity", b"",
            b"chunked;q=1", b"chunked,", b",chunked", b"chunked chunked", b"chun\xe2\x84\xaaed", b"x\xa0chunked",
            b"'chunked'",
        )
    },
    **{
        f"transfer coding {value!r}, blanks": _refused(_post(b"Transfer-Encoding:" + value, body=_AB))
        for value in (
            b"\tchunked", b"  chunked", b" chunked ", b" chunked\t", b" \x0bchunked", b" chunked\0", b" chunked\x7f",
        )
    },
    "two codings": _refused(_post(_CHUNKED, b"Transfer-Encoding: identity", body=_AB)),
    "two equal codings": _refused(_post(_CHUNKED, _CHUNKED, body=_AB)),
    "a coding on a folded line": _refused(_post(b"Transfer-Encoding:\r\n chunked", body=_AB)),
    "a coding behind a bare CR": _refused(_post(b"X: y\rTransfer-Encoding: chunked", body=_AB)),
    "a coding behind a bare LF": _refused(_post(b"X: y\nTransfer-Encoding: chunked", body=_AB)),
    "a coding behind a NUL": _refused(_post(b"X: y\0Transfer-Encoding: chunked", body=_AB)),
    "a blank before the colon": _refused(_post(b"Transfer-Encoding : chunked", body=_AB)),
    "a coding with an underscore": _refused(_post(b"Transfer_Encoding: chunked", _TWO, body=b"ab")),
    "a coding that is hop by hop": _refused(_post(b"Connection: transfer-encoding", _CHUNKED, body=_AB)),
    "a length that is hop by hop": _refused(_post(b"Connection: content-length", _TWO, body=b"ab")),
    "a coding in HTTP/1.0": _refused(_post(_CHUNKED, body=_AB).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    "GET with a body": _refused(_get(b"Content-Length: 40", body=_SMUGGLED)),
    "GET with chunks": _refused(_get(_CHUNKED, body=_AB)),
    "HEAD with a body": _refused(_request(b"HEAD @P/a", _TWO, body=b"ab")),
    "OPTIONS with a body": _passes(
        _request(b"OPTIONS @P/a", _TWO, body=b"ab"), b"OPTIONS /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nab"
    ),
}  # fmt: skip

_POST_CHUNKED = _post(_CHUNKED)
CHUNKS: dict[str, Hostile] = {
    **{
        f"chunks {body!r}": _refused(_POST_CHUNKED + body + _SMUGGLED)
        for body in (
            b"2\nab\r\n0\r\n\r\n", b"2\r\nab\n0\r\n\r\n", b"2\rab\r\n0\r\n\r\n", b"2\r\nabXX0\r\n\r\n",
            b"2\r\nabc\r\n0\r\n\r\n",
            b"3\r\nab\r\n0\r\n\r\n", b"-2\r\nab\r\n0\r\n\r\n", b"+2\r\nab\r\n0\r\n\r\n", b"0x2\r\nab\r\n0\r\n\r\n",
            b"2 \r\nab\r\n0\r\n\r\n", b" 2\r\nab\r\n0\r\n\r\n", b"\r\nab\r\n0\r\n\r\n", b"1_0\r\nab\r\n0\r\n\r\n",
            b"10000000000000002\r\nab\r\n0\r\n\r\n", b"fffffffffffffffff\r\nab\r\n", b"2;a\nb\r\nab\r\n0\r\n\r\n",
            b"2;a\rb\r\nab\r\n0\r\n\r\n", b"2;a=\x00\r\nab\r\n0\r\n\r\n", b'2;a="x\r\nab\r\n0\r\n\r\n',
            b"2;;\r\nab\r\n0\r\n\r\n",
            b"g\r\nab\r\n0\r\n\r\n", b"\xd9\xa2\r\nab\r\n0\r\n\r\n", b"2;" + b"a" * 300 + b"\r\nab\r\n0\r\n\r\n",
            b"2\r\n\r\nab0\r\n\r\n", b"0\r\nX: y\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX : y\r\n\r\n", b"0\n\r\n", b"0\r\n\n",
        )
    },
    **{
        f"trailer {name.decode()}": _refused(_POST_CHUNKED + b"0\r\n" + name + b": 5\r\n\r\n" + _SMUGGLED)
        for name in (
            b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Content-Type", b"Cookie",
            b"Connection",
            b"Content-Encoding", b"Expect", b"Trailer", b"TE", b"Upgrade", b"Range",
        )
    },
    "a trailer goes no further": _passes(_POST_CHUNKED + b"2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n", _POST_AB),
    "extensions go no further": _passes(_POST_CHUNKED + b'2;a=b;c="d\\"e"\r\nab\r\n0;x\r\n\r\n', _POST_AB),
    "zeros in front": _passes(_POST_CHUNKED + b"0002\r\nab\r\n000\r\n\r\n", _POST_AB),
    "a length in capitals": _passes(
        _POST_CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", b"POST /a HTTP/1.1\r\ncontent-length: 10\r\n\r\n0123456789"
    ),
    "one byte a chunk": _passes(_POST_CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", _POST_AB),
}  # fmt: skip

LINES: dict[str, Hostile] = {
    "an empty line in front": _passes(b"\r\n" + _get(), _GET_A),
    "two empty lines in front": _refused(b"\r\n\r\n" + _get()),
    "a blank in front": _refused(b" " + _get()),
    "a bare LF in front": _refused(b"\n" + _get()),
    "lines that end in LF": _refused(_get().replace(b"\r\n", b"\n")),
    "a tab in the line": _refused(_get().replace(b"GET ", b"GET\t")),
    "two blanks in the line": _refused(_get().replace(b"GET ", b"GET  ")),
    "a blank at its end": _refused(_get().replace(b"HTTP/1.1", b"HTTP/1.1 ")),
    "a blank in the target": _refused(_get(path=b"/a b")),
    "HTTP/0.9": _refused(b"GET @P/a\r\n"),
    "HTTP/2 without an upgrade": _refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": _refused(_get().replace(b"HTTP/1.1", b"HTTP/1.2"), 505),
    "http/1.1": _refused(_get().replace(b"HTTP/1.1", b"http/1.1")),
    "controls in the target": _refused(_get(path=b"/a\x16\x03\x01")),
    "a target without a slash": _refused(_request(b"GET a")),
    "the target of a proxy": _refused(_request(b"GET http://gateway@P/a")),
    "the target of another host": _refused(_request(b"GET http://evil.test@P/a")),
    "a target with two hosts": _refused(_request(b"GET http://gateway@evil.test@P/a")),
    "the whole server": _refused(_request(b"OPTIONS *")),
    "a CONNECT": _refused(_request(b"CONNECT evil.test:80"), 405),
    "TRACE": _refused(_request(b"TRACE @P/a"), 405),
    "a method in small letters": _refused(_request(b"delete @P/a")),
    "a method with a small letter": _refused(_request(b"DELETe @P/a")),
    "a method that is none": _refused(_request(b"GE:T @P/a")),
    "a long method": _refused(_request(b"A" * 33 + b" @P/a"), 501),
    "an unknown method": _passes(_request(b"PURGE @P/a"), b"PURGE /a HTTP/1.1\r\n\r\n"),
    "a bad request behind a good one": Hostile(_get() + b"BAD\r\n\r\n" + _SMUGGLED, (200, 400), (_GET_A,)),
    "a denied one between two": _passes(
        _get() + _request(b"DELETE @P/a") + _get(path=b"/b"),
        _GET_A,
        b"GET /b HTTP/1.1\r\n\r\n",
        statuses=(200, 403, 200),
    ),
    "a denied one with a body": _denied(_request(b"DELETE @P/a", b"Content-Length: 5", body=b"GET /")),
    "a denied one with chunks": _denied(_request(b"DELETE @P/a", _CHUNKED, body=_AB)),
}  # fmt: skip

_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
_WS = (b"Connection: Upgrade", b"Upgrade: websocket", _KEY, b"Sec-WebSocket-Version: 13")
_IDENTITY = (
    b"X-Forwarded-For X-Forwarded-User X-Forwarded-Email X-Forwarded-Uri X-Forwarded-Method"
    b" X-Forwarded-Path X-Forwarded-Server X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Client-Cert"
    b" X-Forwarded Forwarded Forwarded-For X-Forward-For X-Real-IP Client-IP True-Client-IP X-Client-IP"
    b" X-Cluster-Client-IP X-Originating-IP X-Remote-IP X-Remote-Addr X-ProxyUser-Ip"
    b" X-Custom-IP-Authorization Fastly-Client-IP CF-Connecting-IP X-Original-Forwarded-For X-Remote-User"
    b" Remote-User X-Auth-Request-User X-Auth-User X-WebAuth-User X-Authenticated-User X-Consumer-Username"
    b" X-Goog-Authenticated-User-Email X-Goog-IAP-JWT-Assertion CF-Access-Authenticated-User-Email"
    b" CF-Access-JWT-Assertion X-MS-Client-Principal X-MS-Token-AAD-Access-Token X-Amzn-Oidc-Data"
    b" X-SSL-Client-Verify SSL-Client-Cert Client-Cert X-Client-Cert X-Envoy-Original-Path X-Original-URL"
    b" X-Original-Method X-Original-Host X-Rewrite-URL X-Host X-HTTP-Host-Override X-HTTP-Method"
    b" X-HTTP-Method-Override X-Method-Override Proxy Via Alt-Used X-Interlock-Session Proxy-Authorization"
    b" Proxy-Connection Keep-Alive TE HTTP2-Settings"
).split()

FIELDS: dict[str, Hostile] = {
    "no host": _refused(b"GET @P/a HTTP/1.1\r\nX: y\r\n\r\n"),
    "two hosts": _refused(_get(b"Host: evil.test")),
    **{
        f"host {value!r}": _refused(b"GET @P/a HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
        for value in (
            b"", b"evil.test/@P", b"gateway,evil.test", b"gateway evil.test", b"a@evil.test", b"gateway:99999",
            b"gateway:",
            b"gateway:0", b"[::1", b"[evil]", b"evil.test.", b"127.1", b"0x7f000001", b"2130706433", b"0177.0.0.1",
            b"evil..test", b"gateway\\evil", b"gateway?evil", b"gateway#evil", b"\xe9vil", b"%65vil.test",
            b"http://gateway",
        )
    },
    "two tokens": _refused(_get(b"Authorization: Bearer x")),
    "two tokens in other letters": _refused(_get(b"AUTHORIZATION: Basic eDp5")),
    "two content types": _refused(_post(b"Content-Type: a/json", b"Content-Type: text/plain", _TWO, body=b"{}")),
    "two ranges": _refused(_get(b"Range: bytes=0-1", b"Range: bytes=2-3")),
    "two expectations": _refused(_post(b"Expect: 100-continue", b"Expect: 100-continue", _TWO, body=b"ab")),
    "an unknown expectation": _refused(_post(b"Expect: 100-continue, x", _TWO, body=b"ab"), 417),
    "a folded field": _refused(_get(b"X: a\r\n  b")),
    "a field folded with a tab": _refused(_get(b"X: a\r\n\tTransfer-Encoding: chunked")),
    "a field without a name": _refused(_get(b": a")),
    "a field without a colon": _refused(_get(b"nothing")),
    "a NUL in a value": _refused(_get(b"X: a\0b")),
    "a CR in a value": _refused(_get(b"X: a\rb")),
    "a control byte in a value": _refused(_get(b"X: a\x01b")),
    "a blank in a name": _refused(_get(b"X Y: a")),
    "a bracket in a name": _refused(_get(b"X(Y): a")),
    "a byte above ASCII in a name": _refused(_get(b"X\xe9: a")),
    "an underscore in a name": _refused(_get(b"X_Forwarded_User: root")),
    **{
        f"connection names {name.decode()}": _refused(_get(b"Connection: close, " + name))
        for name in (
            b"Authorization", b"Host", b"Cookie", b"Content-Type", b"Content-Encoding", b"Date", b"Range", b"Origin",
        )
    },
    "a connection that is no list": _refused(_get(b"Connection: a b")),
    "hop by hop": _passes(_get(b"Connection: x-one, keep-alive", b"X-One: 1", b"X-Two: 2", b"Keep-Alive: timeout=9"),
                          b"GET /a HTTP/1.1\r\nx-two: 2\r\n\r\n"),
    "other identities": _passes(_get(*(name + b": root" for name in _IDENTITY)), _GET_A),
    "other identities in capitals": _passes(_get(*(name.upper() + b": root" for name in _IDENTITY)), _GET_A),
    "h2c": _refused(_get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")),
    "h2c without a connection": _refused(_get(b"Upgrade: h2c")),
    "h2c in a list": _refused(_get(b"Connection: Upgrade", b"Upgrade: foo, H2C")),
    "an upgrade to TLS": _passes(_get(b"Connection: Upgrade", b"Upgrade: TLS/1.0"), _GET_A),
    "an upgrade without a connection": _passes(_get(b"Upgrade: websocket"), _GET_A),
    "a WebSocket with a body": _refused(_post(*_WS, b"Content-Length: 3", body=b"abc")),
    "a WebSocket of another version": _denied(_get(*_WS[:3], b"Sec-WebSocket-Version: 777"), 426),
    "a WebSocket without a key": _denied(_get(*_WS[:2], _WS[3]), 400),
    "a method by a field": _passes(_post(b"X-HTTP-Method-Override: DELETE", b"Content-Length: 0"), _POST_NOTHING),
    "no token": _denied(b"GET @P/a HTTP/1.1\r\nHost: gateway\r\n\r\n", 401),
    "a bad token": _denied(b"GET @P/a HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer x\r\n\r\n", 401),
    "a token of another scheme": _refused(b"GET @P/a HTTP/1.1\r\nHost: gateway\r\nAuthorization: Digest x\r\n\r\n"),
    "Basic that is none": _refused(b"GET @P/a HTTP/1.1\r\nHost: gateway\r\nAuthorization: Basic !!\r\n\r\n"),
}  # fmt: skip

_FORM = b"application/x-www-form-urlencoded"
_EMPTY = b"Content-Length: 0"
BODIES: dict[str, Hostile] = {
    "a method in the query": _denied(_post(_EMPTY, path=b"/a?_method=DELETE")),
    "a method in the query, escaped": _denied(_post(_EMPTY, path=b"/a?%5Fmethod=DELETE")),
    "a method in the query, as PHP reads it": _denied(_post(_EMPTY, path=b"/a?+_method=DELETE")),
    "a method in a form": _denied(_posted(b"_method=DELETE", _FORM)),
    "a method in JSON": _denied(_posted(b'{"_method":"DELETE"}')),
    "a key twice": _denied(_posted(b'{"a":1,"a":2}')),
    "a key twice, escaped": _denied(_posted(b'{"a":1,"\\u0061":2}')),
    "no JSON": _denied(_posted(b"{'a':1}")),
    "NaN": _denied(_posted(b'{"a":NaN}')),
    "a comment": _denied(_posted(b'{"a":1}/**/ ')),
    "two documents": _denied(_posted(b"{}{} ")),
    "UTF-16": _denied(_posted(b"{\0}\0")),
    "a charset": _denied(_posted(b"{}", b"application/json; charset=utf-7")),
    "a huge number": _passes(
        _posted(b'{"a":1e999999999}'),
        b"POST /a HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n" + b'{"a":1e999999999}',
    ),
    "a form with semicolons": _denied(_posted(b"a=1;b=2", _FORM)),
}  # fmt: skip

REQUESTS: dict[str, Hostile] = {
    **{f"lengths: {name}": entry for name, entry in LENGTHS.items()},
    **{f"chunks: {name}": entry for name, entry in CHUNKS.items()},
    **{f"lines: {name}": entry for name, entry in LINES.items()},
    **{f"fields: {name}": entry for name, entry in FIELDS.items()},
    **{f"bodies: {name}": entry for name, entry in BODIES.items()},
}
