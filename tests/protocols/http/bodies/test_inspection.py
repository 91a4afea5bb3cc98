"""Bodies as they come over the wire, with their header fields: what goes on, and what is refused."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies.inspection import Headers, Inspection, inspected_headers, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking

JSON: Headers = ((b"content-type", b"application/json"),)
MASKING = masking({"email": MaskKind.REDACT})
DOCUMENT = b'{"email": "ada@example.com", "id": 7}'
MASKED = b'{"email": "***", "id": 7}'
MAX_BYTES = 64 << 20


def opened(headers: Headers, max_bytes: int = MAX_BYTES) -> Inspection:
    inspection = open_inspection(headers, MASKING, max_bytes)
    assert isinstance(inspection, Inspection), inspection
    return inspection


def passed(inspection: Inspection, body: bytes, step: int = 1 << 30) -> bytes:
    pieces = [inspection.feed(body[start : start + step]) for start in range(0, len(body), step)]
    return b"".join([*pieces, inspection.finish()])


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[:9]) + gzip.compress(data[9:])


def two_frames(data: bytes) -> bytes:
    return zstd(data[:9]) + zstd(data[9:])


CODINGS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"gzip", gzip.compress),
    (b"x-gzip", two_members),
    (b"GZIP", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", raw_deflate),
    (b"br", brotli.compress),
    (b"zstd", zstd),
    (b"zstd", two_frames),
    (b"identity", bytes),
    (b"gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    (b"zstd, identity , gzip,deflate", lambda data: zlib.compress(gzip.compress(zstd(data)))),
]


@pytest.mark.parametrize(("coding", "encoded"), CODINGS)
@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_codings_are_taken_off(coding: bytes, encoded: Callable[[bytes], bytes], step: int) -> None:
    inspection = opened((*JSON, (b"content-encoding", coding)))
    assert passed(inspection, encoded(DOCUMENT), step) == MASKED
    assert inspection.masked_values == 1


@pytest.mark.parametrize(("coding", "encoded"), CODINGS)
def test_what_is_cut_off_or_followed_by_something_is_refused(coding: bytes, encoded: Callable[[bytes], bytes]) -> None:
    whole = encoded(DOCUMENT)
    for broken in (whole[:-1], whole[: len(whole) // 2], whole + b"\x00", whole + b"{}"):
        for step in (1, 1 << 20):
            with pytest.raises(BodyRefused):
                passed(opened((*JSON, (b"content-encoding", coding))), broken, step)


@pytest.mark.parametrize("coding", [coding for coding, _ in CODINGS])
def test_an_empty_body_has_no_coding(coding: bytes) -> None:
    assert passed(opened((*JSON, (b"content-encoding", coding))), b"") == b""


@pytest.mark.parametrize("coding", [b"compress", b"aes128gcm", b"gzip, sdch", b"br,br,br,br", b"gzip;q=1", b"dcz"])
def test_other_codings_cannot_be_inspected(coding: bytes) -> None:
    assert isinstance(open_inspection((*JSON, (b"content-encoding", coding)), MASKING, MAX_BYTES), str)


@pytest.mark.parametrize(("coding", "encoded"), [entry for entry in CODINGS if entry[0] != b"identity"])
def test_what_expands_too_much_is_refused_early(coding: bytes, encoded: Callable[[bytes], bytes]) -> None:
    bomb = encoded(b'{"a": "' + b" " * (48 << 20) + b'"}')
    inspection = opened((*JSON, (b"content-encoding", coding)))
    went: list[int] = []
    with pytest.raises(BodyRefused, match="expands"):
        went += (len(inspection.feed(bomb[start : start + 1024])) for start in range(0, len(bomb), 1024))
    assert sum(went) <= max(1 << 20, 200 * len(bomb))


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(BodyRefused, match="longer than 1000 bytes"):
        passed(opened(JSON, 1000), b'{"a": "%b"}' % (b"x" * 1000))
    assert passed(opened(JSON, 1000), b'"%b"' % (b"x" * 998))


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
        ("", "utf-32"),
        ("utf-8", "utf-8"),
        ('"UTF-8"', "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-16-be"),
        ("utf-16le", "utf-16-le"),
        ("UTF-32BE", "utf-32-be"),
        ("iso-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
    ],
)
def test_charsets_become_utf8(charset: str, codec: str) -> None:
    headers = ((b"content-type", b"application/json; v=1" + (f"; charset={charset}".encode() if charset else b"")),)
    text = '{"straße": "ñ", "email": "ä"}'
    for step in (1, 3, 1000):
        inspection = opened(headers)
        assert passed(inspection, text.encode(codec), step) == '{"straße": "ñ", "email": "***"}'.encode()
    now = dict(inspected_headers(headers, inspection))[b"content-type"]
    assert now == b"application/json; v=1" + (b"; charset=utf-8" if charset else b"")


@pytest.mark.parametrize("charset", ["utf-7", "ibm037", "cp500", "iso-2022-jp", "shift_jis", "gb18030", "x", "utf-8,x"])
def test_other_charsets_cannot_be_inspected(charset: str) -> None:
    headers = ((b"content-type", f'application/json; charset="{charset}"'.encode()),)
    assert isinstance(open_inspection(headers, MASKING, MAX_BYTES), str)


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("utf-8", b'"\xff"'),
        ("utf-8", b'"\xc3'),
        ("utf-8", b'"\xed\xa0\x80"'),
        ("utf-8", b'"\xc0\xaf"'),
        ("utf-8", '{"email": 1}'.encode("utf-16")),
        ("ascii", '"ä"'.encode()),
        ("utf-16", '"ab"'.encode("utf-16-be")[:-1]),
        ("utf-16le", '"ab"'.encode("utf-16-be")),
        ("windows-1252", b'"\x81"'),
        ("utf-8", '{"email": 1}'.encode("utf-16-be")),
    ],
)
def test_what_is_not_in_the_charset_is_refused(charset: str, body: bytes) -> None:
    with pytest.raises(BodyRefused):
        passed(opened(((b"content-type", f"application/json;charset={charset}".encode()),)), body)


@pytest.mark.parametrize("value", [b"json", b"a/b/c", b"text/plain; charset", b"a/b; x=1; X=2", b'a/b; x="', b"a/b x"])
def test_malformed_content_types_cannot_be_inspected(value: bytes) -> None:
    assert isinstance(open_inspection(((b"content-type", value),), MASKING, MAX_BYTES), str)


def test_a_part_of_a_body_cannot_be_inspected() -> None:
    headers = (*JSON, (b"content-range", b"bytes 5-90/900"))
    assert isinstance(open_inspection(headers, MASKING, MAX_BYTES), str)


def test_several_content_types_cannot_be_inspected() -> None:
    headers = ((b"content-type", b"image/png"), (b"content-type", b"application/json"))
    assert isinstance(open_inspection(headers, MASKING, MAX_BYTES), str)


def test_header_fields_that_tell_of_the_body_as_it_was_are_left_out() -> None:
    headers: Headers = (
        *JSON,
        (b"content-encoding", b"gzip"),
        (b"content-length", b"999"),
        (b"etag", b'"x"'),
        (b"content-md5", b"x"),
        (b"last-modified", b"x"),
        (b"accept-ranges", b"bytes"),
        (b"x-request-id", b"7"),
    )
    inspection = opened(headers)
    assert inspected_headers(headers, inspection) == ((b"x-request-id", b"7"), *JSON)


def test_a_field_that_must_not_occur_is_a_refusal_that_names_the_rule() -> None:
    inspection = open_inspection(JSON, masking({"/a/ssn": MaskKind.FORBID}), MAX_BYTES)
    assert isinstance(inspection, Inspection)
    with pytest.raises(BodyRefused, match="a-rule"):
        passed(inspection, b'[{"a": {"SSN": null}}]')
