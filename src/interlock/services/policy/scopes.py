"""Whether the scope of a rule fits an entity, in plain Python.

Exact: a scope that does not fit is one that Cedar cannot find satisfied. Conditions are not looked at.
"""

from collections.abc import Container

from cedarpy import pst

from interlock.services.policy.resources import FIELD, LINEAGE_BY_TYPE, escape

_FIELD = pst.EntityType(FIELD[-1])

Uid = tuple[str, str]
"""The type and the id of a Cedar entity."""

Scope = pst.PrincipalOrResourceConstraint


def uid_of(entity: pst.EntityOrSlot) -> Uid:
    """Raises ``TypeError`` for a slot: templates are refused before anything asks."""
    if isinstance(entity, pst.Slot):
        raise TypeError("a template has no scope of its own")
    return str(entity.type), entity.id


def fits(scope: Scope, uid: Uid, within: Container[Uid]) -> bool:
    """Whether a scope is satisfied by an entity that is in these others; itself must be among them."""
    match scope:
        case pst.ScopeAny():
            return True
        case pst.ScopeEq(entity):
            return uid_of(entity) == uid
        case pst.ScopeIn(entity):
            return uid_of(entity) in within
        case pst.ScopeIs(kind):
            return str(kind) == uid[0]
        case pst.ScopeIsIn(kind, entity):
            return str(kind) == uid[0] and uid_of(entity) in within


def reaches(scope: Scope, connection: str, database: str) -> bool:
    """Whether a resource scope could fit a column of this database, or a detector, whatever the database contains."""
    match scope:
        case pst.ScopeEq(pst.EntityUid(named)) | pst.ScopeIs(named) | pst.ScopeIsIn(named, _) if (
            str(named) == FIELD[-1]
        ):
            return False
        case pst.ScopeEq(entity) | pst.ScopeIn(entity) | pst.ScopeIsIn(_, entity):
            kind, name = uid_of(entity)
            place = (escape(connection), escape(database))
            return kind not in LINEAGE_BY_TYPE or all(
                mine == theirs for mine, theirs in zip(place, name.split("/"), strict=False)
            )
        case _:
            return True
