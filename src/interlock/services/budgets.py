"""What identities have used of their budgets: counted for all their sessions, and kept in the state store.

Counting is in memory (``core.budget``); what was counted is added to the store about once a second, sooner when it is
much of a budget, and what the store then has, of other gateways as well, is taken over. Fails closed: while the clock
or the store cannot be relied on, there is no time to count at, and whoever asks for it must refuse.
"""

import asyncio
import contextlib
import hashlib

import msgspec
import structlog

from interlock.core.budget import Book, BookFull, Window
from interlock.core.decision import BudgetDemand, BudgetKind
from interlock.core.errors import BudgetsUnavailable, StateUnavailable
from interlock.core.identity import Principal
from interlock.services.ports import Clock
from interlock.services.state import BudgetStore, KeptAmount

log = structlog.get_logger()

KEEP_EVERY_S = 1.0
KEEP_APART_S = 0.05
"""However urgent, so much time is between two times of keeping."""
MAX_WINDOWS = 100_000
"""Counters in memory, over all identities and rules."""
RUN_WINDOW_S = 30 * 86400.0
"""How long what a run has used is remembered."""
MAX_UNKEPT_S = 10.0
"""A store that takes longer than this counts as one that has failed."""
CLOCK_TOLERANCE_S = 2.0
_SWEPT_AT_ONCE = 2000
_MAX_NAME_CHARS = 100
"""Longer names are hashed, to more characters than that."""


class BudgetCounts:
    """How often a spent budget made itself felt since the start, by what it counts."""

    def __init__(self) -> None:
        self.refused = dict.fromkeys(BudgetKind, 0)
        self.stopped = dict.fromkeys(BudgetKind, 0)


