"""``interlock connections | identities | development-token`` as they are typed, executed in this process."""

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from interlock.core.access_review import Attestation, Finding, Flag, OwnerState
from interlock.core.administration import (
    AnswerT,
    AttestIdentity,
    Command,
    Done,
    IdentityReview,
    ReviewedConnection,
    ReviewIdentities,
    ReviewPage,
)
from interlock.core.errors import LedgerUnavailable
from interlock.core.identity import Actor, local_actor
from interlock.core.settings import (
    ConnectionSettings,
    CredentialReference,
    Detection,
    HttpApi,
    OAuthClient,
    SshAuthentication,
    TlsMode,
)
from interlock.services.administration import Handler
from interlock.surfaces.cli import connections, development_token, identities
from tests.services.administration_bench import AdministrationBench

SECRET = "planted-secret"
ADD = ("connections", "add", "crm", "--host", "db", "--database", "app", "--user", "gateway")
Run = Callable[..., Result]


class BenchWorkbench:
    """Executes commands on a bench; ``error`` makes every one fail with it."""

    def __init__(self, bench: AdministrationBench) -> None:
        self._bench = bench
        self.error: Exception | None = None

    def administer(self, command: Command[AnswerT], token: str = "") -> AnswerT:
        if self.error is not None:
            raise self.error
        return asyncio.run(self._bench.administration.execute(command, local_actor("ada")))


@pytest.fixture
def bench() -> AdministrationBench:
    in_file = ConnectionSettings(protocol="postgres", host="other", databases=("x",), user="u")
    return AdministrationBench({"reports": in_file})


@pytest.fixture
def workbench(bench: AdministrationBench) -> BenchWorkbench:
    return BenchWorkbench(bench)


@pytest.fixture
def run(workbench: BenchWorkbench) -> Run:
    """Run a command line; returns what it printed and its exit status. No output may show the planted secret."""
    app = typer.Typer()
    app.add_typer(connections.app)
    app.add_typer(identities.app)
    app.command("development-token")(development_token.issue_token)

    def run(*arguments: str, typed: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, obj=workbench, input=typed, terminal_width=200)
        assert SECRET not in result.output
        return result

    return run


def test_a_connection_by_command(run: Run, bench: AdministrationBench, tmp_path: Path) -> None:
    options = ("--port", "6432", "--database", "b", "--tls", "require", "--schema", "s", "--tag", "pii")
    masking = ("--vouch-for", "public.f", "--detect", "mask")
    result = run(*ADD, *options, *masking, "--credential", f"file:{tmp_path}/p")
    assert (result.exit_code, result.output) == (0, "Connection 'crm' is ready for policy to permit.\n")
    settings = bench.state.connections["crm"]
    assert (settings.host, settings.port, settings.databases, settings.tls) == (
        "db",
        6432,
        ("app", "b"),
        TlsMode.REQUIRE,
    )
    assert (settings.search_path, settings.tags) == (("s",), ("pii",))
    assert (settings.masking.functions, settings.masking.detect) == (("public.f",), Detection.MASK)
    assert settings.credential is not None
    assert settings.credential.file == f"{tmp_path}/p"


def test_an_http_connection_by_command(run: Run, bench: AdministrationBench) -> None:
    add = ("connections", "add", "billing", "--protocol", "http", "--host", "api.example")
    assert run(*add).exit_code == 0
    assert bench.state.connections["billing"].port == 443
    token = ("--token-url", "https://tokens.example/t", "--client-id", "gateway", "--scope", "read")
    result = run(*add, *token, "--credential-as", "oauth", "--api", "graphql", "--base-path", "/v2", "--replace")
    assert (result.exit_code, result.output) == (0, "Connection 'billing' is ready for policy to permit.\n")
    http = bench.state.connections["billing"].http
    assert (http.api, http.credential_as, http.base_path) == (HttpApi.GRAPHQL, "oauth", "/v2")
    assert http.oauth == OAuthClient(token_url="https://tokens.example/t", client_id="gateway", scope="read")
    shown = run("connections", "show", "billing").output
    assert "target:          http://api.example:443/" in shown
    assert "shown as:        oauth" in shown
    assert "token from:      https://tokens.example/t as gateway" in shown


