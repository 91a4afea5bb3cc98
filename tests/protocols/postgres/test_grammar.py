"""Parsing never lets a text through half-read, and never takes the process down."""

import subprocess
import sys
import threading

import pytest

from interlock.protocols.postgres import grammar
from tests.protocols.postgres.deep_texts import SHAPES

SLOW_AT_FULL_SIZE = {"operators", "subscript", "type", "names", "statements", "both"} | {
    shape for shape in SHAPES if shape.startswith("many")
}


def test_statements_come_in_order() -> None:
    kinds = [next(iter(tree)) for tree in grammar.parse(b"SELECT 1; DROP TABLE t;; BEGIN")]
    assert kinds == ["SelectStmt", "DropStmt", "TransactionStmt"]


@pytest.mark.parametrize("text", [b"", b" ", b";", b";;\n", b"-- c", b"/* c */"])
def test_nothing_to_do(text: bytes) -> None:
    assert grammar.parse(text) == []


def test_a_syntax_error_has_the_parsers_words_and_place() -> None:
    with pytest.raises(grammar.SyntaxRejected) as caught:
        grammar.parse(b"SELECT 1 FRO t x")
    assert caught.value.message == 'syntax error at or near "t"'
    assert caught.value.position == 14


@pytest.mark.parametrize("text", [b"SELECT 1\0; DROP TABLE t", b"\0", b"SELECT '\0'"])
def test_nul_is_refused(text: bytes) -> None:
    with pytest.raises(grammar.NotText):
        grammar.parse(text)


@pytest.mark.parametrize("text", [b"SELECT '\xff'", b"SELECT '\xc0\x80'", b"SELECT '\xed\xa0\x80'", b"SELECT '\xe4"])
def test_what_is_not_utf8_is_refused(text: bytes) -> None:
    with pytest.raises(grammar.NotText):
        grammar.parse(text)


def test_utf8_is_read() -> None:
    (tree,) = grammar.parse("SELECT 'Õ€😀' AS \"Größe\"".encode())
    assert "Größe" in str(tree)
    assert "Õ€😀" in str(tree)


def test_size_is_limited() -> None:
    text = b"SELECT 1" + b" " * 100
    assert grammar.parse(text, max_bytes=len(text))
    with pytest.raises(grammar.TooLarge):
        grammar.parse(text, max_bytes=len(text) - 1)


def test_the_number_of_statements_is_limited() -> None:
    assert len(grammar.parse(b"SELECT;" * grammar.MAX_STATEMENTS)) == grammar.MAX_STATEMENTS
    with pytest.raises(grammar.TooLarge):
        grammar.parse(b"SELECT;" * (grammar.MAX_STATEMENTS + 1))


def test_deep_trees_are_refused_and_flat_ones_of_the_same_size_are_not() -> None:
    with pytest.raises(grammar.TooDeep):
        grammar.parse(b"SELECT " + b"1+" * 50_000 + b"1")
    assert grammar.parse(b"SELECT " + b"1," * 50_000 + b"1")


@pytest.mark.parametrize("run", [b"+" * 8000, b"/*" * 4000 + b"*/" * 4000, b"*/" * 4000, b"+-" * 4000])
def test_runs_of_operators_are_refused_before_the_lexer_sees_them(run: bytes) -> None:
    with pytest.raises(grammar.TooSlow):
        grammar.parse(b"SELECT " + run + b" 1")


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1 -- " + b"-" * 5000,
        b"SELECT 1 /" + b"*" * 5000 + b"/",
        b"SELECT '" + b"=" * 5000 + b"'",
        b"SELECT '" + (b"+" + b"-" * 30) * 60 + b"'",
        b"SELECT 1" + b" + 1" * 200,
        b"SELECT /* a */ 1" + b" /* b */ " * 500,
    ],
)
def test_banners_and_sums_are_no_such_runs(text: bytes) -> None:
    assert grammar.parse(text)


def test_large_texts_from_several_threads() -> None:
    text = b"INSERT INTO t VALUES " + b",".join(b"(%d, 'x')" % n for n in range(3000))
    assert len(text) > grammar.MAX_INLINE_BYTES
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(grammar.parse(text)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8


def test_the_parsers_stack_is_its_own_affair() -> None:
    grammar.parse(b"SELECT '" + b"x" * grammar.MAX_INLINE_BYTES + b"'")
    assert threading.stack_size() == 0
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "sql-parser"] == [True]


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("size", [1_000, grammar.MAX_INLINE_BYTES - 200, grammar.MAX_INLINE_BYTES + 500, 100_000])
def test_nested_texts_do_not_kill_the_process(size: int, where: str) -> None:
    assert_survives(size, where, list(SHAPES))


def test_nested_texts_of_the_largest_size_do_not_kill_the_process() -> None:
    assert_survives(grammar.MAX_BYTES - 5_000, "main", [shape for shape in SHAPES if shape not in SLOW_AT_FULL_SIZE])


def assert_survives(size: int, where: str, shapes: list[str]) -> None:
    """Interpret every shape in a child process with the usual 8 MiB of stack."""
    command = [sys.executable, "-m", "tests.protocols.postgres.crash_probe", str(size), where, *shapes]
    limited = ["/bin/sh", "-c", 'ulimit -s 8192; exec "$0" "$@"', *command]
    finished = subprocess.run(limited, capture_output=True, text=True, timeout=110)
    assert finished.returncode == 0, finished.stderr
    assert [line.split("\t")[0] for line in finished.stdout.splitlines()] == shapes
