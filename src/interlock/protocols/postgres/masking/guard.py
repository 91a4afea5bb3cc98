"""What a principal under a mask may not do at all, whether or not a statement names a masked column.

Code that runs in the server sees real values: blocks, routines that are not known to compute from their arguments
only, operators, casts and domains made of such. They are refused by the names that a statement can call them by; a
name is refused when any routine that it could mean is not safe.
"""

from collections.abc import Iterator
from typing import Final

from interlock.core.masking import ANY_NAME, builtin_columns
from interlock.core.operation import Meaning, ResourceKind
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.levels import HIDDEN_PREFIX
from interlock.protocols.postgres.masking.names import Refused, unknown_function
from interlock.protocols.postgres.statements.catalogue import CATALOG_SCHEMA, INFORMATION_SCHEMA
from interlock.protocols.postgres.statements.functions import BUILTIN_FUNCTIONS, EFFECTS
from interlock.protocols.postgres.statements.interpretation import Interpretation
from interlock.protocols.postgres.statements.nodes import Node, nodes_in, schema_and_name, strings

_ACTIONS: Final = {
    "do": "DO blocks",
    "create-code": "statements that install code in the database",
    "large-object": "large objects",
    "unclassified": "statements that cannot be seen through",
    "outbound": "connections from the database to elsewhere",
    "server-file-read": "files of the server",
    "server-file-write": "files of the server",
    "server-program": "programs on the server",
}
_HARMLESS_EFFECTS: Final = frozenset({"advance", "notify", "call", "signal-backend", "maintenance"})
_SAMPLING: Final = frozenset({"system", "bernoulli"})
_ADVICE: Final = "Ask for the data with a plain SELECT instead."


def check_accesses(index: MaskingIndex, meaning: Meaning) -> None:
    """Refuse what runs code, or reads what no column's mask covers. Raises ``Refused``."""
    for access in meaning.accesses:
        if access.kind is ResourceKind.TABLE and len(access.path) == 2:
            _check_server_relation(index, *access.path, access.columns)
        if access.action in _ACTIONS:
            raise Refused(f"{_ACTIONS[access.action]} are refused for whom columns are masked. {_ADVICE}")
        if access.action == "set-role" and _may_have_schema(index, access.path[0]):
            raise Refused("a role that has a schema of its name cannot be taken on under a mask: names would change.")
        if access.action == "server-setting" and access.kind is ResourceKind.FUNCTION:
            raise Refused(f"function {access.path[-1]} is refused for whom columns are masked. {_ADVICE}")


def _may_have_schema(index: MaskingIndex, role: str) -> bool:
    return role == ANY_NAME or any(relation.schema == role for relation in index.relations)


def _check_server_relation(index: MaskingIndex, schema: str, name: str, columns: tuple[str, ...]) -> None:
    """Columns of the server's own relations that show others' values, where no mask can take their place."""
    if schema not in (CATALOG_SCHEMA, INFORMATION_SCHEMA) or index.relation(schema, name) is not None:
        return
    hidden = builtin_columns(schema, name)
    shown = hidden if "*" in columns else hidden.intersection(columns)
    if shown:
        raise Refused(
            f"{', '.join(sorted(shown))} of {name} can hold values of others, which are masked for you: name the "
            "columns that you need, without that."
        )


def check_settings(interpretation: Interpretation) -> None:
    """Refuse what steers the planner: made to use an index, it gives rows in the order of a masked column's values.

    Raises ``Refused``.
    """
    for statement in interpretation.statements:
        for setting in statement.settings:
            if steers_planner(setting.name) and setting.value is not None:
                raise Refused(f"{setting.name} cannot be set by whom columns are masked for.")


def steers_planner(name: str) -> bool:
    """Whether a run-time parameter (PostgreSQL manual, "Query Planning") can decide which plan is used."""
    return name.startswith(("enable_", "cpu_", "geqo", "min_parallel_")) or name in _PLANNER


_PLANNER: Final = frozenset({"seq_page_cost", "random_page_cost", "effective_cache_size", "cursor_tuple_fraction"})


def check_code(index: MaskingIndex, trees: list[Node]) -> None:
    """Refuse names that could mean code that is not known to be safe. Raises ``Refused``."""
    for kind, names in _named(trees):
        name = names[-1] if names else ""
        if kind == "function":
            check_function(index, *schema_and_name(names))
        elif kind == "operator" and name in index.unsafe_operators:
            raise Refused(f"operator {name} may run code of this database, which is refused under a mask.")
        elif kind == "type" and name in index.unsafe_types:
            raise Refused(
                f"making a value of type {name} may run code of this database, which is refused under a mask."
            )
        elif kind == "field" and name in index.unsafe_attributes:
            raise Refused(f'"{name}" may call a function of that name, which is refused under a mask.')
        elif kind == "identifier" and name.startswith(HIDDEN_PREFIX):
            raise Refused(f'names that begin with "{HIDDEN_PREFIX}" are the gateway\'s own: use another.')


def check_function(index: MaskingIndex, schema: str, name: str) -> None:
    """Refuse a function that is not known to be safe. Raises ``Refused``, and ``Unknown`` where there is none."""
    if schema in ("", CATALOG_SCHEMA) and any(
        effect.action not in _HARMLESS_EFFECTS for effect in EFFECTS.get(name, ())
    ):
        raise Refused(f"function {name} is refused for whom columns are masked. {_ADVICE}")
    built_in = name in BUILTIN_FUNCTIONS or name in EFFECTS or name == "set_config" or name in _SAMPLING
    if schema == CATALOG_SCHEMA:
        known = built_in
    elif index.is_unsafe(name):
        raise Refused(
            f"function {name} may do more than compute from its arguments, so it is refused for whom columns are "
            "masked. Whoever administers the gateway can list it among the connection's reviewed functions."
        )
    else:
        known = (not schema and built_in) or index.has_routine(schema, name)
    if not known:
        raise unknown_function(f"{schema}.{name}" if schema else name)


def _named(trees: list[Node]) -> Iterator[tuple[str, list[str]]]:
    """Everything in a text that names code, and every identifier, as (what it names, dotted name)."""
    for node in nodes_in(trees):
        for key, value in node.items():
            if key in _CODE and isinstance(value, list):
                yield _CODE[key], strings(value)
            elif key == "ColumnRef":
                yield "field", strings(value.get("fields"))
            elif key == "A_Indirection":
                for name in strings(value.get("indirection")):
                    yield "field", [name]
            elif isinstance(value, str):
                yield "identifier", [value]


_CODE: Final = {
    "funcname": "function",
    "method": "function",
    "name": "operator",
    "operName": "operator",
    "useOp": "operator",
    "names": "type",
}
