"""The command line and the API: with a running gateway every command goes there, and a person can be anywhere."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from interlock.bootstrap import bench
from interlock.bootstrap.bench import Bench
from interlock.core.administration import COMMANDS, SOCKET_FILE, Command
from interlock.core.administration.requests import tag_of
from interlock.core.errors import AdministrationRefused, InterlockError
from interlock.core.ledger import ApprovalVoted, LockAdded
from interlock.surfaces.cli.application import build
from tests.e2e.api_callers import POLICY, ROLES, example_command, person
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import is_cut
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

STATEMENTS = """
@id("agents") permit (principal is Agent, action, resource);
@id("held") @approval("reviewer") forbid (principal, action == Action::"delete", resource);
"""
OPTIONS = GatewayOptions(policy=POLICY + STATEMENTS)
ANSWERS_ELSEWHERE = ("approvals", "list"), ("identities", "list"), ("lock", "list"), ("sessions", "live")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


class ForbiddenNode:
    """Stands for the data directory, which nothing may open."""

    def __init__(self, *_: object) -> None:
        raise AssertionError("the data directory was opened beside the gateway")


@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_a_running_gateway_executes_every_command(
    gateway: GatewayServer, kind: type[Command[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "Node", ForbiddenNode)
    with contextlib.chdir(gateway.directory), contextlib.suppress(AdministrationRefused):
        Bench(gateway.config_file).administer(example_command(kind))


def test_nobody_works_beside_a_running_gateway(target: Endpoint) -> None:
    """Without its socket a gateway cannot be asked; its data directory is locked all the same."""
    with GatewayServer(target, OPTIONS) as gateway, contextlib.chdir(gateway.directory):
        (gateway.data_dir / SOCKET_FILE).unlink()
        for kind in COMMANDS:
            with pytest.raises(InterlockError, match=r"lock|another process|in use"):
                Bench(gateway.config_file).administer(example_command(kind))
        assert gateway.command("serve", check=False).returncode == 2


@pytest.fixture
def elsewhere(gateway: GatewayServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs ``interlock`` as a person with a token, in a directory with nothing in it."""
    directory = tmp_path_factory.mktemp("elsewhere")

    def run(*words: str, roles: Sequence[str] = tuple(ROLES), name: str = "ada", token: str = "") -> Result:
        environment = {
            "INTERLOCK_API": gateway.api_url,
            "INTERLOCK_API_CA": str(gateway.certificate_file),
            "INTERLOCK_TOKEN": token or gateway.token(name, roles, kind="user"),
            "COLUMNS": "300",
        }
        with contextlib.chdir(directory):
            result = CliRunner().invoke(build(Bench), words, env=environment)
            assert not list(directory.iterdir())
        assert environment["INTERLOCK_TOKEN"] not in result.output
        return result

    return run


def test_a_reviewer_answers_from_elsewhere(gateway: GatewayServer, elsewhere: Run) -> None:
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as agent:
        for number in (1, 2):
            with pytest.raises(psycopg.errors.Error):
                agent.execute(f"DELETE FROM orders WHERE id = -{number}".encode())
        listed = json.loads(elsewhere("approvals", "list", "--status", "pending", "--json").output)["items"]
        first, second = (item["id"] for item in listed)
        assert "DELETE FROM orders" in elsewhere("approvals", "show", first).output
        refused = elsewhere("approvals", "approve", first, "--reason", "fine", roles=["auditor"], name="eve")
        assert refused.exit_code == 1
        assert 'the permission "review"' in refused.output
        assert "approved" in elsewhere("approvals", "approve", second, "--reason", "fine").output
        assert "denied" in elsewhere("approvals", "deny", first, "--reason", "no").output
        assert agent.execute(b"DELETE FROM orders WHERE id = -1").statusmessage == "DELETE 0"
        assert json.loads(elsewhere("approvals", "list", "--status", "pending", "--json").output)["items"] == []
        denied = json.loads(elsewhere("approvals", "list", "--status", "denied", "--json").output)["items"]
        assert [item["id"] for item in denied] == [first]
        assert len(json.loads(elsewhere("approvals", "list", "--limit", "1", "--json").output)["items"]) == 1
    assert [record.reviewer for record in records_of(gateway, ApprovalVoted)] == ["ada", "ada"]


