"""The sample database as the target of end-to-end tests."""

import pytest

from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def target(postgres: PostgresServer) -> Endpoint:
    """The sample database ``shop`` as its owner."""
    return sample.endpoint(postgres)
