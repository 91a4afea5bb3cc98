"""Who has used what: kept with sessions, and taken over from those of an earlier version."""

from pathlib import Path

import msgspec
import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.identity_use import IdentityUseTable
from interlock.adapters.store.schema import MIGRATIONS
from interlock.adapters.store.sessions import SessionTable
from interlock.core.access_review import Attestation, Use
from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.session import Session

BOT = Principal(PrincipalKind.AGENT, "bot", frozenset({"ci", "night"}), "ada", issuer="https://idp", subject="1")


def session(number: int, principal: Principal = BOT, connection: str = "crm") -> Session:
    return Session(f"{number:026d}", "postgres", connection, "app", principal, "127.0.0.1:1")


async def flush(database: Database) -> None:
    await database.write(lambda _: None)


async def test_an_identity_is_kept_as_its_last_session_had_it(database: Database) -> None:
    sessions, uses = SessionTable(database), IdentityUseTable(database)
    sessions.opened(session(1, msgspec.structs.replace(BOT, owner=None)), 10.0)
    sessions.opened(session(2), 30.0)
    sessions.opened(session(3, Principal(PrincipalKind.USER, "ada"), "hr"), 20.0)
    await flush(database)
    (seen,) = uses.agents(30.0)
    assert (seen.principal.name, seen.principal.owner, seen.principal.groups) == ("bot", "ada", BOT.groups)
    assert (seen.first_at_s, seen.last_at_s, seen.sessions) == (10.0, 30.0, 2)
    assert uses.agents(30.1) == []
    assert uses.find(PrincipalKind.AGENT, "bot") == seen
    assert uses.find(PrincipalKind.USER, "bot") is None
    assert uses.find(PrincipalKind.USER, "ada") is not None


async def test_what_was_permitted_is_kept_once_for_each_action(database: Database) -> None:
    sessions, uses = SessionTable(database), IdentityUseTable(database)
    for number in (1, 2):
        sessions.opened(session(number), float(number))
        sessions.used(session(number), "select", 10.0 * number)
    sessions.used(session(1), "select", 5.0)  # a clock that went back
    sessions.opened(session(3, connection="hr"), 3.0)
    await flush(database)
    assert uses.uses(PrincipalKind.AGENT, "bot") == [
        Use("crm", "connect", 2.0),
        Use("crm", "select", 20.0),
        Use("hr", "connect", 3.0),
    ]


async def test_who_acts_for_somebody_uses_it_as_well(database: Database) -> None:
    sessions, uses = SessionTable(database), IdentityUseTable(database)
    ada = Principal(PrincipalKind.USER, "ada", acting=(BOT, msgspec.structs.replace(BOT, name="earlier")))
    sessions.opened(session(1, ada), 1.0)
    sessions.used(session(1, ada), "update", 2.0)
    await flush(database)
    assert [one.principal.name for one in uses.agents(0.0)] == ["bot"]
    expected = [Use("crm", "connect", 1.0), Use("crm", "update", 2.0)]
    assert uses.uses(PrincipalKind.AGENT, "bot") == uses.uses(PrincipalKind.USER, "ada") == expected


async def test_the_last_attestation_counts(database: Database) -> None:
    uses = IdentityUseTable(database)
    assert uses.attestation("bot") is None
    await uses.attest("bot", Attestation("ada", 1.0, "fine"))
    await uses.attest("bot", Attestation("grace", 2.0))
    assert uses.attestation("bot") == Attestation("grace", 2.0)


async def test_what_there_was_before_is_taken_over(tmp_path: Path) -> None:
    created = next(at for at, steps in enumerate(MIGRATIONS) if any("identities_seen" in step for step in steps))
    earlier = Database(tmp_path / "state.db", MIGRATIONS[:created])
    await earlier.write(
        lambda connection: [
            connection.execute(
                "INSERT INTO sessions (id, protocol, connection, database, principal_kind, principal, owner,"
                " client_address, application, trace, opened_at_s, status, operations, denied, rows)"
                " VALUES (?, 'postgres', ?, 'app', 'Agent', 'bot', ?, '', '', '', ?, 'closed', 0, 0, 0)",
                row,
            )
            for row in (("1", "crm", "eve", 10.0), ("2", "crm", "ada", 20.0), ("3", "hr", "carol", 15.0))
        ]
    )
    earlier.close()
    database = Database(tmp_path / "state.db")
    uses = IdentityUseTable(database)
    (seen,) = uses.agents(0.0)
    assert (seen.principal.owner, seen.first_at_s, seen.last_at_s, seen.sessions) == ("ada", 10.0, 20.0, 3)
    assert uses.uses(PrincipalKind.AGENT, "bot") == [Use("crm", "connect", 20.0), Use("hr", "connect", 15.0)]
    database.close()
    with pytest.raises(StateUnavailable):
        uses.agents(0.0)


@pytest.mark.parametrize(("registered", "kept"), [("grace", "grace"), (None, "ada")])
async def test_a_forgotten_agent_is_its_last_owners(database: Database, registered: str | None, kept: str) -> None:
    """So that nobody takes it over by registering it anew."""
    identities, uses = IdentityTable(database), IdentityUseTable(database)
    SessionTable(database).opened(session(1), 1.0)
    await identities.save(RegisteredIdentity("bot", PrincipalKind.AGENT, registered))
    await identities.remove("bot")
    seen = uses.find(PrincipalKind.AGENT, "bot")
    assert seen is not None
    assert seen.principal.owner == kept
