"""Names and the search path: the statement that is judged is the one that runs, whatever is skipped or refused."""

import pytest

from interlock.core.operation import Phase
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import Playbook, refuse_tables
from tests.protocols.postgres.wire import BOUND, CLOSED, FLUSH, PARSED, SYNC, complete, error, ready

PUBLIC, SECRET = "public.t", "secret.t"


def tables(book: Playbook) -> list[set[str]]:
    """The tables that each operation asked about touches."""
    return [{".".join(access.path) for access in one.meaning.accesses} for one in book.observed.operations]


def last_tables(book: Playbook) -> set[str]:
    return tables(book)[-1]


# ---------------------------------------------------------------- prepared statements and portals


def test_execute_is_judged_by_the_statement_that_was_parsed() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t", "s"), FLUSH).target(PARSED).asked("DELETE FROM t")
    book.client(wire.bind("s"), wire.execute(), SYNC).asked("DELETE FROM t")
    assert [one.phase for one in book.observed.operations] == [Phase.PREPARE, Phase.EXECUTE]


def test_parse_and_execute_in_one_group_are_one_operation() -> None:
    book = Playbook()
    book.client(wire.extended("SELECT 1")).asked("SELECT 1")
    book.target(PARSED, BOUND, wire.columns("a"), wire.row("1"), complete("SELECT 1"), ready())
    book.reported((1, "completed"))


def test_second_execute_in_one_group_is_an_operation_of_its_own() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.bind(), wire.execute(), SYNC)
    book.asked("SELECT 1", "SELECT 1")
    assert [one.number for one in book.observed.operations] == [1, 2]


def test_parameters_belong_to_the_operation() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT $1"), wire.bind(values=[b"one"]), wire.execute(), SYNC)
    assert b"\0\0\0\3one" in book.observed.operations[0].parameters


def test_execute_of_an_unknown_portal_is_unclassified() -> None:
    book = Playbook(refuse_tables())
    book.client(wire.execute("nothing"), SYNC)
    assert book.observed.operations[0].meaning.verb == "UNKNOWN NAME"
    book.goes_on().target_hears()


def test_skipped_parse_does_not_hide_the_statement_that_runs() -> None:
    """The second Parse is skipped by the target: what runs afterwards is the first."""
    book = Playbook()
    book.client(wire.parse("DELETE FROM t"), SYNC).target(PARSED, ready())
    book.client(wire.parse("garbage", "g"), wire.parse("SELECT 1"), SYNC, wire.bind(), wire.execute(), SYNC)
    book.asked("DELETE FROM t", "garbage", "SELECT 1", "DELETE FROM t\n-- or --\nSELECT 1")
    book.target(error(), ready(), BOUND, complete("DELETE 1"), ready()).goes_on()
    book.client(wire.bind(), wire.execute(), SYNC).asked("DELETE FROM t")


def test_confirmed_parse_replaces_the_statement() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t"), SYNC, wire.parse("SELECT 1"), SYNC)
    book.target(PARSED, ready(), PARSED, ready())
    book.client(wire.bind(), wire.execute(), SYNC).asked("DELETE FROM t", "SELECT 1", "SELECT 1")


def test_closed_and_parsed_again_in_one_pipeline() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t", "s"), SYNC).target(PARSED, ready())
    book.client(wire.close("s"), wire.parse("SELECT 1", "s"), wire.bind("s"), wire.execute(), SYNC)
    book.asked("DELETE FROM t", "SELECT 1")
    book.target(CLOSED, PARSED, BOUND, complete("SELECT 1"), ready())
    book.client(wire.bind("s"), wire.execute(), SYNC).asked("SELECT 1")


def test_refused_parse_leaves_the_name_as_it_was() -> None:
    book = Playbook(refuse_tables(SECRET))
    book.client(wire.parse("SELECT 1", "s"), SYNC).target(PARSED, ready())
    book.client(wire.parse("SELECT * FROM secret.t", "s"), SYNC)
    book.client(wire.bind("s"), wire.execute(), SYNC)
    book.asked("SELECT 1", "SELECT * FROM secret.t", "SELECT 1")


