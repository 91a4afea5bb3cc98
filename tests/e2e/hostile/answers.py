"""Answers of targets that are to get a masked field past the gateway. The field is ``email``, its value ``PLANTED``.

Each says what the client gets: ``MASKED``, the answer without the value, ``REFUSED``, none of it, or ``CUT``, what came
before the place that could not be read.
"""

import codecs
import gzip
import html
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import brotli
import zstandard

PLANTED: Final = "plantedvalue7"
MASKED: Final = frozenset((200, 302, 404, 500))
REFUSED: Final = frozenset((403, 502))
CUT: Final = frozenset((200,))


@dataclass(frozen=True)
class Told:
    answer: bytes
    statuses: frozenset[int]


def seen_in(received: bytes) -> Iterator[bytes]:
    """What a client can make of bytes: they, and what they say when escapes, NULs and codings are taken off."""
    yield received
    yield received.replace(b"\0", b"")
    text = received.decode("utf-8", "replace")
    yield unquote(text).encode()
    yield html.unescape(text).encode()
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text).encode("utf-8", "replace")
    for data in (received, text.encode("latin-1", "ignore")):
        start = data.find(b"\x1f\x8b")
        if start >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(31).decompress(data[start:])


def _answer(body: bytes | str, *fields: str, status: str = "200 OK") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *fields)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def _masked(body: bytes | str, media_type: str, *fields: str, status: str = "200 OK") -> Told:
    return Told(_answer(body, f"Content-Type: {media_type}", *fields, status=status), MASKED)


def _refused(body: bytes | str, media_type: str, *fields: str, status: str = "200 OK") -> Told:
    return Told(_answer(body, f"Content-Type: {media_type}", *fields, status=status), REFUSED)


def _cut(body: bytes | str, media_type: str) -> Told:
    return Told(_answer(body, f"Content-Type: {media_type}"), CUT)


def _bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


_TEXT = f'{{"id": 7, "email": "{PLANTED}"}}'
_DATA = _TEXT.encode()
_JSON = "application/json"
_GZIPPED = gzip.compress(_DATA)
_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

CODINGS: dict[str, Told] = {
    "gzip": _masked(_GZIPPED, _JSON, "Content-Encoding: gzip"),
    "gzip in capitals": _masked(_GZIPPED, _JSON, "Content-Encoding: GZIP"),
    "x-gzip": _masked(_GZIPPED, _JSON, "Content-Encoding: x-gzip"),
    "gzip in two members": _masked(
        gzip.compress(_DATA[:10]) + gzip.compress(_DATA[10:]), _JSON, "Content-Encoding: gzip"
    ),
    "gzip in gzip": _masked(gzip.compress(_GZIPPED), _JSON, "Content-Encoding: gzip, gzip"),
    "gzip in gzip, in two fields": _masked(
        gzip.compress(_GZIPPED), _JSON, "Content-Encoding: gzip", "Content-Encoding: gzip"
    ),
    "gzip in gzip, declared once": _refused(gzip.compress(_GZIPPED), _JSON, "Content-Encoding: gzip"),
    "four codings": _refused(_GZIPPED, _JSON, "Content-Encoding: gzip, gzip, gzip, gzip"),
    "gzip that is not declared": _refused(_GZIPPED, _JSON),
    "gzip that is declared as a text": _refused(_GZIPPED, "text/plain"),
    "gzip that is declared as Latin-1": _refused(_GZIPPED, "text/plain; charset=iso-8859-1"),
    "gzip that is none": _refused(_DATA, _JSON, "Content-Encoding: gzip"),
    "gzip that is declared as br": _refused(_GZIPPED, _JSON, "Content-Encoding: br"),
    "gzip with something behind it": _refused(_GZIPPED + _DATA, _JSON, "Content-Encoding: gzip"),
    "deflate": _masked(zlib.compress(_DATA), _JSON, "Content-Encoding: deflate"),
    "deflate without a header": _masked(_bare_deflate(_DATA), _JSON, "Content-Encoding: deflate"),
    "br": _masked(brotli.compress(_DATA), _JSON, "Content-Encoding: br"),
    "br with something behind it": _refused(brotli.compress(_DATA) + _DATA, _JSON, "Content-Encoding: br"),
    "zstd": _masked(zstandard.compress(_DATA), _JSON, "Content-Encoding: zstd"),
    "zstd in two frames": _masked(
        zstandard.compress(_DATA[:10]) + zstandard.compress(_DATA[10:]), _JSON, "Content-Encoding: zstd"
    ),
    "zstd behind a frame to skip": _masked(
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(_DATA), _JSON, "Content-Encoding: zstd"
    ),
    "br in gzip": _masked(gzip.compress(brotli.compress(_DATA)), _JSON, "Content-Encoding: br, gzip"),
    "br in gzip, the wrong way round": _refused(
        gzip.compress(brotli.compress(_DATA)), _JSON, "Content-Encoding: gzip, br"
    ),
    "identity": _masked(_DATA, _JSON, "Content-Encoding: identity"),
    "an empty coding": _masked(_DATA, _JSON, "Content-Encoding:"),
    **{
        f"coding {name}": _refused(_DATA, _JSON, f"Content-Encoding: {name}")
        for name in ("compress", "aws-chunked", "exi", "dcb", "chunked", "gzip;q=1", "none", "utf-8")
    },
}

