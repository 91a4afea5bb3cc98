"""Requests for approval, in the state store. The question itself is sealed: nothing in here can read it."""

import sqlite3
from collections.abc import Callable, Iterable

import msgspec
import structlog

from interlock.adapters.store.database import Database
from interlock.core.approval import ApprovalRequest, ApprovalStatus
from interlock.core.errors import StateUnavailable

log = structlog.get_logger()

_decode = msgspec.json.Decoder(ApprovalRequest).decode


class ApprovalTable:
    """Implements ``services.state.ApprovalStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, approval: str) -> tuple[ApprovalRequest, bytes] | None:
        """The request of this id with its sealed question, None when there is none. Raises StateUnavailable."""
        rows = self._database.read("SELECT request, sealed FROM approvals WHERE id = ?", (approval,))
        return (_request(rows[0]), bytes(rows[0]["sealed"])) if rows else None

    def by_digest(self, digest: str) -> list[ApprovalRequest]:
        """All requests about the same operation, the newest first. Raises StateUnavailable."""
        sql = "SELECT id, request FROM approvals WHERE digest = ? ORDER BY id DESC"
        return _readable(self._database.read(sql, (digest,)))

    def recent(self, status: ApprovalStatus | None, limit: int, before: str = "") -> list[ApprovalRequest]:
        """Requests, the newest first, of one status or of all, from ``before`` on. Raises StateUnavailable."""
        sql = (
            "SELECT id, request FROM approvals WHERE (?1 = '' OR status = ?1) AND (?2 = '' OR id < ?2)"
            " ORDER BY id DESC LIMIT ?3"
        )
        return _readable(self._database.read(sql, (status.value if status else "", before, limit)))

    def of_status(self, status: ApprovalStatus) -> list[ApprovalRequest]:
        """All requests of a status, the oldest first. Raises StateUnavailable."""
        sql = "SELECT id, request FROM approvals WHERE status = ? ORDER BY id"
        return _readable(self._database.read(sql, (status.value,)))

    async def add(self, request: ApprovalRequest, sealed: bytes) -> None:
        """Keep a new request. Raises StateUnavailable."""
        values = (request.id, request.digest, *_changing(request), sealed)
        sql = "INSERT INTO approvals (id, digest, status, request, expires_at_s, sealed) VALUES (?, ?, ?, ?, ?, ?)"
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def change(
        self, approval: str, change: Callable[[ApprovalRequest], ApprovalRequest | None]
    ) -> ApprovalRequest | None:
        """Put what ``change`` makes of a request in its place, in one step. Raises StateUnavailable."""

        def work(connection: sqlite3.Connection) -> ApprovalRequest | None:
            row = connection.execute("SELECT request FROM approvals WHERE id = ?", (approval,)).fetchone()
            changed = change(_request(row)) if row is not None else None
            if changed is not None:
                sql = "UPDATE approvals SET status = ?, request = ?, expires_at_s = ? WHERE id = ?"
                connection.execute(sql, (*_changing(changed), approval))
            return changed

        return await self._database.write(work)


def _changing(request: ApprovalRequest) -> tuple[str, str, float]:
    return request.status.value, msgspec.json.encode(request).decode(), request.expires_at_s


def _readable(rows: Iterable[sqlite3.Row]) -> list[ApprovalRequest]:
    """Without those that are damaged: nobody can approve or spend them, and they are in nobody's way."""
    found = []
    for row in rows:
        try:
            found.append(_request(row))
        except StateUnavailable as error:
            log.error("stored request for approval passed over", approval=str(row["id"])[:64], error=str(error))
    return found


def _request(row: sqlite3.Row) -> ApprovalRequest:
    try:
        return _decode(row["request"])
    except msgspec.MsgspecError as error:
        raise StateUnavailable(f"a stored request for approval cannot be read: {error}") from None
