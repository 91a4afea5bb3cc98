"""Has people told of what happens. Never waited for, never in the way: whatever fails in here, nothing else does.

What is told is put into the outbox, one row for each channel that wants it. More than a channel takes within a minute
becomes one message that says how many there were. What could not even be kept is on record and counted.
"""

import asyncio
import collections
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from interlock.core.approval import ApprovalRequest, ApprovalStatus, Bypass
from interlock.core.errors import InterlockError, LedgerUnavailable
from interlock.core.ledger import AlertRaised, IncidentClosed, IncidentOpened, NotificationFailed
from interlock.core.lock import Lock, is_routine
from interlock.core.notification import Message, NotifiedEvent, Outgoing
from interlock.core.session import SESSION_ID_ENTROPY_BYTES, new_session_id
from interlock.services.notifications import messages
from interlock.services.notifications.delivery import Delivery
from interlock.services.notifications.ports import Outbox
from interlock.services.ports import Clock, Ledger

MAX_KEPT: Final = 1000
"""Messages that are kept for one channel; what is more is counted only."""
MAX_INTAKE: Final = 1000
KEPT_FOR_S: Final = 86_400.0
_MINUTE_S: Final = 60.0
_SETTLE_S: Final = 5.0

log = structlog.get_logger()


class Subscription:
    """A channel, and what it wants to hear."""

    def __init__(self, delivery: Delivery, events: frozenset[NotifiedEvent], per_minute: int) -> None:
        self.delivery = delivery
        self.kinds = frozenset(event.value for event in events)
        self._per_minute = per_minute
        self._times_s: collections.deque[float] = collections.deque()

    def room_at_s(self, now_s: float) -> float:
        """When the channel takes another message: now, or when the oldest of this minute is a minute ago."""
        times_s = self._times_s
        while times_s and not now_s - _MINUTE_S < times_s[0] <= now_s:
            times_s.popleft()
        return now_s if len(times_s) < self._per_minute else times_s[0] + _MINUTE_S

    def count(self, now_s: float) -> None:
        """It got one."""
        self._times_s.append(now_s)


