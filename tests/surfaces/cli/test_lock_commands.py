"""``interlock lock``, ``tokens revoke``, ``sessions live | kill`` and what locks do to ``identities``, as typed."""

import asyncio
import json
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from interlock.core.errors import LedgerUnavailable
from interlock.core.lock import SESSION_ENDED, LockMode, LockSubject
from interlock.surfaces.cli import identities, live, lock, tokens
from tests.services.administration_bench import AdministrationBench
from tests.services.policy.examples import agent
from tests.surfaces.cli.test_administration_commands import BenchWorkbench

Run = Callable[..., Result]
ADD = ("lock", "add", "agent", "ci-1", "--reason", "it drops tables")


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


@pytest.fixture
def workbench(bench: AdministrationBench) -> BenchWorkbench:
    return BenchWorkbench(bench)


@pytest.fixture
def run(workbench: BenchWorkbench) -> Run:
    app = typer.Typer()
    for module in (lock, tokens, identities):
        app.add_typer(module.app)
    sessions = typer.Typer(name="sessions")
    sessions.add_typer(live.app)
    app.add_typer(sessions)

    def run(*arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments, obj=workbench)

    return run


def the_lock(bench: AdministrationBench) -> str:
    (found,) = bench.locking.locks.all()
    return found.id


def test_a_lock_shows_what_became_of_sessions(run: Run, bench: AdministrationBench) -> None:
    session = bench.locking.sessions.add(agent())
    session.run("DELETE")
    result = run(*ADD)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Lock {the_lock(bench)} (refuse) on agent ci-1 is in force.\n")
    for shown in (session.session.id, "cut", "DELETE", " ms", "Approvals made void: 2"):
        assert shown in result.stdout
    assert session.done


def test_a_lock_that_concerns_nobody_says_so(run: Run) -> None:
    assert "No open session was concerned." in run(*ADD).stdout


def test_what_could_not_be_verified_goes_to_standard_error(run: Run, bench: AdministrationBench) -> None:
    bench.locking.sessions.add(agent())
    bench.locking.target.hidden = "nobody answers"
    result = run(*ADD)
    assert "not verified" in result.stdout
    assert result.stderr == "warning: what runs at the target of 'pg' cannot be verified: nobody answers\n"


def test_a_receipt_for_programs(run: Run, bench: AdministrationBench) -> None:
    bench.locking.sessions.add(agent())
    receipt = json.loads(run(*ADD, "--mode", "freeze", "--json").stdout)
    assert receipt["lock"]["id"] == the_lock(bench)
    assert (receipt["lock"]["mode"], receipt["lock"]["by"]) == ("freeze", "os:ada")
    assert [one["action"] for one in receipt["sessions"]] == ["frozen"]


@pytest.mark.parametrize(("duration", "seconds"), [("90s", 90), ("10m", 600), ("8h", 28_800), ("2d", 172_800)])
def test_a_lock_for_a_while(run: Run, bench: AdministrationBench, duration: str, seconds: int) -> None:
    run(*ADD, "--for", duration)
    lock = bench.locking.locks.find(the_lock(bench))
    assert lock.expires_at_s == pytest.approx(bench.clock.now_s() + seconds)
    assert "removed" not in run("lock", "list").stdout


@pytest.mark.parametrize("duration", ["0m", "10", "m", "-5m", "1.5h", "10 m"])
def test_a_duration_that_is_none(run: Run, bench: AdministrationBench, duration: str) -> None:
    result = run(*ADD, "--for", duration)
    assert result.exit_code == 2
    assert f"such as 10m; not {duration!r}" in result.stderr
    assert list(bench.locking.locks.all()) == []


def test_everything_needs_no_name_and_everything_else_does(run: Run, bench: AdministrationBench) -> None:
    assert run("lock", "add", "everything", "--reason", "r").exit_code == 0
    result = run("lock", "add", "group", "--reason", "r")
    assert (result.exit_code, result.stderr) == (1, "error: a lock on group needs a name\n")
    assert run("lock", "add", "nothing", "x", "--reason", "r").exit_code == 2
    assert run("lock", "add", "agent", "x").exit_code == 2, "without a reason"
    (lock,) = bench.locking.locks.all()
    assert (lock.subject_kind, lock.mode) == (LockSubject.EVERYTHING, LockMode.REFUSE)


