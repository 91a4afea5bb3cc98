"""The row kernel: values replaced, lengths right, nothing else touched, in every cut; what is malformed is refused."""

import struct
from collections.abc import Callable

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.core.masking import DETECTOR_CLASSES
from interlock.protocols.postgres import rows
from interlock.protocols.postgres.rows import (
    ContentMask,
    MalformedRow,
    RowError,
    RowMasker,
    RowTooLarge,
    redact_message,
)
from tests.protocols.postgres import wire
from tests.servers.postgres import PostgresServer

ALL = frozenset(DETECTOR_CLASSES)
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">II", 0, 0)
END_OF_COPY = wire.copy_data(b"\xff\xff")
Cells = list[bytes | None]

PLAIN = st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"", b"some words", b"42", b"\x01{}"]))
TELLING = st.sampled_from([b"jane@example.com", b"card 4111 1111 1111 1111", b"078-05-1120", b'{"m": "a@b.co"}'])
CELLS = st.lists(st.one_of(PLAIN, TELLING), min_size=2, max_size=5)
OTHERS = st.sampled_from(
    [wire.columns("a", "b"), wire.complete("SELECT 1"), wire.ready(), wire.notice("x@y.zz"), wire.COPY_DONE]
)
MESSAGES = st.lists(
    st.one_of(
        CELLS.map(lambda cells: data_row(cells)), st.one_of(st.binary(max_size=30), TELLING).map(wire.copy_data), OTHERS
    ),
    max_size=8,
)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def tuple_of(cells: Cells) -> bytes:
    packed = (b"\xff\xff\xff\xff" if cell is None else struct.pack(">I", len(cell)) + cell for cell in cells)
    return struct.pack(">H", len(cells)) + b"".join(packed)


def data_row(cells: Cells) -> bytes:
    return wire.message("D", tuple_of(cells))


def cells_of(body: bytes) -> Cells:
    cells: Cells = []
    position = 2
    for _ in range(int.from_bytes(body[:2])):
        size = int.from_bytes(body[position : position + 4], signed=True)
        position += 4
        cells.append(None if size < 0 else body[position : position + size])
        position += max(size, 0)
    assert position == len(body)
    return cells


def rows_of(stream: bytes) -> list[Cells]:
    return [cells_of(message[5:]) for message in wire.split(stream) if message[:1] == b"D"]


