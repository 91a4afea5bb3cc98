"""Who may come in: hostile tokens, generated secrets, and what must never be written down."""

import asyncio
import base64
import secrets
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import psycopg
import pytest

from interlock.core.ledger import ConnectionRefused
from tests.clients.scenarios.with_asyncpg import arguments as asyncpg_arguments
from tests.e2e.forger import HOSTILE, Forger
from tests.e2e.ledger_files import records, records_of, refusals, session_records
from tests.e2e.wire import WireClient, WireError, message, startup
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target) as server:
        yield server


@pytest.fixture(scope="module")
def forger(gateway: GatewayServer) -> Forger:
    return Forger(gateway)


def wire(gateway: GatewayServer) -> WireClient:
    return WireClient(gateway.port, gateway.certificate_file)


def untouched(server: PostgresServer, mark: int) -> bool:
    """Whether nobody has talked to the target since the mark, not even to be refused."""
    return server.log_position() == mark


def secret_of(gateway: GatewayServer, name: str, *groups: str) -> str:
    """Register an identity and generate its secret."""
    options = [word for group in groups for word in ("--group", group)]
    gateway.command("identities", "add", name, *options)
    return gateway.command("identities", "secret", name).stdout.strip()


def test_forged_tokens_would_work_if_they_were_right(gateway: GatewayServer, forger: Forger) -> None:
    with wire(gateway) as client:
        client.log_in(forger.sign(forger.claims()))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_token(gateway: GatewayServer, forger: Forger, postgres: PostgresServer, kind: str) -> None:
    token = HOSTILE[kind](forger)
    mark, before = postgres.log_position(), len(records_of(gateway, ConnectionRefused))
    with wire(gateway) as client:
        with pytest.raises(WireError) as caught:
            client.log_in(token)
        assert client.rest() == b""
    assert caught.value.code == "28P01"
    assert caught.value.fields["S"] == "FATAL"
    assert len(caught.value.fields["M"]) < 200
    assert token not in str(caught.value.fields)
    assert untouched(postgres, mark)
    (refused,) = refusals(gateway, before + 1)[before:]
    assert refused.reason
    assert refused.client_address.startswith("127.0.0.1:")
    assert token not in repr(refused)


def test_empty_password(gateway: GatewayServer, postgres: PostgresServer) -> None:
    mark, before = postgres.log_position(), len(records_of(gateway, ConnectionRefused))
    with wire(gateway) as client, pytest.raises(WireError, match="send the access token as password") as caught:
        client.log_in("")
    assert caught.value.code == "28P01"
    assert untouched(postgres, mark)
    assert len(refusals(gateway, before + 1)) == before + 1


async def test_clients_see_an_authentication_error(gateway: GatewayServer, forger: Forger) -> None:
    endpoint = gateway.endpoint(HOSTILE["expired"](forger))
    with pytest.raises(asyncpg.InvalidPasswordError, match="expired") as caught:
        await asyncpg.connect(**asyncpg_arguments(endpoint))
    assert caught.value.sqlstate == "28P01"
    with pytest.raises(psycopg.OperationalError, match="expired"):
        await asyncio.to_thread(psycopg.connect, **endpoint.parameters())


@pytest.mark.parametrize("database", ["nowhere", "shop/postgres", "shop/shop/shop", "SHOP", "'; DROP TABLE x", "é"])
def test_unknown_connection(gateway: GatewayServer, postgres: PostgresServer, database: str) -> None:
    mark, before = postgres.log_position(), len(records_of(gateway, ConnectionRefused))
    endpoint = replace(gateway.endpoint(), database=database)
    with pytest.raises(psycopg.OperationalError, match="does not exist or agent may not use it"):
        psycopg.connect(**endpoint.parameters())
    assert untouched(postgres, mark)
    refused = refusals(gateway, before + 1)[-1]
    assert (refused.connection, refused.principal) == (database, "agent")


def test_plain_connection_is_refused_before_a_password_is_asked(
    gateway: GatewayServer, postgres: PostgresServer
) -> None:
    mark = postgres.log_position()
    with WireClient(gateway.port) as client:
        client.send(startup())
        with pytest.raises(WireError, match="requires TLS") as caught:
            client.receive()
        assert "sslmode=verify-full" in caught.value.fields["H"]
        assert client.rest() == b""
    with pytest.raises(psycopg.OperationalError, match="requires TLS"):
        psycopg.connect(**replace(gateway.endpoint(), sslmode="disable", sslrootcert=None).parameters())
    assert untouched(postgres, mark)


def test_generated_secret_with_scram_and_channel_binding(gateway: GatewayServer) -> None:
    secret = secret_of(gateway, "scram-bot", "testers")
    parameters = replace(gateway.endpoint(secret), user="scram-bot").parameters()
    strict = {"channel_binding": "require", "require_auth": "scram-sha-256", "application_name": "scram"}
    with psycopg.connect(**parameters | strict) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(**parameters, channel_binding="disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    opened = session_records(gateway, "scram")[0]
    assert (getattr(opened, "principal", None), getattr(opened, "groups", None)) == ("scram-bot", ("testers",))


def test_wrong_secret(gateway: GatewayServer, postgres: PostgresServer) -> None:
    secret_of(gateway, "wrong-secret-bot")
    mark, before = postgres.log_position(), len(records_of(gateway, ConnectionRefused))
    for user, told in (("wrong-secret-bot", "password authentication failed"), ("nobody", "is not a token")):
        endpoint = replace(gateway.endpoint("not the secret"), user=user)
        with pytest.raises(psycopg.OperationalError, match=told):
            psycopg.connect(**endpoint.parameters())
    assert untouched(postgres, mark)
    assert len(refusals(gateway, before + 2)) == before + 2


def test_a_token_does_not_open_the_account_of_a_secret(gateway: GatewayServer) -> None:
    """The user name chooses the proof, so a token under the name of an identity with a secret is no proof."""
    secret_of(gateway, "secretive")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**replace(gateway.endpoint(), user="secretive").parameters())


