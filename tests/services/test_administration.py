"""Commands: what they change, what they refuse, and that the ledger knows first."""

from typing import Any

import msgspec
import pytest

from interlock.core.administration import (
    AddConnection,
    AddIdentity,
    ColumnPath,
    Command,
    DisableIdentity,
    EnableIdentity,
    GenerateSecret,
    HardenConnection,
    IssueToken,
    ListConnections,
    ListIdentities,
    RemoveConnection,
    ScanConnection,
    SetCredential,
    ShowConnection,
    ShowIdentity,
    TestConnection,
    answer_type,
)
from interlock.core.errors import AdministrationRefused, LedgerUnavailable
from interlock.core.identity import PrincipalKind, local_actor
from interlock.core.settings import ConnectionSettings, CredentialReference, IdentityKind, SshTarget
from tests.services.administration_bench import AdministrationBench

ADA = local_actor("ada")
ACTOR = ADA.name
SEALED = CredentialReference(sealed=True)


def settings(**changes: Any) -> ConnectionSettings:
    return ConnectionSettings(**{"protocol": "postgres", "host": "db", "databases": ("app",), "user": "u", **changes})


async def do(bench: AdministrationBench, *commands: Command[Any]) -> Any:
    """Execute the commands; returns the last answer, which must survive the way over the socket."""
    for command in commands:
        answer = await bench.administration.execute(command, ADA)
        again = msgspec.json.decode(msgspec.json.encode(command), type=type(command))
        assert again == command
        assert msgspec.json.decode(msgspec.json.encode(answer), type=answer_type(command)) == answer
    return answer


async def refused(bench: AdministrationBench, command: Command[Any]) -> str:
    before = (list(bench.ledger.records), dict(bench.state.connections), dict(bench.state.identities))
    with pytest.raises(AdministrationRefused) as caught:
        await bench.administration.execute(command, ADA)
    assert before == (bench.ledger.records, bench.state.connections, bench.state.identities)
    return str(caught.value)


async def test_a_connection_from_beginning_to_end() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings(credential=SEALED)))
    view = await do(bench, ShowConnection("crm"))
    assert (view.name, view.origin, view.credential) == ("crm", "command", "sealed, not set")
    await do(bench, SetCredential("crm", "planted-secret"))
    assert bench.state.passwords == {"crm": "planted-secret"}
    (view,) = await do(bench, ListConnections())
    assert view.credential == "sealed"
    await do(bench, RemoveConnection("crm"))
    assert bench.state.connections == {}
    assert bench.state.passwords == {}
    assert bench.recorded == [
        (ACTOR, "connections.add", "crm"),
        (ACTOR, "connections.set-credential", "crm"),
        (ACTOR, "connections.remove", "crm"),
    ]
    assert "planted-secret" not in str(bench.ledger.records)


async def test_an_identity_from_beginning_to_end() -> None:
    bench = AdministrationBench()
    await do(bench, AddIdentity("bot", IdentityKind.AGENT, "ada", ("b", "a")))
    view = await do(bench, ShowIdentity("bot"))
    assert (view.kind, view.owner, view.groups, view.disabled, view.has_secret) == (
        "agent",
        "ada",
        ("a", "b"),
        False,
        False,
    )
    assert view.created_at_s == bench.clock.now_s()
    generated = await do(bench, GenerateSecret("bot"))
    await do(bench, DisableIdentity("bot"))
    (view,) = await do(bench, ListIdentities())
    assert view.disabled
    assert view.has_secret
    await do(bench, EnableIdentity("bot"))
    assert not bench.state.identities["bot"].disabled
    assert [action for _, action, _ in bench.recorded] == [
        "identities.add",
        "identities.secret",
        "identities.disable",
        "identities.enable",
    ]
    assert generated.secret not in str(bench.ledger.records) + repr(bench.state.identities) + repr(generated)


async def test_changing_an_identity_keeps_its_state_and_secret() -> None:
    bench = AdministrationBench()
    await do(bench, AddIdentity("bot", IdentityKind.AGENT), GenerateSecret("bot"), DisableIdentity("bot"))
    before = bench.state.identities["bot"]
    bench.clock.advance(100)
    await do(bench, AddIdentity("bot", IdentityKind.USER, "grace", ("dba",), replace=True))
    after = bench.state.identities["bot"]
    assert (after.kind, after.owner, after.groups) == (PrincipalKind.USER, "grace", frozenset({"dba"}))
    assert (after.disabled, after.created_at_s, after.scram_verifier) == (
        True,
        before.created_at_s,
        before.scram_verifier,
    )


