"""The main phase as dialogues: decisions, denials in their turn, errors, pipelines, and the ends of a session."""

import pytest

from interlock.core.operation import OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Side
from interlock.protocols.postgres.relay import COMPUTED_HERE_MAX_BYTES
from interlock.protocols.postgres.session import PostgresLimits
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import PERMIT, REFUSED_BIND, REFUSED_QUERY, Playbook, refuse
from tests.protocols.postgres.wire import BOUND, FLUSH, PARSED, SYNC, answer, complete, error, ready

REFUSAL = error("26000", "no such statement")


# ---------------------------------------------------------------- permits


def test_query_and_answer_pass_unchanged() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).asked("SELECT 1").target_hears(wire.query("SELECT 1"))
    book.target(answer("1"), ready()).client_hears(answer("1"), ready()).reported((1, "completed"))
    assert book.reports[0].rows == 1
    assert book.reports[0].tag == "SELECT 1"
    assert bytes(book.observed.answers[1]) == answer("1") + ready()


def test_nothing_reaches_the_target_before_it_is_decided() -> None:
    book = Playbook(deciding=False)
    book.client(wire.extended("DELETE FROM t")).target_hears()
    book.decide().target_hears(wire.extended("DELETE FROM t"))


def test_answers_keep_flowing_while_a_decision_is_pending() -> None:
    book = Playbook(deciding=False)
    book.client(wire.query("SELECT 1")).decide()
    book.client(wire.query("SELECT 2"), wire.query("SELECT 3"))
    book.target(answer("1")).client_hears(answer("1"))
    book.target(ready()).client_hears(ready())
    assert len(book.waiting) == 1, "the third query must wait for the decision on the second"


def test_group_is_decided_as_a_whole() -> None:
    book = Playbook(deciding=False)
    book.client(wire.parse("SELECT 1", "a"), wire.bind("a"), wire.execute()).asked()
    book.client(wire.parse("SELECT 2", "b"), wire.bind("b"), wire.execute(), SYNC)
    assert [operation.text for operation in book.waiting[0]] == [b"SELECT 1", b"SELECT 2"]


def test_flush_submits_what_was_sent() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1", "s"), wire.describe("s", "S")).target_hears()
    book.client(FLUSH).target_hears(wire.parse("SELECT 1", "s"), wire.describe("s", "S"), FLUSH)
    book.target(PARSED, wire.parameters_described(), wire.columns("a"))
    book.client_hears(PARSED, wire.parameters_described(), wire.columns("a")).reported((1, "completed"))


def test_decisions_that_do_not_fit_end_the_session() -> None:
    book = Playbook(deciding=False)
    book.client(wire.query("SELECT 1"))
    book.event(base.Decided(())).ended("decision").target_hears()


def test_permit_for_what_cannot_be_carried_is_not_believed() -> None:
    book = Playbook(lambda _: PERMIT)
    book.client(wire.message("F", b"\0\0\0\1")).ended("decision").target_hears()


# ---------------------------------------------------------------- denials


def test_denial_outside_a_transaction_is_answered_here() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("DROP TABLE t")).target_hears()
    book.client_hears(book.denial_of("DROP TABLE t"), ready()).reported().goes_on()


def test_denial_waits_its_turn() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("SELECT 1"), wire.query("DROP TABLE t"), wire.query("SELECT 2")).client_hears()
    book.target_hears(wire.query("SELECT 1"), REFUSED_QUERY, wire.query("SELECT 2"))
    book.target(answer("1"), ready()).client_hears(answer("1"), ready())
    book.target(error(), ready()).client_hears(book.denial_of("DROP TABLE t"), ready())
    book.target(answer("2"), ready()).client_hears(answer("2"), ready())
    book.reported((1, "completed"), (3, "completed"))