CHARSETS: dict[str, Told] = {
    **{
        f"charset {name}": _masked(codecs.encode(_TEXT, name), f"{_JSON}; charset={name}")
        for name in (
            "utf-8", "UTF-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16", "utf-16le", "utf-16be", "utf-32"
        )
    },
    **{
        f"charset {name}": _refused(codecs.encode(_TEXT, codec), f"{_JSON}; charset={name}")
        for name, codec in (
            ("utf-7", "utf-7"), ("ibm500", "cp500"), ("ebcdic-cp-us", "cp037"), ("shift_jis", "shift_jis"),
            ("iso-2022-jp", "iso2022_jp"), ("hz-gb-2312", "hz"), ("x-user-defined", "latin-1"), ("nothing", "latin-1"),
        )
    },
    "UTF-16 that is not declared": _masked(codecs.encode(_TEXT, "utf-16"), _JSON),
    "UTF-16 without a mark": _refused(codecs.encode(_TEXT, "utf-16-le"), _JSON),
    "UTF-16 without a mark, of a form": _refused(
        codecs.encode(f"id=7&email={PLANTED}", "utf-16-le"), "application/x-www-form-urlencoded"
    ),
    "UTF-16 that is declared as Latin-1": _refused(codecs.encode(_TEXT, "utf-16-le"), f"{_JSON}; charset=latin1"),
    "UTF-16 that is declared as UTF-8": _refused(codecs.encode(_TEXT, "utf-16"), f"{_JSON}; charset=utf-8"),
    "UTF-16 of the other kind": _refused(codecs.encode(_TEXT, "utf-16-le"), f"{_JSON}; charset=utf-16be"),
    "UTF-8 that is declared as UTF-16": _refused(_DATA + b" ", f"{_JSON}; charset=utf-16"),
    "EBCDIC that is not declared": _refused(codecs.encode(_TEXT, "cp500"), _JSON),
    "a mark of UTF-8": _masked("\ufeff" + _TEXT, _JSON),
    "a charset in quotes": _masked(_TEXT, f'{_JSON}; charset="utf-8"'),
    "two charsets": _refused(_TEXT, f"{_JSON}; charset=utf-8; charset=utf-16"),
    "bytes that are none": _refused(_DATA[:-2] + b'\xff"}', _JSON),
    "a long form of a byte": _refused(_DATA.replace(b"e", b"\xc1\xa5", 1), _JSON),
}  # fmt: skip

