"""Channels that messages to people go to: what can be asked of them and what is answered."""

from typing import ClassVar

import msgspec

from interlock.core.administration.base import Command, Done, Permission, Route


class ChannelView(msgspec.Struct, frozen=True):
    """A channel of the settings, without its secrets. Counts are since the gateway's start.

    ``kind`` is ``webhook``, ``email``, ``slack`` or ``apprise``; ``waiting`` are messages that it has not got yet;
    ``problem`` is why the last attempt failed, empty after one that did not.
    """

    name: str
    kind: str
    events: tuple[str, ...]
    waiting: int
    sent: int
    failed: int
    given_up: int
    problem: str


class ListChannels(Command[tuple[ChannelView, ...]], frozen=True, tag="notifications.list"):
    """The channels that messages go to, and how they do."""

    route: ClassVar = Route("GET", "/v1/notifications", (Permission.ADMINISTER, Permission.RESPOND, Permission.AUDIT))


class TestChannel(Command[Done], frozen=True, tag="notifications.test"):
    """Send a message that asks for nothing, now, and say what became of it."""

    route: ClassVar = Route("POST", "/v1/notifications/{channel}/test", (Permission.ADMINISTER,))

    channel: str
