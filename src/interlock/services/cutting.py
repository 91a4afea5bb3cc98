"""What a lock or a command does to sessions that are open, and how it is verified at the targets.

First everything is done that stops bytes, without waiting for anything; then it is watched what became of it. What
cannot be verified is said so, never guessed.
"""

import asyncio
import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from interlock.core.errors import InterlockError, LedgerUnavailable
from interlock.core.identity import by_actors, line_of
from interlock.core.ledger import SessionCut
from interlock.core.lock import LockMode, SessionReceipt
from interlock.services.live import ActivityView, Backend, BackendState, LiveSession, TargetActivity
from interlock.services.ports import Clock, Ledger

WATCH_S: Final = 5.0
"""How long it is watched at most what becomes of what was cut."""
STUBBORN_AFTER_S: Final = 0.15
"""A process that is at rest and still there so long after its session was cut is ended."""
_LOOK_EVERY_S: Final = 0.025
_CODE: Final = "57P01"

log = structlog.get_logger()


class Action(enum.Enum):
    """What was done to a session; the value is the word in the receipt."""

    CUT = "cut"
    FROZEN = "frozen"
    READ_ONLY = "read-only"
    MASKED = "masked"


class Order(msgspec.Struct, frozen=True):
    """Why something is done to sessions, and since when (monotonic seconds). ``lock`` is empty without one."""

    reason: str
    by: str
    started_s: float
    lock: str = ""


class _Case:
    """One session and what became of it."""

    def __init__(self, live: LiveSession, action: Action, doing: str, backend: Backend | None) -> None:
        self.live = live
        self.action = action
        self.doing = doing
        self.backend = backend
        self.stopped_s = 0.0
        self.gone_s: float | None = None
        self.rested_s: float | None = None
        """When a frozen session's process was first seen to rest."""
        self.problem = ""

    @property
    def is_open(self) -> bool:
        """Whether the target still has to say that it is over."""
        if self.gone_s is not None or self.backend is None:
            return False
        return self.action is Action.CUT or (self.action is Action.FROZEN and bool(self.doing))


Cases = Sequence[_Case]


class Carried(msgspec.Struct, frozen=True):
    """What was done."""

    sessions: tuple[SessionReceipt, ...] = ()
    warnings: tuple[str, ...] = ()


