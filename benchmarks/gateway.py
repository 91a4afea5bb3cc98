"""Starts the gateway that is measured: ``interlock serve`` as a process of its own, with policy and recording on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tests.servers.certificates import Certificate
from tests.servers.endpoint import Endpoint

Durability = Literal["standard", "strict"]


class GatewayUnavailable(Exception):
    """The gateway cannot be started here; the message says why."""


@dataclass(frozen=True)
class RunningGateway:
    """Where clients connect through the gateway, and the process whose memory counts (with its children)."""

    endpoint: Endpoint
    pid: int


@contextmanager
def start_gateway(
    target: Endpoint, *, durability: Durability, certificate: Certificate | None = None
) -> Iterator[RunningGateway]:
    """Run a gateway in front of ``target`` until the block ends.

    With ``certificate`` clients must use TLS; without it the gateway takes plain connections on loopback, so that
    every way to the server is measured alike. Raises ``GatewayUnavailable``.
    """
    raise GatewayUnavailable("the gateway has no serve command yet")
    yield
