"""A corpus of command lines: what is dangerous is told so or is opaque, what is ordinary is neither.

A line of the corpus is its classes, a tab, and the command line; ``⏎`` stands for a line break. Reading is not said
where there is more to say.
"""

from pathlib import Path

import pytest

from interlock.protocols.ssh.commands.reading import read_command

_CORPUS = Path(__file__).parent / "corpus"
_MAX_BYTES = 16384


def lines_of(kind: str) -> list[tuple[frozenset[str], str]]:
    texts = [line for path in sorted((_CORPUS / kind).glob("*.txt")) for line in path.read_text().splitlines()]
    pairs = [line.partition("\t") for line in texts]
    return [(frozenset(classes.split()), line.replace("⏎", "\n")) for classes, _, line in pairs]


def classes_of(line: str) -> frozenset[str]:
    return frozenset(each.value for each in read_command(line, _MAX_BYTES).classes)


@pytest.mark.parametrize(("classes", "line"), lines_of("ordinary"))
def test_an_ordinary_line_has_its_classes_and_no_others(classes: frozenset[str], line: str) -> None:
    assert classes_of(line) - {"read"} == classes - {"read"}


@pytest.mark.parametrize(("classes", "line"), lines_of("dangerous"))
def test_a_dangerous_line_has_its_classes_or_is_opaque(classes: frozenset[str], line: str) -> None:
    found = classes_of(line)
    assert "opaque" in found or classes <= found


@pytest.mark.parametrize(("classes", "line"), lines_of("dangerous"))
def test_an_opaque_line_says_why(classes: frozenset[str], line: str) -> None:
    reading = read_command(line, _MAX_BYTES)
    assert ("opaque" in classes_of(line)) == bool(reading.why_opaque)


def test_both_sides_are_covered() -> None:
    assert len(lines_of("ordinary")) > 500
    assert len(lines_of("dangerous")) > 500
