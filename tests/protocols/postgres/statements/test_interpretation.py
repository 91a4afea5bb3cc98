"""What the session needs besides accesses: names, settings, the search path, COPY, transactions; and facts."""

import pytest

from interlock.core.operation import Access, ResourceKind
from interlock.protocols.postgres.statements import (
    Name,
    NameSpace,
    SearchPath,
    SettingChange,
    Statement,
    TransactionControl,
    interpret,
    interpret_parameter,
)


def only(text: str) -> Statement:
    (statement,) = interpret(text.encode()).statements
    return statement


def prepared(name: str) -> Name:
    return Name(NameSpace.PREPARED, name)


def portal(name: str) -> Name:
    return Name(NameSpace.PORTAL, name)


def test_prepare_defines_a_name_that_means_its_body() -> None:
    statement = only("PREPARE p(int) AS DELETE FROM t WHERE id = $1")
    assert statement.defines is not None
    assert statement.defines.name == prepared("p")
    assert statement.defines.holdable
    assert statement.defines.statement.meaning.accesses == statement.meaning.accesses
    assert statement.defines.statement.meaning.verb == "DELETE"
    assert statement.meaning.verb == "PREPARE"


@pytest.mark.parametrize(("hold", "holdable"), [("", False), ("WITH HOLD ", True), ("WITHOUT HOLD ", False)])
def test_declare_defines_a_portal(hold: str, holdable: bool) -> None:
    statement = only(f'DECLARE "C" NO SCROLL CURSOR {hold}FOR SELECT a FROM t')
    assert statement.defines is not None
    assert statement.defines.name == portal("C")
    assert statement.defines.holdable is holdable


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("EXECUTE p(1)", prepared("p")),
        ("EXPLAIN ANALYZE EXECUTE p", prepared("p")),
        ("CREATE TABLE n AS EXECUTE p", prepared("p")),
        ("EXPLAIN CREATE TABLE n AS EXECUTE p", prepared("p")),
        ("FETCH 5 FROM c", portal("c")),
        ("MOVE ALL IN c", portal("c")),
    ],
)
def test_names_are_used(text: str, name: Name) -> None:
    assert only(text).uses == (name,)


def test_names_are_forgotten() -> None:
    assert only("DEALLOCATE PREPARE p").forgets == (prepared("p"),)
    assert only("CLOSE c").forgets == (portal("c"),)
    assert only("DEALLOCATE ALL").forgets_all == (NameSpace.PREPARED,)
    assert only("CLOSE ALL").forgets_all == (NameSpace.PORTAL,)
    assert only("DISCARD ALL").forgets_all == (NameSpace.PREPARED, NameSpace.PORTAL)
    assert only("DISCARD PLANS").forgets_all == ()
    assert only("DEALLOCATE p").forgets_all == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("SET search_path TO a, b", SearchPath(("a", "b"))),
        ("SET search_path = 'a, b'", SearchPath(("a, b",))),
        ('SET search_path = "$user", Public', SearchPath(("$user", "public"))),
        ("SET search_path = ''", SearchPath(())),
        ("SET LOCAL search_path TO a", SearchPath(("a",), local=True)),
        ("SET SCHEMA 'a'", SearchPath(("a",))),
        ("SET search_path TO DEFAULT", SearchPath(None)),
        ("RESET search_path", SearchPath(None)),
        ("RESET ALL", SearchPath(None)),
        ("DISCARD ALL", SearchPath(None)),
        ("SELECT set_config('search_path', '', false)", SearchPath(())),
        ("SELECT pg_catalog.set_config('Search_Path', 'A, \"B\"\"x\"', false)", SearchPath(("a", 'B"x'))),
        ("SELECT set_config('search_path', 'a', true)", SearchPath(("a",), local=True)),
        ("SELECT set_config('search_path', 'a', false), set_config('search_path', 'b', false)", SearchPath(("b",))),
        ("SET timezone = 'UTC'", None),
        ("SELECT 1", None),
    ],
)
def test_search_path_is_tracked(text: str, path: SearchPath | None) -> None:
    statement = only(text)
    assert statement.search_path == path
    assert statement.meaning.refusal is None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT set_config('search_path', 'a', false) WHERE false",
        "SELECT set_config('search_path', 'a,', false)",
        "SELECT set_config('search_path', 'a', $1)",
        "SELECT set_config('search_path', 'a')",
        "SELECT set_config('search_path', '\"a', false)",
        "COPY (SELECT set_config('search_path', 'a', false)) TO STDOUT",
        "DECLARE c CURSOR FOR SELECT set_config('search_path', 'a', false)",
        "SELECT 1 UNION SELECT 2 FROM set_config('search_path', 'a', false)",
        "SELECT set_config('search_path', 'pg_temp, a', false)",
        "SELECT set_config('search_path', 'a, pg_catalog', false)",
    ],
)
def test_a_search_path_that_cannot_be_tracked_is_refused(text: str) -> None:
    assert interpret(text.encode()).meaning.refusal