HOST = ("connections", "add", "web", "--protocol", "ssh", "--host", "web.example")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGBvPc6JnHcd7xD0fz0ZFdp0mJkVzMu0BNl4yJSlIM7x"


def test_a_host_by_command(run: Run, bench: AdministrationBench) -> None:
    options = ("--user", "deploy", "--login", "root", "--host-key", f"web.example {KEY}", "--host-authority", KEY)
    result = run(*HOST, *options, "--variable", "TZ")
    assert (result.exit_code, result.output) == (0, "Connection 'web' is ready for policy to permit.\n")
    added = bench.state.connections["web"]
    assert (added.port, added.places, added.credential) == (22, ("deploy", "root"), CredentialReference(sealed=True))
    assert (added.ssh.host_keys, added.ssh.host_authorities) == ((KEY,), (KEY,))
    assert (added.ssh.authenticate, added.ssh.environment) == (SshAuthentication.KEY, ("TZ",))
    shown = run("connections", "show", "web").output
    assert "target:          ssh://web.example:22\n" in shown
    assert f"host keys:       {KEY}\n" in shown
    assert "logins:          deploy, root\n" in shown
    assert "tls:" not in shown


def test_a_host_that_takes_certificates_needs_no_credential(run: Run, bench: AdministrationBench) -> None:
    assert run(*HOST, "--user", "deploy", "--authenticate", "certificate").exit_code == 0
    assert bench.state.connections["web"].credential is None


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--user", "deploy", "--database", "app"),
        ("--user", "deploy", "--credential", "none"),
        ("--user", "deploy", "--host-key", "SHA256:abc"),
        ("--user", "deploy", "--login", "a b"),
    ],
)
def test_hosts_that_are_none(options: tuple[str, ...], run: Run, bench: AdministrationBench) -> None:
    assert run(*HOST, *options).exit_code == 1
    assert "web" not in bench.state.connections


@pytest.mark.parametrize(
    "options",
    [
        ("--credential-as", "oauth"),
        ("--token-url", "http://tokens.example/t", "--client-id", "gateway", "--credential-as", "oauth"),
        ("--token-url", "https://tokens.example/t", "--client-id", "gateway"),
        ("--credential-as", "header:Host"),
        ("--credential-as", "cookie"),
        ("--database", "app"),
    ],
)
def test_http_connections_that_are_none(options: tuple[str, ...], run: Run, bench: AdministrationBench) -> None:
    assert run("connections", "add", "billing", "--protocol", "http", "--host", "api.example", *options).exit_code == 1
    assert "billing" not in bench.state.connections


def test_what_only_databases_have(run: Run) -> None:
    run("connections", "add", "billing", "--protocol", "http", "--host", "api.example")
    result = run("connections", "scan", "billing")
    assert (result.exit_code, "only PostgreSQL targets have" in result.output) == (1, True)


def test_connections_are_listed_and_shown(run: Run) -> None:
    run(*ADD)
    output = run("connections", "list").output
    assert "NAME" in output
    assert "postgres://db:5432/app" in output
    assert "sealed, not set" in output
    listed = json.loads(run("connections", "list", "--json").output)
    assert {(view["name"], view["origin"]) for view in listed} == {("crm", "command"), ("reports", "file")}
    assert "credential:      sealed, not set" in run("connections", "show", "crm").output
    assert json.loads(run("connections", "show", "crm", "--json").output)["settings"]["user"] == "gateway"


def test_a_password_from_standard_input(run: Run, bench: AdministrationBench) -> None:
    run(*ADD)
    result = run("connections", "set-credential", "crm", typed=f"{SECRET}\n")
    assert result.exit_code == 0
    assert bench.state.passwords == {"crm": SECRET}
    for command in (("connections", "list"), ("connections", "show", "crm"), ("connections", "show", "crm", "--json")):
        assert run(*command).exit_code == 0


