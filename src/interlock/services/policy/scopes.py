"""Whether the scope of a rule fits an entity, in plain Python.

Exact: a scope that does not fit is one that Cedar cannot find satisfied. Conditions are not looked at.
"""

from collections.abc import Container

from cedarpy import pst

from interlock.core.identity import Principal
from interlock.services.policy.resources import FIELD, LINEAGE_BY_TYPE, Resource, escape
from interlock.services.policy.schema import action_groups, members

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


def fits_principal(scope: Scope, who: Principal) -> bool:
    """Whether a principal scope is satisfied by somebody."""
    uid = (who.kind.value, who.name)
    return fits(scope, uid, {uid, *(("Group", group) for group in who.groups)})


def may_fit(scope: Scope, resource: Resource) -> bool:
    """Whether a resource scope could be satisfied by a resource, whatever tags it has. Never wrongly False."""
    match scope:
        case pst.ScopeAny():
            return True
        case pst.ScopeEq(entity):
            return uid_of(entity) == (resource.type, resource.id)
        case pst.ScopeIs(kind):
            return str(kind) == resource.type
        case pst.ScopeIn(entity):
            return _may_hold(uid_of(entity), resource)
        case pst.ScopeIsIn(kind, entity):
            return str(kind) == resource.type and _may_hold(uid_of(entity), resource)


def _may_hold(outer: Uid, resource: Resource) -> bool:
    """Whether a resource is in an entity, or may be because that is a tag."""
    node: Resource | None = resource
    while node is not None and outer != (node.type, node.id):
        node = node.parent
    return node is not None or outer[0] not in LINEAGE_BY_TYPE


def actions_of(scope: pst.ActionConstraint) -> frozenset[str]:
    """All actions, and groups of them, that an action scope is satisfied by."""
    match scope:
        case pst.ActionEq(entity):
            return frozenset({entity.id})
        case pst.ActionIn(entities):
            return frozenset[str]().union(*(members(entity.id) for entity in entities))
        case _:
            return frozenset(action_groups())


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