def test_a_prepared_change_of_the_search_path_takes_effect_when_used() -> None:
    statement = only("PREPARE p AS SELECT set_config('search_path', 'a', false)")
    assert statement.search_path is None
    assert statement.defines is not None
    assert statement.defines.statement.search_path == SearchPath(("a",))


def test_settings_are_listed() -> None:
    assert only("SET LOCAL TimeZone = 'UTC'").settings == (SettingChange("timezone", "UTC", local=True),)
    assert only("SET datestyle = ISO, DMY").settings == (SettingChange("datestyle", "iso, dmy"),)
    assert only("RESET timezone").settings == (SettingChange("timezone", None),)
    assert only("SELECT set_config('A.b', $1, true)").settings == (SettingChange("a.b", None, local=True),)
    assert only("RESET ALL").resets_settings
    assert not only("RESET role").resets_settings


@pytest.mark.parametrize(
    ("name", "value", "refused", "actions"),
    [
        ("application_name", "x", False, []),
        ("client_encoding", "'utf-8'", False, []),
        ("client_encoding", "LATIN1", True, []),
        ("standard_conforming_strings", "off", True, []),
        ("search_path", "a, b", False, []),
        ("search_path", "a, pg_catalog", True, []),
        ("session_replication_role", "replica", False, ["set"]),
        ("role", "admin", False, ["set-role"]),
    ],
)
def test_parameters_of_the_startup_packet_are_judged_like_set(
    name: str, value: str, refused: bool, actions: list[str]
) -> None:
    meaning = interpret_parameter(name, value).meaning
    assert (meaning.refusal is not None) is refused
    assert [access.action for access in meaning.accesses] == actions


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("BEGIN", TransactionControl.BEGIN),
        ("START TRANSACTION", TransactionControl.BEGIN),
        ("END", TransactionControl.COMMIT),
        ("ABORT", TransactionControl.ROLLBACK),
        ("SAVEPOINT s", TransactionControl.SAVEPOINT),
        ("RELEASE s", TransactionControl.RELEASE),
        ("ROLLBACK TO s", TransactionControl.ROLLBACK_TO),
        ("PREPARE TRANSACTION 'x'", TransactionControl.PREPARE),
        ("SELECT 1", None),
    ],
)
def test_transaction_control(text: str, control: TransactionControl | None) -> None:
    assert only(text).transaction is control


