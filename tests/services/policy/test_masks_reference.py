"""The masks of random policies against a plain model, and that no rule on reveal touches any other decision."""

import dataclasses
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.policy import reference
from tests.services.policy.catalogues import catalogue, relation
from tests.services.policy.examples import source
from tests.services.policy.reference import ModelRequest
from tests.services.policy.test_reference import POLICIES, REQUESTS, ask, engine_of

from interlock.core.catalogue import ColumnKey
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.masking import ColumnMask, MaskKind, Predicates
from interlock.services.policy import PolicyEngine
from interlock.services.policy.explain import outcome_of
from interlock.services.policy.session import Outcome

_TYPES = ("Connection", "Database", "Schema", "Table", "Column")
_TABLES = {
    1: ("pg", "app", "public", "users"),
    2: ("pg", "app", "public", "orders"),
    3: ("pg", "app", "private", "users"),
}
_COLUMNS = {(oid, name): (*table, name) for oid, table in _TABLES.items() for name in ("id", "email")}
_TAGS: dict[str, set[tuple[str, ...]]] = {
    **reference.TAGS,
    "mail": {("pg", "app", "public", "users", "email"), ("pg", "app", "private", "users", "email")},
}
_PATTERNS = {**reference.TAG_PATTERNS, "*.users.email": ["mail"]}
_CATALOGUE = catalogue(*(relation(oid, table[3], ["id", "email"], schema=table[2]) for oid, table in _TABLES.items()))
_RESOURCES: list[tuple[str, ...] | str] = [
    (),
    ("pg",),
    ("other",),
    ("pg", "app"),
    ("pg", "app", "private"),
    ("pg", "app", "public", "users"),
    ("pg", "app", "public", "users", "email"),
    ("pg", "app", "public", "orders", "id"),
    *_TAGS,
]


@dataclasses.dataclass(frozen=True)
class RevealRule:
    """A forbid on ``reveal``; ``mask`` is None or its kind and predicates, ``exempt`` a group."""

    kind: str | None
    group: str | None
    resource: tuple[str, ...] | str
    exempt: str | None
    mask: tuple[MaskKind, Predicates] | None

    def cedar(self, rule_id: str) -> str:
        principal = f"principal{f' is {self.kind}' if self.kind else ''}"
        principal += f' in Group::"{self.group}"' if self.group else ""
        if isinstance(self.resource, str):
            resource = f'resource in Tag::"{self.resource}"'
        elif self.resource:
            resource = f'resource in {_TYPES[len(self.resource) - 1]}::"{"/".join(self.resource)}"'
        else:
            resource = "resource"
        mask = f'@mask("{self.mask[0].word}") @predicates("{self.mask[1].word}") ' if self.mask else ""
        unless = f' unless {{ principal in Group::"{self.exempt}" }}' if self.exempt else ""
        return f'@id("{rule_id}") {mask}forbid ({principal}, action == Action::"reveal", {resource}){unless};\n'

    def hides(self, who: Principal, path: tuple[str, ...]) -> bool:
        above = {path[:depth] for depth in range(len(path) + 1)}
        resource = bool(_TAGS[self.resource] & above) if isinstance(self.resource, str) else self.resource in above
        principal = self.kind in (None, who.kind.value) and (self.group is None or self.group in who.groups)
        return principal and resource and self.exempt not in who.groups


def model(policy: Sequence[RevealRule], who: Principal) -> dict[ColumnKey, ColumnMask]:
    found: dict[ColumnKey, ColumnMask] = {}
    for key, path in _COLUMNS.items():
        hiding = {f"m{number}": rule.mask for number, rule in enumerate(policy) if rule.hides(who, path)}
        if hiding:
            masks = [mask or (MaskKind.FORBID, Predicates.DENY) for mask in hiding.values()]
            kind, predicates = max(kind for kind, _ in masks), max(predicates for _, predicates in masks)
            found[key] = ColumnMask(kind, predicates, tuple(sorted(hiding)))
    return found


