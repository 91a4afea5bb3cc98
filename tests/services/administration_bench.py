"""Administration over in-memory stores, with a ledger that keeps what it is given."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from interlock.core.administration import ColumnPath, HardeningPlan
from interlock.core.catalogue import Catalogue, Column, Relation, RelationKind
from interlock.core.errors import AdministrationRefused, CatalogueUnavailable, LedgerUnavailable
from interlock.core.identity import RegisteredIdentity
from interlock.core.ledger import AdministrationChanged, AnyRecord
from interlock.core.settings import AgentSettings, ConnectionSettings
from interlock.services.administration import Administration, Room
from interlock.services.authority import Authority
from interlock.services.discovery import Discovery
from interlock.services.identity_room import IdentityRoom
from interlock.services.state import IdentityStore
from tests.clocks import ManualClock
from tests.services.locks_bench import LocksBench


class MemoryLedger:
    """``broken`` makes it refuse; ``delay`` makes it accept a little later, as group commit does."""

    def __init__(self, journal: list[str]) -> None:
        self.records: list[AnyRecord] = []
        self.journal = journal
        self.broken = False
        self.delay = False

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.broken:
            raise LedgerUnavailable("the disk is full")
        self.records.append(record)
        if not self.delay:
            self.journal.append("recorded")
            return None
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._accept, future)
        return future

    def note(self, record: AnyRecord) -> None:
        self.append(record)

    def _accept(self, future: asyncio.Future[None]) -> None:
        self.journal.append("recorded")
        future.set_result(None)


class MemoryState:
    """Identities, connections and credentials, and a probe and an issuer that say what they were asked."""

    def __init__(self, journal: list[str], configured: dict[str, ConnectionSettings]) -> None:
        self.journal = journal
        self.configured = configured
        self.identities: dict[str, RegisteredIdentity] = {}
        self.connections: dict[str, ConnectionSettings] = {}
        self.passwords: dict[str, str] = {}

    async def seal(self, connection: str, password: str) -> None:
        self.journal.append("changed")
        self.passwords[connection] = password

    def has(self, connection: str) -> bool:
        return connection in self.passwords

    async def probe(self, connection: str, settings: ConnectionSettings) -> str:
        if settings.host == "down":
            raise AdministrationRefused("down cannot be reached")
        return f"{connection} answers"

    def issue_token(self, name: str, kind: str, groups: tuple[str, ...], owner: str | None, ttl_s: int) -> str:
        return f"token of {kind} {name} for {ttl_s}"


class MemoryIdentities:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def find(self, name: str) -> RegisteredIdentity | None:
        return self._state.identities.get(name)

    def all(self) -> list[RegisteredIdentity]:
        return sorted(self._state.identities.values(), key=lambda identity: identity.name)

    async def save(self, identity: RegisteredIdentity) -> None:
        self._state.journal.append("changed")
        self._state.identities[identity.name] = identity

    async def remove(self, name: str) -> None:
        self._state.journal.append("changed")
        del self._state.identities[name]


class MemoryConnections:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def find(self, name: str) -> ConnectionSettings | None:
        return self.all().get(name)

    def all(self) -> dict[str, ConnectionSettings]:
        return self._state.connections | self._state.configured

    def is_configured(self, name: str) -> bool:
        return name in self._state.configured

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        self._state.journal.append("changed")
        self._state.connections[name] = settings

    async def remove(self, name: str) -> None:
        self._state.journal.append("changed")
        del self._state.connections[name]
        self._state.passwords.pop(name, None)


class MemoryTarget:
    """Implements CatalogueReader, ColumnSampler and ColumnGrants. ``rows`` has the rows of tables by name."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.relations: list[Relation] = []
        self.rows: dict[str, list[tuple[bytes | None, ...]]] = {}
        self.asked: list[tuple[str, tuple[str, ...], int]] = []
        self.plan_made = HardeningPlan("gateway", ('REVOKE SELECT ON "t" FROM "gateway"',), ("gateway owns t",))
        self.gone = False

    def add(self, name: str, columns: Sequence[tuple[str, str]], oid: int = 0, **changes: Any) -> None:
        """A table with columns of these names and types."""
        made = tuple(Column(number, column, "pg_catalog", kind) for number, (column, kind) in enumerate(columns, 1))
        relation = Relation(oid or len(self.relations) + 1, "public", name, RelationKind.TABLE, made)
        self.relations.append(msgspec.structs.replace(relation, **changes))

    async def read(self, connection: str, database: str) -> Catalogue:
        if self.gone:
            raise CatalogueUnavailable("the target is gone")
        return Catalogue("1", tuple(self.relations))

    async def sample(
        self, connection: str, database: str, relation: Relation, columns: Sequence[str], rows: int
    ) -> AsyncGenerator[list[tuple[bytes | None, ...]], None]:
        self.asked.append((relation.name, tuple(columns), rows))
        if relation.name not in self.rows:
            raise CatalogueUnavailable("permission denied")
        for row in self.rows[relation.name]:
            yield [row]

    async def plan(self, connection: str, database: str, role: str, columns: Sequence[ColumnPath]) -> HardeningPlan:
        if self.gone:
            raise CatalogueUnavailable("the target is gone")
        return msgspec.structs.replace(self.plan_made, role=role)

    async def apply(self, connection: str, database: str, plan: HardeningPlan, columns: Sequence[ColumnPath]) -> None:
        self.journal.append("changed")


def find_classes(value: bytes) -> frozenset[str]:
    """A stand-in for content detection: it finds e-mail addresses and secrets that say so."""
    return frozenset(name for sign, name in ((b"@", "email"), (b"key-", "secret")) if sign in value)


class AdministrationBench:
    """Everything around one ``Administration``. ``journal`` holds ``recorded`` and ``changed`` in their order."""

    def __init__(
        self,
        configured: dict[str, ConnectionSettings] | None = None,
        identities: IdentityStore | None = None,
        agents: AgentSettings = AgentSettings(),  # noqa: B008 - a value
        authority_kind: type[Authority] = Authority,
        **changes: Any,
    ) -> None:
        self.journal: list[str] = []
        self.ledger = MemoryLedger(self.journal)
        self.state = MemoryState(self.journal, configured or {})
        self.target = MemoryTarget(self.journal)
        self.clock = ManualClock()
        identities = identities or MemoryIdentities(self.state)
        self.locking = locking = LocksBench(self.ledger, self.clock, identities)
        authority = authority_kind(self.ledger, self.clock, node="")
        registered = IdentityRoom(
            identities,
            locking.ownership,
            locking.cascade,
            authority,
            self.ledger,
            self.clock,
            agents,
            {"https://ci.example": "ci"},
        )
        self.parts: dict[str, Any] = {
            "ledger": self.ledger,
            "clock": self.clock,
            "authority": authority,
            "cascade": locking.cascade,
            "rooms": (locking.room, registered),
            "connections": MemoryConnections(self.state),
            "credentials": self.state,
            "probe": self.state,
            "discovery": Discovery(self.target, self.target, find_classes, self.clock),
            "grants": self.target,
            "protocols": ("postgres", "http", "ssh"),
            "token_issuer": self.state,
        }
        self.parts |= changes
        self.administration = Administration(**self.parts)

    def add_room(self, room: Room) -> None:
        """As if it had been there from the beginning."""
        self.parts["rooms"] = (*self.parts["rooms"], room)
        self.administration = Administration(**self.parts)

    @property
    def recorded(self) -> list[tuple[str, str, str]]:
        """Actor, action and subject of every change on the ledger."""
        return [
            (record.actor, record.action, record.subject)
            for record in self.ledger.records
            if isinstance(record, AdministrationChanged)
        ]