@pytest.mark.parametrize(
    ("text", "copy_in", "copy_out"),
    [
        ("COPY t FROM STDIN", True, False),
        ("COPY t TO STDOUT", False, True),
        ("COPY (SELECT 1) TO STDOUT", False, True),
        ("COPY t TO '/x'", False, False),
        ("COPY t FROM PROGRAM 'x'", False, False),
        ("SELECT 1", False, False),
    ],
)
def test_copy_with_the_client(text: str, copy_in: bool, copy_out: bool) -> None:
    statement = only(text)
    assert (statement.copy_in, statement.copy_out) == (copy_in, copy_out)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("select 1", "SELECT"),
        ("SELECT 1 INTO x", "SELECT INTO"),
        ("VALUES (1)", "SELECT"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW"),
        ("CREATE TABLE t ()", "CREATE TABLE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE"),
        ("ALTER TABLE t RENAME a TO b", "ALTER TABLE"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("ROLLBACK TO s", "ROLLBACK"),
        ("REVOKE ALL ON t FROM x", "REVOKE"),
        ("SET a.b = 1", "SET"),
        ("RESET ALL", "RESET"),
        ("ANALYZE", "ANALYZE"),
        ("CREATE PROCEDURE p() LANGUAGE sql AS ''", "CREATE PROCEDURE"),
        ("REFRESH MATERIALIZED VIEW m", "REFRESH MATERIALIZED VIEW"),
        ("SELECT 1; DROP TABLE t", "SELECT; DROP TABLE"),
        ("", ""),
        (" ;; -- nothing", ""),
        ("SELEC", "UNPARSED"),
    ],
)
def test_verbs(text: str, verb: str) -> None:
    assert interpret(text.encode()).meaning.verb == verb


def test_an_empty_text_has_no_statements() -> None:
    assert interpret(b"").statements == ()
    assert interpret(b"").meaning.accesses == ()


def test_several_statements_are_one_operation_and_stay_apart_for_the_session() -> None:
    interpretation = interpret(b"SET search_path TO a; SELECT x FROM t; DELETE FROM s.u WHERE id = 1")
    assert [statement.meaning.verb for statement in interpretation.statements] == ["SET", "SELECT", "DELETE"]
    assert interpretation.meaning.accesses == (
        Access("select", ResourceKind.TABLE, ("", "t"), ("x",)),
        Access("delete", ResourceKind.TABLE, ("s", "u")),
        Access("select", ResourceKind.TABLE, ("s", "u"), ("id",)),
    )
    assert interpretation.meaning.facts["statements"] == 3


def test_facts() -> None:
    facts = interpret(b"SELECT Lower(a), app.f(b), f(c) FROM s.t JOIN u ON true WHERE t.a = 1").meaning.facts
    assert facts == {
        "verb": "SELECT",
        "has_where": True,
        "tables": ("s.t", "u"),
        "functions": ("app.f", "f", "lower"),
        "statements": 1,
    }


@pytest.mark.parametrize(
    ("text", "has_where"),
    [
        ("SELECT a FROM t", False),
        ("SELECT a FROM t WHERE a = 1", True),
        ("SELECT a FROM t WHERE true", False),
        ("DELETE FROM t WHERE id = 1", True),
        ("DELETE FROM t WHERE id = id", False),
        ("WITH d AS (DELETE FROM t) SELECT * FROM u WHERE a = 1", False),
        ("SELECT a FROM t WHERE a = 1; DELETE FROM t", False),
        ("EXPLAIN DELETE FROM t WHERE id = 1", True),
        ("PREPARE p AS DELETE FROM t WHERE id = 1", True),
        ("INSERT INTO t VALUES (1)", False),
        ("DROP TABLE t", False),
    ],
)
def test_has_where_means_a_condition_that_narrows(text: str, has_where: bool) -> None:
    assert interpret(text.encode()).meaning.facts["has_where"] is has_where


def test_what_does_not_parse_says_why() -> None:
    meaning = interpret(b"SELECT FROM WHERE").meaning
    assert meaning.accesses == (Access("unclassified", ResourceKind.CONNECTION),)
    assert "syntax error" in str(meaning.facts["error"])


def test_equal_texts_share_one_interpretation() -> None:
    assert interpret(b"SELECT 41") is interpret(b"SELECT 41")
    assert interpret(b"SELECT 41") is not interpret(b"SELECT 42")
