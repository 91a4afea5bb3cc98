"""People are told of what waits for them, and nothing that waits is ever let go because they could not be."""

import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.ledger import AdministrationChanged, NotificationFailed
from tests.e2e.held import POLICY, HeldStatement, count, make_dba, requests
from tests.e2e.ledger_files import records_of, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.mail import MailReceiver
from tests.servers.postgres import PostgresServer
from tests.servers.receiver import SECRET, Received, Receiver

TABLE = "told_rows"


@pytest.fixture
def table(postgres: PostgresServer) -> Iterator[str]:
    postgres.execute(f"CREATE TABLE {TABLE} AS SELECT n AS id FROM generate_series(1, 10) n", database="shop")
    postgres.execute(f"ALTER TABLE {TABLE} OWNER TO app", database="shop")
    yield TABLE
    postgres.execute(f"DROP TABLE {TABLE}", database="shop")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def options(receiver: Receiver, more: str = "", policy: str = POLICY, api_extra: str = "") -> GatewayOptions:
    channel = f"""
[notifications.chat]
webhook = "{receiver.url}/hook"
secret = {{ file = "webhook-secret" }}
{more}
"""
    return GatewayOptions(policy=policy, approval_wait_s=60, extra=channel, api_extra=api_extra)


def make_gateway(target: Endpoint, wanted: GatewayOptions) -> GatewayServer:
    gateway = GatewayServer(target, wanted)
    (gateway.directory / "webhook-secret").write_text(SECRET + "\n")
    return gateway


def approve(gateway: GatewayServer, approval: str) -> None:
    gateway.command("approvals", "approve", approval, "--reason", "looked at it")


def told(receiver: Receiver, kind: str) -> Received:
    """The next message of a kind, signed as it should be."""
    while True:
        received = receiver.next()
        assert received.is_signed()
        if received.json["type"] == kind:
            return received


