"""Locks as agents and responders meet them, on the wire and at a real target."""

from collections.abc import Iterator
from typing import Any, TypeVar

import psycopg
import pytest

from interlock.core.administration import (
    AddConnection,
    AddIdentity,
    AddLock,
    DisableIdentity,
    EnableIdentity,
    GenerateSecret,
    IssueToken,
    KillSession,
    ListLiveSessions,
    ListLocks,
    LiveSession,
    RemoveConnection,
    RemoveIdentity,
    RemoveLock,
    RevokeToken,
)
from interlock.core.errors import AdministrationRefused, NotAllowed
from interlock.core.ledger import AccessRefused, ConnectionRefused, LockAdded, LockRemoved, SessionClosed, SessionCut
from interlock.core.lock import LockMode, LockSubject, SessionReceipt, at_issuer, unnamed_login
from interlock.core.settings import ConnectionSettings, CredentialReference, IdentityKind, TlsMode
from tests.clients.scratch import wait_until_sleeping
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Responder, Statement, all_closed, connect, is_cut, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer

RUN = "0af7651916cd43dd8448eb211c80319c"
AGENT = IdentityKind.AGENT
OfSession = TypeVar("OfSession", SessionCut, SessionClosed)


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target) as server:
        yield server


@pytest.fixture
def responder(gateway: GatewayServer) -> Iterator[Responder]:
    responder = Responder(gateway)
    yield responder
    responder.lift_all()


def of(gateway: GatewayServer, responder: Responder, name: str, *groups: str, owner: str | None = None) -> Endpoint:
    """Where an agent of this name connects."""
    issued = responder.give(IssueToken(name, AGENT, ("testers", *groups), owner))
    return gateway.endpoint(issued.token)


def backends(postgres: PostgresServer, application: str) -> list[tuple[Any, ...]]:
    query = f"SELECT pid, state FROM pg_stat_activity WHERE application_name = '{application}'"
    return postgres.execute(query)


def live(responder: Responder, principal: str) -> list[LiveSession]:
    return list(responder.give(ListLiveSessions(principal)).items)


def refusal(endpoint: Endpoint) -> str:
    """What a login is told, with its SQLSTATE."""
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(endpoint)
    return str(caught.value)


def only(receipts: tuple[SessionReceipt, ...]) -> SessionReceipt:
    (receipt,) = receipts
    return receipt


# ---------------------------------------------------------------- refuse


@pytest.mark.parametrize("kind", [kind for kind in LockSubject if kind is not LockSubject.USER])
def test_a_lock_cuts_and_keeps_out_whom_it_is_on(
    gateway: GatewayServer, responder: Responder, kind: LockSubject
) -> None:
    endpoint = of(gateway, responder, "bot", "night", owner="ada")
    other = of(gateway, responder, "other", owner="bea")
    trace = {"application_name": f"00-{RUN}-b7ad6b7169203331-01"}
    locked, bystander = connect(endpoint, **trace), connect(other)
    with all_closed(locked, bystander):
        (session,) = live(responder, "bot")
        names = {
            LockSubject.AGENT: "bot",
            LockSubject.OWNER: "ada",
            LockSubject.GROUP: "night",
            LockSubject.CONNECTION: "shop",
            LockSubject.TOKEN: session.token_id,
            LockSubject.RUN: RUN,
            LockSubject.LOGIN: unnamed_login(session.issuer, session.subject),
            LockSubject.SUBJECT: at_issuer(session.issuer, session.subject),
            LockSubject.EVERYTHING: "",
        }
        receipt = responder.lock(kind, names[kind], reason="it drops tables")
        everybody = kind in (LockSubject.CONNECTION, LockSubject.EVERYTHING)
        assert {one.action for one in receipt.sessions} == {"cut"}
        assert session.id in {one.session for one in receipt.sessions}
        assert len(receipt.sessions) == (2 if everybody else 1)
        assert all(one.gone_after_ms is not None for one in receipt.sessions)
        assert receipt.warnings == ()
        with pytest.raises(psycopg.errors.AdminShutdown, match="access is locked: it drops tables"):
            locked.execute("SELECT 1")
        assert is_cut(bystander) is everybody
        with pytest.raises(psycopg.OperationalError, match="access is locked: it drops tables"):
            connect(endpoint, **trace)
        assert records_of(gateway, ConnectionRefused)[-1].reason == f"locked by {receipt.lock.id}"
        responder.lift(receipt)
        connect(endpoint, **trace).close()


