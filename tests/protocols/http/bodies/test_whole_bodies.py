"""Whole bodies, in any charset, coding and cut: what is masked never goes on, and memory is bounded."""

import base64
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies.inspection import Inspection, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking
from tests.protocols.http.bodies.random_json import MARKER, Written, documents, in_pieces

MASKING = masking({"e-mail": MaskKind.REDACT})
DETECTING = masking({"e-mail": MaskKind.REDACT}, "email", "credit-card", "ssn", "iban", "phone", "secret")


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
    "gzip, zstd, br": lambda data: brotli.compress(zstd(gzip.compress(data))),
}
CHARSETS = [
    ("", "utf-8"),
    ("", "utf-8-sig"),
    ("", "utf-16"),
    ("", "utf-32"),
    ("utf-16le", "utf-16-le"),
    ("utf-32be", "utf-32-be"),
    ("utf-8", "utf-8"),
]


@given(
    documents,
    st.sampled_from(CHARSETS),
    st.sampled_from(sorted(CODINGS)),
    st.sampled_from(["application/json", "text/plain", "text/html", "application/problem+json"]),
    st.lists(st.integers(0, 10_000), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_json_in_any_wrapping(
    document: Written, charset: tuple[str, str], coding: str, kind: str, cuts: list[int]
) -> None:
    declared, codec = charset
    if MARKER not in document.before and not kind.startswith("application"):
        kind = "application/json"  # a document without a name may be a text
    headers = (
        (b"content-type", f"{kind}; charset={declared}".encode() if declared else kind.encode()),
        (b"content-encoding", coding.encode()),
    )
    inspection = open_inspection(headers, MASKING, 1 << 24)
    assert isinstance(inspection, Inspection)
    body = CODINGS[coding](document.before.encode(codec))
    out = in_pieces(inspection.feed, inspection.finish, body, cuts)
    if kind.startswith("application"):
        assert out == document.after.encode()
    for shape in (MARKER.encode(), base64.b64encode(MARKER.encode())[:-4], MARKER.encode().hex().encode()):
        assert shape not in out


@given(
    st.binary(max_size=200),
    st.sampled_from(sorted(CODINGS)),
    st.sampled_from(["json", "html", "csv", "xml", "x", "event-stream"]),
)
@settings(max_examples=200, deadline=None)
def test_anything_else_is_masked_or_refused_and_nothing_breaks(data: bytes, coding: str, subtype: str) -> None:
    headers = ((b"content-type", b"text/" + subtype.encode()), (b"content-encoding", coding.encode()))
    for body in (data, CODINGS[coding](data)):
        inspection = open_inspection(headers, DETECTING, 1 << 20)
        assert isinstance(inspection, Inspection)
        try:
            out = inspection.feed(body) + inspection.finish()
        except BodyRefused:
            continue
        out.decode()


def long_document(records: int) -> Iterator[bytes]:
    yield b"["
    for number in range(records):
        record = {"id": number, "e-mail": MARKER, "note": "ada@example.com, see\n" if number % 50 == 0 else "x" * 300}
        yield json.dumps(record).encode() + b",\n"
    yield b'{"tags": ["a", "b"]}]'


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_long_documents_stream_in_little_memory(coding: str) -> None:
    headers = ((b"content-type", b"application/json"), (b"content-encoding", coding.encode()))
    packer = zlib.compressobj(wbits=31)
    inspection = open_inspection(headers, DETECTING, 1 << 40)
    assert isinstance(inspection, Inspection)
    went = 0
    tracemalloc.start()
    for piece in long_document(20_000):
        out = inspection.feed(piece if coding == "identity" else packer.compress(piece))
        assert MARKER.encode() not in out
        went += len(out)
    went += len(inspection.feed(b"" if coding == "identity" else packer.flush())) + len(inspection.finish())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert went > 6_000_000
    assert peak < 6_000_000
    assert inspection.masked_values == 20_000 + 400
