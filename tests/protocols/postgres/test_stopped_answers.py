"""Answers that a budget ends: how much goes out, what stands for the end, and that the session goes on."""

import pytest

from interlock.core.masking import MaskKind
from interlock.core.operation import OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from interlock.protocols.postgres.session import PostgresSession
from tests.protocols import conformance
from tests.protocols.conformance import Step
from tests.protocols.postgres import wire
from tests.protocols.postgres.allowances import DONE_ALL_THE_SAME, STOPPED, Limited
from tests.protocols.postgres.masking.shop import masking, masks
from tests.protocols.postgres.playbook import REFUSED_BIND, Playbook, gateway
from tests.protocols.postgres.test_session_conformance import LOGIN, VERIFIER, new_session
from tests.protocols.postgres.wire import (
    BOUND,
    COPY_DONE,
    COPY_IN,
    COPY_OUT,
    FLUSH,
    PARSED,
    SUSPENDED,
    SYNC,
    answer,
    complete,
    error,
    ready,
)

CANCELLED = error("57014", "canceling statement due to user request")
SELECT = wire.query("SELECT 1")
CLIENT, TARGET = Side.CLIENT, Side.TARGET


def rows(*values: str) -> bytes:
    return b"".join(map(wire.row, values))


def limited(row_limit: int | None = 2, size_bytes: int | None = None) -> Playbook:
    return Playbook(Limited(row_limit, size_bytes))


def cancels(book: Playbook) -> int:
    return sum(isinstance(effect, base.CancelRunning) for effect in book.effects)


def arrived(book: Playbook, arrived: bool = True) -> Playbook:
    return book.event(base.RunningCancelled(arrived))


# ---------------------------------------------------------------- simple queries


@pytest.mark.parametrize("chunks", [1, 2])
def test_what_comes_together_goes_out_together(chunks: int) -> None:
    """A limit costs no more system calls: one for each chunk that came, however many messages are in it."""
    book = limited(3, 10_000).client(SELECT)
    for part in [b"".join([answer("a", "b"), ready()])] if chunks == 1 else [answer("a", "b"), ready()]:
        book.target(part)
    sent = [effect for effect in book.effects if isinstance(effect, base.Send) and effect.side is CLIENT]
    recorded = [effect for effect in book.effects if isinstance(effect, base.RecordAnswer)]
    assert b"".join(one.data for one in sent[-chunks:]) == answer("a", "b") + ready()
    assert [one.data for one in recorded[-chunks:]] == [one.data for one in sent[-chunks:]]


def test_an_answer_within_its_limits_passes_unchanged() -> None:
    book = limited(3, 10_000).client(SELECT).target(answer("a", "b", "c"), ready())
    book.client_hears(answer("a", "b", "c"), ready()).reported((1, "completed"))
    assert cancels(book) == 0
    assert (book.reports[0].rows, book.reports[0].bytes_sent) == (3, len(answer("a", "b", "c") + ready()))


def test_no_row_goes_out_beyond_the_limit() -> None:
    book = limited(2).client(SELECT).target(wire.columns("value"), rows("a", "b", "c", "d"))
    book.client_hears(wire.columns("value"), rows("a", "b"))
    assert cancels(book) == 1
    book.target(rows("e"), CANCELLED, ready()).client_hears(STOPPED, ready()).reported((1, "failed"))
    outcome = book.reports[0]
    assert (outcome.rows, outcome.code, outcome.tag) == (2, "53400", "")
    assert outcome.bytes_sent == len(wire.columns("value") + rows("a", "b"))
    arrived(book).goes_on()


def test_bytes_end_within_one_message() -> None:
    limit = len(wire.columns("value")) + 30
    book = limited(None, limit).client(SELECT).target(wire.columns("value"), rows(*["x" * 20] * 9), CANCELLED, ready())
    book.client_hears(wire.columns("value"), rows("x" * 20), STOPPED, ready())