def test_two_pipelined_denials_are_told_apart() -> None:
    book = Playbook(refuse("DROP", "ALTER"))
    book.client(wire.query("SELECT 1"), wire.query("DROP TABLE t"), wire.query("ALTER TABLE t RENAME TO u"))
    book.target(answer("1"), ready(), error(), ready(), error(), ready())
    first, second = book.denial_of("DROP TABLE t"), book.denial_of("ALTER TABLE t RENAME TO u")
    book.client_hears(answer("1"), ready(), first, ready(), second, ready())
    assert bytes(book.observed.answers[2]) == first + ready()
    assert second in bytes(book.observed.answers[3])


def test_denial_in_a_transaction_fails_the_transaction() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T")).heard(Side.CLIENT)
    book.heard(Side.TARGET)
    book.client(wire.query("DROP TABLE t")).target_hears(REFUSED_QUERY)
    book.target(error(), ready("E")).client_hears(book.denial_of("DROP TABLE t"), ready("E"))


def test_extended_denial_discards_up_to_sync() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T")).heard(Side.CLIENT)
    book.heard(Side.TARGET)
    book.client(wire.parse("DROP TABLE t"), FLUSH).target_hears(REFUSED_BIND, FLUSH)
    book.client(wire.bind(), wire.execute(), FLUSH).target_hears()
    book.target(REFUSAL).client_hears(book.denial_of("DROP TABLE t"))
    book.client(wire.parse("SELECT 1"), SYNC).target_hears(SYNC)
    book.target(ready("E")).client_hears(ready("E")).goes_on()


def test_refused_middle_of_a_group() -> None:
    """What comes before it runs, it fails, what comes after it is skipped: as with an error of the target."""
    book = Playbook(refuse("DROP"))
    first = wire.parse("SELECT 1", "a") + wire.bind("a") + wire.execute()
    last = wire.parse("SELECT 2", "c") + wire.bind("c") + wire.execute()
    book.client(first, wire.parse("DROP TABLE t", "b"), wire.bind("b"), wire.execute(), last, SYNC)
    book.asked("SELECT 1", "DROP TABLE t", "SELECT 2").target_hears(first, REFUSED_BIND, SYNC)
    book.target(PARSED, BOUND, wire.row("1"), complete("SELECT 1"), REFUSAL, ready())
    denied = book.denial_of("DROP TABLE t")
    book.client_hears(PARSED, BOUND, wire.row("1"), complete("SELECT 1"), denied, ready())
    book.reported((3, "skipped"), (1, "completed"))


def test_refused_parse_in_front_of_a_query_without_sync() -> None:
    """The Query is skipped with the rest, and nobody is ready before Sync."""
    book = Playbook(refuse("DROP"))
    book.client(wire.parse("DROP TABLE t"), wire.query("SELECT 1")).target_hears(REFUSED_BIND)
    book.target(REFUSAL)
    book.client(SYNC).target_hears(SYNC).target(ready())
    book.client_hears(book.denial_of("DROP TABLE t"), ready()).goes_on()


def test_refused_query_in_an_extended_batch() -> None:
    book = Playbook(refuse("DROP"))
    parse = wire.parse("SELECT 1")
    book.client(parse, wire.query("DROP TABLE t")).target_hears(parse, REFUSED_QUERY)
    book.target(PARSED, error(), ready()).client_hears(PARSED, book.denial_of("DROP TABLE t"), ready()).goes_on()


def test_refused_group_behind_flushed_work_reaches_the_target() -> None:
    """The target is in the transaction that the flushed work began: it must see the failure and the Sync."""
    book = Playbook(refuse("DROP"))
    insert = wire.parse("INSERT INTO t VALUES (1)") + wire.bind() + wire.execute()
    book.client(insert, FLUSH).target_hears(insert, FLUSH)
    book.target(PARSED, BOUND, complete("INSERT 0 1")).client_hears(PARSED, BOUND, complete("INSERT 0 1"))
    book.client(wire.parse("DROP TABLE t"), SYNC).target_hears(REFUSED_BIND, SYNC)


def test_refused_query_behind_flushed_work_reaches_the_target() -> None:
    book = Playbook(refuse("DROP"))
    insert = wire.parse("INSERT INTO t VALUES (1)") + wire.bind() + wire.execute()
    book.client(insert, FLUSH).target_hears(insert, FLUSH)
    book.target(PARSED, BOUND, complete("INSERT 0 1"))
    book.client(wire.query("DROP TABLE t")).target_hears(REFUSED_QUERY)


