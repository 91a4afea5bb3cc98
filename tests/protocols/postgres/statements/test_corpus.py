"""Every statement of the corpus means exactly what its file says."""

import pytest

from interlock.protocols.postgres.statements import interpret
from tests.protocols.postgres.statements.rendering import CORPUS, cases, render

FILES = ("conditions.txt", "queries.txt", "functions.txt", "session.txt", "definitions.txt")


@pytest.mark.parametrize("name", FILES)
def test_statements_mean_what_the_corpus_says(name: str) -> None:
    wrong = [
        f"{statement}\n    -> {meant}\n    expected {expected}"
        for statement, expected in cases(name)
        if (meant := render(interpret(statement.encode()).meaning)) != expected
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_corpus_is_read_completely() -> None:
    assert {path.name for path in CORPUS.glob("*.txt")} == set(FILES)
    assert sum(1 for name in FILES for _ in cases(name)) > 500