async def test_a_new_secret_ends_the_one_before() -> None:
    bench = AdministrationBench()
    first = await do(bench, AddIdentity("bot", IdentityKind.AGENT), GenerateSecret("bot"))
    verifier = bench.state.identities["bot"].scram_verifier
    second = await do(bench, GenerateSecret("bot"))
    assert first.secret != second.secret
    assert verifier != bench.state.identities["bot"].scram_verifier


@pytest.mark.parametrize("delay", [False, True])
async def test_the_ledger_knows_first(delay: bool) -> None:
    bench = AdministrationBench()
    bench.ledger.delay = delay
    changes = (
        AddConnection("crm", settings(credential=SEALED)),
        SetCredential("crm", "x"),
        AddIdentity("bot", IdentityKind.AGENT),
        GenerateSecret("bot"),
        DisableIdentity("bot"),
        EnableIdentity("bot"),
        RemoveConnection("crm"),
    )
    await do(bench, *changes)
    once, with_a_lock = ["recorded", "changed"], ["recorded", "recorded", "changed"]
    assert bench.journal == once * 4 + with_a_lock * 2 + once


@pytest.mark.parametrize(
    "command",
    [
        AddConnection("new", settings()),
        SetCredential("crm", "x"),
        RemoveConnection("crm"),
        AddIdentity("new", IdentityKind.AGENT),
        DisableIdentity("bot"),
        GenerateSecret("bot"),
        IssueToken("bot"),
    ],
)
async def test_what_cannot_be_recorded_is_not_done(command: Command[Any]) -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings(credential=SEALED)), AddIdentity("bot", IdentityKind.AGENT))
    done = list(bench.journal)
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.administration.execute(command, ADA)
    assert bench.journal == done


async def test_connections_that_are_refused() -> None:
    bench = AdministrationBench({"file": settings(credential=SEALED)})
    await do(bench, AddConnection("crm", settings()))
    assert "--replace" in await refused(bench, AddConnection("crm", settings()))
    assert "allowed: postgres" in await refused(bench, AddConnection("x", settings(protocol="mysql")))
    assert "settings file" in await refused(bench, AddConnection("file", settings(), replace=True))
    assert "settings file" in await refused(bench, RemoveConnection("file"))
    assert "no sealed credential" in await refused(bench, SetCredential("crm", "planted-secret"))
    for command in (ShowConnection("no"), RemoveConnection("no"), SetCredential("no", "x"), TestConnection("no")):
        assert await refused(bench, command) == "there is no connection 'no'"
    await do(bench, SetCredential("file", "a connection of the file may have its credential sealed"))
    await do(bench, AddConnection("crm", settings(host="new"), replace=True))
    assert bench.state.connections["crm"].host == "new"


async def test_identities_that_are_refused() -> None:
    bench = AdministrationBench()
    await do(bench, AddIdentity("bot", IdentityKind.AGENT))
    assert "--replace" in await refused(bench, AddIdentity("bot", IdentityKind.AGENT))
    for command in (ShowIdentity("no"), DisableIdentity("no"), EnableIdentity("no"), GenerateSecret("no")):
        assert await refused(bench, command) == "there is no registered identity 'no'"


@pytest.mark.parametrize(
    "command",
    [
        AddConnection("a/b", settings()),
        AddConnection("", settings()),
        AddConnection("x", settings(port=-1)),
        AddIdentity("a b", IdentityKind.AGENT),
        AddIdentity("a\x00", IdentityKind.AGENT),
        AddIdentity("a", IdentityKind.AGENT, groups=("",)),
        SetCredential("x", ""),
        SetCredential("x", "planted-secret" * 10_000),
        IssueToken("x", ttl_s=0),
        IssueToken("x", ttl_s=86_400),
    ],
)
async def test_commands_that_are_not_valid(command: Command[Any]) -> None:
    assert "planted-secret" not in await refused(AdministrationBench(), command)


async def test_where_credentials_are() -> None:
    bench = AdministrationBench()
    references = {
        "a": (None, "none"),
        "b": (CredentialReference(env="X"), "environment variable X"),
        "c": (CredentialReference(file="/f"), "file /f"),
    }
    for name, (reference, _) in references.items():
        await do(bench, AddConnection(name, settings(credential=reference)))
    views = await do(bench, ListConnections())
    assert {view.name: view.credential for view in views} == {name: place for name, (_, place) in references.items()}


async def test_trying_a_connection() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()), AddConnection("gone", settings(host="down")))
    assert (await do(bench, TestConnection("crm"))).text == "crm answers"
    assert await refused(bench, TestConnection("gone")) == "down cannot be reached"


