"""SQL that agents have run through the gateway's own MCP server.

Each statement runs on a connection of its own to the gateway's own PostgreSQL listener, with the caller's token as
password: it is decided, masked, held and recorded there like any other client's. One that is held goes on by itself
once it is approved; until somebody asks for its result, that is kept for a while. How many wait is bounded.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from interlock.core.errors import AdministrationRefused, InterlockError
from interlock.core.identity import Principal
from interlock.services.ports import Clock

MAX_HELD: Final = 200
MAX_HELD_EACH: Final = 10
"""Statements that wait, or whose results are kept: over all, and of one identity."""
KEPT_S: Final = 900.0
TIMEOUT_S: Final = 60.0
"""How long a statement may run that nobody has to approve."""

Asker = tuple[tuple[str, str], ...]
"""Who asks; see ``Principal.asker``."""
Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]


class Statement(msgspec.Struct, frozen=True):
    """What is to be run where, by whom. ``application`` says whose run it is. ``repr`` leaves the token out."""

    token: str
    connection: str
    database: str
    sql: str
    max_rows: int
    application: str = ""

    def __repr__(self) -> str:
        return f"Statement(connection={self.connection!r}, database={self.database!r})"


class QueryResult(msgspec.Struct, frozen=True):
    """Rows as plain values. ``more``: there were more of them than was asked for, or than there is room for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    status: str
    more: bool = False


class HeldNotice(msgspec.Struct, frozen=True):
    """A statement waits for people: the request's id, and what its client was told."""

    approval: str
    text: str


class QueryFailed(InterlockError):
    """The gateway or the target refused the statement; the text is for whoever sent it."""


class QueryRunner(Protocol):
    """Runs one statement as an ordinary client of the gateway."""

    async def run(self, statement: Statement, held: Callable[[HeldNotice], None]) -> QueryResult:
        """Connect, run it, and end. ``held`` is called when it waits for people. Raises ``QueryFailed``."""


class _Running:
    """One statement on its way; the task gives its result, or what it failed with."""

    def __init__(self, owner: Asker, statement: Statement) -> None:
        self.owner = owner
        self.what = (owner, statement.connection, statement.database, statement.sql)
        self.notice: HeldNotice | None = None
        self.changed = asyncio.Event()
        self.until_s = 0.0
        self.task: asyncio.Task[QueryResult | QueryFailed]

    def hold(self, notice: HeldNotice) -> None:
        self.notice = notice
        self.changed.set()

    def result(self) -> QueryResult:
        """Once it is over. Raises ``QueryFailed``."""
        result = self.task.result()
        if isinstance(result, QueryFailed):
            raise result
        return result


class Queries:
    """Runs statements, and keeps those that are held. ``spawn`` runs something beside."""

    def __init__(self, runner: QueryRunner, clock: Clock, spawn: Spawn) -> None:
        self._runner = runner
        self._clock = clock
        self._spawn = spawn
        self._held: dict[str, _Running] = {}

    async def run(self, who: Principal, statement: Statement) -> QueryResult | HeldNotice:
        """Run a statement until it is over or waits for people; the same as one that waits is that one.

        Raises ``QueryFailed``, and ``AdministrationRefused`` when the identity has too many that wait. When the caller
        goes away meanwhile, the statement is cancelled, unless it waits for people.
        """
        running = _Running(who.asker, statement)
        for approval, known in self._held.items():
            if known.what == running.what:
                return self._taken(approval) if known.task.done() else _notice(known)
        self._check_room(running.owner)
        running.task = self._spawn(self._run(statement, running), "query of an agent")
        running.task.add_done_callback(lambda _: running.changed.set())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await running.changed.wait()
        except TimeoutError:
            running.task.cancel()
            raise QueryFailed(f"the statement was cancelled: it took longer than {TIMEOUT_S:g} s") from None
        except asyncio.CancelledError:
            running.task.cancel()
            raise
        return running.result() if running.task.done() else self._kept(running)

    async def result(self, who: Principal, approval: str, wait_s: float) -> QueryResult | None:
        """The result of a statement that was held; None when there is none yet, or none is known.

        It is given once. Raises ``QueryFailed`` when it was not executed or failed.
        """
        running = self._held.get(approval)
        if running is None or running.owner != who.asker:
            return None
        await asyncio.wait((running.task,), timeout=wait_s)
        return self._taken(approval) if running.task.done() and approval in self._held else None

    def tick(self) -> None:
        """Forget what nobody has asked for."""
        now_s = self._clock.monotonic_s()
        for approval, running in list(self._held.items()):
            if running.until_s <= now_s:
                running.task.cancel()
                del self._held[approval]

    def close(self) -> None:
        """The gateway stops: nothing goes on."""
        for running in self._held.values():
            running.task.cancel()
        self._held.clear()

    async def _run(self, statement: Statement, running: _Running) -> QueryResult | QueryFailed:
        try:
            return await self._runner.run(statement, running.hold)
        except QueryFailed as failed:
            return failed

    def _kept(self, running: _Running) -> HeldNotice:
        notice = _notice(running)
        running.until_s = self._clock.monotonic_s() + KEPT_S
        self._held[notice.approval] = running
        return notice

    def _taken(self, approval: str) -> QueryResult:
        return self._held.pop(approval).result()

    def _check_room(self, owner: Asker) -> None:
        own = sum(running.owner == owner for running in self._held.values())
        if own >= MAX_HELD_EACH or len(self._held) >= MAX_HELD:
            raise AdministrationRefused("too many statements wait for approval: wait for those first")


def _notice(running: _Running) -> HeldNotice:
    assert running.notice is not None
    return running.notice
