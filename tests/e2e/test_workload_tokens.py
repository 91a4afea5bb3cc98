"""CI identity confusion: tokens of forks, other branches, repositories of the same name and events of outsiders."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from interlock.core.ledger import ConnectionRefused, SessionOpened
from tests.adapters.identity.vendor_tokens import GITHUB, ScriptedIssuer
from tests.clocks import ManualClock
from tests.e2e.ledger_files import records_of, refusals
from tests.e2e.wire import WireClient, WireError
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

REUSABLE = "octo-org/workflows/.github/workflows/report.yml@refs/heads/main"


class SystemTime(ManualClock):
    """The time that the gateway's process has."""

    def now_s(self) -> float:
        return time.time()


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> ScriptedIssuer:
    return ScriptedIssuer(GITHUB, tmp_path_factory.mktemp("github"), SystemTime())


@pytest.fixture(scope="module")
def gateway(target: Endpoint, github: ScriptedIssuer) -> Iterator[GatewayServer]:
    settings = f"""
[[issuers]]
name = "github"
url = "{GITHUB.url}"
audience = "{GITHUB.audience}"
trust = "github"
jwks_file = "{github.keys_file}"

[[identities]]
issuer = "github"
when = {{ repository_id = 74, job_workflow_ref = "{REUSABLE}", ref_protected = true }}
identity = "ci:{{repository}}"
"""
    with GatewayServer(target, GatewayOptions(extra=settings)) as server:
        yield server


def log_in(gateway: GatewayServer, token: str) -> None:
    with WireClient(gateway.port, gateway.certificate_file) as client:
        client.log_in(token)


def good(changes: Mapping[str, object]) -> dict[str, object]:
    return {"job_workflow_ref": REUSABLE, **changes}


def test_the_workflow_that_is_meant(gateway: GatewayServer, github: ScriptedIssuer) -> None:
    log_in(gateway, github.token(good({"run_id": "9001"})))
    opened = records_of(gateway, SessionOpened)[-1]
    assert opened.principal == "ci:octo-org/octo-repo"
    assert {("actor", "octocat"), ("run_id", "9001")} <= set(opened.claims)


CONFUSIONS: dict[str, tuple[dict[str, object], str]] = {
    "a fork's pull request": ({"event_name": "pull_request"}, "event_name"),
    "with the base's rights": ({"event_name": "pull_request_target"}, "event_name"),
    "another branch": ({"ref": "refs/heads/x", "ref_protected": "false"}, "ref_protected"),
    "the same name, another repository": ({"repository_id": "75"}, "repository_id"),
    "another version of the workflow": ({"job_workflow_ref": REUSABLE.replace("main", "dev")}, "job_workflow_ref"),
    "a workflow of the same name": ({"job_workflow_ref": REUSABLE.replace("octo", "evil", 1)}, "job_workflow_ref"),
}


@pytest.mark.parametrize(("changes", "claim"), CONFUSIONS.values(), ids=CONFUSIONS.keys())
def test_scenario_9_what_is_confused_with_it_is_refused(
    gateway: GatewayServer, github: ScriptedIssuer, postgres: PostgresServer, changes: dict[str, object], claim: str
) -> None:
    """The ledger names the claim that failed, the caller is not told, the administrator's test shows it."""
    token = github.token(good(changes))
    mark, before = postgres.log_position(), len(records_of(gateway, ConnectionRefused))
    with pytest.raises(WireError) as caught:
        log_in(gateway, token)
    assert caught.value.code == "28P01"
    assert claim not in str(caught.value.fields)
    (refused,) = refusals(gateway, before + 1)[before:]
    assert refused.reason == f"no identity rule applies: not 'ci:{{repository}}' for its {claim}"
    assert postgres.log_position() == mark


def test_scenario_9_the_rule_tester_of_the_running_gateway(
    gateway: GatewayServer, github: ScriptedIssuer, tmp_path: Path
) -> None:
    token = github.token(good({"repository_id": "75"}))
    (tmp_path / "token").write_text(token)
    done = gateway.command("trust", "test", "--token-file", str(tmp_path / "token"), check=False)
    assert done.returncode == 1
    assert "FAIL repository_id: expected 74; found 75" in done.stdout
    assert token not in done.stdout + done.stderr + gateway.log()
