"""The two ways to the same server that every scenario is run on: directly, and through the gateway."""

from collections.abc import Iterator

import pytest

from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import start_gateway
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def direct_endpoint(postgres: PostgresServer) -> Endpoint:
    """The sample database ``shop`` as its owner, without anything in between."""
    return sample.endpoint(postgres)


@pytest.fixture(scope="session")
def gateway_endpoint(direct_endpoint: Endpoint) -> Iterator[Endpoint]:
    """The same database through a gateway that allows everything."""
    with start_gateway(direct_endpoint) as endpoint:
        yield endpoint
