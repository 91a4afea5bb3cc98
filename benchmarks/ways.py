"""The ways to one and the same PostgreSQL server that are compared: directly, by PgBouncer, by the gateway."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer, ServerTls

from benchmarks.gateway import Durability, start_gateway

DIRECT = "direct"
PGBOUNCER = "pgbouncer"
GATEWAY: dict[Durability, str] = {"standard": "gateway", "strict": "gateway, strict"}
NAMES = (DIRECT, PGBOUNCER, *GATEWAY.values())

_ROLE = "bench"
_PASSWORD = "bench-password"


@dataclass(frozen=True)
class Way:
    """One way to the server. ``pid`` is the process in the middle, None where there is none; ``server`` the gateway."""

    name: str
    endpoint: Endpoint
    pid: int | None
    server: GatewayServer | None = None


@contextmanager
def open_ways(wanted: tuple[str, ...], *, tls: bool) -> Iterator[list[Way]]:
    """Start a server with an empty database, and whatever the wanted ways need in front of it.

    SCRAM everywhere; TLS on every connection or on none. PgBouncer pools by session, as the gateway does: one
    connection to the server for each of a client's.
    """
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        authority = CertificateAuthority(Path(directory)) if tls else None
        certificate = authority.issue_server() if authority else None
        server_tls = ServerTls(certificate, authority.certificate_file) if authority and certificate else None
        settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off", "max_connections": "1000"}
        server = stack.enter_context(PostgresServer(tls=server_tls, settings=settings))
        server.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}'")
        server.execute(f"CREATE DATABASE {_ROLE} OWNER {_ROLE}")
        target = server.endpoint(_ROLE, _PASSWORD, _ROLE)
        ways = [Way(DIRECT, target, None)]
        if PGBOUNCER in wanted:
            pgbouncer = stack.enter_context(PgBouncer(target, certificate=certificate))
            ways.append(Way(PGBOUNCER, pgbouncer.endpoint(), pgbouncer.pid))
        for durability, name in GATEWAY.items():
            if name in wanted:
                gateway = stack.enter_context(start_gateway(target, durability=durability, tls=tls))
                ways.append(Way(name, gateway.endpoint, gateway.pid, gateway.server))
        yield ways
