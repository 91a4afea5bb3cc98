"""The demo from the first line to the last. A test too: whatever is not as it has to be makes it fail."""

import contextlib
import itertools
import json
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psycopg

from interlock.demo.agent import act, stranger_is_refused
from interlock.demo.commands import an_agent_uses_a_host, start_host
from interlock.demo.database import SampleDatabase, start_database
from interlock.demo.gateway import AGENT, DemoGateway, start_gateway
from interlock.demo.narrator import Narrator
from interlock.demo.people import APPROVED_DELETES, a_person_is_asked, an_agent_is_stopped
from interlock.demo.processes import DemoFailed, Processes
from interlock.demo.script import STEPS, TABLES, Refusal
from interlock.demo.web import an_agent_uses_the_web

_INTERRUPTED = 130
_RECORDING_TIMEOUT_S = 30.0


def run(directory: Path | None, keep: bool) -> int:
    """Run the demo in ``directory`` (absent: a temporary one, removed afterwards); the exit status.

    With ``keep`` everything goes on running afterwards, until Ctrl-C or SIGTERM.
    """
    narrator = Narrator()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with _place(directory) as place, Processes() as processes:
            return _run(place, keep, processes, narrator)
    except KeyboardInterrupt:
        narrator.say("\nStopped.")
        return _INTERRUPTED
    except (DemoFailed, OSError, psycopg.Error) as error:
        narrator.problem(str(error))
        return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _place(directory: Path | None) -> Iterator[Path]:
    """The demo's directory. The database's account may pass through it and see nothing in it."""
    if directory is not None:
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise DemoFailed(f"{directory} is not empty")
        directory.chmod(0o711)
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="interlock-demo-", ignore_cleanup_errors=True) as temporary:
        Path(temporary).chmod(0o711)
        yield Path(temporary)


def _run(place: Path, keep: bool, processes: Processes, narrator: Narrator) -> int:
    narrator.heading("A gateway, a database and an agent on this machine")
    database = start_database(processes, place)
    account = f", run by account {database.account}" if database.account else ""
    rows = ", ".join(f"{count} {table}" for table, count in TABLES.items())
    narrator.fact("database", f"PostgreSQL {database.version} on port {database.port}{account}; {rows}")
    gateway = start_gateway(processes, place, database)
    narrator.fact("gateway", f"port {gateway.port}; settings, policy, data and log in {place}")
    narrator.fact("agent", f"{AGENT}, of group ci-bots, owned by alice; has a token, and no password of the database")
    narrator.fact("services", f"a CRM and a stand-in for a model's API on port {gateway.services_port}")
    start_host(processes, gateway)
    narrator.fact("host", f"an SSH host on port {gateway.host_port}, which trusts the gateway's authority alone")
    problems = 0
    told = itertools.chain(
        _play(gateway, narrator),
        a_person_is_asked(gateway, database, narrator),
        an_agent_uses_the_web(gateway, narrator),
        an_agent_uses_a_host(gateway, narrator),
        an_agent_is_stopped(gateway, narrator),
        _untouched(database, narrator),
        _evidence(gateway, narrator),
    )
    for problem in told:
        narrator.problem(problem)
        problems += 1
    if keep:
        _keep(gateway, narrator)
    narrator.heading(f"Not everything was as expected: {problems}" if problems else "Everything was as expected.")
    return 1 if problems else 0


def _play(gateway: DemoGateway, narrator: Narrator) -> Iterator[str]:
    """The agent's script."""
    narrator.heading("0. A stranger with a guessed password")
    yield from stranger_is_refused(lambda: psycopg.connect(**gateway.address("guessed")), narrator)
    token = gateway.token()
    with psycopg.connect(**gateway.address(token), application_name="demo", autocommit=True) as connection:
        for number, step in enumerate(STEPS, 1):
            narrator.heading(f"{number}. {step.title}")
            yield from act(connection, step, narrator)


def _untouched(database: SampleDatabase, narrator: Narrator) -> Iterator[str]:
    narrator.heading("What the database itself says, asked past the gateway")
    for table, before in TABLES.items():
        count, expected = database.count(table), before - APPROVED_DELETES.get(table, 0)
        approved = f", {before - count} fewer, as was approved" if count != before else ", as before"
        narrator.say(f"  {table}: {count} rows{approved if count == expected else ''}")
        if count != expected:
            yield f"{table} should have {expected} rows"


def _evidence(gateway: DemoGateway, narrator: Narrator) -> Iterator[str]:
    """The evidence commands, on the data directory of the running gateway."""
    narrator.heading("The evidence")
    summary = _summary(gateway)
    session = str(summary["session"])
    decisions = [step.expected.decision for step in STEPS if isinstance(step.expected, Refusal)]
    expected = {"operations": len(STEPS), "denied": decisions.count("denied"), "held": decisions.count("held")}
    for name, count in expected.items():
        if summary[name] != count:
            yield f"the session has {name} = {summary[name]} on record, not {count}"
    yield from _shown(gateway, narrator, ("audit", "search", "--kind", "connection.refused"), "connection=demo")
    yield from _shown(gateway, narrator, ("sessions", "list"), session, AGENT)
    yield from _shown(gateway, narrator, ("sessions", "show", session), "never-drop", "never-change-all-rows")
    yield from _shown(gateway, narrator, ("sessions", "replay", session, "--no-wait"), "DROP TABLE", "Marta Oliveira")
    yield from _shown(gateway, narrator, ("audit", "verify"), "the evidence is as it was recorded")


def _summary(gateway: DemoGateway) -> dict[str, object]:
    """The agent's first session, once its end and its recording are on record. Raises ``DemoFailed``."""
    deadline = time.monotonic() + _RECORDING_TIMEOUT_S
    while time.monotonic() < deadline:
        listed = gateway.command("sessions", "list", "--json")
        if listed.returncode != 0:
            raise DemoFailed(f"interlock sessions list: {listed.stderr}")
        sessions: list[dict[str, object]] = [json.loads(line) for line in listed.stdout.splitlines()]
        if sessions and sessions[0]["status"] == "closed" and sessions[0]["chunks"]:
            return sessions[0]
    raise DemoFailed("the session's end and its recording did not come on record")


def _shown(gateway: DemoGateway, narrator: Narrator, words: tuple[str, ...], *expected: str) -> Iterator[str]:
    """Run a command and show it. Yields a sentence for everything that its output lacks."""
    result = gateway.command(*words)
    narrator.command(("interlock", *words), result.stdout + result.stderr)
    narrator.say("")
    if result.returncode != 0:
        yield f"interlock {' '.join(words)} ended with status {result.returncode}"
    yield from (f"interlock {' '.join(words)} does not show {text!r}" for text in expected if text not in result.stdout)


def _keep(gateway: DemoGateway, narrator: Narrator) -> None:
    narrator.heading("Everything keeps running until Ctrl-C. Look around:")
    narrator.say(f"  export PGPASSWORD=$({' '.join(gateway.token_command)})    # a token for 15 minutes")
    narrator.say(f"  {gateway.psql_command()}")
    narrator.say(f"  ssh -p {gateway.ssh_port} web@127.0.0.1 ls    # with the token as password")
    narrator.say(f"  {' '.join(gateway.typed)} sessions list")
    narrator.say(f"  edit {gateway.policy_file}: it takes effect within seconds")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()