def test_error_before_the_refused_statement_comes_first() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.parse("SELEC", "a"), wire.parse("DROP TABLE t", "b"), SYNC)
    book.target(error(), ready()).client_hears(error(), ready())
    book.reported((1, "failed"))


def test_function_call_is_refused() -> None:
    book = Playbook()
    book.client(wire.message("F", b"\0\0\0\1\0\0\0\0\0\0")).target_hears()
    denied, end = wire.split(book.heard(Side.CLIENT))
    assert wire.fields(denied)["C"] == "42501"
    assert end == ready()
    book.goes_on()


def test_reserved_statement_name_is_refused() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1", "interlock: this statement was refused"), SYNC)
    book.target_hears()
    assert b"reserved" in book.heard(Side.CLIENT)


def test_placeholder_that_does_not_fail_ends_the_session() -> None:
    """Somebody prepared a statement under the placeholder's name with SQL."""
    book = Playbook(refuse("DROP"))
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.parse("DROP TABLE t"), SYNC).target(BOUND).ended("completion")


# ---------------------------------------------------------------- errors and odd mixtures


def test_error_in_a_pipeline_skips_to_sync() -> None:
    book = Playbook()
    book.client(wire.extended("SELEC", "a"), wire.extended("SELECT 2", "b"))
    book.target(error(), ready(), PARSED, BOUND, wire.NO_DATA, complete("SELECT 2"), ready())
    book.reported((1, "failed"), (2, "completed")).goes_on()


def test_error_at_execute_skips_the_rest_of_the_group() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1", "a"), wire.bind("a"), wire.execute())
    book.client(wire.parse("SELECT 2", "b"), wire.bind("b"), wire.execute(), SYNC)
    book.target(PARSED, BOUND, error("22012"), ready())
    book.reported((1, "failed"), (2, "skipped"))
    assert book.reports[0].code == "22012"


def test_error_after_flush_discards_what_follows() -> None:
    book = Playbook()
    book.client(wire.parse("SELEC"), FLUSH).target(error()).heard(Side.TARGET)
    book.client(wire.bind(), wire.execute(), FLUSH).target_hears().asked("SELEC")
    book.client(wire.query("SELECT 1")).target_hears().asked()
    book.client(SYNC).target_hears(SYNC).target(ready()).goes_on()


def test_group_decided_while_the_target_fails() -> None:
    book = Playbook(deciding=False)
    book.client(wire.parse("SELEC"), FLUSH).decide()
    book.client(wire.parse("DELETE FROM t"), wire.bind(), wire.execute(), FLUSH).heard(Side.TARGET)
    book.target(error()).decide().target_hears()
    book.reported((1, "failed"), (2, "skipped"))


def test_query_inside_an_extended_batch() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1", "s"), wire.query("SELECT 2"), wire.bind("s"), wire.execute(), SYNC)
    book.target(PARSED, answer("2"), ready(), BOUND, wire.row("1"), complete("SELECT 1"), ready()).goes_on()
    book.reported((1, "completed"), (2, "completed"), (3, "completed"))


def test_failure_at_sync_is_reported() -> None:
    """A constraint that is checked at commit fails after the statement had completed."""
    book = Playbook()
    book.client(wire.extended("INSERT INTO t VALUES (1)"))
    book.target(PARSED, BOUND, wire.NO_DATA, complete("INSERT 0 1"), error("23505"), ready())
    book.reported((1, "completed"), (1, "failed"))


def test_empty_queries() -> None:
    book = Playbook()
    book.client(wire.query(""), wire.extended(";")).goes_on()
    book.target(wire.EMPTY, ready(), PARSED, BOUND, wire.NO_DATA, wire.EMPTY, ready())
    book.reported((1, "completed"), (2, "completed"))