def test_disabled_identity(gateway: GatewayServer, postgres: PostgresServer) -> None:
    secret = secret_of(gateway, "disabled-bot", "testers")
    by_secret = replace(gateway.endpoint(secret), user="disabled-bot").parameters()
    by_token = gateway.endpoint(gateway.token("disabled-bot")).parameters()
    psycopg.connect(**by_secret).close()
    psycopg.connect(**by_token).close()
    gateway.command("identities", "disable", "disabled-bot")
    mark = postgres.log_position()
    for parameters in (by_secret, by_token):
        with pytest.raises(psycopg.OperationalError, match=r"disabled|not a token"):
            psycopg.connect(**parameters)
    assert untouched(postgres, mark)
    gateway.command("identities", "enable", "disabled-bot")
    psycopg.connect(**by_token).close()


def test_plain_connections_for_scram_only(target: Endpoint) -> None:
    """Where plain connections are let in, a secret proves itself without being sent, and a token is never asked for."""
    with GatewayServer(target, GatewayOptions(plain="scram-only")) as gateway:
        secret = secret_of(gateway, "plain-bot")
        plain = replace(gateway.endpoint(secret), user="plain-bot", sslmode="disable", sslrootcert=None)
        with psycopg.connect(**plain.parameters()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        for user in ("agent", "nobody"):
            with WireClient(gateway.port) as client:
                client.send(startup(user))
                with pytest.raises(WireError, match="only accepted over TLS"):
                    client.receive()


def test_password_message_that_is_none(gateway: GatewayServer) -> None:
    """A client that speaks out of turn is told so, whatever it says."""
    for wrong in (
        message(b"Q", b"SELECT 1\0"),
        message(b"p", b"\xff\xfe\0"),
        message(b"p", b"no end"),
        b"p" + struct.pack("!I", 2),
        b"\0" * 9,
    ):
        with wire(gateway) as client:
            client.send(startup())
            client.receive()
            client.send(wrong)
            with pytest.raises(WireError) as caught:
                client.receive()
            assert caught.value.code in ("08P01", "28P01")


def test_secrets_are_written_nowhere(target: Endpoint) -> None:
    """Planted secrets and row values are in no file of the gateway, no record, no error and no command's output."""
    sealed = "sealed-" + secrets.token_hex()
    value = "row-value-" + secrets.token_hex()
    with GatewayServer(target) as gateway:
        scram = secret_of(gateway, "leaky", "testers")
        file = gateway.directory / "to-be-sealed"
        file.write_text(sealed)
        gateway.command("connections", "add", "vaulted", "--host", "127.0.0.1", "--port", str(target.port),
            "--database", "shop", "--user", "app", "--tls", "disable")  # fmt: skip
        gateway.command("connections", "set-credential", "vaulted", "--file", str(file))
        file.unlink()
        token, told = gateway.token(), []
        parameters = gateway.endpoint(token).parameters() | {"application_name": "leaks"}
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(b"SELECT %s, '" + value.encode() + b"'", [value])
            for statement in (f"SELECT '{value}'::int", f"SELEKT '{value}'"):
                with pytest.raises(psycopg.Error):
                    connection.execute(statement.encode())
        psycopg.connect(**replace(gateway.endpoint(scram), user="leaky").parameters()).close()
        for wrong in (replace(gateway.endpoint(token), database="vaulted"), gateway.endpoint(token[:-3] + "AAA")):
            with pytest.raises(psycopg.OperationalError) as caught:
                psycopg.connect(**wrong.parameters())
            told.append(str(caught.value))
        session = session_records(gateway, "leaks")
        told.append(repr(records(gateway)))
        told += [result.stdout + result.stderr for result in all_commands(gateway)]
        gateway.stop()
        kept = {path: path.read_bytes() for path in files_of(gateway)}
    assert len(session) > 5
    hidden = [target.password, token, token.rpartition(".")[2], scram, sealed, value]
    for secret in hidden:
        assert not [text for text in told if secret in text], "told"
        for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), secret.encode().hex().encode()):
            assert [path.name for path, content in kept.items() if form in content] == []


def all_commands(gateway: GatewayServer) -> Iterator[subprocess.CompletedProcess[str]]:
    for words in (
        ["identities", "list", "--json"],
        ["identities", "show", "leaky"],
        ["connections", "list", "--json"],
        ["connections", "show", "vaulted"],
        ["connections", "test", "vaulted"],
        ["sessions", "list", "--json"],
        ["audit", "export"],
        ["audit", "verify", "--json"],
    ):
        yield gateway.command(*words, check=False)


def files_of(gateway: GatewayServer) -> Iterator[Path]:
    """Every file of the gateway but the one its operator keeps the password in."""
    for path in gateway.directory.rglob("*"):
        if path.is_file() and path.name != "target-password":
            yield path