RULES = st.builds(
    RevealRule,
    kind=st.sampled_from([None, None, "Agent", "User"]),
    group=st.sampled_from([None, None, "a", "b"]),
    resource=st.sampled_from(_RESOURCES),
    exempt=st.sampled_from([None, None, "c"]),
    mask=st.one_of(
        st.none(),
        st.tuples(
            st.sampled_from([kind for kind in MaskKind if kind is not MaskKind.FORBID]), st.sampled_from(Predicates)
        ),
    ),
)
REVEAL_POLICIES = st.lists(RULES, max_size=5)
PRINCIPALS = st.builds(Principal, st.sampled_from(PrincipalKind), st.just("x"), st.frozensets(st.sampled_from("abc")))


def text_of(policy: Sequence[RevealRule]) -> str:
    return "".join(rule.cedar(f"m{number}") for number, rule in enumerate(policy))


def found_by(policy: Sequence[RevealRule], who: Principal) -> dict[ColumnKey, ColumnMask]:
    made = PolicyEngine([source(text_of(policy))], _PATTERNS).for_session(who, "pg", "app").masking(_CATALOGUE)
    columns = made.columns if made else {}
    return {(oid, name): mask for oid, masks in columns.items() for name, mask in masks.items()}


@settings(max_examples=150, deadline=None)
@given(REVEAL_POLICIES, PRINCIPALS)
def test_engine_and_model_agree(policy: list[RevealRule], who: Principal) -> None:
    assert found_by(policy, who) == model(policy, who)


@settings(max_examples=60, deadline=None)
@given(REVEAL_POLICIES, PRINCIPALS)
def test_nothing_masked_where_nothing_could_be(policy: list[RevealRule], who: Principal) -> None:
    engine = PolicyEngine([source(text_of(policy))], _PATTERNS)
    if not engine.masks_anything("pg", "app", who):
        assert engine.for_session(who, "pg", "app").masking(_CATALOGUE) is None


@settings(max_examples=60, deadline=None)
@given(REVEAL_POLICIES, PRINCIPALS)
def test_without_its_annotations_a_policy_is_never_looser(policy: list[RevealRule], who: Principal) -> None:
    bare = found_by([dataclasses.replace(rule, mask=None) for rule in policy], who)
    for key, mask in found_by(policy, who).items():
        assert bare[key].kind >= mask.kind
        assert bare[key].predicates >= mask.predicates


@settings(max_examples=60, deadline=None)
@given(REVEAL_POLICIES, RULES, PRINCIPALS)
def test_another_forbid_never_loosens(policy: list[RevealRule], forbid: RevealRule, who: Principal) -> None:
    after = found_by([*policy, forbid], who)
    for key, mask in found_by(policy, who).items():
        assert after[key].stronger(mask) == after[key]


@settings(max_examples=60, deadline=None)
@given(POLICIES, REVEAL_POLICIES, REQUESTS)
def test_no_other_action_is_decided_otherwise(
    policy: list[reference.ModelRule], reveal: list[RevealRule], requests: list[ModelRequest]
) -> None:
    texts = "".join(rule.cedar(f"r{number}") for number, rule in enumerate(policy))
    with_masks = PolicyEngine([source(texts + text_of(reveal))], reference.TAG_PATTERNS)
    without = engine_of(policy)
    for request in requests:
        before, after = ask(without, request), ask(with_masks, request)
        assert outcome_of(after) is outcome_of(before)
        assert after.rules == before.rules


@settings(max_examples=60, deadline=None)
@given(POLICIES, REQUESTS)
def test_an_exemption_from_reveal_grants_nothing(
    policy: list[reference.ModelRule], requests: list[ModelRequest]
) -> None:
    """A policy of forbids alone denies everything, whatever is masked or permitted to be seen."""
    forbids = [rule for rule in policy if not rule.permits]
    texts = "".join(rule.cedar(f"r{number}") for number, rule in enumerate(forbids))
    reveal = (
        '@id("m") @mask("partial") @predicates("allow") forbid (principal, action == Action::"reveal", resource);\n'
    )
    reveal += '@id("p") permit (principal, action == Action::"reveal", resource);\n'
    engine = PolicyEngine([source(texts + reveal)], reference.TAG_PATTERNS)
    assert {outcome_of(ask(engine, request)) for request in requests} == {Outcome.DENY}
