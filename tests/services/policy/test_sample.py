"""The sample policy says what its cases say, and policy has a word for everything the PostgreSQL parser can say."""

from pathlib import Path

import pytest
from tests.services.policy.examples import source

from interlock.bootstrap.interpretation import Interpreter
from interlock.services import policy
from interlock.services.policy import PolicyEngine
from interlock.services.policy.cases import Case, read_cases, run_cases
from interlock.services.policy.resources import resolve
from interlock.services.policy.schema import action_groups

FOLDER = Path(policy.__file__).parent
CASES = read_cases((FOLDER / "sample.cases.yaml").read_bytes(), "sample.cases.yaml")
INTERPRETER = Interpreter(lambda _: None)
CORPUS = Path(__file__).parents[2] / "protocols" / "postgres" / "statements" / "corpus"


@pytest.fixture(scope="module")
def sample() -> PolicyEngine:
    return PolicyEngine([source((FOLDER / "sample.cedar").read_text())])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(sample: PolicyEngine, case: Case) -> None:
    (result,) = run_cases(sample, INTERPRETER, [case])
    assert result.failure is None


def test_every_access_of_the_parser_can_be_ruled_on() -> None:
    texts = [text for file in CORPUS.glob("*.txt") for text in file.read_text().splitlines() if text[:1].isalpha()]
    accesses = {access for text in texts for access in INTERPRETER.interpret("pg", text).accesses}
    assert len(accesses) > 100
    assert {access.action for access in accesses} <= action_groups().keys()
    for access in accesses:
        assert resolve(access, "pg", "app").id.startswith("pg")
