"""The head of an answer, as it is true of the body that follows."""

import gzip

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, Masking, MaskKind
from interlock.core.settings import ConnectionSettings, Uninspectable
from interlock.protocols.http.answering import Answer
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.relocation import Place
from interlock.protocols.http.wire.messages import BodyKind, RequestHead, ResponseHead

MASKING = Masking("v1", Catalogue(""), fields={"email": ColumnMask(MaskKind.REDACT)})
PLACE = Place("", "/", "x", ConnectionSettings(protocol="http", host="x"))


def request(method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, b"/", 1, ((b"host", b"x"),), BodyKind.NONE, 0, True, False, b"")


def head(*fields: tuple[bytes, bytes], body: BodyKind = BodyKind.LENGTH, length: int = 0) -> ResponseHead:
    return ResponseHead(200, b"OK", 1, fields, body, length, True)


def test_what_passes_uninspected_keeps_its_coding_and_length() -> None:
    body = gzip.compress(b"\x00\x01")
    coded = ((b"content-type", b"application/octet-stream"), (b"content-encoding", b"gzip"))
    answer = Answer(head(*coded, length=len(body)), None, MASKING, Uninspectable.PASS, request(), True)
    text = answer.head(PLACE, True)
    assert b"content-encoding: gzip\r\n" in text
    assert b"content-length: %d\r\n" % len(body) in text
    assert answer.feed(body) + answer.finish() == body


def test_what_cannot_be_inspected_is_refused() -> None:
    with pytest.raises(BodyRefused):
        Answer(head((b"content-type", b"image/png"), length=3), None, MASKING, Uninspectable.REFUSE, request(), True)


def test_a_masked_answer_has_no_length_tag_or_coding_of_what_it_was() -> None:
    body = gzip.compress(b'{"email": "ada@example.com"}')
    fields = ((b"content-type", b"application/json"), (b"content-encoding", b"gzip"), (b"etag", b'"x"'))
    answer = Answer(head(*fields, length=len(body)), None, MASKING, Uninspectable.REFUSE, request(), True)
    text = answer.head(PLACE, True)
    assert b"transfer-encoding: chunked" in text
    assert b"no-store" in text
    assert not any(name in text for name in (b"content-encoding", b"content-length", b"etag"))
    assert b"ada@" not in answer.feed(body) + answer.finish()


def test_the_length_of_a_masked_answer_is_no_oracle_for_head() -> None:
    fields = ((b"content-type", b"application/json"), (b"content-length", b"27"), (b"etag", b'"x"'))
    answer = Answer(head(*fields, body=BodyKind.NONE), None, MASKING, Uninspectable.REFUSE, request(b"HEAD"), True)
    assert not any(name in answer.head(PLACE, True) for name in (b"content-length", b"etag"))