async def test_tokens_come_from_the_development_issuer_only() -> None:
    bench = AdministrationBench()
    issued = await do(bench, IssueToken("bot", ttl_s=60))
    assert (issued.token, issued.expires_in_s) == ("token of agent bot for 60", 60)
    assert issued.token not in repr(issued)
    assert bench.recorded == [(ACTOR, "token.issue", "bot")]
    assert "identity provider" in await refused(AdministrationBench(token_issuer=None), IssueToken("bot"))


async def test_a_scan_is_recorded_and_proposes() -> None:
    bench = AdministrationBench()
    bench.target.add("customers", [("contact", "text")])
    bench.target.rows["customers"] = [(b"ada@example.org",)]
    await do(bench, AddConnection("crm", settings(databases=("app", "more"))))
    report = await do(bench, ScanConnection("crm", "more", 10))
    assert (report.connection, report.database, report.tables, report.columns) == ("crm", "more", 1, 1)
    assert [(str(one.column), one.reason) for one in report.proposals] == [("public.customers.contact", "email")]
    assert bench.recorded[-1] == (ACTOR, "connections.scan", "crm")
    assert "ada@example.org" not in str(bench.ledger.records) + str(report)


async def test_a_scan_holds_up_nobody() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()))
    async with bench.administration._one_at_a_time:
        await do(bench, ScanConnection("crm"))


COLUMNS = (ColumnPath("public", "t", "a"),)


async def test_hardening_is_planned_before_it_is_agreed_to() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()))
    plan = await do(bench, HardenConnection("crm", COLUMNS))
    assert (plan.role, plan.applied, plan.warnings) == ("u", False, ("gateway owns t",))
    assert bench.journal == ["recorded", "changed"]
    done = await do(bench, HardenConnection("crm", COLUMNS, "app", agreed=plan.statements))
    assert (done.role, done.applied) == ("app", True)
    assert bench.recorded[-1] == (ACTOR, "connections.harden", "crm")
    assert bench.journal == ["recorded", "changed"] * 2
    text = await refused(bench, HardenConnection("crm", COLUMNS, agreed=("REVOKE something else",)))
    assert "look at them again" in text


async def test_hardening_that_cannot_be_recorded_is_not_done() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()))
    plan = await do(bench, HardenConnection("crm", COLUMNS))
    bench.ledger.broken = True
    commands: tuple[Command[Any], ...] = (
        HardenConnection("crm", COLUMNS, agreed=plan.statements),
        ScanConnection("crm"),
    )
    for command in commands:
        with pytest.raises(LedgerUnavailable):
            await bench.administration.execute(command, ADA)
    assert bench.journal == ["recorded", "changed"]
    assert bench.target.asked == []


@pytest.mark.parametrize("command", [ScanConnection("crm", "other"), HardenConnection("crm", COLUMNS, database="x")])
async def test_databases_that_a_connection_does_not_have(command: Command[Any]) -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()))
    assert "it has app" in await refused(bench, command)


async def test_a_target_that_is_gone() -> None:
    bench = AdministrationBench()
    await do(bench, AddConnection("crm", settings()))
    bench.target.gone = True
    assert await refused(bench, HardenConnection("crm", COLUMNS)) == "the target is gone"
    with pytest.raises(AdministrationRefused, match="the target is gone"):
        await bench.administration.execute(ScanConnection("crm"), ADA)


class StalePolicies:
    """Stands in for a policy store: stale until it is renewed."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.renewed: list[str] = []
        self.is_stale = True

    async def renew(self, by: str) -> bool:
        self.journal.append("renewed")
        self.renewed.append(by)
        return True


async def test_tags_of_connections_are_in_force_before_it_is_said_that_it_is_done() -> None:
    policies = StalePolicies()
    bench = AdministrationBench(policies=policies)
    policies.journal = bench.journal
    await do(bench, AddConnection("crm", settings(tags=("prod",))), RemoveConnection("crm"))
    assert policies.renewed == ["connections.add", "connections.remove"]
    assert bench.journal[:3] == ["recorded", "changed", "renewed"]
    policies.is_stale = False
    await do(bench, AddConnection("crm", settings()))
    assert len(policies.renewed) == 2


async def test_a_tag_without_a_name_is_refused() -> None:
    bench = AdministrationBench()
    assert "list of tag names" in await refused(bench, AddConnection("crm", settings(tags=("",))))
    assert bench.journal == []


async def test_the_record_of_a_host_says_who_logs_in_how_and_how_it_is_known() -> None:
    bench = AdministrationBench()
    ssh = SshTarget(logins=("root",), host_keys=("ssh-ed25519 AAAA",))
    host = ConnectionSettings(protocol="ssh", host="web", user="deploy", credential=SEALED, ssh=ssh)
    await do(bench, AddConnection("web", host))
    (record,) = bench.ledger.records
    assert "ssh://web:22 as deploy, root with key, known by 1 host keys and 0 authorities" in str(record)
