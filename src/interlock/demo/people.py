"""What people do in the demo: a DBA approves one exact statement, a responder stops the agent."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg

from interlock.demo.database import SampleDatabase
from interlock.demo.gateway import AGENT, DemoGateway
from interlock.demo.narrator import Narrator
from interlock.demo.processes import DemoFailed
from interlock.demo.script import TABLES

APPROVED_DELETES: Final = {"orders": 1}
"""How many rows are deleted, by table, after somebody has approved it."""

_DELETE: Final = "DELETE FROM orders WHERE id = 7"
_LONG: Final = "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e, orders f"
_REASON: Final = "it behaves strangely"
_PATIENCE_S: Final = 30.0
_DBA: Final = ("dana", "dba")
_RESPONDER: Final = ("sam", "security")
OPERATIONS: Final = ("olga", "ops")


def a_person_is_asked(gateway: DemoGateway, database: SampleDatabase, narrator: Narrator) -> Iterator[str]:
    """A DELETE waits on the wire; a DBA looks at what it would do and approves exactly that."""
    narrator.heading("A DELETE that waits for a person")
    with psycopg.connect(**gateway.address(gateway.token()), autocommit=True) as connection:
        running = _Running(connection, _DELETE)
        narrator.sent(_DELETE, ())
        narrator.notice(running.notice())
        narrator.why("The connection is kept, nothing has reached the table. Elsewhere, with a token of her own:")
        approval = pending(gateway, _DBA)
        yield from told(gateway, narrator, _DBA, ("approvals", "show", approval), _DELETE)
        yield from told(gateway, narrator, _DBA, ("approvals", "rehearse", approval), "DELETE 1")
        if database.count("orders") != TABLES["orders"]:
            yield "the rehearsal changed the table"
        narrator.why("It ran in a transaction that is open: nobody else sees it yet. She agrees to exactly that.")
        yield from told(gateway, narrator, _DBA, ("approvals", "approve", approval, "-r", "a duplicate"), "approved")
        outcome = running.outcome()
        narrator.completed(str(outcome))
        if outcome != "DELETE 1":
            yield f"the approved statement ended with {outcome!r}"


def an_agent_is_stopped(gateway: DemoGateway, narrator: Narrator) -> Iterator[str]:
    """A responder locks the agent while it runs a long statement; the receipt says what that did."""
    narrator.heading("A lock on the agent, while it runs something long")
    token = gateway.token()
    with psycopg.connect(**gateway.address(token), autocommit=True) as connection:
        running = _Running(connection, _LONG)
        narrator.sent(_LONG, ())
        _wait_until(lambda: _is_running(gateway), "the agent runs nothing")
        lock = ("lock", "add", "agent", AGENT, "--reason", _REASON, "--for", "1h")
        yield from told(gateway, narrator, _RESPONDER, lock, AGENT)
        yield from _locked_out(narrator, running.outcome())
    narrator.why("It was cut, its statement was cancelled at the database, and it does not get in again:")
    yield from _locked_out(narrator, _attempt(gateway, token))
    unlock = ("lock", "remove", _lock(gateway), "--reason", "it was the nightly report")
    yield from told(gateway, narrator, _RESPONDER, unlock, "lifted")
    if (problem := _attempt(gateway, token)) is not None:
        yield f"the agent did not get in again: {problem}"


def _attempt(gateway: DemoGateway, token: str) -> psycopg.Error | None:
    """What keeps the agent from connecting."""
    try:
        psycopg.connect(**gateway.address(token)).close()
    except psycopg.OperationalError as refused:
        return refused
    return None


def _locked_out(narrator: Narrator, outcome: object) -> Iterator[str]:
    error = str(outcome)
    narrator.refusal([("FATAL", error.rpartition("FATAL:")[2].strip().partition("\n")[0])])
    if _REASON not in error:
        yield f"the agent was not told why: {error}"


class _Running:
    """A statement that runs in the background."""

    def __init__(self, connection: psycopg.Connection[Any], statement: str) -> None:
        self._notices: queue.Queue[str] = queue.Queue()
        self._outcome: queue.Queue[object] = queue.Queue()
        connection.add_notice_handler(lambda notice: self._notices.put(notice.message_primary or ""))
        threading.Thread(target=self._run, args=(connection, statement), daemon=True).start()

    def _run(self, connection: psycopg.Connection[Any], statement: str) -> None:
        try:
            self._outcome.put(connection.execute(statement.encode()).statusmessage)
        except psycopg.Error as error:
            self._outcome.put(error)

    def notice(self) -> str:
        """What the client is told while it waits. Raises ``DemoFailed``."""
        return str(_next(self._notices, "the statement does not wait"))

    def outcome(self) -> object:
        """Its completion, or its error. Raises ``DemoFailed``."""
        return _next(self._outcome, "the statement does not end")


def _next(things: "queue.Queue[Any]", problem: str) -> object:
    try:
        return things.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise DemoFailed(problem) from None


def pending(gateway: DemoGateway, person: tuple[str, str]) -> str:
    """The id of the request that waits for an answer, once there is one. Raises ``DemoFailed``."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (waiting := _listed(gateway, person, "approvals", "list", "--status", "pending")["items"]):
        if time.monotonic() > deadline:
            raise DemoFailed("nobody was asked")
    return str(waiting[0]["id"])


def _lock(gateway: DemoGateway) -> str:
    """The id of the only lock. Raises ``DemoFailed``."""
    return str(_listed(gateway, _RESPONDER, "lock", "list")[0]["id"])


def _listed(gateway: DemoGateway, person: tuple[str, str], *words: str) -> Any:
    result = gateway.command_as(*person, *words, "--json")
    if result.returncode != 0:
        raise DemoFailed(f"interlock {' '.join(words)}: {result.stderr}")
    return json.loads(result.stdout)


def _is_running(gateway: DemoGateway) -> bool:
    return any(session["state"] == "running" for session in _listed(gateway, _RESPONDER, "sessions", "live"))


def _wait_until(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(problem)


def told(
    gateway: DemoGateway, narrator: Narrator, person: tuple[str, str], words: tuple[str, ...], expected: str
) -> Iterator[str]:
    """Run a command as a person and show it. Yields a sentence when it fails or does not show what it should."""
    result = gateway.command_as(*person, *words)
    narrator.command(("interlock", *words), result.stdout + result.stderr, person[0])
    if result.returncode != 0:
        yield f"interlock {' '.join(words)} ended with status {result.returncode}"
    elif expected not in result.stdout:
        yield f"interlock {' '.join(words)} does not show {expected!r}"
