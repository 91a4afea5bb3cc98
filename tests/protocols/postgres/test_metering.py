"""A meter ends an answer between two messages, and in the same place however the answer is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.metering import CutHeader, Meter
from tests.protocols.postgres import wire
from tests.protocols.postgres.allowances import Limited

MESSAGES = st.lists(
    st.one_of(
        st.text(max_size=30).map(wire.row),
        st.binary(max_size=30).map(wire.copy_data),
        st.text(max_size=20).filter(lambda text: "\0" not in text).map(wire.notice),
        st.sampled_from([wire.notification(), wire.parameter("TimeZone", "UTC"), wire.complete("SELECT 1")]),
    ),
    max_size=20,
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Parts of a stream, none of which ends within the first five bytes of a message."""
    starts = list(itertools.accumulate((len(one) for one in wire.split(stream)), initial=0))
    allowed = [place for place in places if not any(start < place < start + 5 for start in starts)]
    edges = sorted({0, len(stream), *(place for place in allowed if place < len(stream))})
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


def expected(messages: list[bytes], rows: int | None, size_bytes: int | None) -> tuple[bytes, bool]:
    """What may pass, by the rule itself."""
    passed, used, stopped = [], 0, False
    for message in messages:
        kind = message[:1]
        is_row = kind in (b"D", b"d")
        if not stopped and (is_row or kind == b"N"):
            no_rows = is_row and rows is not None and rows <= 0
            stopped = no_rows or (size_bytes is not None and used >= size_bytes)
        if stopped and kind not in (b"A", b"S"):
            continue
        if not stopped:
            used += len(message)
            rows = rows - is_row if rows is not None else None
        passed.append(message)
    return b"".join(passed), stopped


@given(
    MESSAGES,
    st.none() | st.integers(1, 10),
    st.none() | st.integers(1, 400),
    st.lists(st.integers(0, 800), max_size=12),
)
def test_what_passes_is_what_the_limits_say(
    messages: list[bytes], rows: int | None, size_bytes: int | None, places: list[int]
) -> None:
    limited = Limited(rows, size_bytes)
    meter = Meter(limited.allowance())
    passed = b"".join(map(meter.feed, cut(b"".join(messages), places)))
    wanted, stopped = expected(messages, rows, size_bytes)
    assert passed == wanted
    assert meter.stopped is stopped
    counted = [one for one in wire.split(passed) if one[:1] in (b"D", b"d")]
    assert meter.rows == len(counted)
    if limited.rows is not None:
        for purse in list(limited.rows.borrowers):
            purse.give_back()
        assert limited.rows.count(1000.0) == len(counted)


def test_a_message_that_has_begun_is_finished() -> None:
    meter = Meter(Limited(size_bytes=1).allowance())
    row = wire.row("x" * 100)
    assert meter.feed(row[:20]) == row[:20]
    assert meter.mid_message
    assert meter.feed(row[20:] + row) == row[20:]
    assert meter.stopped
    assert not meter.mid_message


def test_a_dropped_message_is_dropped_to_its_end() -> None:
    meter = Meter(Limited(rows=1).allowance())
    meter.feed(wire.row("a"))
    row = wire.row("x" * 100)
    assert meter.feed(row[:20]) == b""
    assert not meter.mid_message
    assert meter.feed(row[20:] + wire.notification()) == wire.notification()
    assert meter.feed(wire.row("b") + wire.parameter("TimeZone", "UTC")) == wire.parameter("TimeZone", "UTC")


def test_a_broken_clock_stops_the_answer() -> None:
    limited = Limited(rows=100)
    meter = Meter(limited.allowance())
    assert meter.feed(wire.row("a")) == wire.row("a")
    limited.at_s = None
    assert meter.feed(wire.row("b")) == b""
    assert meter.stopped
    limited.at_s = 1000.0
    assert meter.feed(wire.row("c")) == b""


def test_a_cut_header_is_an_error() -> None:
    with pytest.raises(CutHeader):
        Meter(Limited(rows=1).allowance()).feed(wire.row("a") + b"D\0\0")


@given(
    st.lists(MESSAGES, min_size=2, max_size=4),
    st.none() | st.integers(1, 15),
    st.none() | st.integers(1, 500),
    st.data(),
)
def test_sessions_that_share_a_budget_get_no_more_than_it_and_one_message(
    answers: list[list[bytes]], rows: int | None, size_bytes: int | None, data: st.DataObject
) -> None:
    """Whatever parts their answers come in, and in whatever order."""
    limited = Limited(rows, size_bytes)
    meters = [Meter(limited.allowance()) for _ in answers]
    waiting = [cut(b"".join(messages), data.draw(st.lists(st.integers(0, 500), max_size=6))) for messages in answers]
    passed = [b"" for _ in answers]
    for who in data.draw(st.permutations([who for who, parts in enumerate(waiting) for _ in parts])):
        passed[who] += meters[who].feed(waiting[who].pop(0))
    counted = [one for one in wire.split(b"".join(passed)) if one[:1] in (b"D", b"d", b"N")]
    delivered_rows = [one for one in counted if one[:1] != b"N"]
    if rows is not None:
        assert len(delivered_rows) <= rows
    if size_bytes is not None:
        sizes = [len(one) for one in counted]
        assert sum(sizes) < size_bytes + max(sizes, default=1)
    if not any(meter.stopped for meter in meters):
        assert passed == [b"".join(messages) for messages in answers]