def test_locks_are_listed_and_lifted(run: Run, bench: AdministrationBench) -> None:
    assert run("lock", "list").stdout == "There is no lock in force.\n"
    run(*ADD)
    lock_id = the_lock(bench)
    line = run("lock", "list").stdout.splitlines()[-1]
    for shown in (lock_id, "agent ci-1", "refuse", "it drops tables", "os:ada", "removed", "command"):
        assert shown in line
    assert [one["id"] for one in json.loads(run("lock", "list", "--json").stdout)] == [lock_id]
    lifted = run("lock", "remove", lock_id, "--reason", "looked at")
    assert (lifted.exit_code, lifted.stdout) == (0, "The lock on agent ci-1 is lifted.\n")
    again = run("lock", "remove", lock_id, "--reason", "looked at")
    assert (again.exit_code, again.stderr) == (1, f"error: there is no lock '{lock_id}' in force\n")


def test_more_locks_than_a_page_are_all_listed(run: Run, bench: AdministrationBench) -> None:
    async def lock_many() -> None:
        for number in range(1001):
            bench.clock.advance(1)
            await bench.locking.locks.add(LockSubject.AGENT, f"a{number}", LockMode.REFUSE, "r", "eve")

    asyncio.run(lock_many())
    listed = json.loads(run("lock", "list", "--json").stdout)
    assert [one["subject"] for one in listed] == [f"a{number}" for number in reversed(range(1001))]


def test_ones_own_lock_cannot_be_lifted(run: Run, bench: AdministrationBench) -> None:
    run("lock", "add", "owner", "os:ada", "--mode", "read-only", "--reason", "r")
    result = run("lock", "remove", the_lock(bench), "--reason", "mine")
    assert (result.exit_code, result.stderr) == (1, "error: the lock is on yourself: somebody else has to lift it\n")


def test_somebody_is_exempted_for_a_while(run: Run, bench: AdministrationBench) -> None:
    run("lock", "add", "connection", "pg", "--mode", "read-only", "--reason", "code freeze")
    lock_id = the_lock(bench)
    assert run("lock", "list").stdout.splitlines()[-1].rstrip().endswith("-")
    of_agent = (lock_id, "agent", "ci-1")
    result = run("lock", "exempt", *of_agent, "--for", "10m", "--reason", "hotfix")
    (exemption,) = bench.locking.locks.find(lock_id).exemptions
    assert exemption.ends_at_s == pytest.approx(bench.clock.now_s() + 600)
    assert result.stdout == f"Lock {lock_id} does not concern agent ci-1 until 2027-01-15T08:10:00+00:00.\n"
    assert "agent ci-1 until 2027-01-15T08:10:00+00:00 by os:ada (hotfix)" in run("lock", "list").stdout
    session = bench.locking.sessions.add(agent())
    session.may_have_written = True
    ended = run("lock", "unexempt", *of_agent, "--reason", "done")
    assert ended.stdout.startswith(f"Lock {lock_id} concerns agent ci-1 again.\n")
    assert session.session.id in ended.stdout
    again = run("lock", "unexempt", *of_agent, "--reason", "done")
    assert (again.exit_code, again.stderr) == (1, f"error: agent 'ci-1' is not exempt from lock '{lock_id}'\n")


@pytest.mark.parametrize("duration", ["", "25h", "0s", "ever"])
def test_an_exemption_has_an_end_within_a_day(run: Run, bench: AdministrationBench, duration: str) -> None:
    run(*ADD)
    result = run("lock", "exempt", the_lock(bench), "agent", "ci-1", "--for", duration, "--reason", "hotfix")
    assert result.exit_code == 2
    assert "--for is" in result.stderr
    assert run("lock", "exempt", the_lock(bench), "agent", "ci-1", "--reason", "hotfix").exit_code == 2
    assert bench.locking.locks.find(the_lock(bench)).exemptions == ()


