"""Delivery to one channel: one message at a time, again after a failure, given up when it is of no use any more.

A message is kept until the channel has it, so that it comes at least once, under the same id, over restarts too. What
is given up is on record. Nothing in here is waited for by anybody.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from interlock.core.errors import InterlockError, LedgerUnavailable
from interlock.core.ledger import NotificationFailed
from interlock.core.notification import Letter, Message, NotifiedEvent, Outgoing
from interlock.services.notifications.messages import with_counts
from interlock.services.notifications.ports import Channel, DeliveryFailed, Excerpts, Outbox
from interlock.services.ports import Clock, Ledger

DELIVERY_TIMEOUT_S: Final = 30.0
MAX_REFUSALS: Final = 5
"""So often is a message tried that the channel refuses."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_TROUBLE_PAUSE_S: Final = 5.0
_LONGEST_SLEEP_S: Final = 60.0

log = structlog.get_logger()


class DeliveryCounts(msgspec.Struct):
    """Since the start: messages that arrived, attempts that failed, messages that were given up."""

    sent: int = 0
    failed: int = 0
    given_up: int = 0


class Delivery:
    """Works off what the outbox has for one channel. ``wake`` it when there is something new."""

    def __init__(
        self, name: str, channel: Channel, outbox: Outbox, ledger: Ledger, clock: Clock, excerpts: Excerpts | None
    ) -> None:
        """With ``excerpts``, messages that ask for an approval have the beginning of the statement."""
        self.name = name
        self.counts = DeliveryCounts()
        self.problem = ""
        """Why the last attempt failed; empty after one that did not."""
        self._channel = channel
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock
        self._excerpts = excerpts
        self._woken = asyncio.Event()
        self._failures = 0
        self._down_until_s = 0.0
        self._arrived = ""

    def wake(self) -> None:
        """There may be something to deliver."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._woken.clear()
            pause_s = await self.step()
            if pause_s > 0:
                await self._sleep(pause_s)

    async def step(self) -> float:
        """Deliver one message if one is due; returns after how many seconds to look again. Raises nothing."""
        try:
            now_s = self._clock.now_s()
            if now_s < self._down_until_s:
                return self._down_until_s - now_s
            outgoing = self._outbox.next(self.name)
            if outgoing is None:
                return _LONGEST_SLEEP_S
            if outgoing.due_at_s > now_s:
                return outgoing.due_at_s - now_s
            await self._work_off(outgoing, now_s)
        except (InterlockError, OSError) as error:
            log.error("messages not worked off", channel=self.name, error=str(error) or type(error).__name__)
            return _TROUBLE_PAUSE_S
        return 0.0

    async def send(self, message: Message, letter_id: str) -> str:
        """Hand over a message at once, without keeping it; returns what the channel said. Raises DeliveryFailed.

        When that works, what waits is tried at once too.
        """
        said = await self._deliver(Letter(letter_id, message))
        self._works()
        self.wake()
        return said

    async def _sleep(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(min(pause_s, _LONGEST_SLEEP_S)):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _work_off(self, outgoing: Outgoing, now_s: float) -> None:
        if outgoing.id == self._arrived:
            await self._outbox.remove(outgoing.id)
            return
        if outgoing.until_s <= now_s:
            await self._give_up(outgoing, now_s, outgoing.problem or "it could not be tried in time")
            return
        if outgoing.gathering:
            outgoing = await self._outbox.save(msgspec.structs.replace(outgoing, gathering=False))
        try:
            await self._deliver(self._letter(outgoing))
        except DeliveryFailed as failed:
            self.counts.failed += 1
            self.problem = str(failed)
            log.warning("message not delivered", channel=self.name, message=outgoing.id, error=str(failed))
            await self._put_off(outgoing, failed, self._clock.now_s())
            return
        self.counts.sent += 1
        self._works()
        self._arrived = outgoing.id
        await self._outbox.remove(outgoing.id)

    def _works(self) -> None:
        self._failures, self._down_until_s, self.problem = 0, 0.0, ""

    def _letter(self, outgoing: Outgoing) -> Letter:
        message = with_counts(outgoing.message)
        asks = message.kind == NotifiedEvent.APPROVAL_REQUESTED.value
        excerpt = self._excerpts.excerpt(message.subject) if self._excerpts is not None and asks else None
        return Letter(outgoing.id, message, excerpt)

    async def _deliver(self, letter: Letter) -> str:
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                return await self._channel.deliver(letter)
        except DeliveryFailed:
            raise
        except TimeoutError:
            raise DeliveryFailed(f"no answer within {DELIVERY_TIMEOUT_S:g} s") from None
        except Exception as error:  # noqa: BLE001 - one channel's fault must not end delivery; its text may hold a secret
            raise DeliveryFailed(f"it failed unexpectedly: {type(error).__name__}") from None

    async def _put_off(self, outgoing: Outgoing, failed: DeliveryFailed, now_s: float) -> None:
        """Behind the others. A channel that is down is left alone for a while, with all of its messages."""
        attempts = outgoing.attempts + 1
        due_at_s = now_s
        if failed.refused:
            if attempts >= MAX_REFUSALS:
                await self._give_up(msgspec.structs.replace(outgoing, attempts=attempts), now_s, str(failed))
                return
            due_at_s += _pause_s(attempts)
        else:
            self._failures += 1
            self._down_until_s = now_s + _pause_s(self._failures)
        await self._outbox.save(
            msgspec.structs.replace(outgoing, attempts=attempts, due_at_s=due_at_s, problem=str(failed))
        )

    async def _give_up(self, outgoing: Outgoing, now_s: float, reason: str) -> None:
        """On record first; what cannot be recorded is kept."""
        record = NotificationFailed(
            self.name, outgoing.message.kind, outgoing.message.subject, outgoing.attempts, reason
        )
        try:
            self._ledger.note(record)
        except LedgerUnavailable:
            await self._outbox.save(msgspec.structs.replace(outgoing, due_at_s=now_s + _LONGEST_PAUSE_S))
            raise
        self.counts.given_up += 1
        log.error("message given up", channel=self.name, message=outgoing.id, reason=reason)
        await self._outbox.remove(outgoing.id)


def _pause_s(failures: int) -> float:
    return min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20), _LONGEST_PAUSE_S)