def test_changes_of_a_statement_that_may_not_have_run_are_not_believed() -> None:
    """A portal that may be either of two statements runs: neither's changes to names may be taken for certain."""
    book = Playbook()
    book.client(wire.parse("DELETE FROM t", "s"), SYNC).target(PARSED, ready())
    book.client(wire.parse("SELECT 1"), SYNC).target(PARSED, ready())
    book.client(wire.parse("garbage", "g"), wire.parse("DEALLOCATE s"), SYNC, wire.bind(), wire.execute(), SYNC)
    book.target(error(), ready(), BOUND, complete("SELECT 1"), ready())  # "SELECT 1" ran: s is still there
    book.client(wire.parse("SELECT 2", "s"), SYNC, wire.bind("s"), wire.execute(), SYNC)
    assert book.observed.operations[-1].text == b"DELETE FROM t\n-- or --\nSELECT 2"


def test_prepare_of_a_statement_that_may_not_have_run_is_not_believed() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t", "s"), SYNC).target(PARSED, ready())
    book.client(wire.parse("SELECT 1"), SYNC).target(PARSED, ready())
    book.client(wire.parse("garbage", "g"), wire.parse("PREPARE s AS SELECT 2"), SYNC)
    book.client(wire.bind(), wire.execute(), SYNC)
    book.target(error(), ready(), BOUND, complete("SELECT 1"), ready())
    book.client(wire.bind("s"), wire.execute(), SYNC)
    assert PUBLIC in last_tables(book)