def test_nobody_exempts_himself(run: Run, bench: AdministrationBench) -> None:
    run("lock", "add", "everything", "--reason", "r")
    result = run("lock", "exempt", the_lock(bench), "user", "os:ada", "--for", "10m", "--reason", "mine")
    assert result.exit_code == 1
    assert result.stderr == "error: the exemption would be for yourself: somebody else has to give it\n"


def test_a_ledger_that_refuses(run: Run, workbench: BenchWorkbench, bench: AdministrationBench) -> None:
    workbench.error = LedgerUnavailable("the disk is full")
    assert (run(*ADD).exit_code, list(bench.locking.locks.all())) == (2, [])


# ---------------------------------------------------------------- sessions, tokens, identities


def test_sessions_are_listed_and_killed(run: Run, bench: AdministrationBench) -> None:
    session = bench.locking.sessions.add(agent(), run="0af7651916cd43dd8448eb211c80319c")
    other = bench.locking.sessions.add(agent(name="ci-2"))
    listed = run("sessions", "live").stdout
    assert session.session.id in listed
    assert other.session.id in listed
    result = run("sessions", "kill", session.session.id, "--reason", "it loops")
    assert result.exit_code == 0
    assert session.done == ["cut 57P01 it loops"]
    assert other.done == []
    assert run("sessions", "kill", session.session.id, "--reason", "again").exit_code == 1


def test_a_token_is_revoked(run: Run, bench: AdministrationBench) -> None:
    result = run("tokens", "revoke", "jti-1", "--reason", "in a trace")
    assert result.exit_code == 0
    (lock,) = bench.locking.locks.all()
    assert (lock.subject_kind, lock.subject, lock.cause) == (LockSubject.TOKEN, "jti-1", "token revoked")


def test_disabling_an_identity_locks_it_and_shows_what_was_cut(run: Run, bench: AdministrationBench) -> None:
    run("identities", "add", "ci-1", "--group", "ci-bots", "--group", "night")
    first = bench.locking.sessions.add(agent("ci-bots"))
    result = run("identities", "disable", "ci-1")
    assert first.session.id in result.stdout
    assert "identity disabled" in run("lock", "list").stdout
    assert run("identities", "enable", "ci-1").exit_code == 0
    assert list(bench.locking.locks.all()) == []


def test_leaving_a_group_and_being_removed_cut(run: Run, bench: AdministrationBench) -> None:
    run("identities", "add", "ci-1", "--group", "ci-bots", "--group", "night")
    member, bystander = bench.locking.sessions.add(agent("night")), bench.locking.sessions.add(agent("ci-bots"))
    assert member.session.id in run("identities", "add", "ci-1", "--group", "ci-bots", "--replace").stdout
    assert (bool(member.done), bool(bystander.done)) == (True, False)
    assert bystander.session.id in run("identities", "remove", "ci-1").stdout


def test_the_owner_of_a_disabled_identity_does_not_enable_it(run: Run, bench: AdministrationBench) -> None:
    run("identities", "add", "ci-1", "--owner", "os:ada")
    run("identities", "disable", "ci-1")
    result = run("identities", "enable", "ci-1")
    assert result.exit_code == 1
    assert "somebody else has to lift it" in result.stderr
    assert bench.state.identities["ci-1"].disabled


def test_what_people_have_logged_out_of_is_shown_when_asked_for(run: Run, bench: AdministrationBench) -> None:
    run(*ADD)
    cause = f"{SESSION_ENDED} with its login"
    add = bench.locking.locks.add(LockSubject.TOKEN, "login:1", LockMode.REFUSE, "logged out", "ada", cause=cause)
    asyncio.run(add)
    listed = run("lock", "list")
    assert ("login:1" in listed.stdout, "ci-1" in listed.stdout) == (False, True)
    assert "Not shown: 1" in listed.stderr
    assert "login:1" in run("lock", "list", "--all").stdout
