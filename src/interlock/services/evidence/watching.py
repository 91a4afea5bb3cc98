"""Watching sessions over the API: what is new comes as an answer to whoever asks again and again.

That somebody watches is on record when they begin. A watch is its beginner's alone; it ends when the session is over,
or when nobody has asked for a minute.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from interlock.core.administration import Command
from interlock.core.administration.evidence import WatchPage, WatchSession
from interlock.core.administration.requests import tag_of
from interlock.core.errors import AdministrationRefused, InvalidCommand, NotFound, UnknownSession
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.core.recording import DocumentLine, TranscriptLine
from interlock.core.session import is_session_id
from interlock.core.terminal_event import TerminalEvent
from interlock.services.administration import Handler
from interlock.services.events import LedgerNews
from interlock.services.evidence.following import SessionFollowing
from interlock.services.evidence.service import EvidenceService
from interlock.services.ports import Clock, Ledger

MAX_WATCHES: Final = 64
MAX_WATCHES_EACH: Final = 8
IDLE_S: Final = 60.0
POLL_S: Final = 0.25
MAX_ITEMS: Final = 500


class _Watch:
    """One watch. ``page`` is the last answer, ``pages`` how many there were."""

    def __init__(self, actor: str, following: "SessionFollowing[TranscriptLine | TerminalEvent]") -> None:
        self.id = secrets.token_hex(16)
        self.actor = actor
        self.following = following
        self.turn = asyncio.Lock()
        self.pages = 0
        self.page = WatchPage()
        self.asked_s = 0.0

    def answer(self, told: list[TranscriptLine | TerminalEvent]) -> WatchPage:
        """The next page, with what was told."""
        self.pages += 1
        following = self.following
        self.page = WatchPage(
            tuple(
                line.plain if isinstance(line, DocumentLine) else line
                for line in told
                if isinstance(line, TranscriptLine)
            ),
            tuple(event for event in told if isinstance(event, TerminalEvent)),
            "" if following.done else f"{self.id}-{self.pages}",
            following.status,
        )
        return self.page


class WatchRoom:
    """Implements ``administration.Room``: ``WatchSession``."""

    def __init__(self, evidence: EvidenceService, news: LedgerNews, ledger: Ledger, clock: Clock) -> None:
        self._evidence = evidence
        self._news = news
        self._ledger = ledger
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._closing = False
        self.handlers: Mapping[type[Command[Any]], Handler] = {WatchSession: self._watch}

    def close(self) -> None:
        """The gateway ends: answer everybody who waits, soon."""
        self._closing = True

    async def _watch(self, command: WatchSession, actor: Actor) -> WatchPage:
        self._forget_idle()
        if not command.after:
            watch, page = await self._begin(command, actor), 0
        else:
            watch, page = self._known(command.after, actor)
        watch.asked_s = self._clock.monotonic_s()
        async with watch.turn:
            if page == watch.pages - 1:
                return watch.page
            if page != watch.pages:
                raise InvalidCommand("after is of an older answer; ask with the next of the last one")
            return await self._next(watch, command.wait_s)

    async def _begin(self, command: WatchSession, actor: Actor) -> _Watch:
        """Begin to watch, on record. Raises AdministrationRefused, EvidenceError, LedgerUnavailable, NotFound."""
        held = Counter(watch.actor for watch in self._watches.values())
        if held.total() >= MAX_WATCHES or held[actor.name] >= MAX_WATCHES_EACH:
            raise AdministrationRefused("there are as many watches as there may be; end one, or try in a minute")
        record = AdministrationChanged(actor.name, "evidence.read", command.id, tag_of(WatchSession))
        if (accepted := self._ledger.append(record)) is not None:
            await accepted
        try:
            watch = await asyncio.to_thread(self._open, command, actor)
        except UnknownSession as error:
            raise NotFound(str(error)) from None
        watch.asked_s = self._clock.monotonic_s()
        self._watches[watch.id] = watch
        return watch

    def _open(self, command: WatchSession, actor: Actor) -> _Watch:
        evidence = self._evidence
        session = command.id if is_session_id(command.id) else evidence.resolve(command.id)
        terminal = command.terminal and evidence.has_terminal(session)
        teller = evidence.terminal_teller(session) if terminal else evidence.transcript_teller(session)
        return _Watch(actor.name, SessionFollowing(evidence, self._news, session, teller))

    def _known(self, after: str, actor: Actor) -> tuple[_Watch, int]:
        """The watch, and how many pages were had. Raises NotFound for one that is over, or another's."""
        watch_id, _, pages = after.partition("-")
        watch = self._watches.get(watch_id)
        if watch is None or watch.actor != actor.name:
            raise NotFound("this watch is over: leave after away to begin a new one")
        return watch, int(pages)

    async def _next(self, watch: _Watch, wait_s: float) -> WatchPage:
        """What is new, when there is something, or after so long."""
        until_s = self._clock.monotonic_s() + wait_s
        following = watch.following
        while True:
            now_ns = int(self._clock.now_s() * 1e9)
            told = await asyncio.to_thread(following.read, now_ns, MAX_ITEMS)
            if told or following.done or self._closing or self._clock.monotonic_s() >= until_s:
                return watch.answer(told)
            await asyncio.sleep(0 if following.behind else POLL_S)

    def _forget_idle(self) -> None:
        now_s = self._clock.monotonic_s()
        idle = [
            watch.id for watch in self._watches.values() if now_s - watch.asked_s > IDLE_S and not watch.turn.locked()
        ]
        for watch_id in idle:
            del self._watches[watch_id]
