"""Rehearsals: what a held statement really does, found out in a transaction that only its approval commits.

On record before anything runs. What was seen is kept in memory only, and only as long as the request is open; rows are
shown to nobody but who had it run, as they were masked for that person.
"""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, Protocol

import msgspec
import structlog

from interlock.core.approval import ApprovalRequest, ApprovalStatus, Rehearsal, RowSample
from interlock.core.errors import AdministrationRefused, InterlockError
from interlock.core.identity import Actor
from interlock.core.ledger import OperationRehearsed
from interlock.core.rehearsal import RehearsalOutcome, SampledTable
from interlock.core.session import Session
from interlock.services.approvals.board import Approvals
from interlock.services.approvals.holding import Wait
from interlock.services.approvals.sampling import Sampling
from interlock.services.ports import Ledger

log = structlog.get_logger()

_MAX_KEPT = 1000


class _Seen(NamedTuple):
    """A rehearsal, who had it run, and whose transaction it is."""

    by: str
    rehearsal: Rehearsal
    wait: Wait


class ReplacedRows(Protocol):
    """Reads rows as they are for everybody else while a transaction has changed them."""

    def replaced(
        self, connection: str, database: str, transaction: str, tables: tuple[SampledTable, ...]
    ) -> Awaitable[tuple[RowSample, ...]]:
        """Samples of the rows that the transaction has updated or deleted. Raises ``CatalogueUnavailable``."""


class Rehearsals:
    """Runs rehearsals, one for a request at a time. ``rehearsal_s`` is how long a transaction stays open."""

    def __init__(
        self, approvals: Approvals, sampling: Sampling, rows: ReplacedRows, ledger: Ledger, rehearsal_s: float
    ) -> None:
        self._approvals = approvals
        self._sampling = sampling
        self._rows = rows
        self._ledger = ledger
        self._rehearsal_s = rehearsal_s
        self._seen: dict[str, _Seen] = {}
        self._running: set[str] = set()

    def of(self, request: ApprovalRequest, actor: Actor) -> Rehearsal | None:
        """What this person may know of a rehearsal, None when there was none or the request is settled."""
        if request.status is not ApprovalStatus.PENDING:
            self._seen.pop(request.id, None)
        seen = self._seen.get(request.id)
        if seen is None:
            return None
        rehearsal = msgspec.structs.replace(seen.rehearsal, held=self._is_open(request.id))
        return rehearsal if seen.by == actor.name else msgspec.structs.replace(rehearsal, before=(), after=())

    def _is_open(self, approval: str) -> bool:
        """Whether the transaction is: it ends with the wait at the latest, while the request may go on."""
        seen = self._seen.get(approval)
        return seen is not None and seen.rehearsal.held and seen.wait in self._approvals.waiters(approval)

    async def rehearse(self, approval: str, actor: Actor) -> Rehearsal:
        """Run the statement for a reviewer. Raises ``AdministrationRefused``, ``LedgerUnavailable``."""
        request = await self._approvals.open_to(approval, actor)
        wait = next((one for one in self._approvals.waiters(approval) if isinstance(one, Wait)), None)
        if wait is None or wait.holding.run_rehearsal is None:
            raise AdministrationRefused("nobody waits for this request at the moment, so there is nothing to run")
        if approval in self._running:
            raise AdministrationRefused("it is being rehearsed already")
        if self._is_open(approval):
            raise AdministrationRefused("it was rehearsed, and its transaction is open: look at the request")
        self._running.add(approval)
        try:
            return await self._run(request, wait, actor)
        finally:
            self._running.discard(approval)

    async def _run(self, request: ApprovalRequest, wait: Wait, actor: Actor) -> Rehearsal:
        session, operation = wait.holding.session, wait.held.operation
        trial, run = wait.held.trial(), wait.holding.run_rehearsal
        if trial is None or run is None:
            raise AdministrationRefused("a rollback would not take all of it back, so it runs once it is approved")
        try:
            tables = self._sampling.tables(session, operation.meaning, actor.principal)
        except (InterlockError, OSError) as error:
            log.warning("rehearsal without samples", approval=request.id, error=str(error))
            tables = ()
        accepted = self._ledger.append(OperationRehearsed(session.id, operation.number, request.id, actor.name))
        if accepted is not None:
            await accepted
        outcome = await run(trial, tables, int(self._rehearsal_s * 500))
        rehearsal = await self._looked_at(session, outcome, tables)
        self._keep(request.id, _Seen(actor.name, rehearsal, wait))
        if rehearsal.held:
            asyncio.get_running_loop().call_later(self._rehearsal_s / 2, self._end, request.id, wait)
        return rehearsal

    async def _looked_at(
        self, session: Session, outcome: RehearsalOutcome, tables: tuple[SampledTable, ...]
    ) -> Rehearsal:
        if outcome.problem:
            return Rehearsal(problem=outcome.problem)
        before: tuple[RowSample, ...] = ()
        if outcome.transaction and tables:
            try:
                before = await self._rows.replaced(session.connection, session.database, outcome.transaction, tables)
            except InterlockError as error:
                log.warning("rows before a rehearsal not read", session=session.id, error=str(error))
        return Rehearsal(outcome.tag, "", before, outcome.after, held=True)

    def _keep(self, approval: str, seen: _Seen) -> None:
        """Keep what was seen, in the place of what was seen before, and of the oldest when there is too much."""
        self._seen.pop(approval, None)
        if len(self._seen) >= _MAX_KEPT:
            del self._seen[next(iter(self._seen))]
        self._seen[approval] = seen

    def _end(self, approval: str, wait: Wait) -> None:
        """The transaction has held its locks for long enough."""
        if wait in self._approvals.waiters(approval):
            wait.holding.end_rehearsal()
        seen = self._seen.get(approval)
        if seen is not None and seen.wait is wait:
            self._seen[approval] = seen._replace(rehearsal=msgspec.structs.replace(seen.rehearsal, held=False))
