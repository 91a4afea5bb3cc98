"""Puts together what tells people: channels of the settings, their deliveries, and who has something to tell."""

from collections.abc import Callable, Coroutine
from typing import Any

from interlock.adapters.notifications.channels import kind_of, make_channel
from interlock.adapters.store.outbox import OutboxTable
from interlock.bootstrap.node import Node
from interlock.core.settings import NotificationSettings
from interlock.services.notifications.delivery import Delivery, DeliveryCounts
from interlock.services.notifications.excerpts import ApprovalExcerpts
from interlock.services.notifications.notifications import Notifications, Subscription
from interlock.services.notifications.room import NotificationRoom

Run = Callable[[Coroutine[Any, Any, None], str], None]


class Notifying:
    """Telling people, over all channels of a node's settings."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._outbox = OutboxTable(node.database)
        channels = node.settings.notifications
        subscriptions = {name: self._subscription(name, channel) for name, channel in channels.items()}
        self.notifications = Notifications(subscriptions, self._outbox, node.ledger, node.clock, node.approval_link)
        kinds = {name: kind_of(channel) for name, channel in channels.items()}
        self.room = NotificationRoom(self.notifications, kinds, self._outbox, node.ledger, node.clock)

    @property
    def counts(self) -> dict[str, DeliveryCounts]:
        """What became of messages, by channel."""
        return {name: one.delivery.counts for name, one in self.notifications.subscriptions.items()}

    def start(self, run: Run) -> None:
        """Deliver in the background, and hear of approvals."""
        run(self.notifications.run(), "notifications")
        for name, subscription in self.notifications.subscriptions.items():
            run(subscription.delivery.run(), f"notifications to {name}")
        self._node.approvals.listeners.append(self.notifications.approval)
        self._node.approvals.bypass_listeners.append(self.notifications.bypass)

    def _subscription(self, name: str, settings: NotificationSettings) -> Subscription:
        node = self._node
        excerpts = ApprovalExcerpts(node.approvals) if settings.include_statement else None
        channel = make_channel(settings, node.clock)
        delivery = Delivery(name, channel, self._outbox, node.ledger, node.clock, excerpts)
        return Subscription(delivery, frozenset(settings.events), settings.per_minute)
