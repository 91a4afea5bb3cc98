"""Fixtures of the end-to-end tests: the sample database as the gateway's target, and a gateway that allows everything."""

from collections.abc import Iterator

import pytest

from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def target(postgres: PostgresServer) -> Endpoint:
    """The sample database ``shop`` as its owner."""
    return sample.endpoint(postgres)


@pytest.fixture(scope="module")
def open_gateway(target: Endpoint) -> Iterator[GatewayServer]:
    """A gateway that allows everything."""
    with GatewayServer(target) as gateway:
        yield gateway
