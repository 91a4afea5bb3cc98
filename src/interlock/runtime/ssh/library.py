"""How the SSH library is used, on both sides: nothing of the machine's own configuration, no logs, no compression.

Its log lines hold command lines and variables, which are nobody's business but the recording's.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import asyncssh
from asyncssh.constants import MSG_IGNORE

WINDOW_BYTES: Final = 2 << 20
"""The receive window of each channel, which is how much waits in memory for a side that does not take it."""
MAX_PACKET_BYTES: Final = 32 << 10
_VERSION: Final = "OpenSSH_9.0 Interlock"
"""What others say OpenSSH to: ``ssh`` tells when nobody reads its output any more, and libraries choose the order of
the arguments of SFTP's SYMLINK, which OpenSSH has the other way round than its draft, and so has the gateway."""

FAST_CIPHERS: Final = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
"""What the library does in one call for each packet; what it has besides takes several."""
CIPHERS: Final = [*FAST_CIPHERS, "chacha20-poly1305@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"]

logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)

_COMMON: Final[dict[str, Any]] = {
    "config": None,
    "gss_host": None,
    "login_timeout": 0,
    "host_based_auth": False,
    "compression_algs": ["none"],
    "x509_trusted_certs": None,
    "encryption_algs": CIPHERS,
    "keepalive_count_max": 3,
}


def server_options(
    server: Callable[[], asyncssh.SSHServer], keys: list[Any], keepalive_s: float
) -> asyncssh.SSHServerConnectionOptions:
    """Options for connections from clients. ``keys`` are the host's key pairs, with their certificates.

    How long a client may take to log in is watched by whoever accepts it.
    """
    return asyncssh.SSHServerConnectionOptions(
        server_factory=server,
        server_host_keys=keys,
        server_version=_VERSION,
        keepalive_interval=keepalive_s,
        line_editor=False,
        x11_forwarding=False,
        agent_forwarding=False,
        encoding=None,
        window=WINDOW_BYTES,
        max_pktsize=MAX_PACKET_BYTES,
        **_COMMON,
    )


def target_options(client: Any, **given: Any) -> dict[str, Any]:
    """Options for a connection to a host, for ``asyncssh.connect``; ``given`` is how to log in and whom to expect."""
    return {
        "client_factory": client,
        "client_version": _VERSION,
        "agent_path": None,
        "agent_forwarding": False,
        "client_host_keys": None,
        "proxy_command": None,
        "ignore_encrypted": False,
        **_COMMON,
        **given,
    }


def send_nothing_to_ignore(connection: asyncssh.SSHClientConnection) -> None:
    """The library sends a packet to be ignored before every other one, which helps with CBC only."""
    send = connection.send_packet

    def send_packet(pkttype: int, *args: bytes, handler: Any = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    connection.send_packet = send_packet  # type: ignore[method-assign]
