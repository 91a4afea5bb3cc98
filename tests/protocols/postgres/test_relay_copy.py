"""COPY in both directions: data flows only while the target asks for it, and nothing gets out of step when it fails."""

import pytest

from interlock.protocols import base
from interlock.protocols.base import Side
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import REFUSED_BIND, Playbook, refuse
from tests.protocols.postgres.wire import (
    BOUND,
    COPY_DONE,
    COPY_IN,
    FLUSH,
    PARSED,
    SYNC,
    complete,
    copy_data,
    error,
    ready,
)

COPY = wire.query("COPY t FROM STDIN")
EXTENDED_COPY = wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute()
LINE = copy_data(b"1\tone\n")


def test_copy_in() -> None:
    book = Playbook()
    book.client(COPY).target_hears(COPY).target(COPY_IN).client_hears(COPY_IN)
    book.client(LINE, LINE).target_hears(LINE, LINE)
    book.client(COPY_DONE).target_hears(COPY_DONE)
    book.target(complete("COPY 2"), ready()).client_hears(complete("COPY 2"), ready()).reported((1, "completed"))
    assert bytes(book.observed.requests[1]) == LINE + LINE + COPY_DONE


def test_data_before_the_target_asks_waits() -> None:
    book = Playbook()
    book.client(COPY, LINE, COPY_DONE, wire.query("SELECT 1")).target_hears(COPY)
    book.target(COPY_IN).target_hears(LINE, COPY_DONE)
    book.target(complete("COPY 1"), ready()).target_hears(wire.query("SELECT 1"))


def test_two_copies_in_one_query() -> None:
    book = Playbook()
    query = wire.query("COPY t FROM STDIN; COPY u FROM STDIN")
    book.client(query, LINE, COPY_DONE, LINE, LINE, COPY_DONE, wire.query("SELECT 1")).target_hears(query)
    book.target(COPY_IN).target_hears(LINE, COPY_DONE)
    book.target(complete("COPY 1"), COPY_IN).target_hears(LINE, LINE, COPY_DONE)
    book.target(complete("COPY 2"), ready()).target_hears(wire.query("SELECT 1")).reported((1, "completed"))


def test_extended_copy() -> None:
    book = Playbook()
    book.client(EXTENDED_COPY, SYNC).target_hears(EXTENDED_COPY, FLUSH)
    book.target(PARSED, BOUND, COPY_IN).target_hears()
    book.client(LINE, COPY_DONE, SYNC).target_hears(LINE, COPY_DONE, SYNC)
    book.target(complete("COPY 1"), ready()).reported((1, "completed")).goes_on()


def test_extended_copy_with_everything_sent_at_once() -> None:
    book = Playbook()
    book.client(EXTENDED_COPY, LINE, COPY_DONE, SYNC).target_hears(EXTENDED_COPY, FLUSH)
    book.target(PARSED, BOUND, COPY_IN).target_hears(LINE, COPY_DONE, SYNC)
    book.target(complete("COPY 1"), ready()).reported((1, "completed")).goes_on()


def test_sync_and_flush_during_copy_are_read_over() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).heard(Side.TARGET)
    book.client(SYNC, FLUSH, LINE, SYNC).target_hears(LINE).goes_on()


def test_extended_copy_that_fails_at_once() -> None:
    """The Sync behind it was not read over: the target answers it."""
    book = Playbook()
    book.client(EXTENDED_COPY, SYNC, LINE, COPY_DONE, SYNC).heard(Side.TARGET)
    book.target(PARSED, BOUND, error("42P01")).target_hears(SYNC, SYNC)
    book.target(ready(), ready()).reported((1, "failed")).goes_on()


def test_extended_copy_that_fails_as_soon_as_it_has_begun() -> None:
    """A trigger fails before the target has read any data."""
    book = Playbook()
    book.client(EXTENDED_COPY, SYNC).heard(Side.TARGET)
    book.target(PARSED, BOUND, COPY_IN, error("P0001")).target_hears(SYNC)
    book.target(ready()).client(LINE, COPY_DONE, SYNC).target_hears(SYNC).target(ready())
    book.reported((1, "failed")).goes_on()


def test_error_in_the_middle_of_the_data() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).client(LINE).heard(Side.TARGET)
    book.target(error("22P02"), ready()).client(LINE, LINE, COPY_DONE, wire.query("SELECT 1"))
    book.target_hears(wire.query("SELECT 1")).reported((1, "failed"))


