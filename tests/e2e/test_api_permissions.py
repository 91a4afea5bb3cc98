"""Every request of the API, made by everybody: allowed as its route and the policy say, or refused and on record.

The requests come from the table of commands, so a new command is tested as soon as it is in there.
"""

import json
import resource
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.administration import COMMANDS, Command, ConfirmOwner, IssueSshCertificate
from interlock.core.administration.requests import tag_of
from interlock.core.ledger import AccessRefused, ConnectionRefused
from interlock.surfaces.api import events
from interlock.surfaces.api.authentication import FAILURES_PER_MINUTE
from tests.e2e.api_callers import POLICY, ROLES, example_request, issued, person
from tests.e2e.ledger_files import records_of, wait_for
from tests.servers.api import Answer, ApiClient
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

KINDS = sorted(COMMANDS, key=tag_of)
GIVEN_TO_ALL: list[type[Command[Any]]] = [IssueSshCertificate]
ABOUT_ONESELF: list[type[Command[Any]]] = [*GIVEN_TO_ALL, ConfirmOwner]
"""What whoever is known may ask for: it gives nothing that the token does not, or looks itself at who asks."""
CHANGES = [kind for kind in KINDS if kind.route.method != "GET" and kind not in ABOUT_ONESELF]
OPTIONS = GatewayOptions(policy=POLICY, api_extra="requests_per_minute = 100000")


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


