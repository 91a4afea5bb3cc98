"""``interlock revoke``, as typed: what is locked by it, and what became of sessions."""

import json
from collections.abc import Callable

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from interlock.core.identity import Principal, PrincipalKind
from interlock.core.lock import LockMode, LockSubject
from interlock.surfaces.cli import revoke
from tests.services.administration_bench import AdministrationBench
from tests.services.policy.examples import agent
from tests.surfaces.cli.test_administration_commands import BenchWorkbench

Run = Callable[..., Result]
RUN = "0af7651916cd43dd8448eb211c80319c"
ISSUER = "https://id.example"
ADA = Principal(PrincipalKind.USER, "ada", issuer=ISSUER, subject="7", token_id="jti-1", login="s1")


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


@pytest.fixture
def run(bench: AdministrationBench) -> Run:
    app = typer.Typer()
    app.add_typer(revoke.app)

    def run(*arguments: str) -> Result:
        words = ("revoke", *arguments, "--reason", "stolen")
        return CliRunner(env={"COLUMNS": "300"}).invoke(app, words, obj=BenchWorkbench(bench))

    return run


@pytest.mark.parametrize(
    ("words", "kind", "subject"),
    [
        (("token", "jti-1"), LockSubject.TOKEN, "jti-1"),
        (("run", RUN), LockSubject.RUN, RUN),
        (("identity", "ada"), LockSubject.OWNER, "ada"),
        (("login", ISSUER, "s1"), LockSubject.LOGIN, f"{ISSUER} s1"),
        (("subject", ISSUER, "7"), LockSubject.SUBJECT, f"{ISSUER} 7"),
    ],
)
def test_access_is_taken_back_and_it_shows_what_was_cut(
    run: Run, bench: AdministrationBench, words: tuple[str, ...], kind: LockSubject, subject: str
) -> None:
    session, other = bench.locking.sessions.add(ADA, run=RUN), bench.locking.sessions.add(agent())
    result = run(*words)
    assert result.exit_code == 0, result.output
    (lock,) = bench.locking.locks.all()
    assert (lock.subject_kind, lock.subject, lock.mode, lock.reason) == (kind, subject, LockMode.REFUSE, "stolen")
    assert lock.issued_before_s is None
    assert session.session.id in result.stdout
    assert (bool(session.done), bool(other.done)) == (True, False)


def test_an_identity_takes_its_agents_along(run: Run, bench: AdministrationBench) -> None:
    own = bench.locking.sessions.add(agent(owner="ada"))
    answer = json.loads(run("identity", "ada", "--json").stdout)
    assert [session["session"] for session in answer["sessions"]] == [own.session.id]


@pytest.mark.parametrize("words", [("identity", "ada"), ("subject", ISSUER, "7")])
def test_with_earlier_proofs_whoever_logs_in_again_comes_in(
    run: Run, bench: AdministrationBench, words: tuple[str, ...]
) -> None:
    now_s = bench.clock.now_s()
    early, late = (msgspec.structs.replace(ADA, issued_at_s=now_s + seconds) for seconds in (-1, 1))
    assert run(*words, "--earlier-proofs").exit_code == 0
    locks = bench.locking.locks
    assert locks.restriction(early, "pg", "") is not None
    assert locks.restriction(late, "pg", "") is None


def test_a_reason_is_needed(bench: AdministrationBench) -> None:
    app = typer.Typer()
    app.add_typer(revoke.app)
    assert CliRunner().invoke(app, ("revoke", "token", "x"), obj=BenchWorkbench(bench)).exit_code == 2
