"""SQL texts. There is no rejection: ``interpret`` never raises, and a text with a statement in it is never empty."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.postgres"]):
    from interlock.protocols.postgres import grammar
    from interlock.protocols.postgres.statements import interpret

from tests.fuzz.target import run

_MAX_BYTES = 4096


def test_one_input(data: bytes) -> None:
    text = data[:_MAX_BYTES]
    interpretation = interpret(text)
    assert interpretation is interpret(text) or len(text) > _MAX_BYTES
    try:
        count = len(grammar.parse(text))
    except grammar.GrammarError:
        assert [access.action for access in interpretation.meaning.accesses] == ["unclassified"]
        return
    assert len(interpretation.statements) in (count, 0)
    if not interpretation.statements and count:
        assert [access.action for access in interpretation.meaning.accesses] == ["unclassified"]


if __name__ == "__main__":
    run("statements", test_one_input)