def test_notices_do_not_carry_on_where_rows_may_not() -> None:
    book = limited(None, 40).client(wire.query("DO $$ ... $$")).target(*[wire.notice("secret")] * 5, CANCELLED, ready())
    told = wire.split(book.heard(Side.CLIENT))
    assert told[-2:] == [STOPPED, ready()]
    assert told[:-2] == [wire.notice("secret")] * 2


def test_what_is_not_of_the_answer_passes() -> None:
    book = limited(1).client(SELECT)
    book.target(
        rows("a", "b"), wire.notification(), wire.parameter("TimeZone", "UTC"), wire.notice(), CANCELLED, ready()
    )
    book.client_hears(rows("a"), wire.notification(), wire.parameter("TimeZone", "UTC"), STOPPED, ready())


@pytest.mark.parametrize("status", ["I", "T"])
def test_the_target_had_finished_already(status: str) -> None:
    book = limited(1).client(SELECT).target(answer("a", "b"), ready(status))
    book.client_hears(wire.columns("value"), rows("a"), STOPPED, ready(status)).reported((1, "failed"))
    arrived(book).goes_on()


def test_what_was_carried_out_is_said_to_be() -> None:
    book = limited(1).client(wire.query("DELETE FROM t WHERE true RETURNING a"))
    book.target(wire.columns("a"), rows("1", "2"), complete("DELETE 2"), ready())
    book.client_hears(wire.columns("a"), rows("1"), DONE_ALL_THE_SAME, ready())
    assert book.reports[0].tag == "DELETE 2"
    assert book.reports[0].status is OutcomeStatus.FAILED


def test_the_rest_of_a_text_is_not_shown() -> None:
    book = limited(1).client(wire.query("SELECT 1; SELECT 2"))
    book.target(answer("a", "b"), answer("c"), wire.EMPTY, ready())
    book.client_hears(wire.columns("value"), rows("a"), STOPPED, ready()).goes_on()
    changing = limited(1).client(wire.query("SELECT 1; DELETE FROM t; SELECT 2"))
    changing.target(answer("a", "b"), complete("DELETE 9"), answer("c"), ready())
    changing.client_hears(wire.columns("value"), rows("a"), DONE_ALL_THE_SAME, ready())


def test_copy_out() -> None:
    book = limited(2).client(wire.query("COPY t TO STDOUT"))
    book.target(COPY_OUT, *[wire.copy_data(b"row\n")] * 4).client_hears(COPY_OUT, *[wire.copy_data(b"row\n")] * 2)
    book.target(CANCELLED, ready()).client_hears(STOPPED, ready())
    done = limited(2).client(wire.query("COPY t TO STDOUT"))
    done.target(COPY_OUT, *[wire.copy_data(b"row\n")] * 4, COPY_DONE, complete("COPY 4"), ready())
    done.client_hears(COPY_OUT, *[wire.copy_data(b"row\n")] * 2, STOPPED, ready())


def test_copy_in_behind_a_stopped_answer_is_given_up() -> None:
    book = limited(1).client(wire.query("SELECT 1; COPY t FROM STDIN")).target(answer("a", "b"), COPY_IN)
    book.client_hears(wire.columns("value"), rows("a"))
    assert wire.copy_fail("stopped by the gateway") in book.heard(Side.TARGET)
    book.target(CANCELLED, ready()).client_hears(STOPPED, ready())
    arrived(book).client(SELECT).target_hears(SELECT)


def test_a_spent_allowance_gives_no_row_of_the_next_answer() -> None:
    """It had been permitted before the first one used everything up."""
    book = limited(1).client(SELECT, SELECT)
    book.target(answer("a", "b"), ready(), answer("c"), ready())
    book.client_hears(wire.columns("value"), rows("a"), STOPPED, ready(), wire.columns("value"), STOPPED, ready())


# ---------------------------------------------------------------- the target is told