class Notifications:
    """Who is told what. ``run`` takes in what is told; each channel's delivery runs beside it."""

    def __init__(
        self,
        subscriptions: Mapping[str, Subscription],
        outbox: Outbox,
        ledger: Ledger,
        clock: Clock,
        link_of: Callable[[str], str],
    ) -> None:
        self.subscriptions = subscriptions
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock
        self._link_of = link_of
        self._intake: asyncio.Queue[tuple[Message, float]] = asyncio.Queue(MAX_INTAKE)

    # ------------------------------------------------------------ telling

    def tell(self, message: Message, until_s: float | None = None) -> None:
        """Have the channels told that want to be. Neither waits nor raises.

        After ``until_s``, in Unix seconds, it is not tried any more; by default a day later.
        """
        wanted = self._wanting(message.kind)
        if not wanted:
            return
        try:
            self._intake.put_nowait((message, message.at_s + KEPT_FOR_S if until_s is None else until_s))
        except asyncio.QueueFull:
            for subscription in wanted:
                self._lose(subscription, message, "too many messages at once")

    def approval(self, request: ApprovalRequest) -> None:
        """A request is new, or has come to an end. Neither waits nor raises."""
        asks_until_s = request.expires_at_s if request.status is ApprovalStatus.PENDING else None
        self._tell_of(lambda at_s: messages.approval_message(request, self._link_of(request.id), at_s), asks_until_s)

    def bypass(self, bypass: Bypass) -> None:
        """A bypass is in force. Neither waits nor raises."""
        self._tell_of(lambda at_s: messages.bypass_message(bypass, at_s))

    def lock_added(self, lock: Lock) -> None:
        """A lock is in force; one that came of somebody's logging out is no news. Neither waits nor raises."""
        if is_routine(lock):
            return
        self._tell_of(lambda at_s: messages.lock_added(lock, at_s))

    def lock_removed(self, lock: Lock, by: str, reason: str) -> None:
        """A lock is lifted. Neither waits nor raises."""
        if is_routine(lock):
            return
        self._tell_of(lambda at_s: messages.lock_removed(lock, by, reason, at_s))

    def incident(self, record: IncidentOpened | IncidentClosed) -> None:
        """An incident is opened or closed. Neither waits nor raises."""
        self._tell_of(lambda at_s: messages.incident_message(record, at_s))

    async def alert(self, alert: AlertRaised) -> None:
        """Implements ``services.alerts.AlertNotifier``."""
        self._tell_of(lambda at_s: messages.alert_message(alert, at_s))

    def _tell_of(self, make: Callable[[float], Message | None], until_s: float | None = None) -> None:
        try:
            message = make(self._clock.now_s())
            if message is not None:
                self.tell(message, until_s)
        except Exception as error:  # noqa: BLE001 - whoever tells goes on, whatever is wrong with telling
            log.error("nobody told", error=type(error).__name__)

    # ------------------------------------------------------------ taking in

    async def run(self) -> None:
        """Take in what is told, until cancelled."""
        await self._forget_channels()
        while True:
            message, until_s = await self._intake.get()
            for subscription in self._wanting(message.kind):
                await self._keep(subscription, message, until_s)
            self._intake.task_done()

    async def settle(self) -> None:
        """Wait until all that was told so far is kept, or is on record as lost; not for long."""
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._intake.join()
        except TimeoutError:
            log.error("messages lost", count=self._intake.qsize())

    def new_id(self) -> str:
        """For a message: ids sort by time. Raises ``OSError`` when there is no clock."""
        return new_session_id(int(self._clock.now_s() * 1e9), secrets.token_bytes(SESSION_ID_ENTROPY_BYTES))

    def _wanting(self, kind: str) -> list[Subscription]:
        return [subscription for subscription in self.subscriptions.values() if kind in subscription.kinds]

    async def _keep(self, subscription: Subscription, message: Message, until_s: float) -> None:
        delivery = subscription.delivery
        try:
            now_s = self._clock.now_s()
            room_at_s = subscription.room_at_s(now_s)
            outgoing = Outgoing(self.new_id(), delivery.name, message, now_s, now_s, until_s)
            if room_at_s > now_s or not await self._outbox.add(outgoing, MAX_KEPT):
                await self._gather(outgoing, max(room_at_s, now_s + 1))
            else:
                subscription.count(now_s)
        except Exception as error:  # noqa: BLE001 - taking in goes on, whatever was wrong with one message
            self._lose(subscription, message, str(error) if isinstance(error, InterlockError) else type(error).__name__)
        delivery.wake()

    async def _gather(self, outgoing: Outgoing, due_at_s: float) -> None:
        at_s = outgoing.created_at_s
        more = msgspec.structs.replace(
            outgoing,
            message=messages.more_message(at_s),
            due_at_s=due_at_s,
            until_s=at_s + KEPT_FOR_S,
            gathering=True,
        )
        await self._outbox.gather(more, outgoing.message.kind)

    def _lose(self, subscription: Subscription, message: Message, reason: str) -> None:
        subscription.delivery.counts.given_up += 1
        self._record_loss(subscription.delivery.name, message, 0, reason)

    def _record_loss(self, channel: str, message: Message, attempts: int, reason: str) -> None:
        log.error("message lost", channel=channel, about=message.kind, subject=message.subject, reason=reason)
        try:
            self._ledger.note(NotificationFailed(channel, message.kind, message.subject, attempts, reason))
        except LedgerUnavailable as error:
            log.error("lost message not recorded", error=str(error))

    async def _forget_channels(self) -> None:
        """What waits for channels that settings do not name any more is given up."""
        try:
            for channel in self._outbox.waiting().keys() - self.subscriptions.keys():
                while (left := self._outbox.next(channel)) is not None:
                    self._record_loss(channel, left.message, left.attempts, "the channel is no longer in the settings")
                    await self._outbox.remove(left.id)
        except InterlockError as error:
            log.error("messages of former channels stay", error=str(error))
