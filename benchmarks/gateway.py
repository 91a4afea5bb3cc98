"""Starts the gateway that is measured: ``interlock serve`` as a process of its own, with policy and recording on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

Durability = Literal["standard", "strict"]

IDENTITY = "bench"
"""The agent that all sessions are of."""
POLICY = """
@id("bench-may-work")
permit (principal in Group::"benchmarks", action, resource);

@id("nobody-drops-databases")
forbid (principal, action == Action::"drop", resource is Database);
"""


@dataclass(frozen=True)
class RunningGateway:
    """Where clients connect through the gateway, and the process whose memory counts (with its children)."""

    endpoint: Endpoint
    pid: int
    server: GatewayServer


@contextmanager
def start_gateway(
    target: Endpoint, *, durability: Durability, tls: bool, rules: str = "", settings: str = ""
) -> Iterator[RunningGateway]:
    """Run a gateway in front of ``target`` until the block ends, with further policy rules and settings.

    Clients log in with SCRAM and a generated secret, as on the other ways; with ``tls`` over TLS, else in plain text,
    which the gateway's settings have to allow.
    """
    plain = "refuse" if tls else "scram-only"
    options = GatewayOptions(policy=POLICY + rules, durability=durability, plain=plain, extra=settings)
    with GatewayServer(target, options) as server:
        server.command("identities", "add", IDENTITY, "--group", "benchmarks")
        secret = server.command("identities", "secret", IDENTITY).stdout.strip()
        endpoint = replace(server.endpoint(secret), user=IDENTITY)
        if not tls:
            endpoint = replace(endpoint, sslmode="disable", sslrootcert=None)
        yield RunningGateway(endpoint, server.pid, server)
