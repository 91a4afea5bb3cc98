"""``interlock incident`` as it is typed: what it asks for, what it prints, how it ends."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from interlock.core.administration import AnswerT, Command
from interlock.core.administration.incidents import (
    BundleIncident,
    BundleMade,
    BundlePiece,
    ClosedIncident,
    CloseIncident,
    FindValue,
    IncidentPage,
    ListIncidents,
    OpenedIncident,
    OpenIncident,
    ReadBundle,
    ShowIncident,
    Timeline,
)
from interlock.core.errors import LedgerUnavailable, NotFound
from interlock.core.incident import Incident, TimelineItem, ValueFound, ValueSearch
from interlock.core.lock import LockMode, LockSubject
from interlock.surfaces.cli import incident

ID = "0" * 25 + "a"
SECRET = "planted-secret"
INCIDENT = Incident(ID, LockSubject.AGENT, "bot", "it\x1b[31m leaks", "rita", 10**18, "refuse", 7)
FOUND = ValueFound("s" * 26, 1, 10**18, "bot", "crm", "column a", 1, 0)
NOTHING = ValueSearch(1, 1, 10, (), False, ())
Run = Callable[..., Result]


class Answering:
    """A workbench with an answer for each kind of command; an error is raised. ``asked`` keeps the commands."""

    def __init__(self) -> None:
        self.answers: dict[type, Any] = {}
        self.asked: list[Command[Any]] = []

    def administer(self, command: Command[AnswerT], token: str = "") -> Any:
        self.asked.append(command)
        answer = self.answers[type(command)]
        if callable(answer):
            answer = answer(command)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bench() -> Answering:
    return Answering()


@pytest.fixture
def run(bench: Answering) -> Run:
    app = typer.Typer()
    app.add_typer(incident.app)

    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["incident", *words], obj=bench, input=typed, env={"COLUMNS": "200"})

    return run


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("--agent", "bot"), OpenIncident(LockSubject.AGENT, "r", "bot")),
        (("--user", "ada", "--mode", "freeze"), OpenIncident(LockSubject.USER, "r", "ada", LockMode.FREEZE)),
        (("--owner", "ada", "--no-lock"), OpenIncident(LockSubject.OWNER, "r", "ada", None)),
        (("--group", "g"), OpenIncident(LockSubject.GROUP, "r", "g")),
        (("--connection", "c"), OpenIncident(LockSubject.CONNECTION, "r", "c")),
        (("--token", "t"), OpenIncident(LockSubject.TOKEN, "r", "t")),
        (("--run", "x"), OpenIncident(LockSubject.RUN, "r", "x")),
        (("--everything",), OpenIncident(LockSubject.EVERYTHING, "r")),
    ],
)
def test_opening(run: Run, bench: Answering, words: tuple[str, ...], command: OpenIncident) -> None:
    bench.answers[OpenIncident] = OpenedIncident(ID, "it")
    result = run("open", *words, "--reason", "r")
    assert (result.exit_code, bench.asked) == (0, [command])
    assert result.output == f"Incident {ID} on it is open.\nNobody is locked.\n"


@pytest.mark.parametrize("words", [(), ("--agent", "a", "--user", "b"), ("--agent", "a", "--everything")])
def test_opening_takes_exactly_one_subject(run: Run, bench: Answering, words: tuple[str, ...]) -> None:
    result = run("open", *words, "--reason", "r")
    assert (result.exit_code, bench.asked) == (2, [])
    assert "name exactly one: --agent, --user" in result.output


def test_an_incident_without_its_lock_is_an_error(run: Run, bench: Answering) -> None:
    bench.answers[OpenIncident] = OpenedIncident(ID, "agent bot", None, "NOBODY IS LOCKED: the disk is full")
    result = run("open", "--agent", "bot", "--reason", "r")
    assert (result.exit_code, "NOBODY IS LOCKED" in result.output) == (2, True)


def test_what_the_ledger_does_not_take_is_said(run: Run, bench: Answering) -> None:
    bench.answers[OpenIncident] = LedgerUnavailable("the ledger's disk: No space left on device")
    result = run("open", "--agent", "bot", "--reason", "r")
    assert (result.exit_code, result.output) == (2, "error: the ledger's disk: No space left on device\n")


def test_lists_and_timelines_steer_no_terminal(run: Run, bench: Answering) -> None:
    item = TimelineItem(8, 10**18, "lock.added", "", "rita\x1b[0m", "lock")
    bench.answers |= {ListIncidents: IncidentPage((INCIDENT,)), ShowIncident: Timeline(INCIDENT, (item,))}
    for words in (("list",), ("show", ID)):
        result = run(*words)
        assert result.exit_code == 0
        assert "\x1b" not in result.output
        assert "agent bot" in result.output
    assert json.loads(run("show", ID, "--json").output)["items"][0]["kind"] == "lock.added"


@pytest.mark.parametrize(
    ("search", "status", "words"),
    [
        (NOTHING, 0, "NO: the value is in no answer."),
        (ValueSearch(1, 1, 10, (FOUND,), False, ()), 1, "YES: the value was delivered."),
        (ValueSearch(1, 1, 10, (FOUND,), True, ("gap",)), 1, "There are more than are shown."),
        (ValueSearch(1, 1, 10, (), False, ("8 bytes",)), 3, "NOT KNOWN"),
    ],
)
def test_the_verdict(run: Run, bench: Answering, search: ValueSearch, status: int, words: str) -> None:
    bench.answers[FindValue] = search
    result = run("did-it-leave", typed=f"{SECRET}\n")
    assert (result.exit_code, words in result.output) == (status, True)
    assert SECRET not in result.output
    assert bench.asked == [FindValue(SECRET)]
    shown = json.loads(run("did-it-leave", "--json", typed=SECRET).output)
    assert (shown["verdict"], SECRET in str(shown)) == (search.verdict, False)


def test_a_value_as_an_argument_is_warned_about(run: Run, bench: Answering) -> None:
    bench.answers[FindValue] = NOTHING
    result = run("did-it-leave", SECRET, "--incident", ID, "--since", "2030-01-01")
    assert (result.exit_code, "list of processes" in result.output) == (0, True)
    assert bench.asked == [FindValue(SECRET, ID, since_s=1893456000.0)]
    assert SECRET not in result.output


def test_no_value_is_an_error(run: Run, bench: Answering) -> None:
    assert run("did-it-leave", typed="\n").exit_code == 1
    assert bench.asked == []


def test_a_bundle_in_pieces(run: Run, bench: Answering, tmp_path: Path) -> None:
    data = bytes(range(200))
    digest = hashlib.sha256(data).hexdigest()

    def piece(command: ReadBundle) -> BundlePiece:
        return BundlePiece(data[command.offset : command.offset + 80], command.offset + 80 >= len(data))

    bench.answers |= {BundleIncident: BundleMade(ID, 200, digest, 3, 1), ReadBundle: piece}
    out = tmp_path / "incident.tar"
    result = run("bundle", ID, "--out", str(out))
    assert (result.exit_code, out.read_bytes()) == (0, data)
    assert "3 entries, 1 session, 200 bytes" in result.output
    assert run("bundle", ID, "--out", str(out)).exit_code == 2
    assert out.read_bytes() == data


@pytest.mark.parametrize("answer", [NotFound("it was replaced"), BundlePiece(b"other", True)])
def test_a_bundle_that_does_not_come_whole_leaves_no_file(
    run: Run, bench: Answering, tmp_path: Path, answer: object
) -> None:
    bench.answers |= {BundleIncident: BundleMade(ID, 5, "0" * 64, 3, 1), ReadBundle: answer}
    out = tmp_path / "incident.tar"
    assert run("bundle", ID, "--out", str(out)).exit_code in (1, 2)
    assert not out.exists()


def test_closing(run: Run, bench: Answering) -> None:
    bench.answers[CloseIncident] = ClosedIncident(ID, ("l1",), ("l2",), ("w",))
    result = run("close", ID, "--reason", "r", "--lift-locks")
    assert bench.asked == [CloseIncident(ID, "r", True)]
    for words in ("is closed", "Lock l1 is lifted", "Lock l2 STAYS IN FORCE", "warning: w"):
        assert words in result.output
