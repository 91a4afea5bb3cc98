"""The SSH listener, put together."""

import asyncio
import contextlib
from typing import Final

import asyncssh
import structlog

from interlock.adapters.identity.device_login import DeviceLogins, device_logins
from interlock.adapters.ssh_authority import SshAuthority
from interlock.bootstrap.addresses import split_address
from interlock.bootstrap.node import Node
from interlock.core.errors import InterlockError
from interlock.protocols.ssh.module import new_channel
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.runtime.ssh.listener import SshListener
from interlock.runtime.ssh.parts import SshParts
from interlock.runtime.tasks import spawn
from interlock.services.opening import Reception

HostKey = tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]
RENEW_S: Final = 86_400.0
"""How often the host's certificate is made anew."""

log = structlog.get_logger()


async def start_ssh_server(
    node: Node, reception: Reception, live: LiveRegistry, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> tuple[str, int]:
    """Listen for SSH clients; where it does. Raises ``ConfigurationError``, ``OSError``."""
    settings = node.settings.ssh
    authority = node.ssh_authority
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
    listener = SshListener(parts, metrics, _host_keys(authority))
    for address in settings.addresses:
        await listener.listen(*split_address(address))
    stack.push_async_callback(listener.close, node.settings.gateway.drain_timeout_s)
    node.ssh_port = listener.addresses[0][1]
    renewing = spawn(_keep_certified(listener, authority), "SSH host certificate")
    stack.callback(renewing.cancel)
    return listener.addresses[0]


async def _keep_certified(listener: SshListener, authority: SshAuthority) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            listener.use_keys(_host_keys(authority))
        except (OSError, InterlockError) as error:  # the present certificate counts for a while
            log.warning("no new SSH host certificate", error=str(error))


def _device_logins(node: Node, stack: contextlib.AsyncExitStack) -> DeviceLogins | None:
    logins = device_logins(node.settings.issuers, node.clock)
    if logins is not None:
        stack.push_async_callback(logins.close)
    return logins


def _host_keys(authority: SshAuthority) -> list[HostKey]:
    """The host key with a certificate that counts for some months from now on."""
    key = asyncssh.import_private_key(authority.host_key())
    return [(key, asyncssh.import_certificate(authority.host_certificate()))]