def chunks(stream: bytes, sizes: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(stream):
        found.append(stream[at : at + sizes[turn % len(sizes)]])
        at += len(found[-1])
        turn += 1
    return found


def shout(value: bytes) -> bytes:
    return b"<" + value[::-1] + b">"


def full_masker() -> RowMasker:
    return RowMasker({1: shout}, ContentMask(frozenset({"email", "credit-card"}), frozenset({"ssn"})))


def content_masker() -> RowMasker:
    return RowMasker(content=ContentMask(ALL))


def test_transforms_by_position() -> None:
    masker = RowMasker({0: bytes.upper, 2: lambda value: b""})
    stream = wire.columns("a", "b", "c") + data_row([b"x", b"y", b"z"]) + data_row([None, b"", None, b"more"])
    out = masker.feed(stream + wire.complete("SELECT 2"))
    assert out == wire.columns("a", "b", "c") + data_row([b"X", b"y", b""]) + data_row([None, b"", None, b"more"]) + (
        wire.complete("SELECT 2")
    )
    assert masker.masked_values == 2
    masker.finish()


def test_long_values_get_long_lengths() -> None:
    out = RowMasker({0: lambda value: value * 5000}).feed(data_row([b"abc", b"d"]))
    assert rows_of(out) == [[b"abc" * 5000, b"d"]]


def test_nothing_to_do_gives_the_same_bytes() -> None:
    stream = data_row([b"jane@example.com"]) + wire.copy_data(b"jane@example.com")
    assert RowMasker().feed(stream) is stream
    clean = data_row([b"nothing in it", None])
    assert content_masker().feed(clean) is clean


def test_content_in_any_column() -> None:
    masker = RowMasker(content=ContentMask(frozenset({"email"}), frozenset({"ssn", "email"})))
    cells: Cells = [b"to jane@example.com, and a@b.co", None, b"078-05-1120", b"4111111111111111"]
    out = masker.feed(data_row([b"nothing"]) + data_row(cells) + data_row([None]))
    assert rows_of(out) == [[b"nothing"], [b"to ***, and ***", None, *cells[2:]], [None]]
    assert masker.found == {"email": 2, "ssn": 1}
    assert masker.masked_values == 1


def test_what_a_transform_gives_is_not_searched() -> None:
    masker = RowMasker({0: lambda value: b"x@token.example"}, ContentMask(ALL))
    out = masker.feed(data_row([b"jane@example.com", b"jane@example.com"]))
    assert rows_of(out) == [[b"x@token.example", b"***"]]
    assert masker.found == {"email": 1}
    assert masker.masked_values == 2


def test_stand_ins() -> None:
    masker = RowMasker(content=ContentMask(frozenset({"credit-card"}), frozenset({"email"})), stand_ins={1: b"0"})
    out = masker.feed(data_row([b"4111111111111111", b"4111111111111111"]) + data_row([b"", b"jane@example.com"]))
    assert rows_of(out) == [[b"***", b"0"], [b"", b"jane@example.com"]]


@pytest.mark.parametrize("length", [48, 57, 65, 100])
def test_neighbours_in_a_row_hide_nothing(length: int) -> None:
    """The length in front of a value can be a letter or a digit, and so can the type of the next message."""
    value = b"4111111111111111".ljust(length)
    out = content_masker().feed(data_row([value, b"x"]) + data_row([b"078-05-1120"]) + data_row([b"a"]))
    assert rows_of(out) == [[b"***".ljust(length - 13), b"x"], [b"***"], [b"a"]]


def test_copy_in_text() -> None:
    masker = content_masker()
    out = masker.feed(
        wire.COPY_OUT + wire.copy_data(b"1\tjane@example.com\t\\N\n") + wire.copy_data(b"2\tx\n") + wire.COPY_DONE
    )
    assert out == wire.COPY_OUT + wire.copy_data(b"1\t***\t\\N\n") + wire.copy_data(b"2\tx\n") + wire.COPY_DONE
    assert masker.masked_values == 1


def test_copy_in_binary() -> None:
    tuples = [tuple_of([b"1".ljust(4), b"jane@example.com", None]), tuple_of([b"2", b"4111111111111111".ljust(48)])]
    stream = wire.copy_data(SIGNATURE + tuples[0]) + wire.copy_data(tuples[1]) + END_OF_COPY + wire.COPY_DONE
    text_after = wire.copy_data(b"3\tjane@example.com\n") + wire.COPY_DONE
    out = wire.split(content_masker().feed(stream + text_after))
    assert out[0][5 : 5 + len(SIGNATURE)] == SIGNATURE
    assert cells_of(out[0][5 + len(SIGNATURE) :]) == [b"1   ", b"***", None]
    assert cells_of(out[1][5:]) == [b"2", b"***".ljust(35)]
    assert out[2:4] == [END_OF_COPY, wire.COPY_DONE]
    assert out[4] == wire.copy_data(b"3\t***\n")


def test_binary_copy_with_a_longer_header() -> None:
    header = SIGNATURE[:-1] + b"\x05extra"
    out = content_masker().feed(wire.copy_data(header) + wire.copy_data(tuple_of([b"jane@example.com"])))
    assert out == wire.copy_data(header) + wire.copy_data(tuple_of([b"***"]))


@given(MESSAGES, CUTS, st.sampled_from([full_masker, content_masker]))
@example([data_row([b"jane@example.com", b"x"])], [1], full_masker)
@example([wire.copy_data(SIGNATURE + tuple_of([b"jane@example.com"])), wire.COPY_DONE], [1], content_masker)
def test_the_cut_of_the_input_does_not_matter(
    messages: list[bytes], cuts: list[int], make: Callable[[], RowMasker]
) -> None:
    stream = b"".join(messages)
    at_once, cut = make(), make()
    expected = at_once.feed(stream)
    assert b"".join(cut.feed(chunk) for chunk in chunks(stream, cuts)) == expected
    assert (cut.masked_values, cut.found) == (at_once.masked_values, at_once.found)
    assert cut.pending == at_once.pending == 0
    cut.finish()


@given(MESSAGES)
def test_only_values_change(messages: list[bytes]) -> None:
    out = wire.split(full_masker().feed(b"".join(messages)))
    assert [message[:1] for message in out] == [message[:1] for message in messages]
    for before, after in zip(messages, out, strict=True):
        if before[:1] == b"D":
            old, new = cells_of(before[5:]), cells_of(after[5:])
            assert [cell is None for cell in new] == [cell is None for cell in old]
            assert new[1] == (None if old[1] is None else shout(old[1]))
        elif before[:1] != b"d":
            assert after == before
        elif b"jane" in before:
            assert b"jane" not in after


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_masked_or_refused(data: bytes, size: int) -> None:
    for stream in (data, wire.message("D", data), wire.copy_data(SIGNATURE + data)):
        for make in (full_masker, content_masker):
            masker = make()
            try:
                out = b"".join(masker.feed(chunk) for chunk in chunks(stream + b"D", [size]))
            except RowError:
                continue
            assert len(out) + masker.pending >= 0
            with pytest.raises(MalformedRow):
                masker.finish()


@pytest.mark.parametrize(
    "bad",
    [
        wire.message("D", b""),
        wire.message("D", b"\0"),
        wire.message("D", b"\0\2\0\0\0\1x"),
        wire.message("D", b"\0\2\0\0\0\1x\0\0\0\2y"),
        wire.message("D", b"\0\2\0\0\0\1x\0\0\0\1yz"),
        wire.message("D", b"\0\2\0\0\0\1x\xff\xff\xff\xfe"),
        wire.message("D", b"\0\2\0\0\0\1x\x7f\xff\xff\xff"),
        data_row([b"one"]),
        b"D\0\0\0\3",
        b"C\0\0\0\0",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_malformed_rows_are_refused(bad: bytes, size: int) -> None:
    masker, out = full_masker(), bytearray()

    def feed() -> None:
        for chunk in chunks(data_row([b"a", b"b"]) + bad + data_row([b"c", b"d"]), [size]):
            out.extend(masker.feed(chunk))

    with pytest.raises(MalformedRow):
        feed()
    assert out in (b"", data_row([b"a", b"<b>"]))


def test_width_as_described() -> None:
    assert RowMasker(expected_columns=2).feed(data_row([b"a", None]))
    for cells in ([b"a"], [b"a", b"b", b"c"]):
        with pytest.raises(MalformedRow, match=f"a row of {len(cells)} columns does not fit its description"):
            RowMasker(expected_columns=2).feed(data_row(list(cells)))


@pytest.mark.parametrize(
    "body", [SIGNATURE[:15], SIGNATURE + b"\0", SIGNATURE + b"\0\2\0\0\0\1x", SIGNATURE[:-1] + b"\xff"]
)
def test_malformed_binary_copy_is_refused(body: bytes) -> None:
    suspicious = wire.copy_data(body[:11] + body[11:] + b"jane@example.com")
    with pytest.raises(MalformedRow):
        content_masker().feed(suspicious)


def test_too_large_a_row_is_refused_before_it_is_held() -> None:
    limit = rows.MAX_ROW_BYTES
    masker = full_masker()
    assert masker.feed(b"D" + struct.pack(">I", limit - 1)) == b""
    assert masker.pending == 5
    for kind in (b"D", b"d"):
        with pytest.raises(RowTooLarge, match="can be masked"):
            full_masker().feed(kind + struct.pack(">I", limit))


def test_what_is_held_is_bounded_by_the_message() -> None:
    row = data_row([b"x" * 1000, b"y"])
    masker = full_masker()
    out = masker.feed(row + row[:500])
    assert masker.pending == 500
    with pytest.raises(MalformedRow, match="within a message"):
        masker.finish()
    out += masker.feed(row[500:])
    assert masker.pending == 0
    assert len(rows_of(out)) == 2


def test_a_long_row_in_many_parts_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a row of the allowed length, slowly sent, would keep the gateway busy for minutes."""
    looked_at = 0

    class Counting:
        def candidates(self, block: bytes) -> list[int]:
            nonlocal looked_at
            looked_at += len(block)
            return []

    monkeypatch.setattr(rows, "scanner", lambda classes: Counting())
    row = data_row([b"x" * 1_000_000])
    masker = RowMasker(content=ContentMask(frozenset(DETECTOR_CLASSES)))
    assert b"".join(masker.feed(part) for part in chunks(row, [1000])) == row
    assert looked_at < 2 * len(row)


def test_other_messages_pass_in_parts() -> None:
    masker, notice = content_masker(), wire.notice("x" * 100)
    assert masker.feed(notice[:50]) == notice[:50]
    with pytest.raises(MalformedRow):
        masker.finish()
    assert masker.feed(notice[50:] + data_row([b"a@b.co"])) == notice[50:] + data_row([b"***"])
    masker.finish()


def test_a_transform_that_fails_lets_nothing_out() -> None:
    def broken(value: bytes) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RowMasker({0: broken}).feed(data_row([b"secret"]))


def test_texts_of_errors_and_notices() -> None:
    message = wire.error("22P02", 'invalid input: "jane@example.com" 078-05-1120')
    body, found = redact_message(message[0], message[5:], ALL)
    assert wire.fields(wire.message("E", body)) == wire.fields(message) | {"M": 'invalid input: "***" ***'}
    assert found == {"email": 1, "ssn": 1}
    notice = wire.notice("4111111111111111")
    assert redact_message(notice[0], notice[5:], ALL)[0] == wire.notice("***")[5:]
    assert redact_message(notice[0], notice[5:], frozenset()) == (notice[5:], {})


def test_texts_of_notifications() -> None:
    message = wire.notification("news", "jane@example.com joined")
    body, found = redact_message(message[0], message[5:], ALL)
    assert body == wire.notification("news", "*** joined")[5:]
    assert found == {"email": 1}


def test_messages_of_other_kinds_are_left_alone() -> None:
    message = wire.complete("a@b.co")
    assert redact_message(message[0], message[5:], ALL) == (message[5:], {})


@given(st.sampled_from(b"ENA"), st.binary(max_size=80))
def test_any_message_is_redacted_or_refused(kind: int, body: bytes) -> None:
    try:
        clean, _ = redact_message(kind, body, ALL)
    except MalformedRow:
        return
    assert clean.count(b"\0") == body.count(b"\0")


@pytest.mark.parametrize("options", ["FORMAT text", "FORMAT csv", "FORMAT binary"])
def test_copy_of_a_real_server(postgres: PostgresServer, options: str) -> None:
    """Each message has whole rows, and what is left can be read back by the server."""
    query = (
        "SELECT i, 'mail jane@example.com', ARRAY['a' || repeat('b', 47), '4111111111111111' || repeat(' ', 32)], NULL,"
        " jsonb_build_object('ssn', '078-05-1120', 'n', i), 'jane@example.com'::bytea FROM generate_series(1, 3) i"
    )
    with psycopg.connect(**postgres.endpoint().parameters(), autocommit=True) as connection:
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT ({options})") as copy:
            stream = b"".join(wire.copy_data(bytes(payload)) for payload in copy)
        masker = content_masker()
        clean = masker.feed(stream + wire.COPY_DONE)
        connection.execute("CREATE TEMP TABLE back (i int, mail text, cards text[], gone text, doc jsonb, raw bytea)")
        with connection.cursor().copy(f"COPY back FROM STDIN ({options})") as copy:
            for message in wire.split(clean)[:-1]:
                copy.write(message[5:])
        read = connection.execute("SELECT * FROM back ORDER BY i").fetchall()
    stars = "***" + " " * 32 if options != "FORMAT binary" else "*" * 16 + " " * 32
    expected = [(i, "mail ***", ["a" + "b" * 47, stars], None, {"ssn": "***", "n": i}, b"***") for i in (1, 2, 3)]
    assert read == expected
    assert masker.found == {"email": 6, "credit-card": 3, "ssn": 3}
