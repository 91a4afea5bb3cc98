"""Puts together what takes access back: looks at open sessions."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.bootstrap.node import Node, Stopping
from interlock.runtime.tasks import spawn
from interlock.services.live import LiveSessions
from interlock.services.rechecks import TICK_S, Rechecks


def start_revocation(
    node: Node,
    stopping: Stopping,
    live: LiveSessions,
    authenticator: TokenAuthenticator,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Begin to look at open sessions; the stack ends it."""
    cascade = stopping.cascade
    node.logins.enders.append(cascade.login_ended)
    rechecks = Rechecks(
        live, cascade, node.identities, node.logins, authenticator.accepted, node.clock, node.settings.sessions, spawn
    )
    for work, name in ((rechecks.expire, "sessions that expire"), (rechecks.recheck, "looks at sessions")):
        stack.callback(spawn(_every(TICK_S, work), name).cancel)


async def _every(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await act()