@pytest.mark.parametrize("sql", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_sql_does_not_forget_the_unnamed_statement(sql: str) -> None:
    """PostgreSQL keeps it elsewhere than the named ones, so these commands leave it alone."""
    book = Playbook()
    book.client(wire.parse(sql, "d"), wire.parse("DELETE FROM t"), wire.bind("d", "p"), wire.execute("p"), SYNC)
    book.target(PARSED, PARSED, BOUND, complete(sql), ready())
    book.client(wire.parse("garbage", "g"), wire.parse("SELECT 1"), SYNC, wire.bind(), wire.execute(), SYNC)
    assert book.observed.operations[-1].text == b"DELETE FROM t\n-- or --\nSELECT 1"


def test_names_that_the_target_would_cut_are_refused() -> None:
    """PostgreSQL compares 63 bytes: two longer names could be one to the target and two to the gateway."""
    Playbook().client(wire.parse("SELECT 1", "x" * 63), SYNC).goes_on()
    for message in (
        wire.parse("SELECT 1", "x" * 64),
        wire.bind("x" * 64),
        wire.bind("", "x" * 64),
        wire.close("é" * 32),
        wire.execute("x" * 64),
    ):
        Playbook().client(message, SYNC).ended("name")


def test_prepare_and_execute_in_sql() -> None:
    book = Playbook()
    book.client(wire.query("PREPARE s AS DELETE FROM t")).target(complete("PREPARE"), ready())
    book.client(wire.query("EXECUTE s")).target(complete("DELETE 1"), ready())
    book.client(wire.bind("s"), wire.execute(), SYNC)
    assert [PUBLIC in touched for touched in tables(book)] == [True, True, True]


def test_prepare_and_execute_in_one_text() -> None:
    book = Playbook(refuse_tables())
    book.client(wire.query("PREPARE s AS SELECT * FROM t; EXECUTE s"))
    assert tables(book) == [{PUBLIC}]


def test_declare_and_fetch_in_one_text() -> None:
    book = Playbook(refuse_tables())
    book.client(wire.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH ALL FROM c; CLOSE c; COMMIT"))
    assert tables(book) == [{PUBLIC}]


def test_execute_in_front_of_its_prepare_means_the_old_statement() -> None:
    book = Playbook()
    book.client(wire.query("PREPARE s AS DELETE FROM t")).target(complete("PREPARE"), ready())
    book.client(wire.query("EXECUTE s; DEALLOCATE s; PREPARE s AS SELECT 1"))
    assert last_tables(book) == {PUBLIC}


def test_execute_of_an_execute_is_what_runs_in_the_end() -> None:
    book = Playbook()
    book.client(wire.query("PREPARE s AS DELETE FROM t")).target(complete("PREPARE"), ready())
    book.client(wire.parse("EXECUTE s", "wrapper"), SYNC).target(PARSED, ready())
    book.client(wire.query("EXECUTE wrapper"))
    assert last_tables(book) == {PUBLIC}


def test_statements_that_execute_one_another_do_not_hang_the_gateway() -> None:
    book = Playbook()
    book.client(wire.parse("EXECUTE b", "a"), wire.parse("EXECUTE a", "b"), SYNC).target(PARSED, PARSED, ready())
    book.client(wire.query("EXECUTE a")).goes_on()


def test_cursor_declared_in_sql_is_a_portal() -> None:
    book = Playbook()
    book.client(wire.query("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t")).target(complete("DECLARE"), ready())
    book.client(wire.query("FETCH 5 FROM c")).target(complete("FETCH 5"), ready())
    book.client(wire.execute("c"), SYNC)
    assert [PUBLIC in touched for touched in tables(book)] == [True, True, True]
    assert b"DECLARE c CURSOR" in book.observed.operations[-1].text


def test_held_cursor_keeps_the_tables_it_was_declared_on() -> None:
    book = Playbook()
    book.client(wire.query("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t")).target(complete("DECLARE"), ready())
    book.client(wire.query("SET search_path TO other")).target(complete("SET"), ready())
    book.client(wire.query("FETCH 5 FROM c"))
    assert PUBLIC in last_tables(book)


def test_portal_with_a_row_limit_is_judged_each_time() -> None:
    book = Playbook()
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.parse("SELECT * FROM t"), wire.bind("", "p"), wire.execute("p", 1), SYNC)
    book.target(PARSED, BOUND, wire.row("1"), wire.SUSPENDED, ready("T"))
    book.client(wire.execute("p", 1), SYNC).target(wire.row("2"), wire.SUSPENDED, ready("T"))
    book.asked("BEGIN", "SELECT * FROM t", "SELECT * FROM t")
    assert [(report.number, report.status.value, report.rows) for report in book.reports] == [
        (1, "completed", 0),
        (2, "suspended", 1),
        (3, "suspended", 1),
    ]


def test_portals_that_are_collected_survive_the_end_of_an_earlier_transaction() -> None:
    book = Playbook(refuse_tables())
    book.client(wire.parse("SELECT * FROM t", "s"), SYNC).target(PARSED, ready())
    book.client(wire.query("SELECT 1"), wire.bind("s", "p"), wire.bind("s", "q"))
    book.target(complete("SELECT 1"), ready())
    book.client(wire.execute("p"), SYNC)
    assert last_tables(book) == {PUBLIC}


def test_portals_survive_a_flush() -> None:
    """Between Flush and Sync the target is in a transaction although it reported none."""
    book = Playbook(refuse_tables())
    book.client(wire.parse("SELECT * FROM t"), wire.bind("", "p"), wire.bind("", "q"), FLUSH)
    book.target(PARSED, BOUND, BOUND)
    book.client(wire.execute("p"), FLUSH)
    assert last_tables(book) == {PUBLIC}


def test_many_candidates_are_not_followed() -> None:
    """A name that may mean hundreds of things is unknown, rather than work for every Bind."""
    book = Playbook()
    for number in range(200):
        book.client(wire.parse(f"SELECT {number} FROM t"), SYNC)
    book.client(wire.bind(), wire.execute(), SYNC)
    assert book.observed.operations[-1].meaning.verb == "UNKNOWN NAME"


def test_kept_statements_are_bounded_in_bytes() -> None:
    book = Playbook()
    long_text = "SELECT '" + "x" * 1_000_000 + "'"
    for number in range(200):
        book.client(wire.parse(long_text + str(number), f"s{number}"), SYNC)
        if book.observed.ends:
            break
        book.target(PARSED, ready())
    book.ended("prepared statements")


def test_too_many_names_end_the_session() -> None:
    book = Playbook()
    for start in range(0, 21_000, 500):
        book.client(*(wire.parse("SELECT 1", f"s{n}") for n in range(start, start + 500)), SYNC)
        if book.observed.ends:
            break
        book.target(PARSED * 500, ready())
    book.client_is_told("54000").ended("prepared statements")


# ---------------------------------------------------------------- the search path


def test_unqualified_names_are_of_the_connections_path() -> None:
    book = Playbook(search_path=("one", "two"))
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {"one.t", "two.t"}


def test_path_given_at_startup() -> None:
    for startup in ({"search_path": "secret"}, {"options": "-c search_path=secret"}):
        book = Playbook(startup=startup)
        book.client(wire.query("SELECT * FROM t"))
        assert last_tables(book) == {SECRET}


def test_set_is_seen_while_it_is_on_its_way_and_afterwards() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path TO secret"), wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC, SECRET}
    book.target(complete("SET"), ready(), complete("SELECT 0"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {SECRET}


def test_set_counts_for_the_rest_of_its_text() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path TO secret; SELECT * FROM t"))
    assert SECRET in last_tables(book)


def test_set_behind_another_set_is_not_forgotten() -> None:
    """The answer to the first says nothing about the second, which is still on its way."""
    book = Playbook()
    book.client(wire.query("SET search_path TO other"), wire.query("SET search_path TO secret"))
    book.target(complete("SET"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert SECRET in last_tables(book)


@pytest.mark.parametrize(
    "sql",
    [
        "SET search_path TO other; ROLLBACK",
        "BEGIN; SET search_path TO other; ROLLBACK",
        "BEGIN; SAVEPOINT s; SET search_path TO other; ROLLBACK TO s; COMMIT",
    ],
)
def test_set_that_is_rolled_back_in_its_own_text(sql: str) -> None:
    book = Playbook()
    book.client(wire.query(sql))
    book.target(*(complete("X") for _ in sql.split(";")), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert PUBLIC in last_tables(book)


def test_set_in_a_transaction_that_may_be_rolled_back() -> None:
    book = Playbook()
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.query("SET search_path TO other")).target(complete("SET"), ready("T"))
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {"other.t"}
    book.target(complete("SELECT 0"), ready("T"))
    book.client(wire.query("ROLLBACK")).target(complete("ROLLBACK"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC}


def test_set_in_a_transaction_of_which_a_part_is_rolled_back() -> None:
    book = Playbook()
    for sql, tag in (("BEGIN", "BEGIN"), ("SAVEPOINT s", "SAVEPOINT"), ("SET search_path TO other", "SET")):
        book.client(wire.query(sql)).target(complete(tag), ready("T"))
    book.client(wire.query("ROLLBACK TO s")).target(complete("ROLLBACK"), ready("T"))
    book.client(wire.query("SELECT * FROM t")).target(complete("SELECT 0"), ready("T"))
    assert PUBLIC in last_tables(book)
    book.client(wire.query("COMMIT")).target(complete("COMMIT"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert PUBLIC in last_tables(book)


def test_set_before_an_error_in_its_transaction() -> None:
    book = Playbook()
    for sql, tag in (("BEGIN", "BEGIN"), ("SET search_path TO other", "SET")):
        book.client(wire.query(sql)).target(complete(tag), ready("T"))
    book.client(wire.query("SELECT 1/0")).target(error(), ready("E"))
    book.client(wire.query("COMMIT")).target(complete("ROLLBACK"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert PUBLIC in last_tables(book)


def test_local_set_is_over_when_a_transaction_is_chained() -> None:
    book = Playbook()
    for sql, tag in (("BEGIN", "BEGIN"), ("SET LOCAL search_path TO other", "SET"), ("COMMIT AND CHAIN", "COMMIT")):
        book.client(wire.query(sql)).target(complete(tag), ready("T"))
    book.client(wire.query("SELECT * FROM t"))
    assert PUBLIC in last_tables(book)


def test_set_in_a_transaction_that_was_committed() -> None:
    book = Playbook()
    for sql, tag, status in (
        ("BEGIN", "BEGIN", "T"),
        ("SET search_path TO secret", "SET", "T"),
        ("COMMIT", "COMMIT", "I"),
    ):
        book.client(wire.query(sql)).target(complete(tag), ready(status))
    book.client(wire.query("SELECT * FROM t"))
    assert SECRET in last_tables(book)


def test_set_in_the_extended_protocol() -> None:
    book = Playbook()
    book.client(wire.extended("SET search_path TO secret"))
    book.target(PARSED, BOUND, wire.NO_DATA, complete("SET"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert SECRET in last_tables(book)


def test_local_set_is_over_with_the_transaction() -> None:
    book = Playbook()
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.query("SET LOCAL search_path TO other")).target(complete("SET"), ready("T"))
    book.client(wire.query("SELECT * FROM t")).target(complete("SELECT 0"), ready("T"))
    assert last_tables(book) == {"other.t"}
    book.client(wire.query("COMMIT")).target(complete("COMMIT"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC}


def test_local_set_between_flushes_is_still_in_force() -> None:
    book = Playbook()
    book.client(wire.parse("SET LOCAL search_path TO secret"), wire.bind(), wire.execute(), FLUSH)
    book.target(PARSED, BOUND, complete("SET"))
    book.client(wire.parse("SELECT * FROM t"), wire.bind(), wire.execute(), SYNC)
    assert SECRET in last_tables(book)


def test_failed_set_leaves_no_trace() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path TO other")).target(error(), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC}


def test_refused_set_leaves_no_trace() -> None:
    book = Playbook(refuse_tables("secret.x"))
    book.client(wire.query("SET search_path TO other; SELECT * FROM secret.x"))
    book.client(wire.query("SELECT 1")).target(complete("SELECT 1"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC}


def test_reset_means_the_connections_path() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path TO other")).target(complete("SET"), ready())
    book.client(wire.query("RESET ALL")).target(complete("RESET"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert last_tables(book) == {PUBLIC}


def test_set_by_an_uncertain_portal_is_only_possible() -> None:
    book = Playbook()
    book.client(wire.parse("SELECT 1"), SYNC).target(PARSED, ready())
    book.client(wire.parse("garbage", "g"), wire.parse("SET search_path TO other"), SYNC)
    book.client(wire.bind(), wire.execute(), SYNC)
    book.target(error(), ready(), BOUND, complete("SELECT 1"), ready())
    book.client(wire.query("SELECT * FROM t"))
    assert PUBLIC in last_tables(book)


@pytest.mark.parametrize("setting", ["SET search_path TO other", "SET LOCAL search_path TO other"])
@pytest.mark.parametrize(
    "undoing", ["ROLLBACK", "COMMIT", "ROLLBACK TO s", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'x'"]
)
@pytest.mark.parametrize("form", ["one text", "two queries", "extended", "prepared before"])
def test_path_that_may_be_undone_before_a_statement(setting: str, undoing: str, form: str) -> None:
    """What is read behind the end of a transaction may be looked up as before it began, long before that is known."""
    book = Playbook()
    for sql, tag in (("BEGIN", "BEGIN"), ("SAVEPOINT s", "SAVEPOINT"), (setting, "SET")):
        book.client(wire.query(sql)).target(complete(tag), ready("T"))
    if form == "prepared before":
        book.client(wire.parse("SELECT * FROM t", "p"), SYNC).target(PARSED, ready("T"))
    match form:
        case "one text":
            book.client(wire.query(f"{undoing}; SELECT * FROM t"))
        case "two queries":
            book.client(wire.query(undoing), wire.query("SELECT * FROM t"))
        case "extended":
            book.client(wire.extended(undoing), wire.extended("SELECT * FROM t"))
        case _:
            book.client(wire.query(undoing), wire.bind("p"), wire.execute(), SYNC)
    assert PUBLIC in last_tables(book)
