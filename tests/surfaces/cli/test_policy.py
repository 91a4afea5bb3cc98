"""The policy commands: what they print, and their exit status."""

import types
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.core.errors import ConfigurationError
from interlock.services.policy import PolicySource
from interlock.services.policy.check import KnownNames
from interlock.services.policy.tools import PolicyTools
from interlock.surfaces.cli.policy import app
from tests.services.policy.examples import BASIC, MONDAY_NOON_S, engine
from tests.services.policy.test_cases import FakeInterpreter

WARNED = BASIC + '@id("typo") permit (principal in Group::"typo", action, resource);'


class FakeReader:
    def __init__(self, **texts: str) -> None:
        self._texts = texts

    def read(self, paths: object = ()) -> tuple[PolicySource, ...]:
        names = list(paths) if isinstance(paths, list | tuple) and paths else ["configured"]
        if unknown := set(names) - set(self._texts):
            raise ConfigurationError(f"no policy file matches {unknown.pop()}")
        return tuple(PolicySource(name, self._texts[name]) for name in names)


class FakeClock:
    def now_s(self) -> float:
        return MONDAY_NOON_S

    def monotonic_s(self) -> float:
        return 0.0


def run(*arguments: str, configured: str = BASIC) -> Result:
    reader = FakeReader(configured=configured, bad="permit (", warned=WARNED, empty="")
    names = KnownNames(frozenset({"ci-bots", "dba"}), frozenset({"pg"}))
    tools = PolicyTools(reader, {}, names, FakeInterpreter(), FakeClock())
    return CliRunner().invoke(app, arguments, obj=types.SimpleNamespace(policy=tools))


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.yaml"
    path.write_text(
        "cases:\n"
        "  - {name: reads, identity: &ci {name: ci-1, groups: [ci-bots]}, connection: pg, database: app,"
        " statement: select, expect: allow}\n"
        "  - {name: drops, identity: *ci, connection: pg, database: app, statement: drop, expect: deny}\n"
    )
    return path


class TestCheck:
    def test_in_order(self) -> None:
        result = run("check")
        assert result.exit_code == 0
        assert result.stdout == f"4 rules in 1 file, version {engine(BASIC).version}\n"

    def test_other_files(self) -> None:
        result = run("check", "configured", "empty")
        assert result.stdout.startswith("4 rules in 2 files")

    def test_errors(self) -> None:
        result = run("check", "bad")
        assert result.exit_code == 1
        assert result.stdout.startswith("error: bad:1: ")

    @pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
    def test_warnings(self, options: list[str], status: int) -> None:
        result = run("check", "warned", *options)
        assert result.exit_code == status
        assert 'warning: warned:13: rule "typo" names the group "typo"' in result.stdout

    def test_missing_file(self) -> None:
        result = run("check", "missing")
        assert result.exit_code == 2
        assert result.stderr == "error: no policy file matches missing\n"


class TestExplain:
    WHO = ("--agent", "ci-1", "--group", "ci-bots", "--connection", "pg", "--database", "app")

    def test_denied(self) -> None:
        result = run("explain", *self.WHO, "select drop")
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "outcome: denied",
            'message: Rule "never-drop" forbids drop on table pg/app/public/users: '
            "Agents never drop objects. Propose a migration instead.",
            "hint:    The same statement will be refused again as long as the rule is in force.",
            "rules:   never-drop",
            f"policy:  {engine(BASIC).version}",
            "accesses:",
            "  allowed  select on table pg/app/public/users (ci-reads)",
            "  denied   drop on table pg/app/public/users (never-drop)",
            "what would change it:",
            '  without rule "never-drop": still denied',
            "  no group that the policy names would make a difference",
        ]

    def test_held(self) -> None:
        result = run("explain", *self.WHO, "insert")
        assert "outcome: held" in result.stdout
        assert "2 approvals of group dba" in result.stdout

    def test_allowed(self) -> None:
        result = run("explain", *self.WHO, "select")
        assert "outcome: allowed" in result.stdout
        assert "what would change" not in result.stdout

    def test_somebody_acts(self) -> None:
        alone = ("--user", "ada", "--group", "ci-bots", "--connection", "pg", "--database", "app")
        result = run("explain", *alone, "--actor", "crm", "--actor-group", "ci-bots", "select")
        assert "outcome: allowed" in result.stdout
        result = run("explain", *alone, "--actor", "crm", "select")
        assert "Agent crm, who acts for User ada, is not allowed to." in result.stdout
        assert "  who acts as a member of group ci-bots: allowed" in result.stdout.splitlines()

    def test_allowed_within_budget(self) -> None:
        budget = '@id("b") @budget("rows=5 per 1h") forbid (principal, action in Action::"read", resource);'
        result = run("explain", *self.WHO, "select", configured=BASIC + budget)
        assert result.stdout.startswith("outcome: allowed within budget\n")
        assert result.stdout.endswith('budgets:\n  5 rows per 1h (rule "b"), beyond that denied\n')

    def test_masked(self) -> None:
        mask = '@id("m") @mask("hash") forbid (principal, action == Action::"reveal", resource in Connection::"pg");'
        result = run("explain", *self.WHO, "select:email,*", configured=BASIC + mask)
        assert result.stdout.splitlines()[-3:] == [
            "masks:",
            '  public.users.email: hash, predicates equality (rule "m")',
            "  public.users: which columns * stands for is known with the database only",
        ]
        assert "masks:" not in run("explain", *self.WHO, "select:email").stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--connection", "pg", "select"],
            ["--connection", "pg", "--agent", "a", "--user", "b", "select"],
            ["--connection", "pg", "--agent", "a", "--protocol", "gopher", "select"],
            ["--connection", "pg", "--agent", "a", "--policy", "missing", "select"],
            ["--connection", "pg", "--agent", "a", "--policy", "bad", "select"],
            ["--user", "ada", "--actor", "crm", "--permission", "review"],
        ],
    )
    def test_unusable(self, arguments: list[str]) -> None:
        result = run("explain", *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")


class TestCases:
    def test_all_pass(self, cases: Path) -> None:
        result = run("test", str(cases))
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "ok    reads: allow",
            "ok    drops: deny",
            f"2 cases, 0 failed, policy version {engine(BASIC).version}",
        ]

    def test_one_fails(self, cases: Path) -> None:
        result = run("test", str(cases), "--policy", "empty")
        assert result.exit_code == 1
        assert f"FAIL  reads ({cases}): expected allow, got deny: Agent ci-1 may not select" in result.stdout
        assert "2 cases, 1 failed" in result.stdout

    def test_unusable(self, cases: Path, tmp_path: Path) -> None:
        assert run("test", str(cases), "--policy", "bad").exit_code == 2
        assert run("test", str(tmp_path / "missing.yaml")).exit_code == 2
        cases.write_text("cases: 5")
        assert run("test", str(cases)).exit_code == 2
