"""The engine against the reference model on random policies, and what must hold of every policy."""

import dataclasses
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.policy import reference
from tests.services.policy.examples import MONDAY_NOON_S, source
from tests.services.policy.reference import ModelRequest, ModelRule

from interlock.core.decision import Hold, Verdict
from interlock.core.denial import Denial
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import NO_FACTS, Access, Meaning, ResourceKind
from interlock.services.policy import PolicyEngine
from interlock.services.policy.budgets import Spent, when_spent
from interlock.services.policy.explain import outcome_of
from interlock.services.policy.session import Outcome

_PATHS: list[tuple[str, ...]] = [
    ("pg",),
    ("pg", "app"),
    ("pg", "app", "public"),
    ("pg", "app", "private"),
    ("pg", "app", "public", "users"),
    ("pg", "app", "public", "orders"),
    ("pg", "app", "private", "users"),
]
_HTTP_PATHS: list[tuple[str, ...]] = [
    ("crm",),
    ("crm", "Endpoint::volumes"),
    ("crm", "Endpoint::users"),
    ("crm", "GraphqlField::Query.volumes"),
    ("crm", "Model::volumes"),
]
_GROUPS = {"read", "write", "destructive", "execute"}


def rules(
    effects: st.SearchStrategy[bool],
    actions: Iterable[str] = reference.GROUPS_OF_ACTIONS,
    paths: Sequence[tuple[str, ...]] = _PATHS,
    conditions: Sequence[str] = (),
) -> st.SearchStrategy[ModelRule]:
    resources: list[tuple[str, ...] | str] = [(), *paths, ("other",), *reference.TAGS]
    plain = st.builds(
        ModelRule,
        permits=effects,
        kind=st.sampled_from([None, None, "Agent", "User"]),
        group=st.sampled_from([None, None, "a", "b"]),
        actions=st.frozensets(st.sampled_from(sorted(_GROUPS | set(actions))), max_size=3),
        resource=st.sampled_from(resources),
        condition=st.sampled_from(
            [reference.ALWAYS, reference.ALWAYS, reference.EARLY, reference.FAILS_LATE, *conditions]
        ),
        approval=st.sampled_from([None, "dba", "legal"]),
        budget=st.booleans(),
    )
    return plain.filter(ModelRule.is_possible).map(lambda rule: bare(rule) if rule.permits else rule)


def http_rules(effects: st.SearchStrategy[bool]) -> st.SearchStrategy[ModelRule]:
    return rules(effects, reference.HTTP_ACTIONS, _HTTP_PATHS, [reference.USERS_ONLY, reference.USERS_ONLY])


def bare(rule: ModelRule) -> ModelRule:
    """The rule without what softens it."""
    return dataclasses.replace(rule, approval=None, budget=False)


def requests(
    actions: Iterable[str], paths: Sequence[tuple[str, ...]], request_paths: Sequence[str]
) -> st.SearchStrategy[list[ModelRequest]]:
    accesses = [(action, path) for action in sorted(actions) for path in paths if reference.is_asked(action, path)]
    return st.lists(
        st.builds(
            ModelRequest,
            kind=st.sampled_from(["Agent", "User"]),
            groups=st.frozensets(st.sampled_from("abc")),
            accesses=st.lists(st.sampled_from(accesses), min_size=1, max_size=3).map(tuple),
            hour=st.sampled_from([3, 15]),
            path=st.sampled_from(request_paths),
        ),
        min_size=5,
        max_size=20,
    )


REQUESTS = requests(reference.GROUPS_OF_ACTIONS, _PATHS, [""])
POLICIES = st.lists(rules(st.booleans()), max_size=6)
HTTP_REQUESTS = requests(reference.HTTP_ACTIONS, _HTTP_PATHS, ["/users/7", "/volumes/7"])
HTTP_POLICIES = st.lists(http_rules(st.booleans()), max_size=6)
BOTH = st.one_of(st.tuples(POLICIES, REQUESTS), st.tuples(HTTP_POLICIES, HTTP_REQUESTS))
"""A policy with requests, to a database or over HTTP."""
Both = tuple[list[ModelRule], list[ModelRequest]]


def engine_of(policy: Sequence[ModelRule]) -> PolicyEngine:
    text = "".join(rule.cedar(f"r{number}") for number, rule in enumerate(policy))
    return PolicyEngine([source(text)], reference.TAG_PATTERNS)


def ask(engine: PolicyEngine, request: ModelRequest, acting: tuple[Principal, ...] = ()) -> Verdict:
    accesses = []
    for action, path in request.accesses:
        kind = ResourceKind(reference.type_of(path))
        accesses.append(Access(action, kind, tuple(map(reference.name_of, path[1 if request.path else 2 :]))))
    principal = Principal(PrincipalKind(request.kind), "x", request.groups, acting=acting)
    now_s = MONDAY_NOON_S + (request.hour - 12) * 3600
    where = ("crm", "") if request.path else ("pg", "app")
    facts = {"http": {"path": request.path}} if request.path else NO_FACTS
    return engine.decide(principal, *where, Meaning("TEST", tuple(accesses), facts), now_s=now_s)


def outcomes(policy: Sequence[ModelRule], requests: Sequence[ModelRequest]) -> list[Outcome]:
    engine = engine_of(policy)
    return [outcome_of(ask(engine, request)) for request in requests]


@settings(max_examples=150, deadline=None)
@given(BOTH)
def test_engine_and_model_agree(both: Both) -> None:
    policy, requests = both
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
@given(BOTH, st.frozensets(st.sampled_from([f"r{number}" for number in range(6)])))
def test_engine_and_model_agree_on_spent_budgets(both: Both, spent: frozenset[str]) -> None:
    """As enforcement finds out: from the verdict alone."""
    policy, requests = both
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


@settings(max_examples=80, deadline=None)
@given(BOTH)
def test_without_its_annotations_a_policy_is_never_looser(both: Both) -> None:
    policy, requests = both
    plain = list(map(bare, policy))
    for with_them, without in zip(outcomes(policy, requests), outcomes(plain, requests), strict=True):
        assert without >= with_them


@settings(max_examples=40, deadline=None)
@given(BOTH, st.one_of(rules(st.just(False)), http_rules(st.just(False))))
def test_another_forbid_never_loosens(both: Both, forbid: ModelRule) -> None:
    policy, requests = both
    for before, after in zip(outcomes(policy, requests), outcomes([*policy, forbid], requests), strict=True):
        assert after >= before


@settings(max_examples=40, deadline=None)
@given(BOTH)
def test_without_a_permit_everything_is_denied(both: Both) -> None:
    policy, requests = both
    assert set(outcomes([rule for rule in policy if not rule.permits], requests)) == {Outcome.DENY}
