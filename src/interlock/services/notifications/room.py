"""Carries out the commands about channels."""

from collections.abc import Mapping
from typing import Any

from interlock.core.administration import ChannelView, Command, Done, ListChannels, TestChannel
from interlock.core.errors import AdministrationRefused, NotFound, StateUnavailable
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.services.administration import Handler
from interlock.services.notifications.messages import test_message
from interlock.services.notifications.notifications import Notifications
from interlock.services.notifications.ports import DeliveryFailed, Outbox
from interlock.services.ports import Clock, Ledger


class NotificationRoom:
    """Implements ``services.administration.Room``. ``kinds`` says what kind of channel each is."""

    def __init__(
        self,
        notifications: Notifications,
        kinds: Mapping[str, str],
        outbox: Outbox,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._notifications = notifications
        self._kinds = kinds
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {ListChannels: self._list, TestChannel: self._test}

    async def _list(self, _command: ListChannels, _actor: Actor) -> tuple[ChannelView, ...]:
        waiting = self._outbox.waiting()
        return tuple(
            ChannelView(
                name=name,
                kind=self._kinds[name],
                events=tuple(sorted(subscription.kinds)),
                waiting=waiting.get(name, 0),
                sent=subscription.delivery.counts.sent,
                failed=subscription.delivery.counts.failed,
                given_up=subscription.delivery.counts.given_up,
                problem=subscription.delivery.problem,
            )
            for name, subscription in self._notifications.subscriptions.items()
        )

    async def _test(self, command: TestChannel, actor: Actor) -> Done:
        subscription = self._notifications.subscriptions.get(command.channel)
        if subscription is None:
            raise NotFound(f"the settings name no channel {command.channel!r}")
        await self._record(AdministrationChanged(actor.name, "notifications.test", command.channel))
        try:
            letter_id, at_s = self._notifications.new_id(), self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None
        try:
            said = await subscription.delivery.send(test_message(actor.name, at_s), letter_id)
        except DeliveryFailed as error:
            raise AdministrationRefused(f"channel {command.channel!r} did not take the message: {error}") from None
        return Done(f"Channel {command.channel!r} took the message ({said}).")

    async def _record(self, record: AdministrationChanged) -> None:
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted
