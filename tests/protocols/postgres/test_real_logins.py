"""Logins between real programs: libpq to the gateway, and the gateway to real PostgreSQL, in every way they know.

One gateway with a connection for each way to log in to a target; what the gateway says to clients that log in with
secrets and tokens is also in ``tests.e2e.test_identity_on_the_wire``.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest

from tests.servers.certificates import CertificateAuthority
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer, ServerTls
from tests.servers.sample import endpoint

PASSWORD = "pass'word-ü"
ROLES = ("by_scram", "by_md5", "by_clear", "by_trust", "by_cert", "plain_md5")
HBA = [
    "hostssl all by_scram 127.0.0.1/32 scram-sha-256",
    "hostssl all by_md5 127.0.0.1/32 md5",
    "hostssl all by_clear 127.0.0.1/32 password",
    "hostssl all by_trust 127.0.0.1/32 trust",
    "hostssl all by_cert 127.0.0.1/32 cert",
    "hostnossl all plain_md5 127.0.0.1/32 md5",
    "hostnossl all plain_clear 127.0.0.1/32 password",
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("logins"))


@pytest.fixture(scope="module")
def server(authority: CertificateAuthority) -> Iterator[PostgresServer]:
    """Its certificate is for ``localhost`` and for no address."""
    tls = ServerTls(authority.issue_server(("localhost",)), authority.certificate_file)
    with PostgresServer(tls=tls, hba_lines=HBA) as running:
        with psycopg.connect(**replace(running.endpoint(), host="localhost").parameters(), autocommit=True) as admin:
            for role in (*ROLES, "plain_clear"):
                method = "md5" if "md5" in role else "scram-sha-256"
                admin.execute(f"SET password_encryption = '{method}'".encode())
                quoted = PASSWORD.replace("'", "''")
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{quoted}'".encode())
        yield running


def serve_tls_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Answer SSLRequests, and begin TLS."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            try:
                client.recv(8)
                client.sendall(b"S")
                context.wrap_socket(client, server_side=True).close()
            except OSError:
                continue


@contextmanager
def expired_server(authority: CertificateAuthority) -> Iterator[int]:
    """The port of something that begins TLS with a certificate that has expired."""
    certificate = authority.issue_server(expired=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve_tls_once, args=(listener, context))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture(scope="module")
def gateway(
    authority: CertificateAuthority,
    server: PostgresServer,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayServer]:
    files = tmp_path_factory.mktemp("gateway-logins")
    (files / "password").write_text(PASSWORD)
    (files / "wrong").write_text("wrong")
    client = authority.issue_client("by_cert")
    other = CertificateAuthority(tmp_path_factory.mktemp("other"), common_name="Another authority")
    certificate = f'client_certificate = "{client.certificate_file}"\nclient_key = "{client.key_file}"'

    def connection(name: str, user: str, tls: str, port: int, **options: str) -> str:
        ca = options.get("ca", str(authority.certificate_file))
        credential = options.get("credential", "password")
        lines = [
            f'[connections.{name}]\nprotocol = "postgres"\nhost = "{options.get("host", "localhost")}"\nport = {port}',
            f'user = "{user}"\ndatabases = ["postgres"]\ntls = "{tls}"\nca_file = "{ca}"',
            f'credential = {{ file = "{files / credential}" }}' if credential else "",
            options.get("more", ""),
        ]
        return "\n".join(lines)

    with expired_server(authority) as expired_port:
        connections = [
            *(connection(role, role, "verify-full", server.port) for role in ROLES[:4]),
            connection("by_cert", "by_cert", "verify-full", server.port, credential="", more=certificate),
            connection("no_cert", "by_cert", "verify-full", server.port, credential=""),
            connection("plain_md5", "plain_md5", "disable", server.port, host="127.0.0.1"),
            connection("plain_clear", "plain_clear", "disable", server.port, host="127.0.0.1"),
            connection("wrong_password", "by_scram", "verify-full", server.port, credential="wrong"),
            connection("no_password", "by_scram", "verify-full", server.port, credential=""),
            connection("wrong_host", "by_scram", "verify-full", server.port, host="127.0.0.1"),
            connection("any_host", "by_scram", "verify-ca", server.port, host="127.0.0.1"),
            connection("any_certificate", "by_scram", "require", server.port, host="127.0.0.1"),
            connection("unknown_authority", "by_scram", "verify-ca", server.port, ca=str(other.certificate_file)),
            connection("expired", "by_scram", "verify-ca", expired_port),
            connection("no_tls", "app", "require", postgres.port),
        ]
        with GatewayServer(endpoint(postgres), GatewayOptions(extra="\n".join(connections))) as running:
            yield running


def connect(gateway: GatewayServer, connection: str, **more: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(**replace(gateway.endpoint(), database=connection).parameters() | more, autocommit=True)


@pytest.mark.parametrize("connection", [*ROLES, "any_host", "any_certificate"])
def test_ways_to_log_in_to_a_target(gateway: GatewayServer, connection: str) -> None:
    with connect(gateway, connection) as session:
        (user, tls) = session.execute(
            "SELECT session_user::text, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())"
        ).fetchone() or ("", None)
        assert user == (connection if connection in ROLES else "by_scram")
        assert tls is (connection != "plain_md5")


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        ("wrong_password", "refused the gateway's login"),
        ("no_password", "none is configured"),
        ("no_cert", "refused the gateway's login"),
        ("plain_clear", "method that is not supported"),
        ("wrong_host", "could not establish TLS"),
        ("unknown_authority", "could not establish TLS"),
        ("expired", "could not establish TLS"),
        ("no_tls", "does not offer TLS"),
    ],
)
def test_targets_that_are_refused(gateway: GatewayServer, connection: str, sentence: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=sentence) as raised:
        connect(gateway, connection)
    assert "by_scram" not in str(raised.value).replace(connection, "")
    assert PASSWORD not in gateway.log()


def test_direct_tls(gateway: GatewayServer) -> None:
    with connect(gateway, "by_scram", sslnegotiation="direct") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
def test_protocol_versions_and_their_cancel_keys(gateway: GatewayServer, version: str) -> None:
    with connect(gateway, "by_scram", max_protocol_version=version) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
        assert session.info.full_protocol_version == (30000 if version == "3.0" else 30002)
        done = threading.Event()

        def cancel() -> None:
            while not done.wait(0.05):
                session.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(60)")
        done.set()
        thread.join()


def test_token_on_a_plain_connection(gateway: GatewayServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="requires TLS"):
        connect(gateway, "by_scram", sslmode="disable")


def copy_lines(session: psycopg.Connection[tuple[object, ...]], parameters: list[object] | None) -> None:
    with session.cursor() as cursor, cursor.copy("COPY guarded FROM STDIN", parameters) as copy:
        for _ in range(1000):
            copy.write("1\n" * 1000)


def test_copy_that_a_trigger_fails(gateway: GatewayServer) -> None:
    """The target fails after it has asked for data and before it reads any: nothing gets out of step."""
    with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as session:
        session.execute("CREATE TABLE guarded (n integer)")
        session.execute(
            "CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$"
        )
        session.execute("CREATE TRIGGER no BEFORE INSERT ON guarded EXECUTE FUNCTION complain()")
        ways: tuple[list[object] | None, ...] = (None, [])  # parameters, even none, make it the extended protocol
        for parameters in ways:
            with pytest.raises(psycopg.errors.RaiseException):
                copy_lines(session, parameters)
            assert session.execute("SELECT count(*) FROM guarded").fetchone() == (0,)
        session.execute("DROP TABLE guarded")
        session.execute("DROP FUNCTION complain")
