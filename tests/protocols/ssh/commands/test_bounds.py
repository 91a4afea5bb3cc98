"""However long or deep a text is, reading it takes work in proportion to its length, and what is too much is opaque."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from interlock.protocols.ssh.commands.findings import MAX_PATHS
from interlock.protocols.ssh.commands.grammar.cursor import MAX_DEPTH
from interlock.protocols.ssh.commands.grammar.facts import MAX_COMMANDS
from interlock.protocols.ssh.commands.invocation import CommandClass
from interlock.protocols.ssh.commands.reading import read_command

_BYTES = 2048
_PIECES = r"""
a 'a' "a" $x ${x:- a[ a[$( $( ` { {, {a,b}@ ; & | && || (( ( [[ [[@-n@a@]]; if@ while@ for@ case@ f(){ x=1; x=$x$x; a@
> < << <<E@ <<< $' \ \a # ! = ~ [ [] * eval@ env@ sudo@ command@ sh@-c@ find@-exec@ xargs@ '\'@ "\"@ $'\'@ ../ 1
$(( )) ] } é ls;ls| cd@a; cd@a&& echo@x|sh; "$( trap@x@EXIT; $((x)) ${x#} sh@<<<x;
"""
_REPEATED = _PIECES.split()


def calls(work: Callable[[], object]) -> int:
    """Calls of functions, which are what the work is made of."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def repeated(piece: str, size: int) -> str:
    piece = piece.replace("@", " ")
    return (piece * (size // len(piece) + 1))[:size]


@pytest.mark.parametrize("piece", _REPEATED)
def test_work_is_in_proportion_to_the_text(piece: str) -> None:
    reading = read_command.__wrapped__
    for prefix in ("", 'echo "$('):
        half = calls(lambda prefix=prefix: reading(prefix + repeated(piece, _BYTES // 2), 16384))  # type: ignore[misc]
        whole = calls(lambda prefix=prefix: reading(prefix + repeated(piece, _BYTES), 16384))  # type: ignore[misc]
        assert whole < max(3 * half, 200 * _BYTES)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("$(", ")"),
        ("( ", ")"),
        ("{ ", ";}"),
        ("`", "`"),
        ("if ", ";then :;fi"),
        ("eval ", ""),
        ('"$(', ')"'),
        ("sudo ", ""),
    ],
)
def test_depth_is_bounded(opening: str, closing: str) -> None:
    for depth in (MAX_DEPTH + 1, 1000):
        assert CommandClass.OPAQUE in read_command(opening * depth + "ls" + closing * depth, 16384).classes


@pytest.mark.parametrize(
    "text",
    [
        "x" * 16385,
        "é" * 8193,
        "; ".join(["ls"] * (MAX_COMMANDS + 1)),
        "cat " + " ".join(f"/srv/{number}" for number in range(MAX_PATHS + 1)),
        "for a in 1 2 3 4 5 6 7 8; do " * 20 + "ls" + "; done" * 20,
        "for a in 1 2 3 4 5 6 7 8; do " * 4 + "ls; " * 200 + "done;" * 4,
        "echo {1..300}",
        "echo " + "{a,b}" * 9,
        "echo " + "{" * 33,
        "x=aaaaaaaa; " + "x=$x$x; " * 40 + "rm $x",
        "sh -c 'ls" + "; ls" * MAX_COMMANDS + "'",
    ],
    ids=lambda text: text[:20],
)
def test_too_much_is_opaque(text: str) -> None:
    found = read_command(text, 16384)
    assert found.classes & {CommandClass.OPAQUE, CommandClass.DESTRUCTIVE}
    assert sum(map(len, (*found.programs, *found.why_opaque))) < 16384


def test_values_do_not_grow() -> None:
    found = read_command("x=aaaaaaaa; " + "x=$x$x; " * 40 + "echo $x$x", 16384)
    assert all(len(each.path) < 16384 for each in found.paths)
