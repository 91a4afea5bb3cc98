"""Puts together what takes access back: looks at open sessions, and what identity providers say has ended."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.event_poll import EventPoll
from interlock.adapters.identity.introspection import Introspection
from interlock.adapters.identity.issuer import Issuer
from interlock.adapters.identity.security_events import EventSource, EventVerifier
from interlock.adapters.store.received_events import ReceivedEventTable
from interlock.bootstrap.node import Node, Stopping
from interlock.core.settings import EventStreamSettings, IssuerSettings
from interlock.runtime.tasks import spawn
from interlock.services.live import LiveSessions
from interlock.services.rechecks import TICK_S, Rechecks
from interlock.services.security_events import SecurityEvents
from interlock.surfaces.api.security_events import SecurityEventPages


def start_rechecks(
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
    _keep_doing(stack, TICK_S, rechecks.expire, "sessions that expire")
    _keep_doing(stack, TICK_S, rechecks.recheck, "looks at sessions")


def introspections(issuers: Iterable[IssuerSettings], node: Node) -> list[Introspection]:
    """Of the issuers that are asked about their tokens."""
    asked = [(issuer, issuer.introspection) for issuer in issuers]
    return [Introspection(settings, issuer, node.clock) for issuer, settings in asked if settings is not None]


def open_security_events(
    node: Node,
    stopping: Stopping,
    issuers: Iterable[IssuerSettings],
    authenticator: TokenAuthenticator,
    stack: contextlib.AsyncExitStack,
) -> SecurityEventPages:
    """Where issuers say what has ended. Streams that are to be fetched are, from now on."""
    by_url = {issuer.url: issuer for issuer in issuers}
    events = SecurityEvents(
        by_url,
        stopping.locks,
        node.logins,
        node.sessions,
        ReceivedEventTable(node.database),
        node.ledger,
        node.clock,
        node.settings.logins.lifetime_s,
    )
    streams = [(issuer, issuer.events) for issuer in by_url.values() if issuer.events is not None]
    verifier = EventVerifier(
        {issuer.label: _logouts(issuer, authenticator) for issuer in by_url.values() if issuer.client_id},
        {issuer.label: _stream(issuer, stream, node, authenticator, stack) for issuer, stream in streams},
        node.clock,
    )
    for issuer, stream in streams:
        if stream.poll_url is not None:
            poll = EventPoll(issuer.label, stream, issuer, verifier, events)
            stack.push_async_callback(poll.close)
            _keep_doing(stack, stream.poll_every_s, poll.look, f"security events of {issuer.label}")
    return SecurityEventPages(verifier, events, node.clock)


def _logouts(issuer: IssuerSettings, authenticator: TokenAuthenticator) -> EventSource:
    """Logout tokens are for the client that people sign in for."""
    keys = authenticator.sources[issuer.url]
    return EventSource(issuer.url, issuer.url, issuer.client_id or "", keys, issuer.algorithms)


def _stream(
    issuer: IssuerSettings,
    stream: EventStreamSettings,
    node: Node,
    authenticator: TokenAuthenticator,
    stack: contextlib.AsyncExitStack,
) -> EventSource:
    transmitter, keys = issuer.url, authenticator.sources[issuer.url]
    if stream.transmitter is not None:
        transmitter = stream.transmitter
        own = msgspec.structs.replace(issuer, url=transmitter, jwks_url=stream.jwks_url, jwks_file=None, events=None)
        keys = Issuer(own, node.clock)
        stack.push_async_callback(keys.close)
    return EventSource(issuer.url, transmitter, stream.audience, keys, issuer.algorithms, stream.push_secret)


def _keep_doing(
    stack: contextlib.AsyncExitStack, interval_s: float, act: Callable[[], Awaitable[None]], name: str
) -> None:
    stack.callback(spawn(_every(interval_s, act), name).cancel)


async def _every(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await act()
