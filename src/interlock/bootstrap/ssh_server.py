"""The SSH listener, put together."""

import contextlib

import asyncssh

from interlock.adapters.identity.device_login import DeviceLogins
from interlock.bootstrap.addresses import split_address
from interlock.bootstrap.node import Node
from interlock.protocols.ssh.module import new_channel
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.runtime.ssh.listener import SshListener
from interlock.runtime.ssh.parts import SshParts
from interlock.services.opening import Reception


async def start_ssh_server(
    node: Node, reception: Reception, live: LiveRegistry, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> tuple[str, int]:
    """Listen for SSH clients; where it does. Raises ``ConfigurationError``, ``OSError``."""
    settings = node.settings.ssh
    authority = node.ssh_authority
    key = asyncssh.import_private_key(authority.host_key())
    pair = (key, asyncssh.import_certificate(authority.host_certificate()))
    parts = SshParts(
        settings,
        reception,
        node.vault,
        authority,
        live,
        new_channel,
        node.ledger.note,
        LoginAttempts(settings.failures_per_minute, node.clock),
        _device_logins(node, stack),
    )
    listener = SshListener(parts, metrics, [pair])
    for address in settings.addresses:
        await listener.listen(*split_address(address))
    stack.push_async_callback(listener.close, node.settings.gateway.drain_timeout_s)
    return listener.addresses[0]


def _device_logins(node: Node, stack: contextlib.AsyncExitStack) -> DeviceLogins | None:
    """Of the first issuer that lets people sign in on another device."""
    for issuer in node.settings.issuers:
        if issuer.device_client_id:
            logins = DeviceLogins(issuer, node.clock)
            stack.push_async_callback(logins.close)
            return logins
    return None