def test_a_person_is_locked_with_all_its_agents(gateway: GatewayServer, responder: Responder) -> None:
    token = responder.give(IssueToken("ada", IdentityKind.USER, ("testers",))).token
    endpoint = gateway.endpoint(token)
    person, bot = connect(endpoint), connect(of(gateway, responder, "adas-bot", owner="ada"))
    with all_closed(person, bot):
        receipt = responder.lock(LockSubject.USER, "ada")
        assert only(receipt.sessions).principal == "ada"
        assert (is_cut(person), is_cut(bot)) == (True, False)
        receipt = responder.lock(LockSubject.OWNER, "ada")
        assert only(receipt.sessions).principal == "adas-bot"
        assert is_cut(bot)


def test_secrets_are_refused_too(gateway: GatewayServer, responder: Responder) -> None:
    responder.give(AddIdentity("with-secret", AGENT, groups=("testers",)))
    secret = responder.give(GenerateSecret("with-secret")).secret
    endpoint = gateway.endpoint(secret)
    connect(endpoint, user="with-secret").close()
    responder.lock(LockSubject.AGENT, "with-secret", reason="by secret")
    with pytest.raises(psycopg.OperationalError, match="access is locked: by secret"):
        connect(endpoint, user="with-secret")


def test_what_runs_in_a_transaction_is_rolled_back_at_the_target(
    gateway: GatewayServer, responder: Responder, postgres: PostgresServer, target: Endpoint
) -> None:
    endpoint = of(gateway, responder, "writer")
    with connect(endpoint, application_name="writer") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS written_under_lock (n int)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO written_under_lock VALUES (1)")
        running = Statement(connection, "SELECT pg_sleep(120) /* locked */")
        wait_until_sleeping(target, "locked")
        (seen,) = live(responder, "writer")
        assert (seen.state, seen.doing, seen.operations) == ("running", "SELECT", 4)
        receipt = only(responder.lock(LockSubject.AGENT, "writer").sessions)
        assert (receipt.action, receipt.in_flight) == ("cut", "SELECT")
        assert receipt.gone_after_ms is not None
        assert 0 <= receipt.stopped_after_ms <= receipt.gone_after_ms
        assert backends(postgres, "writer") == []
        assert isinstance(running.error(), psycopg.errors.AdminShutdown)
    assert postgres.execute("SELECT count(*) FROM written_under_lock", database="shop") == [(0,)]
    cut = the_record(gateway, SessionCut, seen.id)
    assert (cut.action, cut.in_flight, cut.by) == ("cut", "SELECT", records_of(gateway, LockAdded)[-1].by)
    assert the_record(gateway, SessionClosed, seen.id).status == "killed"


def the_record(gateway: GatewayServer, kind: type[OfSession], session: str) -> OfSession:
    """What the ledger says of a session, once it has been written."""
    found: list[OfSession] = []

    def is_there() -> bool:
        found[:] = [record for record in records_of(gateway, kind) if record.session == session]
        return bool(found)

    wait_for(is_there, kind.__name__)
    (record,) = found
    return record


def test_what_ignores_a_cancel_request_is_ended(
    gateway: GatewayServer, responder: Responder, postgres: PostgresServer, target: Endpoint
) -> None:
    stubborn = """DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(120) /* stubborn */;
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"""
    with connect(of(gateway, responder, "stubborn"), application_name="stubborn") as connection:
        running = Statement(connection, stubborn)
        wait_for(
            lambda: postgres.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'stubborn' AND wait_event = 'PgSleep'"
            ),
            "the block runs",
        )
        receipt = responder.lock(LockSubject.AGENT, "stubborn")
        assert only(receipt.sessions).gone_after_ms is not None
        assert receipt.warnings == ()
        assert backends(postgres, "stubborn") == []
        assert running.error() is not None


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_lock_survives_a_restart(target: Endpoint, how: str) -> None:
    with GatewayServer(target) as gateway:
        responder = Responder(gateway)
        endpoint = of(gateway, responder, "bot")
        receipt = responder.lock(LockSubject.AGENT, "bot", reason="for good")
        getattr(gateway, how)()
        gateway.start()
        assert "access is locked: for good" in refusal(of(gateway, responder, "bot"))
        assert responder.give(ListLocks()).items == (receipt.lock,)
        responder.lift(receipt)
        getattr(gateway, how)()
        gateway.start()
        connect(of(gateway, responder, "bot")).close()
        assert endpoint.password


def test_a_lock_without_a_gateway_takes_effect_at_its_start(target: Endpoint) -> None:
    with GatewayServer(target) as gateway:
        responder = Responder(gateway)
        gateway.stop()
        receipt = responder.lock(LockSubject.EVERYTHING, reason="before the start")
        assert receipt.sessions == ()
        gateway.start()
        assert "access is locked: before the start" in refusal(gateway.endpoint())


