"""The servers of the masking tests: PostgreSQL with both worlds, and a gateway whose policy masks them.

Knows how to open a session to either; never looks into what comes back.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import psycopg

from tests.masking import world as worlds
from tests.masking.session import RecordingSession
from tests.masking.world import ALL_WORLDS, MASKED, ROLE, WORLD_A, World
from tests.servers.gateway import AGENT, CONNECTION, GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

Outside = Callable[[str], None]

_PERMIT = '@id("everything")\npermit (principal, action, resource);\n'


def mask_rule(tag: str, mask: str, predicates: str = "equality") -> str:
    """A rule that masks what has the tag."""
    return (
        f'@id("{tag}")\n@mask("{mask}") @predicates("{predicates}")\n'
        f'forbid (principal, action == Action::"reveal", resource in Tag::"{tag}");\n'
    )


def policy(mask: str = "redact", predicates: str = "equality") -> str:
    """Everything is permitted, so that nothing but masking protects."""
    return _PERMIT + mask_rule("pii", mask, predicates)


def tags(columns: Iterable[str]) -> str:
    """The settings that tag columns, each given by a pattern."""
    lines = (f"{json.dumps(path, ensure_ascii=False)} = ['pii']" for path in sorted(columns))
    return "[policy.tags]\n" + "\n".join(lines) + "\n"


@dataclass
class Worlds:
    """PostgreSQL with both worlds. ``features`` are its extensions, and ``xml``.

    ``restored`` counts how often the worlds were put back, each time ending all sessions.
    """

    server: PostgresServer
    version: int
    features: frozenset[str]
    restored: int = 0
    _pristine: dict[str, str] = field(default_factory=dict)

    def open(self, world: World) -> RecordingSession:
        """A session without a gateway, as the role that the gateway uses."""
        return open_directly(self.server, world.database)

    def restore(self, changed: Sequence[World]) -> None:
        """Put worlds back, all of them together, when one is not as it was built."""
        if any(worlds.state(self.server, world) != self._pristine[world.database] for world in changed):
            self.restored += 1
            for world in changed:
                worlds.restore(self.server, world)

    def remember(self) -> None:
        """Take the worlds as they are for how they were built."""
        self._pristine = {world.database: worlds.state(self.server, world) for world in ALL_WORLDS}

    @contextmanager
    def outside(self, world: World) -> Iterator[Outside]:
        """Somebody else who is not under a mask: runs a text in a session that stays open until the block ends.

        What fails, because a step before it was refused, is passed over.
        """
        endpoint = self.server.endpoint(database=world.database)
        with psycopg.connect(**endpoint.parameters(), autocommit=True) as connection:

            def run(text: str) -> None:
                with suppress(psycopg.Error):
                    connection.execute(text.encode())

            yield run


@dataclass(frozen=True)
class Masked:
    """The way through a gateway, whose connections are named after their databases."""

    gateway: GatewayServer
    token: str

    def open(self, world: World | str) -> RecordingSession:
        database = world if isinstance(world, str) else world.database
        connection = f"{CONNECTION if database == self.gateway.target.database else database}/{database}"
        return RecordingSession(self.gateway.port, AGENT, connection, self.token, self.gateway.certificate_file)


def open_directly(server: PostgresServer, database: str) -> RecordingSession:
    """A session without a gateway, as the role that the gateway uses."""
    return RecordingSession(server.port, ROLE, database)


@contextmanager
def run_worlds() -> Iterator[Worlds]:
    """Start PostgreSQL and build both worlds on it. The gateway's role needs no password."""
    settings = {"lock_timeout": "5s", "statement_timeout": "20s", "jit": "off", "autovacuum": "off"}
    with PostgresServer(hba_lines=[f"host all {ROLE} 127.0.0.1/32 trust"], settings=settings) as server:
        worlds.build_schemas(server)
        for world in ALL_WORLDS:
            worlds.build(server, world)
        ((version,),) = server.execute("SELECT current_setting('server_version_num')::int / 10000")
        found = server.execute("SELECT extname FROM pg_extension", database=WORLD_A.database)
        running = Worlds(server, version, frozenset(name for (name,) in found) | _xml(server))
        running.remember()
        yield running


@contextmanager
def run_gateway(
    server: PostgresServer,
    rules: str = policy(),
    databases: Sequence[str] = tuple(world.database for world in ALL_WORLDS),
    secrets: Iterable[str] = MASKED,
    settings: str = "",
) -> Iterator[Masked]:
    """A gateway in front of databases, with the tag ``pii`` on the secret columns and further settings."""
    target = server.endpoint(ROLE, ROLE, databases[0])
    others = "".join(map(partial(_connection, server.port), databases[1:]))
    with GatewayServer(target, GatewayOptions(policy=rules, extra=others + tags(secrets) + settings)) as gateway:
        yield Masked(gateway, gateway.token())


def _connection(port: int, database: str) -> str:
    return f"""
[connections.{database}]
protocol = "postgres"
host = "127.0.0.1"
port = {port}
user = "{ROLE}"
databases = ["{database}"]
credential = {{ file = "target-password" }}
tls = "disable"
"""


def _xml(server: PostgresServer) -> frozenset[str]:
    try:
        server.execute("SELECT xmlelement(name a)")
    except psycopg.errors.FeatureNotSupported:
        return frozenset()
    return frozenset({"xml"})
