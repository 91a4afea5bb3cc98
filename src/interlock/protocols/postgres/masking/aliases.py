"""What an alias in FROM makes of a relation's name and of those of its columns."""

from interlock.core.catalogue import Relation
from interlock.protocols.postgres.masking.levels import Columns
from interlock.protocols.postgres.masking.names import Unknown
from interlock.protocols.postgres.statements.nodes import Node, strings


def alias_of(body: Node) -> str:
    """The alias of a FROM item, empty for none."""
    return str(body.get("alias", {}).get("aliasname", ""))


def renamed(columns: Columns, body: Node) -> Columns:
    """The columns under the names that an alias's column list gives them."""
    names = _names(body)
    if not names or columns is None:
        return columns
    return (*names, *columns[len(names) :])


def check_aliases(relation: Relation, body: Node) -> None:
    """Raises ``Unknown`` when an alias gives names to more columns than the relation has."""
    wanted, there = len(_names(body)), len(relation.columns)
    if wanted > there:
        text = f'table "{alias_of(body)}" has {there} columns available but {wanted} columns specified'
        raise Unknown(text, "42P10")


def _names(body: Node) -> list[str]:
    return strings(body.get("alias", {}).get("colnames"))