def test_nobody_lifts_its_own_lock(gateway: GatewayServer, responder: Responder) -> None:
    own = receipt_name(responder)
    responder.give(AddIdentity(own, IdentityKind.USER, owner="the-operator"))
    locks = [
        responder.lock(LockSubject.USER, own, LockMode.READ_ONLY),
        responder.lock(LockSubject.OWNER, "the-operator", LockMode.READ_ONLY),
    ]
    for lock in locks:
        with pytest.raises(AdministrationRefused, match="somebody else has to lift it"):
            responder.lift(lock)
        refused = records_of(gateway, AccessRefused)[-1]
        assert (refused.actor, refused.action, refused.subject) == (own, "locks.remove", lock.lock.id)
    with pytest.raises(AdministrationRefused, match="somebody else"):
        responder.give(RemoveIdentity(own))
    keeping_out = responder.lock(LockSubject.USER, own)
    with pytest.raises(NotAllowed, match="access is locked"):
        responder.lift(keeping_out)
    # Whoever has the data directory is not the gateway's to stop: this is how the test cleans up.
    gateway.stop()
    (gateway.data_dir / "state.db").unlink()
    gateway.start()


def receipt_name(responder: Responder) -> str:
    """What the gateway calls whoever runs the tests."""
    receipt = responder.lock(LockSubject.AGENT, "nobody")
    responder.lift(receipt)
    return receipt.lock.by


# ---------------------------------------------------------------- mask-all