class Budgets:
    """The counters of all identities. ``load`` them, then have ``run`` keep them until ``close``."""

    def __init__(self, store: BudgetStore, clock: Clock, max_windows: int = MAX_WINDOWS) -> None:
        self._store = store
        self._clock = clock
        self._urgent = asyncio.Event()
        self._book = Book(max_windows, self._urgent.set)
        self._latest_s = 0.0
        self._fault = ""
        self._keeping_since_s: float | None = None
        self._closing = False
        self._closed = asyncio.Event()
        self.counts = BudgetCounts()

    def now_s(self) -> float:
        """The time to count at, in Unix seconds. Raises ``BudgetsUnavailable`` when nothing can be counted now."""
        now_s = self._clock.now_s()
        if now_s < self._latest_s:
            if now_s < self._latest_s - CLOCK_TOLERANCE_S:
                raise BudgetsUnavailable("the clock was set back")
            now_s = self._latest_s
        self._latest_s = now_s
        if self._fault:
            raise BudgetsUnavailable(self._fault)
        since_s = self._keeping_since_s
        if since_s is not None and self._clock.monotonic_s() - since_s > MAX_UNKEPT_S:
            raise BudgetsUnavailable("the state store does not answer in time")
        return now_s

    def window(self, demand: BudgetDemand, principal: Principal, run: str) -> Window:
        """The counter of a budget for an identity and, when it is per run, a run. Raises ``BudgetsUnavailable``."""
        rule = "" if demand.kind is BudgetKind.DENIALS else demand.rule
        return self._window(rule, demand.kind, demand.window_s, principal, run)

    def denials(self, window_s: float, principal: Principal, run: str) -> Window:
        """The counter of an identity's denials, which is the same for all rules. Raises ``BudgetsUnavailable``."""
        return self._window("", BudgetKind.DENIALS, window_s, principal, run)

    def _window(self, rule: str, kind: BudgetKind, window_s: float, principal: Principal, run: str) -> Window:
        who = f"{principal.kind.value}:{_short(principal.name)}"
        key = msgspec.json.encode((rule, kind.value, window_s, who, "" if window_s else _short(run))).decode()
        try:
            return self._book.window(key, window_s or RUN_WINDOW_S)
        except BookFull:
            raise BudgetsUnavailable("there are as many budget counters as there may be") from None

    # ------------------------------------------------------------ keeping

    def load(self) -> None:
        """Take over what was kept. Raises ``StateUnavailable``: without it nothing may be allowed within a budget."""
        now_s = self._latest_s = self._clock.now_s()
        kept: dict[str, list[tuple[int, int]]] = {}
        for key, bucket, amount in self._store.load():
            kept.setdefault(key, []).append((bucket, amount))
        for key, amounts in kept.items():
            try:
                window = self._book.window(key, _window_s(key))
            except BookFull:
                raise StateUnavailable("the state store has more budget counters than the gateway can hold") from None
            window.put_back(_moved_to_now(window, amounts, now_s))
            window.is_kept(amounts, now_s)

    async def run(self) -> None:
        """Keep what is counted, until ``close``."""
        try:
            while not self._closing:
                await asyncio.sleep(KEEP_APART_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), KEEP_EVERY_S)
                self._urgent.clear()
                await self.keep()
        finally:
            self._closed.set()

    async def close(self) -> None:
        """Keep what is left, and end ``run``."""
        self._closing = True
        self._urgent.set()
        await self._closed.wait()
        await self.keep()

    async def keep(self) -> None:
        """Add what was counted to the store and take over what it has. What goes wrong is logged and in force."""
        for window in list(self._book.touched):
            window.recall()
        windows, self._book.touched = self._book.touched, set()
        retired = self._book.sweep(self._latest_s, _SWEPT_AT_ONCE)
        if not windows and not retired:
            return
        taken = {window: window.take_unkept() for window in windows}
        changes = [(window.key, bucket, amount) for window, amounts in taken.items() for bucket, amount in amounts]
        self._keeping_since_s = self._clock.monotonic_s()
        try:
            kept = await self._store.add(changes, {window.key: window.oldest for window in [*windows, *retired]})
            self._take_over({window.key: window for window in windows}, kept)
            self._fault = ""
        except Exception as error:  # noqa: BLE001 - fail closed: whatever it is, what was counted is not kept
            for window, amounts in taken.items():
                window.put_back(amounts)
            self._fault = "what was counted cannot be kept"
            log.error(
                "budgets not kept", error=str(error) if isinstance(error, StateUnavailable) else repr(type(error))
            )
        finally:
            self._keeping_since_s = None

    def _take_over(self, windows: dict[str, Window], kept: list[KeptAmount]) -> None:
        found: dict[str, list[tuple[int, int]]] = {key: [] for key in windows}
        for key, bucket, amount in kept:
            if key in found:
                found[key].append((bucket, amount))
        for key, amounts in found.items():
            windows[key].is_kept(amounts, self._latest_s)


def _window_s(key: str) -> float:
    """The length of the window with this key. Raises ``StateUnavailable``."""
    try:
        window_s = msgspec.json.decode(key, type=tuple[str, BudgetKind, float, str, str])[2]
    except msgspec.MsgspecError:
        raise StateUnavailable("the state store has a budget counter that this version does not understand") from None
    return window_s or RUN_WINDOW_S


def _moved_to_now(window: Window, amounts: list[tuple[int, int]], now_s: float) -> list[tuple[int, int]]:
    """What moves amounts to now that a clock which was wrong had put into the future."""
    last, now = window.bucket_at(now_s + CLOCK_TOLERANCE_S), window.bucket_at(now_s)
    ahead = [(bucket, amount) for bucket, amount in amounts if bucket > last]
    return [(bucket, -amount) for bucket, amount in ahead] + [(now, amount) for _, amount in ahead]


def _short(name: str) -> str:
    """A name of bounded length that no other has."""
    return name if len(name) <= _MAX_NAME_CHARS else hashlib.sha512(name.encode("utf-8", "replace")).hexdigest()