def test_a_responder_stops_an_agent_from_elsewhere(gateway: GatewayServer, elsewhere: Run) -> None:
    endpoint = gateway.endpoint(gateway.token("night-bot"))
    with (
        psycopg.connect(**endpoint.parameters(), autocommit=True) as one,
        psycopg.connect(**endpoint.parameters(), autocommit=True) as other,
    ):
        live = json.loads(elsewhere("sessions", "live", "--principal", "night-bot", "--json").output)
        assert len(live) == 2
        assert elsewhere("sessions", "kill", live[0]["id"], "--reason", "too late", roles=["admin"]).exit_code == 1
        assert elsewhere("sessions", "kill", live[0]["id"], "--reason", "too late", roles=["responder"]).exit_code == 0
        assert [is_cut(one), is_cut(other)].count(True) == 1
        locked = elsewhere("lock", "add", "agent", "night-bot", "--reason", "at night", "--json", roles=["responder"])
        assert is_cut(one)
        assert is_cut(other)
    receipt = json.loads(locked.output)
    assert "at night" in elsewhere("lock", "list").output
    assert elsewhere("lock", "remove", receipt["lock"]["id"], "--reason", "seen").exit_code == 0
    assert "night-bot" not in elsewhere("lock", "list").output
    assert [record.by for record in records_of(gateway, LockAdded)][-1] == "ada"


def test_an_administrator_works_from_elsewhere(gateway: GatewayServer, elsewhere: Run) -> None:
    assert elsewhere("identities", "add", "bot", "--group", "readers", roles=["admin"]).exit_code == 0
    assert "bot" in elsewhere("identities", "list", roles=["auditor"]).output
    assert elsewhere("identities", "remove", "bot", roles=["auditor"]).exit_code == 1
    assert elsewhere("identities", "remove", "bot", roles=["admin"]).exit_code == 0
    assert "shop" in elsewhere("connections", "list", roles=["admin"]).output


def test_an_auditor_reads_evidence_from_elsewhere(gateway: GatewayServer, elsewhere: Run) -> None:
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as agent:
        agent.execute("SELECT 'read me elsewhere'")
    assert "read me elsewhere" in elsewhere("sessions", "search", "read me", roles=["auditor"]).output
    assert "as it was recorded" in elsewhere("audit", "verify", roles=["auditor"]).output
    assert "session.opened" in elsewhere("audit", "search", "--kind", "session", roles=["auditor"]).output
    assert elsewhere("sessions", "list", roles=["developer"]).exit_code != 0


@pytest.mark.parametrize("words", ANSWERS_ELSEWHERE, ids=" ".join)
def test_who_may_not_is_told_so_by_the_command(elsewhere: Run, words: tuple[str, str]) -> None:
    refused = elsewhere(*words, roles=["nobody"], name="nobody")
    assert refused.exit_code == 1
    assert "no policy rule gives them the permission" in refused.output
    unknown = elsewhere(*words, token="nonsense")
    assert unknown.exit_code == 1
    assert "the token is not accepted" in unknown.output


def test_a_gateway_that_is_not_who_it_should_be_gets_no_token(gateway: GatewayServer, elsewhere: Run) -> None:
    result = elsewhere("--api-ca", "", "lock", "list")
    assert result.exit_code == 1
    assert "--api-ca" in result.output


def test_what_reads_files_says_that_it_cannot_from_elsewhere(elsewhere: Run) -> None:
    result = elsewhere("sessions", "export", "01q9", "--out", "x.tar")
    assert result.exit_code == 2
    assert "leave --api away" in result.output


def test_tokens_come_from_a_file_too(gateway: GatewayServer, elsewhere: Run, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(f"{person(gateway, 'auditor').token}\n")
    words = ["--api", gateway.api_url, "--api-ca", str(gateway.certificate_file)]
    environment = {"INTERLOCK_TOKEN": "", "INTERLOCK_TOKEN_FILE": str(file)}
    assert CliRunner().invoke(build(Bench), [*words, "lock", "list"], env=environment).exit_code == 0
    without = CliRunner().invoke(build(Bench), [*words, "lock", "list"], env={"INTERLOCK_TOKEN": ""})
    assert without.exit_code == 2
    assert "--token-file" in without.output
