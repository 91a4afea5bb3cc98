"""Reading the tree of a Cedar policy: its nodes, and what of the context it looks at.

Knows Cedar's syntax only, and not what a rule means to the gateway.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

from cedarpy import pst

from interlock.core.operation import PARTS

TIME = frozenset({"now", "hour", "weekday"})
OPERATION = PARTS | {"sql"}
CLIENT = frozenset({"client", "trace"})
"""Attributes of the context, by what they depend on."""

WHOLE = "*"
"""In the place of an attribute: all of them."""

_CONTEXT = pst.Var("context")


def walk(node: object) -> Iterator[object]:
    """Every node of a policy's tree, itself included."""
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif dataclasses.is_dataclass(item):
            yield item
            stack.extend(getattr(item, field.name) for field in dataclasses.fields(item))


def context_read(policy: pst.Template) -> frozenset[str]:
    """Which attributes of the context a rule may read; all of them when it reads the context as a whole."""
    uses = sum(node == _CONTEXT for node in walk(policy))
    attributes = [
        node.attr if isinstance(node, pst.GetAttr) else node.attrs[0]
        for node in walk(policy)
        if isinstance(node, pst.GetAttr | pst.HasAttr) and node.base == _CONTEXT
    ]
    return frozenset(attributes) if len(attributes) == uses else TIME | OPERATION | CLIENT


def facts_read(policy: pst.Template) -> frozenset[tuple[str, str]]:
    """What a rule may read of an operation, as parts of the context with an attribute, or with ``WHOLE``."""
    parts = context_read(policy) & OPERATION
    nodes = list(walk(policy))
    uses = Counter(node.attr for node in nodes if isinstance(node, pst.GetAttr) and node.base == _CONTEXT)
    within = [
        (node.base.attr, node.attr if isinstance(node, pst.GetAttr) else node.attrs[0])
        for node in nodes
        if isinstance(node, pst.GetAttr | pst.HasAttr)
        and isinstance(node.base, pst.GetAttr)
        and node.base.base == _CONTEXT
    ]
    counted = Counter(part for part, _ in within)
    whole = {(part, WHOLE) for part in parts if uses[part] != counted[part] or _reads_whole_context(nodes)}
    return frozenset(whole | {(part, name) for part, name in within if part in parts})


def _reads_whole_context(nodes: Sequence[object]) -> bool:
    named = sum(isinstance(node, pst.GetAttr | pst.HasAttr) and node.base == _CONTEXT for node in nodes)
    return named != sum(node == _CONTEXT for node in nodes)


def types_named(policy: pst.Template) -> frozenset[str]:
    """The entity types that a rule names, by themselves (``resource is Column``) or in an id."""
    return frozenset(str(node) for node in walk(policy) if isinstance(node, pst.EntityType))


def tags_named(policy: pst.Template) -> frozenset[str]:
    """The tags that a rule names, in its scope or its conditions."""
    return frozenset(uid.id for uid in pst.entity_uids(policy) if str(uid.type) == "Tag")


def reads_action(policy: pst.Template) -> bool:
    """Whether a condition of the rule tells actions apart."""
    return any(node == pst.Var("action") for node in walk(policy.clauses))


def reads_resource(policy: pst.Template) -> bool:
    """Whether a condition of the rule tells resources apart."""
    return any(node == pst.Var("resource") for node in walk(policy.clauses))
