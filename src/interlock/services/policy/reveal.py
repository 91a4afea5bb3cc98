"""How rules bear on ``reveal``: whether a value may be seen in an answer.

Reading implies revealing unless a forbid says otherwise; a permit says nothing here. ``reveal`` is asked of columns,
fields and detectors, once for as long as policy and catalogue stay as they are, so the answer must not hang on time or
statement.
"""

import enum
from collections.abc import Iterator

from cedarpy import pst

from interlock.core.masking import ColumnMask, MaskKind, Predicates
from interlock.services.policy.tree import OPERATION, TIME, context_read, types_named

REVEAL = pst.EntityUid(pst.EntityType("Action"), "reveal")
REVEALED = frozenset({"Column", "Field", "Detector"})
"""The entity types that ``reveal`` is asked of."""

_UNSTEADY = TIME | OPERATION
_BY_OPERATION = frozenset({"approval", "budget"})
"""Annotations that soften a rule for one operation and not for another."""


class Bearing(enum.Enum):
    """How a rule bears on ``reveal``."""

    NONE = "it is a permit, or its scope has other actions"
    ASKED = "it is asked for every column and detector"
    BY_TAG = "it is asked for every operation instead, and so forbids only what no operation is asked about"
    """A forbid that has no action in its scope and softens or changes from operation to operation. Tables are decided
    by it when they are read. A column that has a tag of the rule, where its table has not, is forbidden to be shown."""


def bearing(policy: pst.Template) -> Bearing:
    """How a rule without ``reveal_problems`` bears on ``reveal``."""
    if policy.effect == "permit" or not _has_reveal(policy.action):
        return Bearing.NONE
    each_operation = policy.annotations.keys() & _BY_OPERATION or context_read(policy) & _UNSTEADY
    return Bearing.BY_TAG if each_operation else Bearing.ASKED


def reveal_problems(policy: pst.Template) -> Iterator[str]:
    """What is wrong with what a rule says about ``reveal``, a sentence each."""
    if policy.effect == "permit":
        return
    if policy.action != pst.ActionEq(REVEAL):
        for name in sorted({"mask", "predicates"} & policy.annotations.keys()):
            yield f'@{name} may only stand on a forbid with action == Action::"reveal" in its scope'
    if REVEAL in pst.entity_uids(policy) or types_named(policy) & REVEALED:
        yield from _unsteady_problems(policy)
    if _names_reveal(policy.action) and _revealed_type(policy.resource) is False:
        yield (
            "reveal is asked of columns, fields and detectors only, so this resource scope never fits; "
            'write "resource in" for everything in a table'
        )


def _unsteady_problems(policy: pst.Template) -> Iterator[str]:
    for name in sorted(_BY_OPERATION & policy.annotations.keys()):
        yield (
            f"@{name} may not stand on a forbid about reveal, columns or fields: "
            "masks are settled before anything is asked"
        )
    if context_read(policy) & _UNSTEADY:
        yield (
            "a forbid about reveal, columns or fields may not read the time, the statement, the request or the whole "
            "context (context.now, hour, weekday, sql, http, graphql, mcp, model, ssh): masks stay for a whole session"
        )


def strictest_mask(rule_id: str) -> ColumnMask:
    """What a forbid without @mask does: nothing of the column may be shown or compared.

    Nothing that an annotation says is stricter, so that annotations soften.
    """
    return ColumnMask(MaskKind.FORBID, Predicates.DENY, (rule_id,))


def is_about_reveal_only(policy: pst.Template) -> bool:
    """Whether nothing but ``reveal`` can be asked within a rule's scope."""
    match policy.action:
        case pst.ActionEq(entity):
            named = {entity}
        case pst.ActionIn(entities):
            named = set(entities)
        case _:
            named = set()
    return named == {REVEAL} or _revealed_type(policy.resource) is True


def _has_reveal(scope: pst.ActionConstraint) -> bool:
    return isinstance(scope, pst.ScopeAny) or _names_reveal(scope)


def _names_reveal(scope: pst.ActionConstraint) -> bool:
    match scope:
        case pst.ActionEq(entity):
            return entity == REVEAL
        case pst.ActionIn(entities):
            return REVEAL in entities
        case _:
            return False


def _revealed_type(scope: pst.PrincipalOrResourceConstraint) -> bool | None:
    """Whether ``reveal`` is asked of the type that a resource scope is limited to; None without a limit."""
    match scope:
        case pst.ScopeEq(pst.EntityUid(kind, _)) | pst.ScopeIs(kind) | pst.ScopeIsIn(kind, _):
            return str(kind) in REVEALED
        case _:
            return None