class Cutting:
    """Stops sessions and sees to it that they are over."""

    def __init__(self, activity: TargetActivity, ledger: Ledger, clock: Clock, node: str) -> None:
        self._activity = activity
        self._ledger = ledger
        self._clock = clock
        self._node = node

    def lock(self, sessions: Iterable[LiveSession], mode: LockMode, order: Order) -> Cases:
        """Do to each session what a lock of this mode does. It waits for nothing: give the answer to ``verify``."""
        return self._carry_out(((live, action_of(mode, live)) for live in sessions), order)

    def cut(self, sessions: Iterable[LiveSession], order: Order) -> Cases:
        """End the sessions. It waits for nothing: give the answer to ``verify``."""
        return self._carry_out(((live, Action.CUT) for live in sessions), order)

    async def verify(self, cases: Cases, order: Order) -> Carried:
        """Watch until everything is over at the targets, up to ``WATCH_S``, and put it on record. Never raises."""
        targets: defaultdict[str, list[_Case]] = defaultdict(list)
        for case in cases:
            if case.is_open:
                targets[case.live.session.connection].append(case)
        found = await asyncio.gather(*(self._watch(name, watched) for name, watched in targets.items()))
        said = (*(case.problem for case in cases), *found, *map(_unsent, cases))
        warnings = [warning for warning in said if warning]
        receipts = tuple(self._receipt(case, order) for case in cases)
        try:
            for receipt in receipts:
                self._ledger.note(_record(receipt, order))
        except LedgerUnavailable as error:
            log.error("what became of sessions is not on record", error=str(error))
            warnings.append(f"the ledger does not take what became of the sessions: {error}")
        return Carried(receipts, tuple(warnings))

    # ------------------------------------------------------------ at once

    def _carry_out(self, wanted: Iterable[tuple[LiveSession, Action]], order: Order) -> Cases:
        cases = []
        for live, action in list(wanted):
            case = _Case(live, action, live.doing if live.busy else "", live.backend)
            try:
                _act(live, action, order.reason)
            except Exception as error:  # noqa: BLE001 - the others must be stopped all the same
                log.error("session not stopped", session=live.session.id, error=type(error).__name__)
                case.problem = f"session {live.session.id} could not be stopped: {type(error).__name__}"
            case.stopped_s = self._clock.monotonic_s()
            cases.append(case)
        return cases

    # ------------------------------------------------------------ at the targets

    async def _watch(self, connection: str, cases: list[_Case]) -> str:
        """One connection to the target for all of its sessions; returns what could not be verified."""
        database = cases[0].live.session.database
        try:
            async with asyncio.timeout(WATCH_S), self._activity.open(connection, database) as view:
                await self._until_over(view, cases)
        except TimeoutError:
            pass
        except (InterlockError, OSError) as error:
            return f"what runs at the target of {connection!r} cannot be verified: {error}"
        left = [case.live.session.id for case in cases if case.is_open]
        return f"still at work at the target of {connection!r}, for sessions {', '.join(left)}" if left else ""

    async def _until_over(self, view: ActivityView, cases: list[_Case]) -> None:
        while True:
            waiting = [case for case in cases if case.is_open]
            if not waiting:
                return
            states = await view.states([case.backend for case in waiting if case.backend])
            now_s = self._clock.monotonic_s()
            _note_gone(waiting, states, now_s)
            await self._press([case for case in waiting if case.is_open], view, now_s)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _press(self, cases: list[_Case], view: ActivityView, now_s: float) -> None:
        """Stop what is at work, all of it at once: cancel requests are slow where there are many, and can be ignored.

        They can also have come before the statement that they were meant for, so this is done again and again.
        """
        pressed = [case for case in cases if case.doing or now_s - case.stopped_s > STUBBORN_AFTER_S]
        await view.terminate([case.backend for case in pressed if case.action is Action.CUT and case.backend])
        await view.cancel([case.backend for case in pressed if case.action is Action.FROZEN and case.backend])

    # ------------------------------------------------------------ what is said about it

    def _receipt(self, case: _Case, order: Order) -> SessionReceipt:
        live, session = case.live, case.live.session
        gone_ms = None if case.gone_s is None else _ms(case.gone_s - order.started_s)
        return SessionReceipt(
            session=session.id,
            node=self._node,
            principal=by_actors(session.principal.name, tuple(map(line_of, session.principal.acting))),
            connection=session.connection,
            action=case.action.value,
            stopped_after_ms=_ms(case.stopped_s - order.started_s),
            in_flight=case.doing,
            gone_after_ms=gone_ms,
            rows=live.rows,
            bytes_sent=live.bytes_sent,
        )


def action_of(mode: LockMode, live: LiveSession) -> Action:
    """What a lock does to an open session. One that could still do or show what the mode forbids is cut."""
    if mode is LockMode.FREEZE:
        return Action.FROZEN if live.can_freeze else Action.CUT
    if mode is LockMode.READ_ONLY:
        return Action.CUT if live.may_have_written else Action.READ_ONLY
    if mode is LockMode.MASK_ALL:
        return Action.CUT if live.may_show else Action.MASKED
    return Action.CUT


def _act(live: LiveSession, action: Action, reason: str) -> None:
    if action is Action.CUT:
        live.cut(_CODE, reason)
    elif action is Action.FROZEN:
        live.freeze()


def _note_gone(cases: list[_Case], states: Mapping[Backend, BackendState], now_s: float) -> None:
    """A process of a session that was cut has to be gone; for a frozen one it is enough that it rests.

    It may rest between two statements that it has already, so that has to be seen twice.
    """
    for case in cases:
        assert case.backend is not None
        state = states.get(case.backend)
        if state is None:
            case.gone_s = now_s
        elif case.action is Action.FROZEN:
            case.gone_s = case.rested_s if state is BackendState.RESTING else None
            case.rested_s = (case.rested_s or now_s) if state is BackendState.RESTING else None


def _unsent(case: _Case) -> str:
    unsent = case.live.unsent_bytes if case.action is Action.FROZEN else 0
    return f"{unsent} bytes were on their way to the client of session {case.live.session.id}" if unsent else ""


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _record(receipt: SessionReceipt, order: Order) -> SessionCut:
    return SessionCut(
        session=receipt.session,
        lock=order.lock,
        action=receipt.action,
        by=order.by,
        reason=order.reason,
        stopped_after_ms=receipt.stopped_after_ms,
        in_flight=receipt.in_flight,
        gone_after_ms=-1.0 if receipt.gone_after_ms is None else receipt.gone_after_ms,
        rows=receipt.rows,
        bytes_sent=receipt.bytes_sent,
    )
