"""The client matrix: an unmodified client behaves through the gateway as it does directly."""

import pytest

from tests.clients.scenarios import (
    with_asyncpg,
    with_django,
    with_pg8000,
    with_pg_dump,
    with_pgbench,
    with_psql,
    with_psycopg,
    with_psycopg2,
    with_sqlalchemy,
)
from tests.clients.scratch import Scenario
from tests.servers.endpoint import Endpoint

MODULES = (
    with_psql,
    with_psycopg,
    with_psycopg2,
    with_asyncpg,
    with_pg8000,
    with_sqlalchemy,
    with_django,
    with_pg_dump,
    with_pgbench,
)
MATRIX = [
    pytest.param(scenario, id=f"{module.__name__.rpartition('with_')[2]}-{scenario.__name__}")
    for module in MODULES
    for scenario in module.SCENARIOS
]


@pytest.mark.parametrize("scenario", MATRIX)
def test_same_result_through_the_gateway(
    scenario: Scenario, direct_endpoint: Endpoint, gateway_endpoint: Endpoint
) -> None:
    expected = scenario(direct_endpoint)
    assert scenario(gateway_endpoint) == expected
