"""A stream means the same however it is cut, and what is written is read back as it was."""

import random
import string

from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.wire import writing
from interlock.protocols.http.wire.fields import CONTROLS
from interlock.protocols.http.wire.messages import BodyKind, Headers
from tests.protocols.http.wire import refused_requests, test_responses
from tests.protocols.http.wire.reading import read_requests, read_response
from tests.protocols.http.wire.streams import REQUESTS, RESPONSES, mutated

CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=10)
NAMES = st.text(string.ascii_lowercase + string.digits + "-!#$%&'*+.^`|~", min_size=1, max_size=20).map(
    lambda name: f"x-{name}".encode()
)
VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, CONTROLS).strip(b" \t"))
FIELDS: st.SearchStrategy[Headers] = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)
METHODS = st.sampled_from([b"POST", b"PUT", b"DELETE", b"PATCH", b"FROB!"])
TARGETS = st.text(string.ascii_letters + "/%?&=~;:@[]|", max_size=30).map(lambda text: b"/" + text.encode())


@given(st.sampled_from(REQUESTS), st.integers(), CUTS)
def test_requests_are_the_same_in_every_cut(stream: bytes, seed: int, cuts: list[int]) -> None:
    stream = mutated(stream + b"\r\n" * (seed % 2) + REQUESTS[seed % len(REQUESTS)], random.Random(seed))
    assert read_requests(stream, cuts) == read_requests(stream)


@given(st.sampled_from(RESPONSES), st.integers(), CUTS, st.sampled_from([b"GET", b"HEAD", b"CONNECT"]))
def test_answers_are_the_same_in_every_cut(stream: bytes, seed: int, cuts: list[int], method: bytes) -> None:
    stream = mutated(stream, random.Random(seed))
    assert read_response(stream, method, cuts) == read_response(stream, method)


@given(CUTS)
def test_refusals_are_the_same_in_every_cut(cuts: list[int]) -> None:
    for _, stream in refused_requests.REFUSED.values():
        assert read_requests(stream, cuts) == read_requests(stream)
    for stream in test_responses.REFUSED.values():
        if len(stream) < 4096:
            assert read_response(stream, sizes=cuts) == read_response(stream)


@given(METHODS, TARGETS, FIELDS, st.lists(st.binary(max_size=50), max_size=5), FIELDS)
def test_a_request_that_is_written_is_read_back(
    method: bytes, target: bytes, fields: Headers, parts: list[bytes], trailers: Headers
) -> None:
    headers = ((b"host", b"a.example"), *fields, (b"transfer-encoding", b"chunked"))
    stream = writing.request_head(method, target, headers)
    stream += b"".join(map(writing.chunk, parts)) + writing.last_chunk(trailers)
    message = read_requests(stream).only
    assert message.head.headers == headers
    assert (getattr(message.head, "method", b""), getattr(message.head, "target", b"")) == (method, target)
    assert (message.head.body, message.body) == (BodyKind.CHUNKED, b"".join(parts))
    assert message.trailers == trailers


@given(st.integers(200, 599), VALUES, FIELDS, st.binary(max_size=100))
def test_an_answer_that_is_written_is_read_back(status: int, reason: bytes, fields: Headers, body: bytes) -> None:
    if status in (204, 304):
        body = b""
    headers = (*fields, (b"content-length", b"%d" % len(body)))
    message = read_response(writing.response_head(status, reason, headers) + body).only
    assert (message.head.headers, message.body) == (headers, body)
    assert (getattr(message.head, "status", 0), getattr(message.head, "reason", b"")) == (status, reason)
