"""PostgreSQL's own relations: which names mean them, and which of them may be read as mere introspection.

Client libraries, psql and pg_dump read the catalogue all the time; that is the action ``introspect``.
Relations that hold other people's data or secrets (password hashes, sampled column values, statements of
other sessions, connection strings) are read like any table, with ``select``. A relation of pg_catalog that is
not listed is read with ``select`` too.
"""

from collections.abc import Collection
from importlib.resources import files

from interlock.core.operation import Access, ResourceKind

CATALOG_SCHEMA = "pg_catalog"
INFORMATION_SCHEMA = "information_schema"


def listed_names(resource: str) -> frozenset[str]:
    """The names in a packaged text file: one a line, ``#`` starts a comment."""
    text = files(__package__).joinpath(resource).read_text(encoding="ascii")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


BUILTIN_RELATIONS = listed_names("builtin_relations.txt")

SENSITIVE_RELATIONS = _names(
    # password hashes
    "pg_authid pg_shadow "
    # sampled values of user columns
    "pg_statistic pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs "
    # what other sessions do, and from where
    "pg_stat_activity pg_stat_replication pg_stat_wal_receiver pg_stat_ssl pg_stat_gssapi "
    # user data outside tables
    "pg_largeobject "
    # passwords for other servers
    "pg_user_mapping pg_user_mappings "
    # configuration files
    "pg_hba_file_rules pg_file_settings pg_ident_file_mappings"
)

SENSITIVE_COLUMNS = {"pg_subscription": frozenset({"*", "subconninfo"})}
"""Relations that are harmless but for these columns (a connection string may hold a password)."""

SENSITIVE_INFORMATION = frozenset({"_pg_user_mappings", "user_mapping_options", "user_mappings"})


def table_path(schema: str, name: str) -> tuple[str, str]:
    """``(schema, name)``; without a schema PostgreSQL looks into pg_catalog first, then along the search path."""
    if not schema and name in BUILTIN_RELATIONS:
        return (CATALOG_SCHEMA, name)
    return (schema, name)


def is_catalogue(path: tuple[str, ...]) -> bool:
    """Is this a relation of the server's own schemas?"""
    return path[0] in (CATALOG_SCHEMA, INFORMATION_SCHEMA)


def reading_action(path: tuple[str, ...], columns: Collection[str]) -> str:
    """``introspect`` for the harmless part of the catalogue, ``select`` for every other relation."""
    schema, name = path
    if schema == INFORMATION_SCHEMA:
        return "select" if name in SENSITIVE_INFORMATION else "introspect"
    if schema != CATALOG_SCHEMA or name not in BUILTIN_RELATIONS or name in SENSITIVE_RELATIONS:
        return "select"
    return "introspect" if SENSITIVE_COLUMNS.get(name, frozenset()).isdisjoint(columns) else "select"


def reading(schema: str, name: str) -> Access:
    """The access of reading one relation of the server's own, seen as a whole."""
    path = (schema, name)
    return Access(reading_action(path, ("*",)), ResourceKind.TABLE, path, ("*",))