TYPES: dict[str, Told] = {
    **{
        f"JSON as {name}": _masked(_TEXT, name)
        for name in (
            "text/html", "text/plain", "text/csv", "text/javascript", "application/javascript",
            "application/problem+json",
            "application/vnd.api+json", "APPLICATION/JSON", "application/json;", "text/x-unknown", "text/markdown",
            "application/x-ndjson", "application/ld+json; profile=x",
        )
    },
    **{
        f"JSON as {name}": _refused(_TEXT, name)
        for name in (
            "image/png", "application/octet-stream", "application/pdf", "application/xml", "text/xml", "json",
            "application/",
            "/json", "*/*", "application/json, text/plain", "multipart/mixed; boundary=b", "message/http", "font/woff",
            "application/grpc", "application/msgpack", "application/x-protobuf", "application/zip", "application/gzip",
        )
    },
    "JSON as nothing": Told(_answer(_TEXT), MASKED),
    "JSON as an empty type": _masked(_TEXT, ""),
    "two types": _refused(_TEXT, "text/plain", "Content-Type: image/png"),
    "HTML as JSON": _masked(f"<p class=email>{PLANTED}</p>", _JSON),
    "MessagePack as JSON": _refused(b"\x82\xa2id\x07\xa5email\xad" + PLANTED.encode(), _JSON),
    "MessagePack as a text": _refused(b"\x82\xa2id\x07\xa5email\xad" + PLANTED.encode(), "text/plain"),
    "YAML": _refused(f"id: 7\nemail: {PLANTED}\n", "application/yaml"),
    "TOML": _refused(f'email = "{PLANTED}"\n', "application/toml"),
    "a card": _refused(f"BEGIN:VCARD\nEMAIL:{PLANTED}\nEND:VCARD", "text/vcard"),
}  # fmt: skip

_NESTED = json.dumps({"data": _TEXT})
TEXTS: dict[str, Told] = {
    "an escaped name": _masked(f'{{"id":7,"\\u0065mail":"{PLANTED}"}}', _JSON),
    "a name with escaped blanks": _masked(f'{{"\\u0020email\\t":"{PLANTED}"}}', _JSON),
    "a name twice": _masked(f'{{"email":"x","id":7,"email":"{PLANTED}"}}', _JSON),
    "a name twice, once escaped": _masked(f'{{"email":"x","id":7,"em\\u0061il":"{PLANTED}"}}', _JSON),
    "a name in capitals": _masked(f'{{"EMail ":"{PLANTED}"}}', _JSON),
    "a name in wide letters": _masked(f'{{"ｅｍａｉｌ":"{PLANTED}"}}', _JSON),
    "a name with a letter in a circle": _masked(f'{{"ⓔmail":"{PLANTED}"}}', _JSON),
    "a name with something invisible": _masked(f'{{"email\u200b":"{PLANTED}"}}', _JSON),
    "a name with a NUL": _masked(f'{{"email\\u0000":"{PLANTED}"}}', _JSON),
    "a name that is a path": _masked(f'{{"user.email":"{PLANTED}"}}', _JSON),
    "a name that is a path of PHP": _masked(f'{{"user[email]":"{PLANTED}"}}', _JSON),
    "a value with escapes": _masked(f'{{"email":"\\u0070{PLANTED[1:]}"}}', _JSON),
    "an object as value": _masked(f'{{"email":{{"value":"{PLANTED}"}}}}', _JSON),
    "an array as value": _masked(f'{{"email":[["{PLANTED}"]]}}', _JSON),
    "a number as value": _masked('{"email":70077007700770077}', _JSON),
    "a document in a text": _masked(_NESTED, _JSON),
    "a document in a text in a text": _masked(json.dumps({"d": _NESTED}), _JSON),
    "a document in six texts": _refused(json.dumps(json.dumps(json.dumps(json.dumps(json.dumps(_NESTED))))), _JSON),
    "many levels": _masked('{"a":' * 200 + _TEXT + "}" * 200, _JSON),
    "too many levels": _refused('{"a":' * 600 + _TEXT + "}" * 600, _JSON),
    "a lone surrogate": _masked(f'{{"\\ud800":1,"email":"\\ud800{PLANTED}"}}', _JSON),
    "a long name": _masked(f'{{"{"k" * 60_000}":1,"email":"{PLANTED}"}}', _JSON),
    "a long value": _masked(f'{{"email":"{PLANTED * 200_000}"}}', _JSON),
    "lines": _masked(f"{_TEXT}\n{_TEXT}\n", "application/x-ndjson"),
    "lines as JSON": _masked(f"{_TEXT}\r\n{_TEXT}", _JSON),
    "records": _masked(f"\x1e{_TEXT}\n\x1e{_TEXT}\n", "application/json-seq"),
    "a prefix": _masked(f")]}}',\n{_TEXT}", _JSON),
    "a loop in front": _masked(f"for(;;);{_TEXT}", "text/javascript"),
    "a call": _masked(f"/**/callback({_TEXT});", "text/javascript"),
    "a call as JSON": _masked(f"callback({_TEXT})", _JSON),
    "an assignment": _masked(f"window.data = {_TEXT};", "text/javascript"),
    "a text around it": _masked(f"answer: {_TEXT} (end)", "text/plain"),
    "a literal of Python": _masked(f"{{'id': 7, 'email': '{PLANTED}'}}", "text/plain"),
    **{
        f"JSON with {name}": _refused(text, _JSON)
        for name, text in {
            "a comment in front": f"/* c */ {_TEXT}",
            "a line comment in front": f"// c\n{_TEXT}",
            "a comment in it": f'{{"id":7, /* c */ "email":"{PLANTED}"}}',
            "something behind": f"{_TEXT} nothing",
            "something else on its line": f"1 {_TEXT}",
            "another on its line": _TEXT + _TEXT,
            "a text in front": f"nothing {_TEXT}",
            "NaN": f'{{"a":NaN,"email":"{PLANTED}"}}',
            "a comma too many": f'{{"email":"{PLANTED}",}}',
            "names without quotes": f'{{id:7,email:"{PLANTED}"}}',
            "names in single quotes": f"{{'email':'{PLANTED}'}}",
            "a control in a text": f'{{"email":"{PLANTED}\n"}}',
            "a bad escape": f'{{"\\x65mail":"{PLANTED}"}}',
            "a NUL": f'{{"id":7,\0"email":"{PLANTED}"}}',
        }.items()
    },
}