def test_a_password_from_a_file(run: Run, bench: AdministrationBench, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    run(*ADD)
    assert run("connections", "set-credential", "crm", "--file", str(file)).exit_code == 0
    assert bench.state.passwords == {"crm": SECRET}
    assert run("connections", "set-credential", "crm", "--file", str(tmp_path / "none")).exit_code == 2


@pytest.mark.parametrize("typed", ["", "\n", "x" * 70_000])
def test_passwords_that_are_none(typed: str, run: Run, bench: AdministrationBench) -> None:
    run(*ADD)
    assert run("connections", "set-credential", "crm", typed=typed).exit_code == 1
    assert bench.state.passwords == {}


def test_no_password_is_taken_from_the_command_line(run: Run) -> None:
    run(*ADD)
    assert run("connections", "set-credential", "crm", "--password", "x").exit_code == 2
    result = run(*ADD, "--replace", "--credential", SECRET)
    assert result.exit_code == 1
    assert "a password does not belong here" in result.output


def test_removing_and_trying_connections(run: Run) -> None:
    run(*ADD)
    assert run("connections", "test", "crm").output == "crm answers\n"
    assert run("connections", "remove", "crm").exit_code == 0
    result = run("connections", "remove", "crm")
    assert (result.exit_code, result.output) == (1, "error: there is no connection 'crm'\n")
    assert "change it there" in run("connections", "remove", "reports").output


def test_functions_are_named_in_full(run: Run, bench: AdministrationBench) -> None:
    assert run(*ADD, "--vouch-for", "f").exit_code == 1
    assert bench.state.connections == {}


def test_settings_that_contradict_one_another(run: Run) -> None:
    result = run(*ADD, "--client-key", "k.pem")
    assert (result.exit_code, result.output) == (
        1,
        "error: client_certificate and client_key are given together, or neither\n",
    )


def test_identities_by_command(run: Run, bench: AdministrationBench) -> None:
    assert run("identities", "list").output == "There is no registered identity.\n"
    run("identities", "add", "bot", "--owner", "ada", "--group", "a", "--group", "b")
    run("identities", "add", "grace", "--kind", "user")
    run("identities", "disable", "bot")
    assert "disabled" in run("identities", "list").output
    assert "registered:      2027-01-15T08:00:00+00:00" in run("identities", "show", "bot").output
    run("identities", "enable", "bot")
    shown = json.loads(run("identities", "show", "bot", "--json").output)
    assert (shown["groups"], shown["disabled"]) == (["a", "b"], False)
    assert run("identities", "add", "bot").exit_code == 1
    assert run("identities", "add", "bot", "--replace", "--purpose", "nightly reports", "--issuer", "ci").exit_code == 0
    assert run("identities", "add", "bot", "--replace").exit_code == 0
    bot = bench.state.identities["bot"]
    assert (bot.owner, bot.purpose, bot.issuers, bot.groups) == (
        "ada",
        "nightly reports",
        frozenset({"ci"}),
        frozenset(),
    )
    assert "issuers:         ci\n" in run("identities", "show", "bot").output
    run("identities", "add", "bot", "--replace", "--any-issuer")
    assert bench.state.identities["bot"].issuers == frozenset()


def test_an_agent_given_away_by_command(run: Run) -> None:
    run("identities", "add", "bot", "--owner", "ada")
    assert (
        "locked until its new owner 'grace' is confirmed"
        in run("identities", "transfer", "bot", "--to", "grace").output
    )
    assert "owner not confirmed" in run("identities", "list").output
    result = run("identities", "confirm", "bot")
    assert (result.exit_code, "cannot confirm that" in result.output) == (1, True)


REVIEW = IdentityReview(
    name="bot",
    risk=80,
    findings=(Finding(Flag.NO_OWNER, "nobody answers for it"), Finding(Flag.UNUSED, "not used for 91 days")),
    registered=True,
    disabled=False,
    owner=None,
    owner_state=OwnerState.NONE,
    purpose='=HYPERLINK("x")',
    issuers=(),
    groups=("a", "b"),
    first_used_at_s=1_800_000_000.0,
    last_used_at_s=1_800_000_001.0,
    sessions=2,
    connections=(
        ReviewedConnection("crm", True, ("select",), ("connect",), 1_800_000_001.0),
        ReviewedConnection("hr", False, (), ("connect",), 1_800_000_000.0),
        ReviewedConnection("web", True, (), (), None),
    ),
    attested=Attestation("ada", 1_800_000_002.0, "asked"),
)


class ReviewRoom:
    """Answers with one review, and keeps what it was asked."""

    def __init__(self, left_out: int) -> None:
        self.asked: list[Command[Any]] = []
        self.handlers: dict[type[Command[Any]], Handler] = {ReviewIdentities: self.review, AttestIdentity: self.attest}
        self._left_out = left_out

    async def review(self, command: Command[Any], _actor: Actor) -> ReviewPage:
        self.asked.append(command)
        return ReviewPage((REVIEW,), self._left_out)

    async def attest(self, command: Command[Any], _actor: Actor) -> Done:
        self.asked.append(command)
        return Done("done")


def test_a_review_by_command(run: Run, bench: AdministrationBench) -> None:
    room = ReviewRoom(left_out=0)
    bench.add_room(room)
    shown = " ".join(run("identities", "review", "--unused-for", "30d", "--json").output.split())
    assert '"flag": "no-owner"' in shown
    lines = run("identities", "review", "--csv").output.splitlines()
    (row,) = csv.DictReader(lines)
    assert (row["agent"], row["risk"], row["flags"], row["groups"]) == ("bot", "80", "no-owner unused", "a b")
    assert (row["connections_granted"], row["connections_used"]) == ("crm web", "crm hr")
    assert (row["last_used"], row["reviewed_by"]) == ("2027-01-15T08:00:01+00:00", "ada")
    assert row["purpose"] == '\'=HYPERLINK("x")'  # no formula, whatever opens it
    assert run("identities", "review", "--attest", "bot", "--note", "asked").output == "done\n"
    assert room.asked == [
        ReviewIdentities(unused_for_s=30 * 86_400),
        ReviewIdentities(),
        AttestIdentity("bot", "asked"),
    ]
    assert "--unused-for is a number" in run("identities", "review", "--unused-for", "soon").output


def test_a_review_that_is_not_complete_says_so(run: Run, bench: AdministrationBench) -> None:
    bench.add_room(ReviewRoom(left_out=7))
    result = run("identities", "review", "--csv")
    assert result.exit_code == 2
    assert "7 agents more were not looked at" in result.output


def test_a_generated_secret_is_shown_once_and_alone_on_standard_output(run: Run) -> None:
    run("identities", "add", "bot")
    result = run("identities", "secret", "bot")
    secret = result.stdout.strip()
    assert len(secret) == 43
    assert "cannot be shown again" in result.stderr
    for command in (("identities", "show", "bot"), ("identities", "show", "bot", "--json"), ("identities", "list")):
        output = run(*command).output
        assert secret not in output
        assert "SCRAM" not in output
    assert "generated" in run("identities", "show", "bot").output


def test_a_development_token(run: Run) -> None:
    assert run("development-token", "bot", "--ttl", "60").output == "token of agent bot for 60\n"
    answer = json.loads(run("development-token", "ada", "--kind", "user", "--json").output)
    assert answer == {"token": "token of user ada for 900", "expires_in_s": 900}


def test_a_gateway_that_cannot_be_asked(run: Run, workbench: BenchWorkbench) -> None:
    workbench.error = LedgerUnavailable("the disk is full")
    result = run("identities", "list")
    assert (result.exit_code, result.output) == (2, "error: the disk is full\n")
