"""The engine against the reference model on random policies, and what must hold of every policy."""

import dataclasses
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.policy import reference
from tests.services.policy.examples import MONDAY_NOON_S, source
from tests.services.policy.reference import ModelRequest, ModelRule

from interlock.core.decision import Hold, Verdict
from interlock.core.denial import Denial
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy import PolicyEngine
from interlock.services.policy.budgets import Spent, when_spent
from interlock.services.policy.explain import outcome_of
from interlock.services.policy.session import Outcome

_KINDS = (ResourceKind.CONNECTION, ResourceKind.DATABASE, ResourceKind.SCHEMA, ResourceKind.TABLE)
_PATHS: list[tuple[str, ...]] = [
    ("pg",),
    ("pg", "app"),
    ("pg", "app", "public"),
    ("pg", "app", "private"),
    ("pg", "app", "public", "users"),
    ("pg", "app", "public", "orders"),
    ("pg", "app", "private", "users"),
]
_RESOURCES: list[tuple[str, ...] | str] = [(), *_PATHS, ("other",), *reference.TAGS]
_WORDS = sorted(set(reference.GROUPS_OF_ACTIONS) | {"read", "write", "destructive", "execute"})


def rules(effects: st.SearchStrategy[bool]) -> st.SearchStrategy[ModelRule]:
    plain = st.builds(
        ModelRule,
        permits=effects,
        kind=st.sampled_from([None, None, "Agent", "User"]),
        group=st.sampled_from([None, None, "a", "b"]),
        actions=st.frozensets(st.sampled_from(_WORDS), max_size=3),
        resource=st.sampled_from(_RESOURCES),
        condition=st.sampled_from([reference.ALWAYS, reference.ALWAYS, reference.EARLY, reference.FAILS_LATE]),
        approval=st.sampled_from([None, "dba", "legal"]),
        budget=st.booleans(),
    )
    return plain.map(lambda rule: bare(rule) if rule.permits else rule)


def bare(rule: ModelRule) -> ModelRule:
    """The rule without what softens it."""
    return dataclasses.replace(rule, approval=None, budget=False)


REQUESTS = st.lists(
    st.builds(
        ModelRequest,
        kind=st.sampled_from(["Agent", "User"]),
        groups=st.frozensets(st.sampled_from("abc")),
        accesses=st.lists(
            st.tuples(st.sampled_from(sorted(reference.GROUPS_OF_ACTIONS)), st.sampled_from(_PATHS)),
            min_size=1,
            max_size=3,
        ).map(tuple),
        hour=st.sampled_from([3, 15]),
    ),
    min_size=5,
    max_size=20,
)
POLICIES = st.lists(rules(st.booleans()), max_size=6)


def engine_of(policy: Sequence[ModelRule]) -> PolicyEngine:
    text = "".join(rule.cedar(f"r{number}") for number, rule in enumerate(policy))
    return PolicyEngine([source(text)], reference.TAG_PATTERNS)


def ask(engine: PolicyEngine, request: ModelRequest) -> Verdict:
    accesses = []
    for action, path in request.accesses:
        kind = _KINDS[len(path) - 1]
        accesses.append(Access(action, kind, path[2:]))
    principal = Principal(PrincipalKind(request.kind), "x", request.groups)
    now_s = MONDAY_NOON_S + (request.hour - 12) * 3600
    return engine.decide(principal, "pg", "app", Meaning("TEST", tuple(accesses)), now_s=now_s)


def outcomes(policy: Sequence[ModelRule], requests: Sequence[ModelRequest]) -> list[Outcome]:
    engine = engine_of(policy)
    return [outcome_of(ask(engine, request)) for request in requests]


@settings(max_examples=150, deadline=None)
@given(POLICIES, REQUESTS)
def test_engine_and_model_agree(policy: list[ModelRule], requests: list[ModelRequest]) -> None:
    engine = engine_of(policy)
    numbered = {f"r{number}": rule for number, rule in enumerate(policy)}
    for request in requests:
        verdict, expected = ask(engine, request), reference.decide(numbered, request)
        assert outcome_of(verdict) is expected.outcome
        assert frozenset(verdict.rules) == expected.rules
        demands = verdict.hold.demands if verdict.hold and not verdict.denial else ()
        assert {demand.group for demand in demands} == expected.approvals
        assert {demand.rule for demand in verdict.budgets} == expected.budgets


@settings(max_examples=100, deadline=None)
@given(POLICIES, REQUESTS, st.frozensets(st.sampled_from([f"r{number}" for number in range(6)])))
def test_engine_and_model_agree_on_spent_budgets(
    policy: list[ModelRule], requests: list[ModelRequest], spent: frozenset[str]
) -> None:
    """As enforcement finds out: from the verdict alone."""
    engine = engine_of(policy)
    numbered = {f"r{number}": rule for number, rule in enumerate(policy)}
    for request in requests:
        verdict, expected = ask(engine, request), reference.decide(numbered, request, spent)
        found = [Spent(place, 5) for place, demand in enumerate(verdict.budgets) if demand.rule in spent]
        decision = when_spent(verdict, found) if found else verdict.denial or verdict.hold
        if isinstance(decision, Denial):
            assert expected.outcome is Outcome.DENY
            assert frozenset(decision.rules) == expected.rules
        elif isinstance(decision, Hold):
            assert expected.outcome is Outcome.HOLD
            assert {demand.group for demand in decision.demands} == expected.approvals
            assert frozenset(decision.rules) == expected.rules
        else:
            assert expected.outcome is Outcome.ALLOW


@settings(max_examples=40, deadline=None)
@given(POLICIES, REQUESTS)
def test_without_its_annotations_a_policy_is_never_looser(
    policy: list[ModelRule], requests: list[ModelRequest]
) -> None:
    plain = list(map(bare, policy))
    for with_them, without in zip(outcomes(policy, requests), outcomes(plain, requests), strict=True):
        assert without >= with_them


@settings(max_examples=40, deadline=None)
@given(POLICIES, rules(st.just(False)), REQUESTS)
def test_another_forbid_never_loosens(policy: list[ModelRule], forbid: ModelRule, requests: list[ModelRequest]) -> None:
    for before, after in zip(outcomes(policy, requests), outcomes([*policy, forbid], requests), strict=True):
        assert after >= before


@settings(max_examples=40, deadline=None)
@given(st.lists(rules(st.just(False)), max_size=6), REQUESTS)
def test_without_a_permit_everything_is_denied(policy: list[ModelRule], requests: list[ModelRequest]) -> None:
    assert set(outcomes(policy, requests)) == {Outcome.DENY}
