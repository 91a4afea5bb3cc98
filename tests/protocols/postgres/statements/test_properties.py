"""Properties that hold for every text: no exception, no lost access, the same answer twice."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.operation import Access
from interlock.protocols.postgres.statements import interpret
from interlock.protocols.postgres.statements.interpreter import _interpret
from tests.protocols.postgres.statements.rendering import cases, render

STATEMENTS = [
    statement
    for name in ("conditions.txt", "queries.txt", "functions.txt", "session.txt", "definitions.txt")
    for statement, _ in cases(name)
]
WORDS = sorted({word for statement in STATEMENTS for word in statement.split()})
READS = [
    statement
    for name in ("queries.txt", "functions.txt")
    for statement, expected in cases(name)
    if statement.startswith(("SELECT", "VALUES", "TABLE", "(SELECT"))
    and ";" not in statement
    and " INTO " not in statement
    and "unclassified Connection, " not in expected
    and "REFUSED" not in expected
]
ROWS_WRITTEN = [
    statement
    for name in ("conditions.txt", "queries.txt")
    for statement, _ in cases(name)
    if statement.startswith(("DELETE", "UPDATE", "INSERT")) and "--" not in statement and "CURRENT OF" not in statement
]


def meant(text: str) -> set[tuple[str, tuple[str, ...]]]:
    """Action and path of every access."""
    return {(access.action, access.path) for access in interpret(text.encode()).meaning.accesses}


def columns(text: str) -> dict[tuple[str, tuple[str, ...]], set[str]]:
    found: tuple[Access, ...] = interpret(text.encode()).meaning.accesses
    return {(access.action, access.path): set(access.columns) for access in found}


@given(st.binary(max_size=300))
def test_bytes_never_raise(text: bytes) -> None:
    assert _interpret(text).meaning.verb is not None


@given(st.text(max_size=300))
def test_text_never_raises(text: str) -> None:
    assert _interpret(text.encode(errors="surrogatepass")).meaning.verb is not None


@settings(max_examples=400)
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_shuffled_sql_never_raises(words: list[str]) -> None:
    assert _interpret(" ".join(words).encode()).meaning.verb is not None


@settings(max_examples=200)
@given(st.sampled_from(STATEMENTS), st.integers(0, 400), st.integers(0, 400))
def test_cut_statements_never_raise(statement: str, start: int, end: int) -> None:
    assert _interpret(statement.encode()[start:end]).meaning.verb is not None


@given(st.sampled_from(STATEMENTS), st.sampled_from(STATEMENTS))
def test_a_string_of_two_statements_means_both(first: str, second: str) -> None:
    both = f"{first}\n; {second}"
    if "UNPARSED" in (interpret(text.encode()).meaning.verb for text in (first, second)):
        return
    assert meant(first) | meant(second) == meant(both)


@pytest.mark.parametrize(
    "wrapper",
    [
        "EXPLAIN {}",
        "EXPLAIN ANALYZE {}",
        "PREPARE p AS {}",
        "DECLARE c CURSOR FOR {}",
        "COPY ({}) TO STDOUT",
        "CREATE TABLE pg_temp.n AS {}",
        "CREATE VIEW n.n AS {}",
        "WITH w AS ({}) SELECT 1",
        "WITH w AS ({}) SELECT * FROM w",
        "WITH RECURSIVE w AS ({}) SELECT * FROM w",
        "SELECT * FROM ({}) x",
        "SELECT * FROM n.n LEFT JOIN LATERAL ({}) x ON true",
        "SELECT ARRAY({})",
        "SELECT EXISTS ({})",
        "SELECT 1 WHERE 1 IN ({})",
        "SELECT 1 ORDER BY ({})",
        "INSERT INTO n.n {}",
        "SELECT 1 UNION ({})",
        "({}) UNION SELECT 1",
        "UPDATE n.n SET a = ({}) WHERE n.b = 1",
        "SELECT CASE WHEN true THEN ({}) END",
        "SELECT lower(({})::text)",
    ],
)
def test_wrapping_a_read_loses_nothing(wrapper: str) -> None:
    lost = []
    for statement in READS:
        wrapped = wrapper.format(statement)
        if interpret(wrapped.encode()).meaning.verb == "UNPARSED":
            continue
        if not meant(statement) <= meant(wrapped):
            lost.append((wrapped, render(interpret(wrapped.encode()).meaning)))
        inside, outside = columns(statement), columns(wrapped)
        lost += [(wrapped, str(key)) for key in inside if not inside[key] <= outside.get(key, set())]
    assert lost == []


@pytest.mark.parametrize(
    "wrapper",
    ["EXPLAIN {}", "EXPLAIN (ANALYZE) {}", "PREPARE p AS {}", "CREATE RULE r AS ON INSERT TO n.n DO ALSO {}"],
)
def test_wrapping_a_write_loses_nothing(wrapper: str) -> None:
    for statement in ROWS_WRITTEN:
        assert meant(statement) <= meant(wrapper.format(statement)), statement


def test_a_write_in_a_cte_loses_nothing() -> None:
    for statement in ROWS_WRITTEN:
        wrapped = f"WITH w AS ({statement}) SELECT 1"
        if interpret(wrapped.encode()).meaning.verb != "UNPARSED":
            assert meant(statement) <= meant(wrapped), statement


LOOK_AHEAD = {"NOT", "NULLS", "WITH", "WITHOUT", "FORMAT"}
"""libpg_query rejects a comment behind these words, where PostgreSQL does not: a refusal, never a wrong reading."""


def test_comments_and_case_change_nothing() -> None:
    chooser = random.Random(1)
    for statement in STATEMENTS:
        if any(sign in statement for sign in "'\"$-/\\;"):
            continue
        disguised = "/* SELECT 1 */ "
        for word in statement.split():
            disguised += word.lower() if chooser.random() < 0.5 else word
            disguised += " " if word in LOOK_AHEAD else "\t/* x -- */\n"
        disguised += " -- WHERE id = 1"
        expected, actual = interpret(statement.encode()).meaning, interpret(disguised.encode()).meaning
        if any(part.isupper() for access in expected.accesses for part in (*access.path, *access.columns)):
            continue
        assert actual.accesses == expected.accesses, disguised


def test_the_same_text_means_the_same_again() -> None:
    for statement in STATEMENTS:
        first, second = _interpret(statement.encode()), _interpret(statement.encode())
        assert first.meaning.accesses == second.meaning.accesses
        assert first.meaning.facts == second.meaning.facts
