"""Connections: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Done, Permission, Route
from interlock.core.settings import ConnectionSettings

ConnectionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

_READERS = (Permission.ADMINISTER, Permission.RESPOND, Permission.AUDIT)


class ConnectionView(msgspec.Struct, frozen=True):
    """A connection as it can be shown. ``origin`` is ``file`` or ``command``; ``credential`` says where it is."""

    name: str
    origin: str
    credential: str
    settings: ConnectionSettings


class ColumnPath(msgspec.Struct, frozen=True, order=True):
    """A column of a target, by its names as they are."""

    schema: str
    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


class TagProposal(msgspec.Struct, frozen=True):
    """A tag that a column may deserve.

    ``reason`` is the detector class that found something in ``hits`` of ``values`` values that were looked at, or the
    hint in the column's name. ``pattern`` is the column for ``[policy] tags``.
    """

    column: ColumnPath
    by_content: bool
    reason: str
    hits: int
    values: int
    tag: str
    pattern: str


class NotSampled(msgspec.Struct, frozen=True):
    """A table whose rows could not be looked at. Names were."""

    schema: str
    table: str
    why: str


class ScanReport(msgspec.Struct, frozen=True):
    """What a scan found. It holds no value of any row."""

    connection: str
    database: str
    tables: int
    columns: int
    proposals: tuple[TagProposal, ...]
    not_sampled: tuple[NotSampled, ...] = ()


class HardeningPlan(msgspec.Struct, frozen=True):
    """What takes columns away from a role: ``statements`` in order, and ``warnings`` on why they may not be enough."""

    role: str
    statements: tuple[str, ...]
    warnings: tuple[str, ...]
    applied: bool = False


class ListConnections(Command[tuple[ConnectionView, ...]], frozen=True, tag="connections.list"):
    """All connections, by name."""

    route: ClassVar = Route(
        "GET",
        "/v1/connections",
        (
            Permission.ADMINISTER,
            Permission.RESPOND,
            Permission.AUDIT,
        ),
    )


class ShowConnection(Command[ConnectionView], frozen=True, tag="connections.show"):
    """One connection."""

    route: ClassVar = Route(
        "GET",
        "/v1/connections/{name}",
        (
            Permission.ADMINISTER,
            Permission.RESPOND,
            Permission.AUDIT,
        ),
    )

    name: str


class AddConnection(Command[Done], frozen=True, tag="connections.add"):
    """Add a connection; with ``replace``, in the place of the one of its name."""

    route: ClassVar = Route("PUT", "/v1/connections/{name}", (Permission.ADMINISTER,))

    name: ConnectionName
    settings: ConnectionSettings
    replace: bool = False


class SetCredential(Command[Done], frozen=True, tag="connections.set-credential"):
    """Seal the password of a connection whose credential is ``sealed``."""

    route: ClassVar = Route("PUT", "/v1/connections/{name}/credential", (Permission.ADMINISTER,))

    name: str
    password: Annotated[str, Meta(min_length=1, max_length=65_536)]

    def __repr__(self) -> str:
        return f"SetCredential(name={self.name!r})"


class RemoveConnection(Command[Done], frozen=True, tag="connections.remove"):
    """Remove a connection that was added by a command, with its sealed credential."""

    route: ClassVar = Route("DELETE", "/v1/connections/{name}", (Permission.ADMINISTER,))

    name: str


class TestConnection(Command[Done], frozen=True, tag="connections.test"):
    """Try to reach a connection's target from the gateway."""

    route: ClassVar = Route("POST", "/v1/connections/{name}/test", (Permission.ADMINISTER,))

    __test__ = False

    name: str


class ScanConnection(Command[ScanReport], frozen=True, tag="connections.scan"):
    """Look at samples of a database for columns that deserve a tag. Without ``database`` it is the first."""

    route: ClassVar = Route("POST", "/v1/connections/{name}/scan", (Permission.ADMINISTER,))

    answer_timeout_s: ClassVar[float] = 600.0

    name: str
    database: str | None = None
    sample_rows: Annotated[int, Meta(ge=1, le=100_000)] = 1000


class HardenConnection(Command[HardeningPlan], frozen=True, tag="connections.harden"):
    """Plan how to make a role unable to read columns; carry it out when it is what was ``agreed`` to.

    Without ``database`` it is the first one, without ``role`` the one that the gateway logs in as.
    """

    route: ClassVar = Route("POST", "/v1/connections/{name}/harden", (Permission.ADMINISTER,))

    name: str
    columns: Annotated[tuple[ColumnPath, ...], Meta(min_length=1, max_length=1000)]
    role: str | None = None
    database: str | None = None
    agreed: tuple[str, ...] = ()