def test_mask_all_masks_sessions_that_had_no_masks(
    gateway: GatewayServer, responder: Responder, target: Endpoint
) -> None:
    endpoint = of(gateway, responder, "reader")
    with connect(endpoint) as idle, connect(endpoint) as holding, connect(endpoint) as busy:
        assert idle.execute("SELECT email FROM customers WHERE id = 1").fetchone() == ("customer1@example.com",)
        holding.execute("BEGIN")
        holding.execute("DECLARE c CURSOR FOR SELECT email FROM customers ORDER BY id")
        running = Statement(busy, "SELECT email, pg_sleep(120) /* showing */ FROM customers")
        wait_until_sleeping(target, "showing")
        receipt = responder.lock(LockSubject.AGENT, "reader", LockMode.MASK_ALL)
        assert sorted(one.action for one in receipt.sessions) == ["cut", "masked", "masked"]
        assert isinstance(running.error(), psycopg.OperationalError)
        with connect(endpoint) as late:
            for connection in (idle, late):
                row = connection.execute("SELECT email, name, id::text FROM customers LIMIT 1").fetchone()
                assert row == ("***", "***", None)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("SELECT 1 FROM customers WHERE email = 'customer1@example.com'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            holding.execute("FETCH 1 FROM c")
        responder.lift(receipt)
        assert idle.execute("SELECT email FROM customers WHERE id = 1").fetchone() == ("customer1@example.com",)


# ---------------------------------------------------------------- freeze


def test_a_freeze_holds_everything_and_loses_nothing(
    gateway: GatewayServer, responder: Responder, postgres: PostgresServer, target: Endpoint
) -> None:
    endpoint = of(gateway, responder, "frozen")
    with connect(endpoint) as idle, connect(endpoint) as running:
        interrupted = Statement(running, "SELECT pg_sleep(120) /* freezing */")
        wait_until_sleeping(target, "freezing")
        receipt = responder.lock(LockSubject.AGENT, "frozen", LockMode.FREEZE, reason="watched")
        assert {one.action for one in receipt.sessions} == {"frozen"}
        (stopped,) = (one for one in receipt.sessions if one.in_flight)
        assert stopped.gone_after_ms is not None
        assert {session.state for session in live(responder, "frozen")} == {"frozen"}
        position = postgres.log_position()
        waiting = Statement(idle, "SELECT 'after the freeze'")
        assert "access is frozen: watched" in refusal(endpoint)
        with connect(of(gateway, responder, "warm")) as other:
            other.execute("SELECT 1")  # others go on meanwhile
        assert not waiting.outcome.done()
        assert not interrupted.outcome.done()
        assert not [one for one in postgres.logged_statements(position) if "after the freeze" in one.text]
        responder.lift(receipt)
        assert waiting.rows() == [("after the freeze",)]
        assert isinstance(interrupted.error(), psycopg.errors.QueryCanceled)
        assert running.execute("SELECT 2").fetchone() == (2,)


def test_a_client_that_leaves_while_frozen_is_noticed(gateway: GatewayServer, responder: Responder) -> None:
    connection = connect(of(gateway, responder, "leaver"))
    receipt = responder.lock(LockSubject.AGENT, "leaver", LockMode.FREEZE)
    assert len(live(responder, "leaver")) == 1
    connection.close()
    wait_for(lambda: not live(responder, "leaver"), "the session is gone")
    responder.lift(receipt)


def test_a_frozen_session_can_be_cut(gateway: GatewayServer, responder: Responder, postgres: PostgresServer) -> None:
    with connect(of(gateway, responder, "cold"), application_name="cold") as connection:
        responder.lock(LockSubject.AGENT, "cold", LockMode.FREEZE)
        waiting = Statement(connection, "SELECT 1")
        receipt = responder.lock(LockSubject.AGENT, "cold", LockMode.REFUSE)
        assert only(receipt.sessions).action == "cut"
        assert isinstance(waiting.error(), psycopg.OperationalError)
        assert backends(postgres, "cold") == []


# ---------------------------------------------------------------- sessions and cascades


def test_a_session_is_killed_by_its_id(gateway: GatewayServer, responder: Responder) -> None:
    endpoint = of(gateway, responder, "one-of-two")
    with connect(endpoint) as first, connect(endpoint) as second:
        newest, oldest = live(responder, "one-of-two")
        receipt = responder.give(KillSession(oldest.id, "it loops"))
        assert (receipt.session, receipt.action) == (oldest.id, "cut")
        with pytest.raises(psycopg.errors.AdminShutdown, match="it loops"):
            first.execute("SELECT 1")
        assert not is_cut(second)
        assert [one.id for one in live(responder, "one-of-two")] == [newest.id]
        with pytest.raises(AdministrationRefused, match="no open session"):
            responder.give(KillSession(oldest.id, "again"))


def test_disabling_an_identity_cuts_its_sessions(gateway: GatewayServer, responder: Responder) -> None:
    responder.give(AddIdentity("registered", AGENT, groups=("testers",)))
    endpoint = of(gateway, responder, "registered")
    with connect(endpoint) as connection:
        done = responder.give(DisableIdentity("registered"))
        assert only(done.sessions).action == "cut"
        assert is_cut(connection)
    (lock,) = responder.give(ListLocks()).items
    assert (lock.subject, lock.cause) == ("registered", "identity disabled")
    assert "disabled" in refusal(endpoint)
    responder.give(EnableIdentity("registered"))
    assert responder.give(ListLocks()).items == ()
    with connect(endpoint) as connection:
        done = responder.give(RemoveIdentity("registered"))
        assert only(done.sessions).action == "cut"
        assert is_cut(connection)


def test_leaving_a_group_cuts_the_sessions_that_had_it(gateway: GatewayServer, responder: Responder) -> None:
    responder.give(AddIdentity("member", AGENT, groups=("night", "day")))
    with connect(of(gateway, responder, "member")) as connection:
        done = responder.give(AddIdentity("member", AGENT, groups=("night", "day", "more"), replace=True))
        assert done.sessions == ()
        done = responder.give(AddIdentity("member", AGENT, groups=("day",), replace=True))
        assert only(done.sessions).action == "cut"
        assert is_cut(connection)
    connect(of(gateway, responder, "member")).close()


def test_removing_a_connection_cuts_its_sessions(
    gateway: GatewayServer, responder: Responder, target: Endpoint
) -> None:
    password = gateway.directory / "target-password"
    settings = ConnectionSettings(
        protocol="postgres",
        host=target.host,
        port=target.port,
        databases=(target.database,),
        user=target.user,
        credential=CredentialReference(file=str(password)),
        tls=TlsMode.DISABLE,
    )
    responder.give(AddConnection("second", settings))
    with connect(of(gateway, responder, "bot"), dbname="second") as connection:
        done = responder.give(RemoveConnection("second"))
        assert only(done.sessions).gone_after_ms is not None
        assert is_cut(connection)


def test_a_revoked_token_opens_nothing_any_more(gateway: GatewayServer, responder: Responder) -> None:
    endpoint = of(gateway, responder, "leaky")
    with connect(endpoint) as connection, connect(of(gateway, responder, "leaky")) as sibling:
        _, session = live(responder, "leaky")
        receipt = responder.give(RevokeToken(session.token_id, "in a trace"))
        assert only(receipt.sessions).session == session.id
        assert receipt.lock.expires_at_s is not None
        assert (is_cut(connection), is_cut(sibling)) == (True, False)
        assert "access is locked: in a trace" in refusal(endpoint)


def test_everything_is_on_the_ledger(gateway: GatewayServer, responder: Responder) -> None:
    receipt = responder.give(AddLock(LockSubject.GROUP, "on record", "some-group", LockMode.READ_ONLY, 3600))
    added = records_of(gateway, LockAdded)[-1]
    assert (added.lock, added.subject_kind, added.mode, added.reason) == (
        receipt.lock.id,
        "group",
        "read-only",
        "on record",
    )
    assert added.expires_at_s == receipt.lock.expires_at_s
    responder.give(RemoveLock(receipt.lock.id, "over"))
    assert records_of(gateway, LockRemoved)[-1] == LockRemoved(receipt.lock.id, added.by, "over")