def test_notices_and_notifications_pass_at_any_time() -> None:
    book = Playbook()
    for message in (wire.notice(), wire.notification(), wire.parameter("TimeZone", "UTC")):
        book.target(message).client_hears(message)
    book.client(wire.query("SELECT 1")).target(wire.columns("value"), wire.notice(), wire.row("1"), wire.notification())
    book.client_hears(wire.columns("value"), wire.notice(), wire.row("1"), wire.notification()).goes_on()


def test_replica_of_rows_in_many_cuts() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1"))
    stream = answer(*map(str, range(200))) + ready()
    for at in range(0, len(stream), 7):
        book.target(stream[at : at + 7])
    book.client_hears(stream)
    assert book.reports[0].rows == 200
    assert book.reports[0].bytes_sent == len(stream)


# ---------------------------------------------------------------- hostile clients


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (wire.message("z"), "type"),
        (wire.message("p", b"again\0"), "type"),
        (b"Q\0\0\0\3", "length"),
        (b"Q\xff\xff\xff\xff", "length"),
        (b"Q\x40\0\0\0", "length"),
        (wire.message("Q", b"SELECT 1"), "terminated"),
        (wire.message("P", b"name"), "terminated"),
        (wire.message("P", b"\0SELECT 1\0\0"), "end"),
        (wire.message("E", b"\0\0"), "end"),
        (wire.message("C", b"Xname\0"), "Close"),
        (wire.message("C", b""), "Close"),
        (wire.message("C", b"Sname\0more"), "Close"),
        (wire.message("B", b"\xff\0\0"), "UTF-8"),
        (wire.message("S", b"more"), "body"),
        (wire.message("H", b"more"), "body"),
    ],
)
def test_violations_of_the_protocol(data: bytes, word: str) -> None:
    book = Playbook()
    book.client(data).target_hears().client_is_told("08P01", word).ended(word)
    assert book.session.handle(base.DataReceived(Side.CLIENT, wire.query("SELECT 1"))) == ()


def test_unknown_types_are_not_skipped_while_discarding() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.parse("DROP TABLE t"), FLUSH, wire.message("z")).ended("type")


def test_nul_in_a_query_is_refused() -> None:
    book = Playbook()
    book.client(wire.message("Q", b"SELECT 1\0; DROP TABLE t\0")).target_hears()
    assert b"NUL" in bytes(book.observed.sent[Side.CLIENT])
    book.goes_on()


def test_too_long_query_is_refused_and_passed_over() -> None:
    book = Playbook(limits=PostgresLimits(max_statement_bytes=1000))
    long_query = wire.query("SELECT '" + "x" * 3_000_000 + "'")
    for at in range(0, len(long_query), 65_536):
        book.client(long_query[at : at + 65_536])
    book.target_hears()
    assert b"bytes long" in bytes(book.observed.sent[Side.CLIENT])
    book.client(wire.query("SELECT 1")).target_hears(wire.query("SELECT 1"))


def test_too_long_parse_is_refused_and_passed_over() -> None:
    book = Playbook(limits=PostgresLimits(max_statement_bytes=1000))
    for size in (2_000, 3_000_000):
        long_parse = wire.parse("SELECT '" + "x" * size + "'")
        for at in range(0, len(long_parse), 65_536):
            book.client(long_parse[at : at + 65_536])
        book.client(wire.bind(), wire.execute(), SYNC)
        assert b"x" * 100 not in bytes(book.observed.sent[Side.TARGET])
    book.goes_on()


def test_what_is_kept_of_a_long_query_does_not_depend_on_its_cut() -> None:
    kept = set()
    for part in (8_192, 65_536, 500_000, 4_000_000):
        book = Playbook(limits=PostgresLimits(max_statement_bytes=1000))
        long_query = wire.query("SELECT '" + "x" * 3_000_000 + "'")
        for at in range(0, len(long_query), part):
            book.client(long_query[at : at + part])
        kept.add(book.observed.operations[0].text)
    assert len(kept) == 1