def ask(client: ApiClient, kind: type[Command[Any]]) -> Answer:
    request = example_request(kind)
    return client.request(request.method, request.target, request.body or None)


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    """It is an error as RFC 9457 has it."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_the_table_has_commands_that_change_things_and_a_permission_for_each() -> None:
    assert len(CHANGES) > 15
    assert [tag_of(kind) for kind in CHANGES if not kind.route.permissions] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_person_may_what_policy_gives_them(gateway: GatewayServer, role: str) -> None:
    before = len(records_of(gateway, AccessRefused))
    client = person(gateway, role)
    refused = []
    for kind in KINDS:
        answer = ask(client, kind)
        if kind.route.permissions and ROLES[role].isdisjoint(kind.route.permissions):
            problem = assert_problem(answer, 403)
            assert role in problem["detail"]
            assert all(f'"{permission.value}"' in problem["detail"] for permission in kind.route.permissions)
            refused.append((role, tag_of(kind)))
        else:
            assert answer.status in (200, 404, 409, 422), (tag_of(kind), answer.body)
    on_record = records_of(gateway, AccessRefused)[before:]
    assert [(record.actor, record.action) for record in on_record] == refused


@pytest.mark.parametrize("role", ROLES)
def test_a_person_may_listen_if_policy_says_so(gateway: GatewayServer, role: str) -> None:
    client = person(gateway, role)
    if ROLES[role].isdisjoint(events.PERMISSIONS):
        assert_problem(client.get(events.PATH), 403)
        assert records_of(gateway, AccessRefused)[-1].action == events.ACTION
    else:
        with client.events():
            pass


def test_an_agent_may_nothing_whatever_its_groups(gateway: GatewayServer) -> None:
    client = gateway.api(gateway.token("bot", list(ROLES)))
    for kind in KINDS:
        answer = ask(client, kind)
        if kind.route.permissions:
            assert_problem(answer, 403)
        else:
            assert answer.status in (200, 404)
            assert not answer.json.get("permissions")
    assert_problem(client.get(events.PATH), 403)


def test_the_machines_operators_may_all_but_review(gateway: GatewayServer) -> None:
    operator = gateway.local_api()
    for kind in KINDS:
        answer = ask(operator, kind)
        if {permission.value for permission in kind.route.permissions} == {"review"}:
            assert_problem(answer, 403)
        else:
            assert answer.status in (200, 404, 409, 422), (tag_of(kind), answer.body)
    with operator.events():
        pass


def test_on_the_socket_a_token_counts_and_not_the_account(gateway: GatewayServer) -> None:
    client = replace(gateway.local_api(), token=person(gateway, "reviewer").token)
    for kind in CHANGES:
        allowed = ROLES["reviewer"].intersection(kind.route.permissions)
        assert (ask(client, kind).status != 403) is bool(allowed), tag_of(kind)
    assert_problem(replace(client, token="nonsense").get("/v1/whoami"), 401)


BAD_TOKENS = {
    "without a token": None,
    "with an expired token": {"exp": 1_000_000_000},
    "with a token for another audience": {"aud": "somebody-else"},
    "with a token of another issuer": {"iss": "https://elsewhere.example"},
}


@pytest.mark.parametrize("case", BAD_TOKENS)
def test_who_does_not_prove_who_they_are_may_nothing(gateway: GatewayServer, case: str) -> None:
    changes = BAD_TOKENS[case]
    good = person(gateway, *ROLES)
    token = None if changes is None else issued(gateway, good.token or "", **changes)
    before = len(records_of(gateway, ConnectionRefused))
    answers = []
    for number, kind in enumerate(KINDS):
        # Sources that bring bad tokens over and over are turned away unheard.
        source = f"127.0.{1 + number // (FAILURES_PER_MINUTE - 1)}.{10 + list(BAD_TOKENS).index(case)}"
        client = replace(good, token=token, source=source)
        answers.append(ask(client, kind))
    answers.append(client.get(events.PATH))
    for answer in answers:
        problem = assert_problem(answer, 401)
        assert token is None or token not in json.dumps(problem)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert ('error="invalid_token"' in answer.headers["WWW-Authenticate"]) is (token is not None)
    refused = records_of(gateway, ConnectionRefused)[before:]
    assert [record.protocol for record in refused] == ["api"] * (0 if token is None else len(answers))


def test_a_token_whose_time_comes_is_refused(gateway: GatewayServer) -> None:
    client = person(gateway, "auditor", ttl_s=1)
    wait_for(lambda: client.get("/v1/connections").status != 200, "the token's end")
    assert_problem(client.get("/v1/connections"), 401)


BROKEN_RULE = """
@id("broken") forbid (principal, action, resource is Gateway) when { context.now * 9223372036854775807 > 1 };
"""


def test_a_rule_that_cannot_be_evaluated_permits_nothing(target: Endpoint) -> None:
    with GatewayServer(target, replace(OPTIONS, policy=POLICY + BROKEN_RULE)) as gateway:
        client = person(gateway, *ROLES)
        for kind in CHANGES:
            assert_problem(ask(client, kind), 403)
        assert client.get("/v1/whoami").json["permissions"] == []


def test_policy_that_changes_counts_from_the_next_request_on(target: Endpoint) -> None:
    with GatewayServer(target, OPTIONS) as gateway:
        client = person(gateway, "auditor")
        assert client.get("/v1/connections").status == 200
        gateway.policy_file.write_text(POLICY.replace('Action::"audit"', 'Action::"develop"'))
        wait_for(lambda: client.get("/v1/connections").status != 200, "the new policy")
        assert_problem(client.get("/v1/connections"), 403)
        gateway.policy_file.write_text("permit (this is no policy")
        gateway.wait_for_log("policy_refused")
        assert_problem(client.get("/v1/connections"), 403)
        assert client.get("/v1/policy").json["problems"]


def test_nothing_is_done_that_cannot_be_recorded(target: Endpoint) -> None:
    with GatewayServer(target, OPTIONS) as gateway:
        everybody, nobody = person(gateway, *ROLES), person(gateway, "nobody")
        bot = {"kind": "agent", "groups": ["readers"]}
        assert everybody.request("PUT", "/v1/identities/bot", bot).status == 200
        before = state(gateway)
        grow_ledger(gateway, nobody)
        with failing_ledger(gateway):
            for kind in (*CHANGES, *GIVEN_TO_ALL):
                assert_problem(ask(nobody, kind), 503)
            for method, path, body in REAL_CHANGES:
                answer = everybody.request(method, path, body)
                assert_problem(answer, 503)
                assert answer.headers["Retry-After"]
            assert_problem(everybody.get("/v1/ledger/entries"), 503)
            assert_problem(everybody.get(events.PATH), 503)
        wait_for(lambda: everybody.request("POST", "/v1/identities/bot/disable").status == 200, "the ledger's recovery")
        assert everybody.request("POST", "/v1/identities/bot/enable").status == 200
        assert state(gateway) == before
        assert gateway.command("audit", "verify").returncode == 0


REAL_CHANGES: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/identities/other", {"kind": "agent"}),
    ("POST", "/v1/identities/bot/disable", None),
    ("POST", "/v1/identities/bot/secret", None),
    ("DELETE", "/v1/identities/bot", None),
    ("POST", "/v1/locks", {"subject_kind": "agent", "subject": "bot", "reason": "test"}),
    ("POST", "/v1/tokens/some-token/revoke", {"reason": "test"}),
    ("POST", "/v1/tokens", {"name": "bot"}),
    (
        "PUT",
        "/v1/connections/other",
        {"settings": {"protocol": "postgres", "host": "db", "user": "u", "databases": ["app"]}},
    ),
]
"""Changes that would be made if they could be recorded."""


def state(gateway: GatewayServer) -> list[Any]:
    """What can be changed, without the times of changes."""
    operator = gateway.local_api()
    return [operator.get(path).json for path in ("/v1/identities", "/v1/connections", "/v1/locks")]


def grow_ledger(gateway: GatewayServer, nobody: ApiClient) -> None:
    """Until it is larger than the log, so that a limit on the size of files is about the ledger."""
    segment = next((gateway.data_dir / "ledger" / "segments").iterdir())
    while segment.stat().st_size < 2 * gateway.log_file.stat().st_size:
        nobody.get("/v1/policy")


class failing_ledger:  # noqa: N801 - used like a function
    """No file of the gateway's grows meanwhile, as on a full disk."""

    def __init__(self, gateway: GatewayServer) -> None:
        self._pid = gateway.pid
        self._limits = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        self._segment = next((gateway.data_dir / "ledger" / "segments").iterdir())

    def __enter__(self) -> None:
        limits = (self._segment.stat().st_size, self._limits[1])
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, limits)

    def __exit__(self, *_: object) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._limits)


def test_what_is_refused_names_its_subject(gateway: GatewayServer) -> None:
    client = person(gateway, "nobody")
    for kind in CHANGES:
        assert_problem(ask(client, kind), 403)
        record = records_of(gateway, AccessRefused)[-1]
        assert record.action == tag_of(kind)
        assert record.subject == "/".join(["x"] * kind.route.path.count("{"))
