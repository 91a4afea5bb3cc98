"""Asks Cedar: validated rules, compiled, and the answers to single requests.

What Cedar calls an answer with errors (it skips the rule that failed) is a failure here.
"""

import functools
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import cedarpy
import msgspec
from cedarpy import pst

from interlock.core.decision import BudgetDemand, BudgetKind
from interlock.services.policy.faults import engine_faults
from interlock.services.policy.listing import rules_for_listing
from interlock.services.policy.named_files import NamedFiles
from interlock.services.policy.resources import FIELD
from interlock.services.policy.reveal import Bearing, bearing
from interlock.services.policy.rules import Rule
from interlock.services.policy.schema import schema
from interlock.services.policy.tags import TagRules
from interlock.services.policy.tree import CLIENT, TIME, context_read

_KEPT_BUDGETS = 1024
_FAILED_RULE = re.compile(r"error while evaluating policy `([^`]*)`")


class Answer(msgspec.Struct, frozen=True):
    """Cedar's answer to one request.

    ``rules`` are the determining ones: satisfied permits when allowed, satisfied forbids when not. ``failed`` is None,
    or, when the answer cannot be trusted, the ids of the rules that could not be evaluated (none when it was not
    a rule that failed).
    """

    allowed: bool
    rules: tuple[str, ...]
    failed: tuple[str, ...] | None

    @classmethod
    def of(cls, result: cedarpy.AuthzResult) -> "Answer":
        errors = result.diagnostics.errors
        ids = sorted({match[1] for error in errors if (match := _FAILED_RULE.match(error))})
        sound = result.decision is not cedarpy.Decision.NoDecision and not errors
        return cls(result.allowed and sound, tuple(sorted(result.diagnostics.reasons)), None if sound else tuple(ids))


class Evaluator:
    """Compiled rules with the tag rules that belong to them. What it answers never changes."""

    def __init__(self, rules: Sequence[Rule], tags: TagRules, version: str) -> None:
        self.rules: Mapping[str, Rule] = {rule.id: rule for rule in rules}
        self.tags = tags
        self.version = version
        self._all = _policy_set(rules)
        self._permits = _policy_set([rule for rule in rules if rule.permits])
        self.on_reveal = tuple(rule for rule in rules if bearing(rule.policy) is Bearing.ASKED)
        self.on_tagged_columns = tuple(rule for rule in rules if bearing(rule.policy) is Bearing.BY_TAG)
        self.named_files = NamedFiles(rules, tags)
        self._on_reveal = _policy_set(self.on_reveal)
        named = (uid for rule in self.on_reveal for uid in pst.entity_uids(rule.policy))
        self._fields = {uid.id.partition("/") for uid in named if str(uid.type) == FIELD[-1]}
        read = frozenset[str]().union(*(context_read(rule.policy) for rule in rules))
        self.reads_time = bool(read & TIME)
        self.reads_client = bool(read & CLIENT)
        self._budgets: dict[tuple[BudgetDemand, ...], tuple[BudgetDemand, ...]] = {}
        self.denial_limits = _denial_limits(rules)
        """The times that denials have to be counted for, in seconds, 0 for a whole run, each with its least limit."""

    def fields_named(self, connection: str) -> frozenset[str]:
        """The fields of a connection that rules about ``reveal`` name; both as components of ids."""
        return frozenset(name for where, _, name in self._fields if where == connection)

    @functools.cached_property
    def for_listing(self) -> "Evaluator":
        """The same rules for whoever does not know what a tool will be given."""
        rules = tuple(self.rules.values())
        known = rules_for_listing(rules)
        return self if known == rules else Evaluator(known, self.tags, self.version)

    def without(self, rule_ids: Container[str]) -> "Evaluator":
        """The same rules less some, for asking what would be; not a version of the policy."""
        return Evaluator([rule for rule in self.rules.values() if rule.id not in rule_ids], self.tags, self.version)

    def ask(self, requests: list[dict[str, Any]], entities: cedarpy.Entities, *, permits_only: bool) -> list[Answer]:
        """The answers to requests, in order. Raises whatever the engine raises, panics as ``EngineFault``."""
        return _answers(requests, self._permits if permits_only else self._all, entities)

    def ask_reveal(self, requests: list[dict[str, Any]], entities: cedarpy.Entities) -> list[Answer]:
        """The same by the rules ``on_reveal`` alone: as there is no permit, an answer's rules are what forbids."""
        return _answers(requests, self._on_reveal, entities)

    def softened(self, answer: Answer) -> bool:
        """Whether it is denied, and every rule that denies it has a budget or asks for approval instead."""
        denied = not answer.allowed and answer.failed is None and bool(answer.rules)
        return denied and all(self.rules[rule].softens_operations for rule in answer.rules)

    def budgets(self, rule_ids: Iterable[str]) -> tuple[BudgetDemand, ...]:
        """The budgets of rules; equal ones are mostly one and the same tuple, so that verdicts share what counts."""
        return self.shared(tuple(demand for rule in rule_ids for demand in self.rules[rule].budgets))

    def shared(self, demands: tuple[BudgetDemand, ...]) -> tuple[BudgetDemand, ...]:
        """Equal budgets as mostly one and the same tuple."""
        if len(self._budgets) >= _KEPT_BUDGETS:
            self._budgets.clear()
        return self._budgets.setdefault(demands, demands)


def _answers(requests: list[dict[str, Any]], policies: cedarpy.PolicySet, entities: cedarpy.Entities) -> list[Answer]:
    with engine_faults():
        results = cedarpy.is_authorized_batch(requests, policies, entities, schema())
    if len(results) != len(requests):
        raise RuntimeError("an answer is missing")
    return [Answer.of(result) for result in results]


def _policy_set(rules: Sequence[Rule]) -> cedarpy.PolicySet:
    policies = {rule.id: rule.policy for rule in rules}
    return cedarpy.PolicySet.from_pst(pst.PolicySet(templates={}, static_policies=policies, template_links=()))


def _denial_limits(rules: Sequence[Rule]) -> tuple[tuple[float, int], ...]:
    limits: dict[float, int] = {}
    for demand in (demand for rule in rules for demand in rule.budgets):
        if demand.kind is BudgetKind.DENIALS:
            limits[demand.window_s] = min(demand.limit, limits.get(demand.window_s, demand.limit))
    return tuple(sorted(limits.items()))
