"""Looks at what PostgreSQL targets do for the gateway's sessions (pg_stat_activity), and ends what does not stop.

One connection for one look at a target, however many sessions it is about. It reads no statement's text and never
touches a process that is not surely the session's own.
"""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

import asyncpg

from interlock.adapters.postgres_connection import PostgresConnections
from interlock.core.errors import CatalogueUnavailable
from interlock.services.live import ActivityView, Backend, BackendState

_APPLICATION: Final = "interlock-activity"
_STATES: Final = """
SELECT pid, state FROM pg_stat_activity WHERE pid = ANY($1::int[])
"""
_OWN: Final = """
FROM pg_stat_activity a JOIN unnest($1::int[], $2::int[]) AS own (pid, port)
    ON a.pid = own.pid AND a.client_port = own.port
    WHERE a.usename = current_user
"""
_CANCEL: Final = f"SELECT pg_cancel_backend(a.pid) {_OWN}"
_TERMINATE: Final = f"SELECT pg_terminate_backend(a.pid) {_OWN}"


class PostgresActivity:
    """Implements ``services.live.TargetActivity``."""

    def __init__(self, targets: PostgresConnections) -> None:
        self._targets = targets

    @contextlib.asynccontextmanager
    async def open(self, connection: str, database: str) -> AsyncIterator[ActivityView]:
        """A view that sees changes as they come. Raises ``CatalogueUnavailable``, also when a pooler is in between."""
        async with self._targets.transaction(connection, database, _APPLICATION) as opened:
            # A pooler gives numbers of its own making, and its clients' numbers say nothing of the server's processes.
            if await opened.fetchval("SELECT pg_backend_pid()") != opened.get_server_pid():
                raise CatalogueUnavailable("a pooler hides which of its processes serves which session")
            yield _View(opened)


class _View:
    """Implements ``services.live.ActivityView``."""

    def __init__(self, opened: asyncpg.Connection) -> None:
        self._opened = opened

    async def states(self, backends: Collection[Backend]) -> Mapping[Backend, BackendState]:
        """Those of the processes that are there now."""
        await self._opened.execute("SELECT pg_stat_clear_snapshot()")
        rows = await self._opened.fetch(_STATES, [backend.process_id for backend in backends])
        states = {row["pid"]: _state(row["state"]) for row in rows}
        return {backend: states[backend.process_id] for backend in backends if backend.process_id in states}

    async def cancel(self, backends: Collection[Backend]) -> None:
        """Stop what those of the processes run that serve the gateway's own end of the connection."""
        await self._signal(_CANCEL, backends)

    async def terminate(self, backends: Collection[Backend]) -> None:
        """End those of the processes that serve the gateway's own end of the connection."""
        await self._signal(_TERMINATE, backends)

    async def _signal(self, statement: str, backends: Collection[Backend]) -> None:
        if backends:
            await self._opened.execute("SELECT pg_stat_clear_snapshot()")
            ids, ports = zip(*backends, strict=True)
            await self._opened.fetch(statement, list(ids), list(ports))


def _state(word: str | None) -> BackendState:
    return BackendState.RESTING if word is not None and word.startswith("idle") else BackendState.WORKING