def test_a_held_delete_is_told_with_a_link_and_without_its_text(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    wanted = options(receiver, api_extra='public_url = "https://gate.example"')
    with make_gateway(target, wanted) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id <= 3") as held:
            received = told(receiver, "approval.requested")
            assert table.encode() not in received.body
            data = received.json["data"]
            approval = data["subject"]
            assert data["link"] == f"https://gate.example/approvals/{approval}"
            page = gateway.api().get(f"/approvals/{approval}")
            assert f"interlock --api https://gate.example approvals show {approval}" in page.body.decode()
            assert (page.status, page.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
            assert gateway.api().get("/approvals/%3Cscript%3E").status == 404
            assert data["facts"]["principal"] == "agent agent"
            assert data["facts"]["connection"] == "shop"
            assert data["facts"]["needs"] == "1 of dba"
            assert "min)" in data["facts"]["open until"]
            assert held.waits
            approve(gateway, approval)
            assert held.finish() == "DELETE 3"
        assert told(receiver, "approval.decided").json["data"]["facts"]["status"] == "approved"
    assert count(postgres, table) == 7


def test_a_channel_that_is_down_holds_nothing_up_and_gets_its_message_later(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    receiver.stop()
    with make_gateway(target, options(receiver)) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id <= 3") as held:
            held.notice()
            gateway.wait_for_log("message not delivered")
            assert held.waits
            assert count(postgres, table) == 10
            receiver.start()
            approval = told(receiver, "approval.requested").json["data"]["subject"]
            assert held.waits
            approve(gateway, approval)
            assert held.finish() == "DELETE 3"


def test_a_message_survives_a_kill_under_the_same_id(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    receiver.status = 503
    with make_gateway(target, options(receiver)) as gateway:
        make_dba(gateway)
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held:
            first = told(receiver, "approval.requested")
            gateway.kill()
            with pytest.raises(psycopg.OperationalError):
                held.finish()
        receiver.forget()
        receiver.status = 200
        gateway.start()
        again = told(receiver, "approval.requested")
        assert again.id == first.id
        assert again.body == first.body
        assert told(receiver, "approval.decided").json["data"]["facts"]["status"] == "withdrawn"
        assert [request.status for request in requests(gateway)] == [ApprovalStatus.WITHDRAWN]
    assert count(postgres, table) == 10


def test_a_redirect_is_not_followed(target: Endpoint, receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.status, receiver.location = 307, f"{elsewhere.url}/stolen"
        with make_gateway(target, options(receiver)) as gateway:
            tried = gateway.command("notifications", "test", "chat", check=False)
            assert tried.returncode == 1
            assert "redirects are not followed" in tried.stderr
            assert told(receiver, "test").path == "/hook"
            receiver.status, receiver.location = 200, ""
            assert "took the message (status 200)" in gateway.command("notifications", "test", "chat").stdout
            assert elsewhere.received.empty()


def metric(gateway: GatewayServer, outcome: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    wanted = f'interlock_notifications_total{{channel="chat",outcome="{outcome}"}} '
    return next(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


def test_an_outbox_that_fails_leaves_the_statement_held(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    with make_gateway(target, options(receiver)) as gateway:
        make_dba(gateway)
        with closing(sqlite3.connect(gateway.data_dir / "state.db")) as store:
            store.execute("ALTER TABLE outbox RENAME TO elsewhere")
        with HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id <= 2") as held:
            held.notice()
            failed = wait_for(lambda: records_of(gateway, NotificationFailed), "the failure on record")
            assert (failed[0].channel, failed[0].event) == ("chat", "approval.requested")
            assert held.waits
            assert count(postgres, table) == 10
            approve(gateway, failed[0].subject)
            assert held.finish() == "DELETE 2"
        assert metric(gateway, "given-up") >= 1
        assert metric(gateway, "sent") == 0
    assert receiver.received.empty()


def test_nobody_could_be_told_before_it_expired_and_that_is_on_record(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    receiver.stop()
    wanted = options(receiver, policy=POLICY.replace("10m", "2s"))
    with make_gateway(target, wanted) as gateway:
        make_dba(gateway)
        with (
            HeldStatement(gateway.endpoint(), f"DELETE FROM {table} WHERE id = 1") as held,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="in time"),
        ):
            held.finish()
        (failed, *_) = wait_for(lambda: records_of(gateway, NotificationFailed), "the failure on record")
        assert failed.event == "approval.requested"
        assert failed.attempts >= 1
        assert "cannot be reached" in failed.reason
        receiver.start()
        assert told(receiver, "approval.expired").json["data"]["subject"] == failed.subject
    assert count(postgres, table) == 10


def test_locks_are_told_with_who_and_why(target: Endpoint, receiver: Receiver) -> None:
    wanted = options(receiver, more='events = ["lock.added", "lock.removed"]')
    with make_gateway(target, wanted) as gateway:
        gateway.command("lock", "add", "agent", "mallory", "--reason", "looks odd")
        added = told(receiver, "lock.added").json["data"]
        assert added["title"] == "Locked: agent mallory (refuse)"
        assert added["facts"]["reason"] == "looks odd"
        assert added["link"] == "interlock lock list"
        gateway.command("lock", "remove", added["subject"], "--reason", "it was a drill")
        removed = told(receiver, "lock.removed").json["data"]
        assert removed["subject"] == added["subject"]
        assert removed["facts"]["reason"] == "it was a drill"


def test_incidents_are_told(target: Endpoint, receiver: Receiver) -> None:
    wanted = options(receiver, more='events = ["incident.opened", "incident.closed"]')
    with make_gateway(target, wanted) as gateway:
        gateway.command("incident", "open", "--agent", "mallory", "--reason", "looks odd")
        opened = told(receiver, "incident.opened").json["data"]
        assert opened["title"] == "Incident opened: agent mallory"
        assert opened["link"] == f"interlock incident show {opened['subject']}"
        assert opened["facts"]["reason"] == "looks odd"
        gateway.command("incident", "close", opened["subject"], "--reason", "it was a drill")
        assert told(receiver, "incident.closed").json["data"]["subject"] == opened["subject"]


def test_a_storm_of_denials_is_told_once(target: Endpoint, receiver: Receiver) -> None:
    policy = '@id("nothing") permit (principal, action == Action::"connect", resource);'
    wanted = options(receiver, more="[alerts]\ndenials = 5", policy=policy)
    with (
        make_gateway(target, wanted) as gateway,
        psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection,
    ):
        for _ in range(12):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT count(*) FROM customers")
        alert = told(receiver, "alert.raised").json["data"]
        assert "agent was denied 5 times" in alert["title"]
        gateway.command("lock", "add", "agent", "mallory", "--reason", "to have a message after it")
        told(receiver, "lock.added")


def test_a_statement_goes_along_where_that_is_wanted_and_forges_nothing(
    target: Endpoint, postgres: PostgresServer, table: str, receiver: Receiver
) -> None:
    with MailReceiver() as mails:
        mail = f"""
[notifications.mail]
email = "dba@example.com"
sender = "gateway@example.com"
smtp = "127.0.0.1:{mails.port}"
include_statement = true
events = ["approval.requested"]
"""
        padding = "x" * 3000
        forged = f"DELETE FROM {table} /*\n\nOpen: https://evil.example\n.\n{padding} */"
        with make_gateway(target, options(receiver, more=mail)) as gateway:
            make_dba(gateway)
            with HeldStatement(gateway.endpoint(), forged) as held:
                held.notice()
                lines = mails.next().mail.get_content().splitlines()
                assert table.encode() not in told(receiver, "approval.requested").body
                approval = requests(gateway, ApprovalStatus.PENDING)[0].id
                gateway.command("approvals", "deny", approval, "--reason", "forged")
    assert [line for line in lines if line.startswith("Open:")] == [f"Open: interlock approvals show {approval}"]
    assert f"| DELETE FROM {table} /*" in lines
    assert "| Open: https[:]//evil.example" in lines
    assert any(line.startswith("Beginning of the statement; ") for line in lines)
    assert padding not in "".join(lines)


def test_secrets_of_channels_are_written_nowhere(target: Endpoint, receiver: Receiver) -> None:
    more = """
[notifications.slack]
slack = { file = "slack-url" }

[notifications.phone]
apprise = { file = "apprise-url" }
"""
    receiver.status = 500
    with make_gateway(target, options(receiver, more=more)) as gateway:
        port = receiver.port
        (gateway.directory / "slack-url").write_text(f"https://127.0.0.1:{port}/planted-8f1c")
        (gateway.directory / "apprise-url").write_text(f"json://user:planted-8f1c@127.0.0.1:{port}/planted-8f1c")
        said = ""
        for channel in ("chat", "slack", "phone"):
            tried = gateway.command("notifications", "test", channel, check=False)
            assert tried.returncode == 1
            said += tried.stdout + tried.stderr
        gateway.command("lock", "add", "agent", "mallory", "--reason", "to have it told")
        gateway.wait_for_log("message not delivered")
        said += gateway.command("notifications", "list", "--json").stdout
        kept = [file for file in gateway.data_dir.rglob("*") if file.is_file() and file.suffix != ".key"]
        written = gateway.log().encode() + said.encode() + b"".join(file.read_bytes() for file in kept)
        assert b"planted-8f1c" not in written
        assert SECRET.encode() not in written
        assert [r.subject for r in records_of(gateway, AdministrationChanged)] == ["chat", "slack", "phone"]
