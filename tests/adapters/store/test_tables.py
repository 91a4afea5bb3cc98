"""Identities, connections, sealed credentials, sessions and the history of settings."""

import sqlite3
from typing import Any

import msgspec
import pytest

from interlock.adapters.store.connections import ConnectionTable, SealedCredentialTable
from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.sessions import SessionTable
from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.lock import LockSubject
from interlock.core.session import Session, SessionStatus
from interlock.core.settings import ConnectionSettings, CredentialReference, Detection, MaskingSettings, TlsMode


def settings(**changes: Any) -> ConnectionSettings:
    return ConnectionSettings(**{"protocol": "postgres", "host": "db", "databases": ("app",), "user": "u", **changes})


def session(number: int, principal: str = "bot", connection: str = "crm") -> Session:
    return Session(
        id=f"{number:026d}",
        protocol="postgres",
        connection=connection,
        database="app",
        principal=Principal(PrincipalKind.AGENT, principal, owner="ada"),
        client_address="192.0.2.1:5000",
        application="psql",
    )


async def flush(database: Database) -> None:
    """Wait until everything written so far is there."""
    await database.write(lambda _connection: None)


async def test_identities(database: Database) -> None:
    table = IdentityTable(database)
    bot = RegisteredIdentity(
        "ci:acme/crm", PrincipalKind.AGENT, "ada", frozenset({"b", "a"}), created_at_s=5.0, scram_verifier="v"
    )
    ada = RegisteredIdentity("ada", PrincipalKind.USER, disabled=True)
    await table.save(bot)
    await table.save(ada)
    assert table.find("ci:acme/crm") == bot
    assert table.find("CI:acme/crm") is None
    assert table.find("x' OR '1'='1") is None
    assert table.all() == [ada, bot]
    changed = RegisteredIdentity("ada", PrincipalKind.USER)
    await table.save(changed)
    assert table.all() == [changed, bot]


async def test_connections_of_the_file_hide_those_of_commands(database: Database) -> None:
    table = ConnectionTable(database, {"crm": settings(host="file")})
    full = settings(
        credential=CredentialReference(sealed=True),
        tls=TlsMode.REQUIRE,
        search_path=("a", "b"),
        tags=("pii",),
        masking=MaskingSettings(refresh_s=5, functions=("public.f",), detect=Detection.MASK),
    )
    await table.save("crm", settings(host="command"))
    await table.save("other", full)
    assert table.find("crm") == settings(host="file")
    assert table.find("other") == full
    assert table.find("none") is None
    assert list(table.all()) == ["crm", "other"]
    assert table.is_configured("crm")
    assert not table.is_configured("other")


async def test_a_removed_connection_takes_its_credential_along(database: Database) -> None:
    table, credentials = ConnectionTable(database, {}), SealedCredentialTable(database)
    await table.save("crm", settings())
    await credentials.save("crm", b"\x00sealed\xff")
    assert credentials.find("crm") == b"\x00sealed\xff"
    await table.remove("crm")
    assert table.find("crm") is None
    assert credentials.find("crm") is None


async def test_a_damaged_connection_is_not_guessed_at(database: Database) -> None:
    table = ConnectionTable(database, {})

    def damage(connection: sqlite3.Connection) -> None:
        connection.execute("""INSERT INTO connections VALUES ('crm', '{"protocol": "postgres"}')""")

    await database.write(damage)
    with pytest.raises(StateUnavailable, match="cannot be read"):
        table.find("crm")


async def test_sessions(database: Database) -> None:
    table = SessionTable(database)
    for number in range(1, 6):
        table.opened(session(number, principal="bot" if number % 2 else "ada"), at_s=number)
    table.closed(session(3).id, "killed", 30.0, operations=7, denied=2, rows=100)
    await flush(database)
    killed = table.find(session(3).id)
    assert killed is not None
    assert (killed.status, killed.opened_at_s, killed.closed_at_s) == (SessionStatus.KILLED, 3.0, 30.0)
    assert (killed.operations, killed.denied, killed.rows) == (7, 2, 100)
    assert (killed.principal, killed.owner, killed.application) == ("bot", "ada", "psql")
    assert [entry.opened_at_s for entry in table.recent(limit=2)] == [5.0, 4.0]
    assert [entry.opened_at_s for entry in table.recent(principal="ada")] == [4.0, 2.0]
    assert [entry.opened_at_s for entry in table.recent(status=SessionStatus.KILLED)] == [3.0]
    assert table.recent(connection="elsewhere") == []
    assert table.find("nowhere") is None


async def test_whose_sessions_there_have_been(database: Database) -> None:
    table = SessionTable(database)
    carol = Principal(
        PrincipalKind.USER, "carol", issuer="idp", subject="a b", token_id="t3", login="sid", ancestors=("t2", "t1")
    )
    for number, principal in enumerate((carol, Principal(PrincipalKind.USER, "dave", issuer="idp", subject="b"))):
        table.opened(msgspec.structs.replace(session(number), principal=principal), at_s=number)
    await flush(database)
    for kind, subject in (
        (LockSubject.LOGIN, "idp sid"),
        (LockSubject.SUBJECT, "idp a b"),
        (LockSubject.TOKEN, "t3"),
        (LockSubject.TOKEN, "t2"),
        (LockSubject.TOKEN, "t1"),
    ):
        assert [principal.name for principal in table.known(kind, subject)] == ["carol"], subject
    for kind, subject in (
        (LockSubject.LOGIN, "idp "),
        (LockSubject.SUBJECT, "idp a"),
        (LockSubject.TOKEN, "t"),
        (LockSubject.GROUP, "x"),
    ):
        assert table.known(kind, subject) == [], subject


async def test_who_has_acted_for_somebody(database: Database) -> None:
    table = SessionTable(database)
    crm = Principal(
        PrincipalKind.AGENT,
        "crm",
        owner="lee",
        issuer="ci",
        subject="repo crm",
        token_id="c2",
        login="sid",
        ancestors=("c1",),
    )
    planner = Principal(PrincipalKind.AGENT, "planner", owner="petra")
    ada = Principal(PrincipalKind.USER, "ada", acting=(crm, planner))
    table.opened(msgspec.structs.replace(session(1), principal=ada), at_s=1)
    await flush(database)
    for kind, subject in (
        (LockSubject.AGENT, "crm"),
        (LockSubject.OWNER, "lee"),
        (LockSubject.SUBJECT, "ci repo crm"),
        (LockSubject.LOGIN, "ci sid"),
        (LockSubject.TOKEN, "c2"),
        (LockSubject.TOKEN, "c1"),
    ):
        (found,) = table.known(kind, subject)
        assert (found.name, found.owner, found.issuer, found.subject) == ("crm", "lee", "ci", "repo crm"), subject
    assert [who.name for who in table.known(LockSubject.OWNER, "petra")] == ["planner"]
    assert table.known(LockSubject.USER, "crm") == []
    assert [entry.principal for entry in table.recent(principal="crm")] == ["ada"]


async def test_sessions_that_a_crash_left_open(database: Database) -> None:
    table = SessionTable(database)
    for number in range(1, 4):
        table.opened(session(number), at_s=number)
    table.closed(session(1).id, "closed", 2.0, 0, 0, 0)
    assert await table.interrupt_open(99.0) == 2
    assert [entry.status.value for entry in table.recent()] == ["interrupted", "interrupted", "closed"]
    assert table.recent()[0].closed_at_s == 99.0
