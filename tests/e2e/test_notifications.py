"""People are told of what waits for them, and nothing that waits is ever let go because they could not be."""

from collections.abc import Iterator

import psycopg
import pytest

from interlock.core.approval import ApprovalStatus
from tests.e2e.held import POLICY, HeldStatement, make_dba, requests
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
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


def count(postgres: PostgresServer, table: str) -> int:
    return int(postgres.execute(f"SELECT count(*) FROM {table}", database="shop")[0][0])


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
