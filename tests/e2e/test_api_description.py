"""The API as its own description has it: requests that fit and that do not, made up from the OpenAPI document.

Whatever is sent, nothing fails in an unforeseen way, and every answer is one that the document describes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.config import SchemathesisConfig

from interlock.core.administration import COMMANDS
from interlock.surfaces.api.events import ACTION, PATH, describe_events
from interlock.surfaces.api.openapi import describe
from tests.e2e.api_callers import POLICY, ROLES, person
from tests.e2e.ledger_files import wait_for
from tests.servers.api import ApiClient
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

DESCRIPTION = describe(COMMANDS, {PATH: describe_events()})
_REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]
"""What may be said of a request that does not fit: as is usual, and that it is too large."""
_SCHEMA = schemathesis.openapi.from_dict(
    DESCRIPTION | {"security": []},
    config=SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": _REFUSALS}}}),
)
"""Whose token is sent, is up to each test."""
OPERATIONS = {
    operation["operationId"]: _SCHEMA[path][method.upper()]
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
}
FINITE = sorted(OPERATIONS.keys() - {ACTION})
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
STATEMENTS = """
@id("agents") permit (principal is Agent, action, resource);
@id("held") @approval("reviewer") forbid (principal, action == Action::"delete", resource);
"""
OPTIONS = GatewayOptions(policy=POLICY + STATEMENTS, api_extra="requests_per_minute = 100000")

bounded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Sender:
    """Sends cases for one caller, over one connection."""

    def __init__(self, client: ApiClient) -> None:
        self._url = client.url
        self._session = requests.Session()
        self._ca_file = str(client.ca_file)
        self._headers = {"Authorization": f"Bearer {client.token}"}

    def send(self, case: Any) -> int:
        """Send it and check the answer; its status."""
        status: int = case.call_and_validate(
            self._url, self._session, self._headers, CHECKS, verify=self._ca_file
        ).status_code
        return status


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def everybody(gateway: GatewayServer, known: Mapping[str, dict[str, str]]) -> Sender:
    return Sender(person(gateway, *ROLES, name="ada"))


@pytest.fixture(scope="module")
def nobody(gateway: GatewayServer) -> Sender:
    return Sender(person(gateway, "nobody"))


@pytest.fixture(scope="module")
def known(gateway: GatewayServer) -> Mapping[str, dict[str, str]]:
    """Things that are there, as path parameters by the first words of paths; for other words there is nothing."""
    client = person(gateway, *ROLES, name="ada")
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
        connection.execute("SELECT count(*) FROM orders")
        with pytest.raises(psycopg.Error):
            connection.execute("DELETE FROM orders WHERE id = 0")
    sessions = wait_for(lambda: client.get("/v1/sessions?status=closed").json["items"], "the session's end")
    client.request("PUT", "/v1/identities/bot", {"kind": "agent"})
    lock = client.request("POST", "/v1/locks", {"subject_kind": "agent", "subject": "bot", "reason": "test"})
    incident = client.request("POST", "/v1/incidents", {"subject_kind": "agent", "subject": "bot", "reason": "test"})
    return {
        "connections": {"name": "shop"},
        "identities": {"name": "bot"},
        "sessions": {"id": sessions[0]["session"]},
        "approvals": {"id": client.get("/v1/approvals").json["items"][0]["id"]},
        "locks": {"id": lock.json["lock"]["id"]},
        "incidents": {"id": incident.json["id"]},
        "tokens": {"token_id": "some-token"},
    }


def cases(name: str, mode: GenerationMode, **changes: Any) -> st.SearchStrategy[Any]:
    found: st.SearchStrategy[Any] = OPERATIONS[name].as_strategy(mode, **changes)
    return found


def takes_fields(name: str) -> bool:
    """Whether a request can be wrong: any text is a name in a path."""
    raw = OPERATIONS[name].definition.raw
    return "requestBody" in raw or any(one["in"] == "query" for one in raw["parameters"])


def test_the_gateway_describes_itself_so(gateway: GatewayServer) -> None:
    answer = gateway.api().get("/openapi.json")
    assert answer.json == DESCRIPTION
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", FINITE)
def test_what_fits_gets_an_answer_as_described(everybody: Sender, name: str) -> None:
    @given(case=cases(name, GenerationMode.POSITIVE))
    @settings(bounded, max_examples=8)
    def ask(case: Any) -> None:
        assert everybody.send(case) not in (400, 401, 403, 413, 415, 429)

    ask()


@pytest.mark.parametrize("name", [name for name in FINITE if takes_fields(name)])
def test_what_does_not_fit_is_refused_as_described(everybody: Sender, name: str) -> None:
    @given(case=cases(name, GenerationMode.NEGATIVE))
    @settings(bounded, max_examples=8)
    def ask(case: Any) -> None:
        assert everybody.send(case) not in (401, 403, 429)

    ask()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_whoever_may_not_is_told_so(nobody: Sender, name: str) -> None:
    allowed = not OPERATIONS[name].definition.raw["x-permissions"]

    @given(case=cases(name, GenerationMode.POSITIVE))
    @settings(bounded, max_examples=4)
    def ask(case: Any) -> None:
        assert nobody.send(case) in ((200, 404, 422) if allowed else (403, 422))

    ask()


@pytest.mark.parametrize("name", [name for name in FINITE if "{" in OPERATIONS[name].path])
def test_what_is_there_is_answered_as_described(
    everybody: Sender, known: Mapping[str, dict[str, str]], name: str
) -> None:
    noun = OPERATIONS[name].path.split("/")[2]

    @given(case=cases(name, GenerationMode.POSITIVE, path_parameters=known.get(noun)))
    @settings(bounded, max_examples=5)
    def ask(case: Any) -> None:
        everybody.send(case)

    ask()