def test_nothing_is_forwarded_until_the_request_has_arrived() -> None:
    """It would hit what comes next."""
    book = limited(1).client(SELECT).target(answer("a", "b"), ready())
    book.heard(Side.TARGET)
    book.client(wire.query("SELECT 2")).asked("SELECT 1").target_hears()
    arrived(book).asked("SELECT 2").target_hears(wire.query("SELECT 2")).goes_on()


def test_a_target_that_cannot_be_told_ends_the_session() -> None:
    book = limited(1).client(SELECT).target(rows("a", "b"))
    arrived(book, False).client_is_told("53400", "could not be told").ended("budget")


def test_a_target_that_could_not_be_told_and_had_finished() -> None:
    book = limited(1).client(SELECT).target(answer("a", "b"), ready())
    arrived(book, False).client(SELECT).goes_on()


# ---------------------------------------------------------------- the extended protocol


def extended(limit: int = 0) -> bytes:
    return wire.parse("SELECT 1") + wire.bind() + wire.execute("", limit) + SYNC


def test_extended_query_that_is_cancelled() -> None:
    book = limited(1).client(extended()).target(PARSED, BOUND, rows("a", "b"))
    book.client_hears(PARSED, BOUND, rows("a"))
    book.target(rows("c"), CANCELLED, ready("E")).client_hears(STOPPED, ready("E")).reported((1, "failed"))
    arrived(book).client(SELECT).goes_on()


def test_extended_query_that_had_finished() -> None:
    book = limited(1).client(extended()).target(PARSED, BOUND, rows("a", "b"), complete("SELECT 2"), ready())
    book.client_hears(PARSED, BOUND, rows("a"), STOPPED, ready()).reported((1, "failed")).goes_on()


def test_portal_that_is_suspended_beyond_the_limit() -> None:
    book = limited(1).client(extended(2)).target(PARSED, BOUND, rows("a", "b"), SUSPENDED, ready("T"))
    book.client_hears(PARSED, BOUND, rows("a"), STOPPED, ready("T")).reported((1, "failed")).goes_on()


def test_without_a_sync_the_target_is_made_to_fail() -> None:
    """The client thinks that it has: everything up to its Sync is passed over, and the transaction aborted."""
    book = limited(1).client(wire.parse("SELECT 1"), wire.bind(), wire.execute(), FLUSH)
    book.heard(Side.TARGET)
    book.target(PARSED, BOUND, rows("a", "b"), complete("SELECT 2"))
    book.client_hears(PARSED, BOUND, rows("a")).target_hears(REFUSED_BIND).reported((1, "failed"))
    arrived(book).target(error("26000")).client_hears(STOPPED)
    book.client(wire.parse("SELECT 2"), SYNC).target_hears(SYNC).target(ready()).client_hears(ready()).goes_on()


def test_what_the_client_sends_before_it_knows_is_passed_over() -> None:
    book = limited(1).client(wire.parse("SELECT 1"), wire.bind(), wire.execute(), FLUSH)
    book.target(PARSED, BOUND, rows("a", "b"), complete("SELECT 2")).heard(Side.TARGET)
    arrived(book).client(wire.parse("SELECT 2", "s"), SYNC).target_hears(wire.parse("SELECT 2", "s"), SYNC)
    book.target(error("26000"), ready()).client_hears(PARSED, BOUND, rows("a"), STOPPED, ready())
    book.reported((1, "failed"), (2, "skipped")).goes_on()


def test_what_has_run_behind_a_stopped_answer_ends_the_session() -> None:
    book = limited(1).client(wire.parse("SELECT 1"), wire.bind(), wire.execute())
    book.client(wire.parse("INSERT INTO t VALUES (1)", "i"), wire.bind("i"), wire.execute(), SYNC)
    book.target(PARSED, BOUND, rows("a", "b"), complete("SELECT 2"), PARSED, BOUND, complete("INSERT 0 1"), ready())
    heard = book.heard(Side.CLIENT)
    assert heard.startswith(PARSED + BOUND + rows("a") + STOPPED)
    assert wire.fields(wire.split(heard)[-1])["S"] == "FATAL"
    book.ended("has run")


