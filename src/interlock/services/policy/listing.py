"""What rules say about tools of which nobody knows yet what they will be given.

A list of tools shows those that may be called with *some* arguments. So what a rule demands of arguments is taken as
met by a permit, and as not met by a forbid. That opens nothing: a call is decided by the rules as they are.
"""

import dataclasses
from collections.abc import Sequence

from cedarpy import pst

from interlock.services.policy.rules import Rule
from interlock.services.policy.tree import walk

_ARGUMENTS = "arguments"
_CONTEXT = pst.Var("context")


def rules_for_listing(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules without what they demand of arguments, and without the forbids that demand anything of them."""
    return tuple(known for rule in rules if (known := _known(rule)) is not None)


def _known(rule: Rule) -> Rule | None:
    clauses = tuple(clause for clause in rule.policy.clauses if not _reads_arguments(clause))
    if clauses == rule.policy.clauses:
        return rule
    return dataclasses.replace(rule, policy=dataclasses.replace(rule.policy, clauses=clauses)) if rule.permits else None


def _reads_arguments(clause: object) -> bool:
    """Whether a clause may look at arguments: by name, or at ``context`` or ``context.mcp`` as a whole."""
    nodes = list(walk(clause))
    contexts = sum(node == _CONTEXT for node in nodes)
    read = [node for node in nodes if isinstance(node, pst.GetAttr | pst.HasAttr) and node.base == _CONTEXT]
    parts = sum(isinstance(node, pst.GetAttr) and _is_mcp(node) for node in nodes)
    of_parts = [node for node in nodes if isinstance(node, pst.GetAttr | pst.HasAttr) and _is_mcp(node.base)]
    names = [node.attr if isinstance(node, pst.GetAttr) else node.attrs[-1] for node in (*read, *of_parts)]
    return _ARGUMENTS in names or contexts != len(read) or parts != len(of_parts)


def _is_mcp(node: object) -> bool:
    return isinstance(node, pst.GetAttr) and node.base == _CONTEXT and node.attr == "mcp"
