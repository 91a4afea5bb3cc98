"""Notifications with a real store, a clock by hand, and channels that do as they are told."""

import asyncio
from pathlib import Path

from interlock.adapters.store.database import Database
from interlock.adapters.store.outbox import OutboxTable
from interlock.core.errors import LedgerUnavailable, StateUnavailable
from interlock.core.ledger import AnyRecord, NotificationFailed
from interlock.core.notification import Letter, Message, NotifiedEvent, Outgoing
from interlock.services.notifications.delivery import Delivery
from interlock.services.notifications.messages import message
from interlock.services.notifications.notifications import Notifications, Subscription
from interlock.services.notifications.ports import DeliveryFailed
from tests.clocks import ManualClock

LOCK = NotifiedEvent.LOCK_ADDED.value


class Place:
    """A channel; ``failure`` is what it raises."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.failure: Exception | None = None

    async def deliver(self, letter: Letter) -> str:
        self.letters.append(letter)
        if self.failure is not None:
            raise self.failure
        return "took it"


class Records:
    """A ledger; ``broken`` when it takes nothing."""

    def __init__(self) -> None:
        self.failed: list[NotificationFailed] = []
        self.broken = False

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        self.note(record)
        return None

    def note(self, record: AnyRecord) -> None:
        if self.broken:
            raise LedgerUnavailable("the disk is full")
        assert isinstance(record, NotificationFailed)
        self.failed.append(record)


class BreakableOutbox(OutboxTable):
    """The table; ``broken`` makes every write fail."""

    broken = False

    async def add(self, outgoing: Outgoing, capacity: int) -> bool:
        self._check()
        return await super().add(outgoing, capacity)

    async def remove(self, outgoing_id: str) -> None:
        self._check()
        await super().remove(outgoing_id)

    def _check(self) -> None:
        if self.broken:
            raise StateUnavailable("the disk is full")


class World:
    """Channel ``chat`` wants everything, ``locks`` only to hear of locks."""

    def __init__(self, directory: Path, per_minute: int = 1000) -> None:
        self.clock = ManualClock()
        self.ledger = Records()
        self.database = Database(directory / "state.db")
        self.outbox = BreakableOutbox(self.database)
        self.chat, self.locks = Place(), Place()
        everything = frozenset(NotifiedEvent)
        self.subscriptions = {
            "chat": self._subscription("chat", self.chat, everything, per_minute),
            "locks": self._subscription("locks", self.locks, frozenset({NotifiedEvent.LOCK_ADDED}), per_minute),
        }
        self.notifications = Notifications(
            self.subscriptions,
            self.outbox,
            self.ledger,
            self.clock,
            lambda approval: f"https://gate.example/{approval}",
        )

    def _subscription(self, name: str, place: Place, events: frozenset[NotifiedEvent], per_minute: int) -> Subscription:
        delivery = Delivery(name, place, self.outbox, self.ledger, self.clock, None)
        return Subscription(delivery, events, per_minute)

    @property
    def delivery(self) -> Delivery:
        return self.subscriptions["chat"].delivery

    async def settle(self) -> None:
        """Have what was told taken in."""
        running = asyncio.ensure_future(self.notifications.run())
        await self.notifications.settle()
        running.cancel()

    async def tell(self, subject: str, kind: str = "approval.requested", until_s: float | None = None) -> None:
        self.notifications.tell(self.message(subject, kind), until_s)
        await self.settle()
        self.clock.advance(0.001)

    def message(self, subject: str, kind: str = "approval.requested") -> Message:
        return message(kind, f"about {subject}", (), "interlock approvals list", subject, self.clock.now_s())

    def told(self) -> list[str]:
        """What chat was asked to take, in order."""
        return [letter.message.subject or letter.message.title for letter in self.chat.letters]


def down() -> DeliveryFailed:
    return DeliveryFailed("nobody there")


def refused() -> DeliveryFailed:
    return DeliveryFailed("status 400", refused=True)
