"""The client matrix for an identity under a mask: the same as directly, with masks in the places of what is hidden.

What is hidden by a mask looks as if the mask were the value. So what a client is told through the gateway is compared
with what it is told directly by a database in which the masks *are* the values.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.clients.scratch import PAYLOAD, RAW, Scenario, prepared_through
from tests.clients.test_clients import MATRIX
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import ALLOW_EVERYTHING, GatewayOptions, start_gateway

_RULE = """
@id("pii-is-redacted")
@mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
_MASKING = "\n[connections.shop.masking]\nnotifications = 'show'\nfunctions = ['scratch.complain']\n"
_MASKS_ARE_THE_VALUES = {PAYLOAD: """'"***"'::jsonb""", RAW: "NULL::bytea"}
_SOURCE_LINES = re.compile(r"\\nLOCATION:  \w+, \w+\.\w+:\d+|, 'F': '[^']*', 'L': '\d+', 'R': '\w+'")
_INSTALLS_CODE = "restores a function, and whoever is under a mask installs no code"
_REFUSED = {"pg_dump-custom": _INSTALLS_CODE, "pg_dump-directory_in_parallel": _INSTALLS_CODE}
_REWRITTEN = {"psycopg-prepared": "shows the texts in pg_prepared_statements, which are those that were rewritten"}


@contextmanager
def _gateway(direct: Endpoint, *columns: str) -> Iterator[Endpoint]:
    tags = "[policy.tags]\n" + "".join(f"'{column}' = ['pii']\n" for column in columns)
    with start_gateway(direct, GatewayOptions(policy=ALLOW_EVERYTHING + _RULE, extra=_MASKING + tags)) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def elsewhere(direct_endpoint: Endpoint) -> Iterator[Endpoint]:
    """Masks on a table that scenarios do not read."""
    with (
        _gateway(direct_endpoint, "public.customers.email", "public.customers.card_number") as endpoint,
        prepared_through(endpoint, direct_endpoint),
    ):
        yield endpoint


@pytest.fixture(scope="module")
def within(direct_endpoint: Endpoint) -> Iterator[Endpoint]:
    """Masks on columns that most scenarios read."""
    with (
        _gateway(direct_endpoint, "scratch.items.payload", "scratch.items.raw") as endpoint,
        prepared_through(endpoint, direct_endpoint),
    ):
        yield endpoint


@pytest.mark.parametrize("scenario", MATRIX)
def test_masks_elsewhere_change_nothing(scenario: Scenario, direct_endpoint: Endpoint, elsewhere: Endpoint) -> None:
    _skip(scenario, _REFUSED)
    expected = scenario(direct_endpoint)
    assert _told(scenario(elsewhere)) == _told(expected)


@pytest.mark.parametrize("scenario", MATRIX)
def test_masked_columns_look_like_their_masks(scenario: Scenario, direct_endpoint: Endpoint, within: Endpoint) -> None:
    _skip(scenario, _REFUSED | _REWRITTEN)
    with prepared_through(direct_endpoint, direct_endpoint, _MASKS_ARE_THE_VALUES):
        expected = scenario(direct_endpoint)
    assert _told(scenario(within)) == _told(expected)


def _told(result: object) -> str:
    """A result without the lines of the server's source that errors name: those of the gateway have none."""
    return _SOURCE_LINES.sub("", repr(result))


def _skip(scenario: Scenario, reasons: dict[str, str]) -> None:
    name = f"{scenario.__module__.rpartition('with_')[2]}-{scenario.__name__}"
    if reason := reasons.get(name):
        pytest.skip(reason)