STREAMS: dict[str, Told] = {
    "an event": _masked(f"data: {_TEXT}\n\n", "text/event-stream"),
    "an event on many lines": _masked(f'data: {{"id": 7,\ndata: "email":\ndata:"{PLANTED}"}}\n\n', "text/event-stream"),
    "an event that ends in CR": _masked(f"data: {_TEXT}\r\r", "text/event-stream"),
    "an event of mixed ends": _masked(f"data: {_TEXT}\r\n\n", "text/event-stream"),
    "an event without an end": _masked(f"data: {_TEXT}", "text/event-stream"),
    "a comment": _masked(f": {_TEXT}\n\n", "text/event-stream"),
    "an id": _masked(f"id: {_TEXT}\ndata: x\n\n", "text/event-stream"),
    "an unknown field": _masked(f"date: {_TEXT}\ndata: x\n\n", "text/event-stream"),
    "a mark in front": _masked(f"\ufeffdata: {_TEXT}\n\n", "text/event-stream; charset=utf-8"),
    "events as a text": _masked(f"data: {_TEXT}\n\n", "text/plain"),
    "a NUL in an event": _refused(f"data: \0{_TEXT}\n\n", "text/event-stream"),
}

_ROWS = f"7,{PLANTED}\n8,{PLANTED}\n"
TABLES: dict[str, Told] = {
    "a table": _masked(f"id,email\n{_ROWS}", "text/csv"),
    "a table in quotes": _masked(f'id,"email"\n7,"{PLANTED}"\n', "text/csv"),
    "a table with a name in capitals": _masked(f"id, EMAIL \n{_ROWS}", "text/csv"),
    "a table with a line in a cell": _masked(f'id,email\n7,"a\n{PLANTED}"\n', "text/csv"),
    "a table with doubled quotes": _masked(f'id,email\n7,"""{PLANTED}"""\n', "text/csv"),
    "a table with semicolons": _masked(f"id;email\n7;{PLANTED}\n", "text/csv"),
    "a table with tabs": _masked(f"id\temail\n7\t{PLANTED}\n", "text/tab-separated-values"),
    "a table as a text": _masked(f"id,email\n{_ROWS}", "text/plain"),
    "a table with bars as a text": _masked(f"id | email\n7 | {PLANTED}\n", "text/plain"),
    "a table as JSON": _masked(f"id,email\n{_ROWS}", _JSON),
    "a table behind a mark": _masked(f"\ufeffid,email\n{_ROWS}", "text/csv"),
    "a table that says what is between": _masked(f"sep=^\nid^email\n7^{PLANTED}\n", "text/csv"),
    "a table that ends in CR": _masked(f"id,email\r7,{PLANTED}\r", "text/csv"),
    "a table of one column": _masked(f"email\n{PLANTED}\n", "text/csv"),
    "a table with a title": _refused(f"customers\nid,email\n{_ROWS}", "text/csv"),
    "a table that grows wider": _refused(f"id\n{_ROWS}", "text/csv"),
    "a table with a stray quote": _cut(f'id,email\n7",{PLANTED}\n', "text/csv"),
    "a table without an end": _cut(f'id,email\n7,"{PLANTED}\n', "text/csv"),
    "a form": _masked(f"id=7&email={PLANTED}", "application/x-www-form-urlencoded"),
    "a form with escapes": _masked(f"id=7&%65m%61il={PLANTED}", "application/x-www-form-urlencoded"),
    "a form with semicolons": _masked(f"id=7;email={PLANTED}", "application/x-www-form-urlencoded"),
    "a form of PHP": _masked(f"user[email]={PLANTED}", "application/x-www-form-urlencoded"),
    "a form with a document": _masked(f"data={_TEXT}", "application/x-www-form-urlencoded"),
    "a form in parts": _masked(
        f'--b\r\nContent-Disposition: form-data; name="email"\r\n\r\n{PLANTED}\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "a form with a document as part": _masked(
        f'--b\r\nContent-Disposition: form-data; name="x"\r\nContent-Type: text/plain\r\n\r\n{_TEXT}\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    **{
        f"a form with {name}": _refused(
            f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{PLANTED}\r\n--b--{end}",
            "multipart/form-data; boundary=b",
        )
        for name, head, end in (
            ("an extended name", "name*=utf-8''email", ""),
            ("a bare name", "name=email", ""),
            ("two names", 'name="x"; name="email"', ""),
            ("two names, the other way round", 'name="email"; name="x"', ""),
            ("a coding", 'name="x"\r\nContent-Transfer-Encoding: base64', ""),
            ("a picture", 'name="x"\r\nContent-Type: image/png', ""),
        )
    },
    "a form with something behind it": _cut(
        f'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n--b--\r\n{PLANTED}',
        "multipart/form-data; boundary=b",
    ),
    "a form without a boundary": _refused(PLANTED, "multipart/form-data"),
    "parts": _refused(f"--b\r\nContent-Type: application/json\r\n\r\n{_TEXT}\r\n--b--", "multipart/mixed; boundary=b"),
}