def test_long_bind_streams_with_bounded_memory() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT $1"), FLUSH).target(PARSED)
    bind = wire.bind(values=[b"v" * 30_000_000])
    held = 0
    book.heard(Side.TARGET)
    heard = bytearray()
    for at in range(0, len(bind), 262_144):
        book.client(bind[at : at + 262_144])
        heard += book.heard(Side.TARGET)
        held = max(held, min(at + 262_144, len(bind)) - len(heard))
    assert held < 1 << 20
    assert bytes(heard) == bind
    book.client(wire.execute(), SYNC).target_hears(wire.execute(), SYNC)
    assert len(book.observed.operations[-1].parameters) <= 1 << 16
    assert len(book.observed.requests[1]) >= len(bind) - (1 << 16), "what streams to the target is recorded"


def test_long_bind_behind_a_refusal_is_passed_over() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.parse("DROP TABLE t"), wire.bind(values=[b"v" * 5_000_000]), wire.execute(), SYNC)
    assert b"vvv" not in bytes(book.observed.sent[Side.TARGET])
    book.goes_on()


def test_slow_target_holds_the_client_back() -> None:
    """Reading stops when too much is outstanding, and goes on when answers have come."""
    book = Playbook()
    for _ in range(40):
        book.client((wire.parse("SELECT 1") + SYNC) * 1000)
    assert flow_control(book) == [base.Pause(Side.CLIENT)]
    while (sent := len(wire.split(book.heard(Side.TARGET)))) > 0:
        book.target((PARSED + ready()) * (sent // 2))
    assert flow_control(book) == [base.Pause(Side.CLIENT), base.Resume(Side.CLIENT)]
    assert len(book.reports) == 40_000


def flow_control(book: Playbook) -> list[base.Effect]:
    return [effect for effect in book.effects if isinstance(effect, base.Pause | base.Resume)]


# ---------------------------------------------------------------- ends


def test_terminate_closes_and_reports_what_was_outstanding() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1"), wire.TERMINATE).target_hears(wire.query("SELECT 1"), wire.TERMINATE)
    book.reported((1, "interrupted")).ended("client ended")


def test_terminate_waits_for_the_decision_before_it() -> None:
    book = Playbook(deciding=False)
    book.client(wire.query("SELECT 1"), wire.TERMINATE).goes_on().decide()
    book.target_hears(wire.query("SELECT 1"), wire.TERMINATE).ended()


def test_client_that_goes_away() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).event(base.EofReceived(Side.CLIENT))
    book.target_hears(wire.query("SELECT 1"), wire.TERMINATE).reported((1, "interrupted")).ended("client closed")


def test_target_that_goes_away() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).event(base.EofReceived(Side.TARGET))
    book.client_is_told("08006").reported((1, "interrupted")).ended("target closed")


def test_kill() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).event(base.Killed("57P01", "locked by the operator"))
    book.client_is_told("57P01", "locked").reported((1, "interrupted")).ended("locked")


def test_kill_in_the_middle_of_a_row_says_nothing_in_the_row() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).target(wire.columns("a"), wire.row("x" * 1000)[:500])
    book.heard(Side.CLIENT)
    book.event(base.Killed("57P01", "locked")).client_hears().ended("locked")


def test_decision_after_the_end_is_ignored() -> None:
    book = Playbook(deciding=False)
    book.client(wire.query("DELETE FROM t")).event(base.EofReceived(Side.CLIENT)).heard(Side.TARGET)
    book.decide().target_hears()


def test_denied_operations_are_never_interrupted() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("SELECT 1"), wire.query("DROP TABLE t")).event(base.EofReceived(Side.CLIENT))
    book.reported((1, "interrupted"))
    assert {report.status for report in book.reports} == {OutcomeStatus.INTERRUPTED}


def test_a_long_text_is_interpreted_aside_and_keeps_its_turn() -> None:
    long_text = "SELECT '" + "x" * COMPUTED_HERE_MAX_BYTES + "'"
    book = Playbook()
    book.client(wire.query(long_text), wire.query("SELECT 2"))
    assert sum(isinstance(effect, base.Compute) for effect in book.effects) == 1
    assert [operation.text.decode() for operation in book.observed.operations] == [long_text, "SELECT 2"]
    book.target_hears(wire.query(long_text), wire.query("SELECT 2"))
