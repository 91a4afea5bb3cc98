"""What is written is one message with the fields that were given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.wire.messages import Headers
from interlock.protocols.http.wire.writing import chunk, last_chunk, request_head, response_head, without_hop_by_hop
from tests.protocols.http.wire.reading import read_requests, read_response

HOST = ((b"host", b"a"),)
ANYTHING = st.binary(max_size=20) | st.sampled_from(
    [b"\r\n", b"a\r\nb: c", b"\n", b"x\r", b"a:b", b"", b"\r\n\r\n", b"\0", b" a"]
)


def test_heads_and_chunks() -> None:
    assert (
        request_head(b"GET", b"/a?b", [(b"host", b"a"), (b"x", b"")]) == b"GET /a?b HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n"
    )
    assert response_head(204, b"No Content", []) == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert response_head(200, b"", HOST) == b"HTTP/1.1 200 \r\nhost: a\r\n\r\n"
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk() == b"0\r\n\r\n"
    assert last_chunk([(b"a", b"b")]) == b"0\r\na: b\r\n\r\n"


@pytest.mark.parametrize(
    "field",
    [
        (b"a", b"b\r\nc: d"), (b"a", b"b\r"), (b"a", b"\n"), (b"a", b"b\0"), (b"a", b"\x1b"), (b"a", b"\x7f"),
        (b"", b"b"), (b"a b", b"c"), (b"a:", b"c"), (b"a\r\nb", b"c"), (b"a\n", b"c"), (b" a", b"c"), (b"\xe9", b"c"),
        (b"a\0", b"c"),
    ],
)  # fmt: skip
def test_a_field_that_would_be_two_is_not_written(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        request_head(b"GET", b"/", [*HOST, field])
    with pytest.raises(ValueError):
        response_head(200, b"OK", [field, *HOST])
    with pytest.raises(ValueError):
        last_chunk([field])


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"", b"/"), (b"GET ", b"/"), (b"GET\r\n", b"/"), (b"G T", b"/"), (b"GET", b""),
        (b"GET", b"/ HTTP/1.1\r\na: b\r\n\r\n"), (b"GET", b"/a b"), (b"GET", b"/\n"), (b"GET", b"/\xe9"),
        (b"GET", b"/\0"),
    ],
)  # fmt: skip
def test_a_request_line_that_would_be_another_is_not_written(method: bytes, target: bytes) -> None:
    with pytest.raises(ValueError):
        request_head(method, target, HOST)


@pytest.mark.parametrize(
    ("status", "reason"), [(99, b""), (600, b""), (-1, b""), (200, b"a\r\nb: c"), (200, b"\n"), (200, b"\0")]
)
def test_a_status_line_that_would_be_another_is_not_written(status: int, reason: bytes) -> None:
    with pytest.raises(ValueError):
        response_head(status, reason, ())


@given(ANYTHING, ANYTHING, st.lists(st.tuples(ANYTHING, ANYTHING), max_size=3))
def test_whatever_is_written_is_one_request(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    try:
        stream = request_head(method, target, [*HOST, *fields])
    except ValueError:
        return
    reading = read_requests(stream, eof=False)
    assert reading.unread == 0
    assert len(reading.messages) <= 1
    for message in reading.messages:
        assert len(message.head.headers) == 1 + len(fields)


@given(ANYTHING, st.lists(st.tuples(ANYTHING, ANYTHING), max_size=3))
def test_whatever_is_written_is_one_answer(reason: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    try:
        stream = response_head(200, reason, fields)
    except ValueError:
        return
    reading = read_response(stream)
    if reading.bad is None:
        assert len(reading.only.head.headers) == len(fields)
        assert reading.only.body == b""


def test_fields_between_two_neighbours_do_not_go_on() -> None:
    kept: Headers = (
        (b"host", b"a"),
        (b"content-length", b"0"),
        (b"proxyish", b"1"),
        (b"cookie", b"a=b"),
        (b"x-listed-not", b"1"),
        (b"cookie", b"c=d"),
    )
    dropped = [
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate",
        b"proxy-thing", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings", b"x-listed",
        b"x-other",
    ]  # fmt: skip
    fields = [(name, b"x") for name in dropped if name != b"connection"]
    headers = (*kept[:3], (b"connection", b"close, X-Listed ,,"), *fields, (b"connection", b"x-other"), *kept[3:])
    assert without_hop_by_hop(headers) == kept
    assert without_hop_by_hop(()) == ()
