"""Takes columns away from a role of a PostgreSQL target by its grants, so that a read that slips through fails there.

It gives no right to anybody who does not have it already.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg

from interlock.adapters.postgres_connection import PostgresConnections
from interlock.adapters.postgres_names import quoted
from interlock.adapters.postgres_queries import named_queries
from interlock.core.administration import ColumnPath, HardeningPlan
from interlock.core.errors import AdministrationRefused

APPLICATION: Final = "interlock-harden"
Row = Mapping[str, Any]


class PostgresGrants:
    """Implements ``services.ports.ColumnGrants``."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def plan(self, connection: str, database: str, role: str, columns: Sequence[ColumnPath]) -> HardeningPlan:
        """As in the port."""
        async with self._connections.transaction(connection, database, APPLICATION) as opened:
            return await _plan(opened, role, columns)

    async def apply(self, connection: str, database: str, plan: HardeningPlan, columns: Sequence[ColumnPath]) -> None:
        """As in the port."""
        changing = self._connections.transaction(connection, database, APPLICATION, read_only=False)
        async with changing as opened:
            try:
                for statement in plan.statements:
                    await opened.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                raise AdministrationRefused(
                    "the gateway's role may not change these grants: let the owner of the tables run the statements"
                ) from None
            rest = await _plan(opened, plan.role, columns)
            if rest.statements:
                reasons = (
                    "; ".join(rest.warnings) or "the gateway's role did not grant them, the owner of the tables must"
                )
                raise AdministrationRefused(
                    f"{plan.role} could read the columns even then, nothing is changed: {reasons}"
                )


async def _plan(opened: asyncpg.Connection, role: str, columns: Sequence[ColumnPath]) -> HardeningPlan:
    queries = named_queries("postgres_grants.sql")
    properties = await opened.fetchrow(queries["role"], role)
    if properties is None:
        raise AdministrationRefused(f"there is no role {role!r} in the target")
    names = [[path.schema for path in columns], [path.table for path in columns], [path.column for path in columns]]
    relations = await opened.fetch(queries["relations"], role, *names)
    _refuse_unknown(columns, relations)
    return HardeningPlan(
        role=role,
        statements=tuple(text for row in relations if row["readable_hidden"] for text in _statements(role, row)),
        warnings=tuple(_warnings(role, properties, relations)),
    )


def _refuse_unknown(columns: Sequence[ColumnPath], relations: Sequence[Row]) -> None:
    known = {(row["nspname"], row["relname"]): row["columns"] for row in relations}
    unknown = [str(path) for path in columns if path.column not in known.get((path.schema, path.table), ())]
    if unknown:
        raise AdministrationRefused(f"there is no column {', '.join(unknown)} in the database")


def _statements(role: str, row: Row) -> Iterator[str]:
    """A REVOKE on a table takes the rights on its columns along."""
    name = quoted(row["nspname"], row["relname"])
    yield f"REVOKE SELECT ON {name} FROM {quoted(role)}"  # noqa: S608 - all names are quoted
    if row["readable_others"]:
        readable = ", ".join(map(quoted, row["readable_others"]))
        yield f"GRANT SELECT ({readable}) ON {name} TO {quoted(role)}"


def _warnings(role: str, properties: Row, relations: Sequence[Row]) -> Iterator[str]:
    if properties["superuser"]:
        yield f"{role} is a superuser, whom no grant binds: let the gateway log in as another role"
        return
    if properties["reads_all"]:
        yield f"{role} is a member of pg_read_all_data and so reads every table: revoke that from it"
    for row in relations:
        name = f"{row['nspname']}.{row['relname']}"
        if row["owner"] == role:
            yield f"{role} owns {name} and can give itself the right again: let another role own it"
        for grantee in row["through"]:
            yield (
                f"{role} may read {name} through {grantee}: revoke it from {grantee}, or {grantee} from {role}"
                if grantee
                else f"everybody may read {name}: revoke that from PUBLIC, and grant it to those who need it"
            )