def test_error_in_the_middle_of_an_extended_copy() -> None:
    book = Playbook()
    book.client(EXTENDED_COPY, SYNC).target(PARSED, BOUND, COPY_IN).client(LINE).heard(Side.TARGET)
    book.target(error("22P02")).client(LINE, wire.parse("SELECT 1"), COPY_DONE).target_hears()
    book.client(SYNC).target_hears(SYNC).target(ready()).reported((1, "failed")).goes_on()


@pytest.mark.parametrize("start", [COPY, EXTENDED_COPY + SYNC])
def test_copy_fail(start: bytes) -> None:
    book = Playbook()
    extended = start is not COPY
    book.client(start).target(PARSED * extended, BOUND * extended, COPY_IN).heard(Side.TARGET)
    book.client(wire.copy_fail(), SYNC * extended).target_hears(wire.copy_fail(), SYNC * extended)
    book.target(error("57014"), ready()).reported((1, "failed")).goes_on()


def test_refused_copy_and_its_data() -> None:
    book = Playbook(refuse("COPY"))
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T")).heard(Side.TARGET)
    book.client(EXTENDED_COPY, LINE, COPY_DONE, SYNC).target_hears(REFUSED_BIND, FLUSH, SYNC)
    assert b"one" not in bytes(book.observed.sent[Side.TARGET])


def test_other_messages_during_copy_end_the_session() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).heard(Side.TARGET)
    book.client(wire.query("SELECT 1")).target_hears().ended("COPY")


def test_terminate_during_copy() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).heard(Side.TARGET)
    book.client(LINE, wire.TERMINATE).target_hears(LINE, wire.TERMINATE).ended().reported((1, "interrupted"))


def test_copy_data_outside_of_copy_is_dropped() -> None:
    book = Playbook()
    book.client(LINE, COPY_DONE, wire.copy_fail(), wire.query("SELECT 1")).target_hears(wire.query("SELECT 1"))


def test_copy_that_no_statement_announced_ends_the_session() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).target(COPY_IN).ended("COPY")


def test_long_copy_data_streams() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).heard(Side.TARGET)
    line = copy_data(b"x" * 9_000_000)
    heard = bytearray()
    for at in range(0, len(line), 200_000):
        book.client(line[at : at + 200_000])
        heard += book.heard(Side.TARGET)
        assert len(heard) > at - 200_000
    assert bytes(heard) == line
    book.client(COPY_DONE).target_hears(COPY_DONE)
    assert bytes(book.observed.requests[1]) == line + COPY_DONE


def test_error_in_the_middle_of_long_copy_data() -> None:
    """The message must be completed, or the target would take what follows for the rest of it."""
    book = Playbook()
    book.client(COPY).target(COPY_IN).heard(Side.TARGET)
    line = copy_data(b"x" * 9_000_000)
    book.client(line[:500_000]).target(error("22P02"), ready())
    book.client(line[500_000:], wire.query("SELECT 1")).target_hears(line, wire.query("SELECT 1"))


def test_copy_out_passes_and_counts_rows() -> None:
    book = Playbook()
    answer = wire.COPY_OUT + copy_data(b"a\n") * 1000 + COPY_DONE + complete("COPY 1000") + ready()
    book.client(wire.query("COPY t TO STDOUT")).target(answer).client_hears(answer).reported((1, "completed"))
    assert book.reports[0].rows == 1000


def test_copy_out_in_parts() -> None:
    book = Playbook()
    data = copy_data(b"y" * 100_000)
    book.client(wire.query("COPY t TO STDOUT")).target(wire.COPY_OUT, data[:70_000])
    book.client_hears(wire.COPY_OUT, data[:70_000])
    book.target(data[70_000:], COPY_DONE, complete("COPY 1"), ready())
    book.client_hears(data[70_000:], COPY_DONE, complete("COPY 1"), ready())


def test_uncertain_copy_does_not_wait_for_ever() -> None:
    """What may be a COPY is not one: the target must be asked to say so, as it keeps its answers until then."""
    book = Playbook()
    book.client(wire.parse("SELECT 1"), SYNC).target(PARSED, ready())
    book.client(wire.parse("garbage", "g"), wire.parse("COPY t FROM STDIN"), SYNC)
    book.client(wire.bind(), wire.execute(), SYNC).heard(Side.TARGET)
    book.target(error(), ready(), BOUND, complete("SELECT 1")).target_hears(SYNC).goes_on()
    assert wire.bind() + wire.execute() + FLUSH in bytes(book.observed.sent[Side.TARGET])


def test_end_of_the_client_during_copy() -> None:
    book = Playbook()
    book.client(COPY).target(COPY_IN).client(LINE).event(base.EofReceived(Side.CLIENT)).ended("client closed")
    assert COPY_DONE not in bytes(book.observed.sent[Side.TARGET])