_XML = "application/xml"
MARKUP: dict[str, Told] = {
    "an element": _masked(f"<c><id>7</id><email>{PLANTED}</email></c>", _XML),
    "an element with a prefix": _masked(f'<x:c xmlns:x="u"><x:email>{PLANTED}</x:email></x:c>', "application/soap+xml"),
    "an attribute": _masked(f'<c id="7" email="{PLANTED}"/>', _XML),
    "an attribute in single quotes": _masked(f"<c email='{PLANTED}'/>", _XML),
    "elements in it": _masked(f"<c><email><a>{PLANTED}</a></email></c>", _XML),
    "a section": _masked(f"<c><email><![CDATA[{PLANTED}]]></email></c>", _XML),
    "references": _masked(f"<c><email>{''.join(f'&#{ord(letter)};' for letter in PLANTED)}</email></c>", _XML),
    "an element called by an attribute": _masked(f'<c><field name="email">{PLANTED}</field></c>', _XML),
    "a value called by an attribute": _masked(f'<c><p name="email" value="{PLANTED}"/></c>', _XML),
    "a comment": _masked(f"<c><!-- <email>{PLANTED}</email> --></c>", _XML),
    "an instruction": _masked(f"<c><?email {PLANTED}?></c>", _XML),
    "XML as a text": _masked(f"<c><id>7</id><email>{PLANTED}</email></c>", "text/plain"),
    "XML in UTF-16": _masked(
        codecs.encode(f"<?xml version='1.0' encoding='utf-16'?><c><email>{PLANTED}</email></c>", "utf-16"), _XML
    ),
    "a document in an element": _masked(f"<c>{_TEXT}</c>", _XML),
    "an entity": _refused(f"<!DOCTYPE c [<!ENTITY e '{PLANTED}'>]><c><email>&e;</email></c>", _XML),
    "an entity from outside": _refused("<!DOCTYPE c SYSTEM 'http://evil.test/'><c>&e;</c>", _XML),
    "an unknown entity": _refused(f"<c><email>&e;{PLANTED}</email></c>", _XML),
    "an element without an end": _refused(f"<c><email>{PLANTED}</c>", _XML),
    "two roots": _refused(f"<c/><email>{PLANTED}</email>", _XML),
    "an encoding that it does not have": _refused(
        f"<?xml version='1.0' encoding='utf-7'?><c><email>{PLANTED}</email></c>", _XML
    ),
    "a page": _masked(f"<!doctype html><body><td class=email>{PLANTED}</td>", "text/html"),
    "a field of a page": _masked(f"<input name=email value={PLANTED}>", "text/html"),
    "a field of a page in capitals": _masked(f"<INPUT NAME=Email VALUE='{PLANTED}'>", "text/html"),
    "data of a page": _masked(f"<div data-email='{PLANTED}' data-user='{_TEXT}'></div>", "text/html"),
    "a script of a page": _masked(f"<script>var data = {_TEXT};</script>", "text/html"),
    "data in a script of a page": _masked(f"<script type=application/ld+json>{_TEXT}</script>", "text/html"),
    "a comment of a page": _masked(f"<p>x</p><!-- {_TEXT} -->", "text/html"),
    "a tag without an end": _refused(f"<p title='{_TEXT}", "text/html"),
}

