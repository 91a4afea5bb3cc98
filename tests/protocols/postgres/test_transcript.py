"""What people see of a recorded session, however the recording was cut and whatever was in it."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.recording import Direction, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.postgres.transcript import PostgresTranscriber, read_parameters, read_result_formats

K = TranscriptKind


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


def columns(*described: tuple[str, int, int]) -> bytes:
    body = struct.pack(">H", len(described))
    for name, oid, form in described:
        body += name.encode() + b"\0" + struct.pack(">IhIhih", 0, 0, oid, 4, -1, form)
    return message("T", body)


def row(*values: bytes | None) -> bytes:
    return message("D", struct.pack(">H", len(values)) + cells(*values))


def cells(*values: bytes | None) -> bytes:
    return b"".join(struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v for v in values)


def bind(values: list[bytes | None], forms: list[int], results: list[int]) -> bytes:
    codes = struct.pack(f">H{len(forms)}H", len(forms), *forms)
    wanted = struct.pack(f">H{len(results)}H", len(results), *results)
    return codes + struct.pack(">H", len(values)) + cells(*values) + wanted


def answer(*parts: bytes, number: int = 1) -> list[TranscriptLine]:
    transcriber = PostgresTranscriber()
    lines = [line for part in parts for line in transcriber.frame(Frame(5, Direction.ANSWER, number, part))]
    return lines + list(transcriber.finish())


def shown(lines: list[TranscriptLine]) -> list[tuple[TranscriptKind, str, tuple[str | None, ...]]]:
    return [(line.kind, line.text, line.values) for line in lines]


SESSION = (
    message("S", b"TimeZone\0UTC\0")
    + columns(("id", 23, 1), ("name", 25, 0))
    + row(struct.pack(">i", 7), "Zoë".encode())
    + row(None, b"")
    + message("C", b"SELECT 2\0")
    + message("N", b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
    + message("E", b"SERROR\0VERROR\0C42501\0Mdenied\0Dbecause\0Hask\0\0")
    + message("I")
    + message("s")
    + message("A", struct.pack(">I", 9) + b"channel\0payload\0")
    + message("H", b"\0\0\0")
    + message("d", b"1\tone\n")
    + message("c")
    + message("1") + message("2") + message("3") + message("n") + message("t", b"\0\0")
    + message("Z", b"I")
)  # fmt: skip
EXPECTED = [
    (K.NOTICE, "TimeZone = UTC", ()),
    (K.COLUMNS, "", ("id", "name")),
    (K.ROW, "", ("7", "Zoë")),
    (K.ROW, "", (None, "")),
    (K.DONE, "SELECT 2", ()),
    (K.NOTICE, "NOTICE 00000: hello", ()),
    (K.ERROR, "ERROR 42501: denied\nDETAIL: because\nHINT: ask", ()),
    (K.DONE, "empty query", ()),
    (K.DONE, "portal suspended", ()),
    (K.NOTICE, "NOTIFY channel: payload", ()),
    (K.DATA, "1\tone", ()),
]


def test_every_message_has_its_line() -> None:
    assert shown(answer(SESSION)) == EXPECTED


def test_one_byte_at_a_time_gives_the_same() -> None:
    assert answer(*(SESSION[place : place + 1] for place in range(len(SESSION)))) == answer(SESSION)


@given(st.lists(st.integers(0, len(SESSION)), max_size=10))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(SESSION)]
    parts = [SESSION[start:end] for start, end in itertools.pairwise(places)]
    assert shown(answer(*parts)) == EXPECTED


def test_a_request_shows_its_text_parameters_and_what_is_missing() -> None:
    transcriber = PostgresTranscriber()
    parameters = bind([b"7", None, b"\x00\x01"], [0, 0, 1], [])
    lines = list(transcriber.request(3, 1, SealedRequest(b"select $1", parameters, 12, len(parameters))))
    assert shown(lines) == [
        (K.REQUEST, "select $1", ("7", None, "\\x0001")),
        (K.GAP, "3 bytes of the request were not kept", ()),
    ]


def test_copy_data_towards_the_target() -> None:
    transcriber = PostgresTranscriber()
    said = message("d", b"1\tone\n") + message("f", b"no more\0") + message("c")
    lines = list(transcriber.frame(Frame(1, Direction.REQUEST, 4, said)))
    assert shown(lines) == [(K.DATA, "1\tone", ()), (K.NOTICE, "COPY given up: no more", ())]


def test_a_prepared_statement_uses_the_description_of_the_same_text() -> None:
    transcriber = PostgresTranscriber()
    list(transcriber.request(0, 1, SealedRequest(b"select id", b"", 9, 0)))
    list(transcriber.frame(Frame(1, Direction.ANSWER, 1, columns(("id", 23, 0)))))
    parameters = bind([], [], [1])
    list(transcriber.request(2, 2, SealedRequest(b"select id", parameters, 9, len(parameters))))
    lines = list(transcriber.frame(Frame(3, Direction.ANSWER, 2, row(struct.pack(">i", 9)))))
    assert shown(lines) == [(K.ROW, "", ("9",))]


def test_without_a_description_values_stand_alone() -> None:
    assert shown(answer(row(b"text", b"\x00\x00\x00\x07", b"\xff"))) == [(K.ROW, "", ("text", "\\x00000007", "\\xff"))]


def test_a_description_of_other_columns_is_not_used() -> None:
    assert shown(answer(columns(("id", 23, 1)) + row(b"a", b"b"))[1:]) == [(K.ROW, "", ("a", "b"))]


@pytest.mark.parametrize(
    "rest", [SESSION[:10], b"D\x00\x00", b"?\x00\x00\x00\x04", b"D\x00\x00\x00\x03", b"D\xff\xff\xff\xff"]
)
def test_what_cannot_be_read_is_said_and_the_next_operation_is_read(rest: bytes) -> None:
    transcriber = PostgresTranscriber()
    lines = list(transcriber.frame(Frame(1, Direction.ANSWER, 1, rest)))
    lines += transcriber.frame(Frame(2, Direction.ANSWER, 2, message("C", b"SELECT 1\0")))
    gap = "the rest of this answer was not kept or is no PostgreSQL message"
    assert shown(lines) == [(K.GAP, gap, ()), (K.DONE, "SELECT 1", ())]
    assert [line.number for line in lines] == [1, 2]


def test_answers_of_nobody_do_not_disturb_those_of_an_operation() -> None:
    transcriber = PostgresTranscriber()
    half, rest = row(b"value")[:6], row(b"value")[6:]
    lines = list(transcriber.frame(Frame(1, Direction.ANSWER, 1, half)))
    lines += transcriber.frame(Frame(1, Direction.ANSWER, 0, message("N", b"SNOTICE\0Mhi\0\0")))
    lines += transcriber.frame(Frame(1, Direction.ANSWER, 1, rest))
    assert shown(lines) == [(K.NOTICE, "NOTICE : hi", ()), (K.ROW, "", ("value",))]


def test_nothing_that_was_recorded_can_drive_a_terminal() -> None:
    evil = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b"
    transcriber = PostgresTranscriber()
    lines = list(transcriber.request(0, 1, SealedRequest(evil, bind([evil], [], []), len(evil), 0)))
    said = (
        columns((evil.decode(), 25, 0)) + row(evil) + message("C", evil + b"\0") + message("E", b"M" + evil + b"\0\0")
        + message("d", evil) + message("S", evil + b"\0" + evil + b"\0")
        + message("A", b"1234" + evil + b"\0" + evil + b"\0")
    )  # fmt: skip
    lines += transcriber.frame(Frame(1, Direction.ANSWER, 1, said))
    assert len(lines) == 8
    for line in lines:
        for text in (line.text, *(value or "" for value in line.values)):
            assert not set(text) & {"\x1b", "\x07", "\x9b"}
            assert not text or "\\x1b" in text


@given(st.lists(st.tuples(st.sampled_from(list(Direction)), st.integers(0, 3), st.binary(max_size=60)), max_size=10))
def test_garbage_never_raises(frames: list[tuple[Direction, int, bytes]]) -> None:
    transcriber = PostgresTranscriber()
    for direction, number, data in frames:
        list(transcriber.request(0, number, SealedRequest(data, data, len(data), len(data))))
        list(transcriber.frame(Frame(0, direction, number, data)))
    list(transcriber.finish())


@given(st.sampled_from("TDCENIsSAdZ123ntHcGW"), st.binary(max_size=80))
def test_garbage_in_a_message_never_raises(kind: str, body: bytes) -> None:
    answer(columns(("a", 23, 1), ("b", 1700, 1)) + message(kind, body) + row(body, body))


@given(
    st.lists(st.none() | st.binary(max_size=10), max_size=5),
    st.lists(st.integers(0, 1), max_size=5),
    st.lists(st.integers(0, 1), max_size=5),
)
def test_a_bind_is_read_to_its_end(values: list[bytes | None], forms: list[int], results: list[int]) -> None:
    body = bind(values, forms, results)
    assert len(list(read_parameters(body))) == len(values)
    assert read_result_formats(body) == tuple(results)
