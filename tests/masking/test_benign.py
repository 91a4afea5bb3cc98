"""What clients do every day keeps working: as directly where nothing is masked, and with masks in their places."""

import pytest

from tests.masking.corpus import Case, sections
from tests.masking.playing import applies, leaked
from tests.masking.servers import Worlds
from tests.masking.session import Answer
from tests.masking.trial import Trial
from tests.masking.world import WORLD_A

BENIGN = sections("benign")
_MASKED = "masked "

Cells = list[tuple[object, ...]]


@pytest.mark.parametrize("section", BENIGN)
def test_ordinary_statements_keep_working(
    section: str, worlds: Worlds, directly: Trial, through_the_gateway: Trial
) -> None:
    wrong = []
    for case in (case for case in BENIGN[section] if applies(case, worlds)):
        expected = _once(case, directly)
        answers = _once(case, through_the_gateway)
        wrong += [f"{case}\n    {problem}" for problem in [_problem(case, expected, answers)] if problem]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_corpus_is_large() -> None:
    assert sum(map(len, BENIGN.values())) > 250


def _once(case: Case, trial: Trial) -> list[Answer]:
    return trial.answers(case, case.way, rolled_back=not case.autocommit)[WORLD_A.database]


def _problem(case: Case, direct: list[Answer], masked: list[Answer]) -> str:
    """What is wrong with the answers through the gateway; empty when nothing is."""
    sent = " ".join(f"{step.text} {step.parameters} {step.copied}" for step in case.steps)
    planted = WORLD_A.markers()
    for number, (expected, answer) in enumerate(zip(direct, masked, strict=True), 1):
        problem = _difference(case.expected[0], expected, answer)
        if problem:
            return f"step {number}: {problem}"
    if case.expected[0] == "equal":
        return ""
    return ", ".join(f"{name} comes out" for name in leaked(masked, WORLD_A) if planted[name] not in sent)


def _difference(expected: str, direct: Answer, masked: Answer) -> str:
    if expected == "works":
        return "" if not masked.errors else str(masked.errors)
    if _codes(direct) != _codes(masked):
        return f"errors {_codes(masked)} {masked.errors}, directly {_codes(direct)}"
    if direct.tags != masked.tags:
        return f"{masked.tags}, directly {direct.tags}"
    if direct.columns != masked.columns:
        return f"columns {masked.columns}, directly {direct.columns}"
    if expected.startswith(_MASKED):
        return _not_masked(_hidden(expected, direct), direct, masked)
    return "" if _data(direct) == _data(masked) else f"{_data(masked)[:3]}, directly {_data(direct)[:3]}"


def _hidden(expected: str, direct: Answer) -> list[int]:
    """The positions of the columns that must be masked: given by number, or by names, which may have blanks in them."""
    words = expected.removeprefix(_MASKED)
    if not direct.columns:
        return [int(word) - 1 for word in words.split() if word.isdigit()]
    return [number for number, (name, _) in enumerate(direct.columns) if f" {name} " in f" {words} "]


def _not_masked(hidden: list[int], direct: Answer, masked: Answer) -> str:
    if len(direct.rows) != len(masked.rows):
        return f"{len(masked.rows)} rows, directly {len(direct.rows)}"
    for row, shown in zip(direct.rows, masked.rows, strict=True):
        for number, (cell, mask) in enumerate(zip(row, shown, strict=True)):
            if (cell == mask) is (number in hidden) and cell is not None:
                return f"column {number + 1} is {mask!r}, directly {cell!r}"
    return ""


def _codes(answer: Answer) -> list[str]:
    return [error["C"] for error in answer.errors]


def _data(answer: Answer) -> list[bytes]:
    """Rows and copied data."""
    return [body for kind, body in answer.messages if kind in (b"D", b"d")]