HEADS: dict[str, Told] = {
    "not found": _masked(_TEXT, _JSON, status="404 Not Found"),
    "an error": _masked(_TEXT, _JSON, status="500 Oops"),
    "the reason": _masked("{}", _JSON, status=f"200 {PLANTED}"),
    "a redirect": _masked("", _JSON, f"Location: /x?email={PLANTED}", status="302 Found"),
    "a redirect with escapes": _masked("", _JSON, f"Location: /x?%65mail={PLANTED}", status="302 Found"),
    "a cookie": _masked("", _JSON, f"Set-Cookie: email={PLANTED}; Path=/"),
    "a field": _masked("", _JSON, f"Email: {PLANTED}"),
    "a field of its own": _masked("", _JSON, f"X-Email: {PLANTED}"),
    "a document in a field": _masked("", _JSON, f"X-Data: {_TEXT}"),
    "a link": _masked("", _JSON, f"Link: </x?email={PLANTED}>; rel=next"),
    "a tag": _masked("{}", _JSON, f'ETag: "{PLANTED}"'),
    "digests": _masked("{}", _JSON, f"Content-MD5: {PLANTED}", f"Digest: sha-256={PLANTED}", f"Repr-Digest: {PLANTED}"),
    "another way": _masked("{}", _JSON, f'Alt-Svc: h3="{PLANTED}:443"'),
    "a part": _refused(_TEXT[5:], _JSON, "Content-Range: bytes 5-30/40", status="206 Partial Content"),
    "a part that does not say so": _refused(_TEXT[5:], _JSON, "Content-Range: bytes 5-30/40"),
    "a part that does not say which": _refused(f"7,{PLANTED}\n", "text/csv", status="206 Partial Content"),
    "parts": _refused(
        f"--b\r\nContent-Type: {_JSON}\r\nContent-Range: bytes 0-3/9\r\n\r\n{_TEXT}\r\n--b--",
        "multipart/byteranges; boundary=b",
        status="206 Partial Content",
    ),
    "an interim answer": Told(
        f"HTTP/1.1 103 Early Hints\r\nLink: <{PLANTED}>\r\n\r\n".encode() + _answer("{}", f"Content-Type: {_JSON}"),
        MASKED,
    ),
    "a trailer": Told(_CHUNKED + f"2\r\n{{}}\r\n0\r\nX-Email: {PLANTED}\r\n\r\n".encode(), MASKED),
    "an extension of a chunk": Told(_CHUNKED + f"2;email={PLANTED}\r\n{{}}\r\n0\r\n\r\n".encode(), MASKED),
    "a body that is longer than it says": Told(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" + _DATA, MASKED
    ),
    "a length and chunks": Told(_CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + _DATA, REFUSED),
    "a protocol that nobody asked for": Told(
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + _DATA, REFUSED
    ),
}

ANSWERS: dict[str, Told] = {
    **{f"codings: {name}": told for name, told in CODINGS.items()},
    **{f"charsets: {name}": told for name, told in CHARSETS.items()},
    **{f"types: {name}": told for name, told in TYPES.items()},
    **{f"texts: {name}": told for name, told in TEXTS.items()},
    **{f"streams: {name}": told for name, told in STREAMS.items()},
    **{f"tables: {name}": told for name, told in TABLES.items()},
    **{f"markup: {name}": told for name, told in MARKUP.items()},
    **{f"heads: {name}": told for name, told in HEADS.items()},
}
