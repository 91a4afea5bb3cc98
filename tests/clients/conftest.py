"""The two ways to the same server that every scenario is run on: directly, and through the gateway."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import pytest

from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def direct_endpoint(postgres: PostgresServer) -> Endpoint:
    """The sample database ``shop`` as its owner, without anything in between."""
    return sample.endpoint(postgres)


@pytest.fixture(scope="session")
def gateway_endpoint(direct_endpoint: Endpoint) -> Iterator[Endpoint]:
    """The same database through a gateway that allows everything."""
    if find_spec("tests.servers.gateway") is None:
        yield direct_endpoint
        return
    gateway = import_module("tests.servers.gateway")
    with gateway.start_gateway(direct_endpoint) as endpoint:
        yield endpoint