def test_what_is_behind_a_cancelled_statement_is_skipped() -> None:
    book = limited(1).client(wire.parse("SELECT 1"), wire.bind(), wire.execute())
    book.client(wire.parse("INSERT INTO t VALUES (1)", "i"), wire.bind("i"), wire.execute(), SYNC)
    book.target(PARSED, BOUND, rows("a", "b"), CANCELLED, ready())
    book.client_hears(PARSED, BOUND, rows("a"), STOPPED, ready())
    book.reported((1, "failed"), (2, "skipped")).goes_on()


def test_a_denial_behind_a_stopped_answer_keeps_its_turn() -> None:
    book = limited(1).client(SELECT, wire.query("DROP TABLE t"))
    book.target(answer("a", "b"), ready(), error(), ready())
    denied = book.denial_of("DROP TABLE t")
    book.client_hears(wire.columns("value"), rows("a"), STOPPED, ready(), denied, ready()).goes_on()


# ---------------------------------------------------------------- masks


def test_rows_are_masked_and_counted() -> None:
    on = masking(masks("email", kind=MaskKind.HASH))
    book = Playbook(Limited(1), masking=on)
    book.client(wire.query("SELECT email FROM users"))
    book.target(wire.columns("email"), rows("a@example.com", "b@example.com"), CANCELLED, ready())
    description, row, *rest = wire.split(book.heard(Side.CLIENT))
    assert description == wire.columns("email")
    assert b"example" not in row
    assert rest == [STOPPED, ready()]
    assert book.reports[0].rows == 1


def test_the_error_of_the_target_is_not_shown_under_masks_either() -> None:
    book = Playbook(Limited(1), masking=masking()).client(wire.query("SELECT total FROM orders"))
    book.target(wire.columns("total"), rows("1", "2"), error("22012", "secret"), ready())
    book.client_hears(wire.columns("total"), rows("1"), STOPPED, ready())


# ---------------------------------------------------------------- cuts

STOPPED_EVERYWHERE: list[Step] = [
    (CLIENT, SELECT),
    (TARGET, answer("one", "two") + ready()),
    (CLIENT, extended() + wire.query("COPY t TO STDOUT")),
    (TARGET, wire.notice() + PARSED + BOUND + rows("1", "2", "3", "4") + wire.notification() + CANCELLED + ready()),
    (TARGET, COPY_OUT + wire.copy_data(b"row\n") * 3 + COPY_DONE + complete("COPY 3") + ready()),
    (CLIENT, wire.parse("SELECT 1") + wire.bind() + wire.execute() + FLUSH),
    (TARGET, PARSED + BOUND + rows("1") + complete("SELECT 1")),
    (TARGET, error("26000")),
    (CLIENT, SYNC),
    (TARGET, ready()),
    (CLIENT, wire.query("DROP TABLE t") + wire.TERMINATE),
]


@pytest.mark.parametrize(("row_limit", "size_bytes"), [(3, None), (4, None), (None, 60), (None, 200), (5, 150)])
def test_the_cut_of_the_input_does_not_matter(row_limit: int | None, size_bytes: int | None) -> None:
    policies: dict[int, Limited] = {}

    def fresh_session() -> PostgresSession:
        policies[0] = Limited(row_limit, size_bytes)
        return new_session()

    def surroundings(effect: Effect) -> Event | None:
        if isinstance(effect, base.DescribeLogin):
            return base.LoginDescribed(VERIFIER)
        if isinstance(effect, base.CancelRunning):
            return base.RunningCancelled(True)
        return gateway(policies[0])(effect)

    conformance.check_cuts(fresh_session, surroundings, [*LOGIN, *STOPPED_EVERYWHERE], seeds=20)
