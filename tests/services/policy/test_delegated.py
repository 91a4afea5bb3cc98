"""Where somebody acts for a principal, both have to be allowed: decisions, demands, budgets, masks, lists of tools."""

import msgspec
import pytest
from hypothesis import given, settings
from tests.services.policy import reference
from tests.services.policy.catalogues import SHOP
from tests.services.policy.examples import agent, engine, meaning, table, user
from tests.services.policy.reference import ModelRequest, ModelRule
from tests.services.policy.test_masks_reference import (
    PRINCIPALS,
    REVEAL_POLICIES,
    RevealRule,
    found_by,
    model,
)
from tests.services.policy.test_reference import POLICIES, REQUESTS, ask, engine_of

from interlock.core.decision import Verdict
from interlock.core.denial import DenialReason
from interlock.core.errors import MaskingUnavailable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.masking import ColumnMask, DetectorMask, MaskKind, Predicates
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy.delegated import DelegatedPolicy
from interlock.services.policy.explain import outcome_of
from interlock.services.policy.masks import RuleMasks
from interlock.services.policy.session import Outcome, SessionPolicy

CRM = msgspec.structs.replace(agent("crm-agents", name="ci:acme/crm", owner="lee"), issuer="https://ci.example")
ADA = user("sales", name="ada", acting=(CRM,))
BOTH_READ = """
@id("sales-read") permit (principal in Group::"sales", action in Action::"read", resource);
@id("agents-read") permit (principal in Group::"crm-agents", action in Action::"read", resource);
"""


def decide(text: str, *actions: str, who: Principal = ADA) -> Verdict:
    return engine(text).decide(who, "pg", "app", meaning(*(actions or ("select",))))


def rule(rule_id: str, scope: str, rest: str = "", annotations: str = "", effect: str = "permit") -> str:
    return f'@id("{rule_id}") {annotations} {effect} ({scope}) {rest};\n'


ALL = rule("all", "principal, action, resource")


class TestDecisions:
    def test_what_both_may_is_allowed_by_the_rules_of_both(self) -> None:
        verdict = decide(BOTH_READ)
        assert outcome_of(verdict) is Outcome.ALLOW
        assert verdict.rules == ("agents-read", "sales-read")

    @pytest.mark.parametrize(
        ("allowed", "sentence"),
        [
            ("sales", "Agent ci:acme/crm, who acts for User ada, is not allowed to."),
            ("crm-agents", "User ada is not allowed to with Agent ci:acme/crm acting."),
        ],
    )
    def test_what_one_of_them_may_not_is_denied(self, allowed: str, sentence: str) -> None:
        verdict = decide(rule("one", f'principal in Group::"{allowed}", action, resource'))
        assert verdict.denial is not None
        assert verdict.denial.reason is DenialReason.NO_PERMIT
        assert verdict.denial.message.endswith(sentence)

    def test_the_denial_names_the_rules_against_either(self) -> None:
        no_users = rule("no-users", 'principal is User, action == Action::"select", resource', effect="forbid")
        no_agents = rule("no-agents", 'principal is Agent, action == Action::"select", resource', effect="forbid")
        verdict = decide(ALL + no_users + no_agents)
        assert verdict.rules == ("no-agents", "no-users")

    def test_demands_of_both_have_to_be_met(self) -> None:
        users = rule("u", "principal is User, action, resource", annotations='@approval("dba")', effect="forbid")
        agents = rule("a", "principal is Agent, action, resource", annotations='@approval("legal")', effect="forbid")
        verdict = decide(ALL + users + agents)
        assert verdict.hold is not None
        assert [demand.group for demand in verdict.hold.demands] == ["dba", "legal"]
        assert verdict.hold.rules == ("a", "all", "u")

    def test_one_rule_about_both_asks_once(self) -> None:
        verdict = decide(ALL + rule("ask", "principal, action, resource", "", '@approval("dba")', "forbid"))
        assert verdict.hold is not None
        assert len(verdict.hold.demands) == 1

    def test_a_budget_of_each_counts_for_each(self) -> None:
        verdict = decide(ALL + rule("rows", "principal, action, resource", "", '@budget("rows=5 per 1h")', "forbid"))
        assert [(demand.rule, demand.party) for demand in verdict.budgets] == [("rows", 0), ("rows", 1)]
        assert len(verdict.budgeted) == 2

    def test_verdicts_share_what_counts(self) -> None:
        text = ALL + rule("rows", "principal, action, resource", "", '@budget("rows=5 per 1h")', "forbid")
        policy = engine(text).for_session(ADA, "pg", "app")
        asked = meaning("select")
        assert policy.decide(asked, 0) is policy.decide(asked, 1)
        assert policy.decide(asked, 0).budgets is policy.decide(meaning("insert"), 0).budgets

    def test_without_anybody_acting_nothing_is_different(self) -> None:
        alone = engine(BOTH_READ).for_session(user("sales"), "pg", "app")
        assert isinstance(alone, SessionPolicy)

    def test_sessions_share_it_as_long_as_both_are_the_same(self) -> None:
        policy = engine(BOTH_READ)
        others = user("sales", name="ada", acting=(msgspec.structs.replace(CRM, groups=frozenset()),))
        shared = policy.for_session(ADA, "pg", "app")
        assert isinstance(shared, DelegatedPolicy)
        assert policy.for_session(ADA, "pg", "app") is shared
        assert policy.for_session(others, "pg", "app") is not shared

    def test_findings_are_the_stricter_of_both(self) -> None:
        agents = rule("a", 'principal is Agent, action == Action::"insert", resource', "", '@approval("dba")', "forbid")
        users = rule("u", 'principal is User, action == Action::"delete", resource', effect="forbid")
        policy = engine(ALL + agents + users).for_session(ADA, "pg", "app")
        found = policy.examine(meaning("select", "insert", "delete"), 0)
        assert [one.outcome for one in found] == [Outcome.ALLOW, Outcome.HOLD, Outcome.DENY]
        assert [one.rules for one in found] == [("all",), ("a", "all"), ("u",)]
        assert [bool(one.denial) for one in found] == [False, False, True]

    def test_tools_are_listed_that_both_may_call(self) -> None:
        users = rule("u", 'principal is User, action, resource == Tool::"crm/delete"', effect="forbid")
        agents = rule("a", 'principal is Agent, action, resource == Tool::"crm/export"', effect="forbid")
        policy = engine(ALL + users + agents).for_session(ADA, "crm", "")
        tools = tuple(
            Meaning(name, (Access("mcp-call", ResourceKind.TOOL, (name,)),)) for name in ("lookup", "delete", "export")
        )
        assert policy.outcomes(tools, 0) == (Outcome.ALLOW, Outcome.DENY, Outcome.DENY)


class TestContext:
    def test_a_rule_about_who_acts(self) -> None:
        named = 'context has actor && context.actor.name == "ci:acme/crm" && context.actor.kind == "Agent"'
        text = BOTH_READ + rule("not-crm", "principal, action, resource", f"when {{ {named} }}", effect="forbid")
        verdict = decide(text)
        assert verdict.rules == ("not-crm",)
        other = user("sales", name="ada", acting=(agent("crm-agents", name="ci:acme/web"),))
        assert outcome_of(decide(text, who=other)) is Outcome.ALLOW
        assert outcome_of(decide(text, who=user("sales", name="ada"))) is Outcome.ALLOW

    @pytest.mark.parametrize(
        "said",
        ['owner == "lee"', 'groups.contains("crm-agents")', 'issuer == "https://ci.example"'],
    )
    def test_what_is_known_of_who_acts(self, said: str) -> None:
        has = (
            "context has actor && context.actor has owner && " if said.startswith("owner") else "context has actor && "
        )
        forbid = rule("it", "principal, action, resource", f"when {{ {has}context.actor.{said} }}", effect="forbid")
        assert decide(BOTH_READ + forbid).rules == ("it",)

    def test_a_rule_about_whom_an_agent_acts_for(self) -> None:
        sales_only = 'context has on_behalf_of && context.on_behalf_of.groups.contains("sales")'
        text = rule("users", "principal is User, action, resource") + rule(
            "agents-for-sales", "principal is Agent, action, resource", f"when {{ {sales_only} }}"
        )
        assert outcome_of(decide(text)) is Outcome.ALLOW
        assert outcome_of(decide(text, who=user("finance", name="ada", acting=(CRM,)))) is Outcome.DENY
        assert outcome_of(decide(text, who=CRM)) is Outcome.DENY


MAIL = 'action == Action::"reveal", resource == Column::"pg/app/public/users/email"'
HIDE = rule("agents-see-no-mail", f"principal is Agent, {MAIL}", "", '@mask("redact")', "forbid")
BLUR = rule("mail", f"principal, {MAIL}", "", '@mask("partial") @predicates("deny")', "forbid")


class TestMasks:
    def test_columns_that_either_may_not_see_by_the_stronger_mask(self) -> None:
        made = engine(ALL + HIDE + BLUR).for_session(ADA, "pg", "app").masking(SHOP)
        assert made is not None
        mask = ColumnMask(MaskKind.REDACT, Predicates.DENY, ("agents-see-no-mail", "mail"))
        assert made.columns[1] == {"email": mask}

    def test_a_catalogue_is_needed_when_either_is_masked(self) -> None:
        policy = engine(ALL + HIDE)
        assert policy.masks_anything("pg", "app", ADA)
        assert not policy.masks_anything("pg", "app", user("sales", name="ada"))

    def test_detectors_and_fields_of_either(self) -> None:
        reveal = 'action == Action::"reveal", resource'
        cards = rule("cards", f'principal is User, {reveal} == Detector::"credit-card"', effect="forbid")
        mail = rule("mail", f'principal is Agent, {reveal} == Field::"crm/email"', effect="forbid")
        made = engine(ALL + cards + mail).for_session(ADA, "crm", "").body_masking()
        assert made is not None
        assert made.detectors == {"credit-card": DetectorMask(True, ("cards",))}
        assert set(made.fields) == {"email"}

    def test_what_cannot_be_told_of_who_acts_shows_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        policy = engine(ALL + HIDE).for_session(ADA, "pg", "app")
        asked = RuleMasks.on_columns

        def broken(masks: RuleMasks, catalogue: object) -> object:
            if masks._viewpoint.principal.kind is PrincipalKind.AGENT:
                raise RuntimeError("broken on purpose")
            return asked(masks, catalogue)  # type: ignore[arg-type]

        monkeypatch.setattr(RuleMasks, "on_columns", broken)
        with pytest.raises(MaskingUnavailable):
            policy.masking(SHOP)


def test_whatever_breaks_is_a_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ALL + rule("rows", "principal, action, resource", "", '@budget("rows=5 per 1h")', "forbid")
    policy = engine(text).for_session(ADA, "pg", "app")

    def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("interlock.services.policy.evaluator.Evaluator.shared", broken)
    denial = policy.decide(meaning("select"), 0).denial
    assert denial is not None
    assert denial.reason is DenialReason.POLICY_ERROR


@pytest.mark.parametrize("broken_one", [0, 1])
def test_whatever_breaks_for_one_of_them_is_a_denial(monkeypatch: pytest.MonkeyPatch, broken_one: int) -> None:
    policy = engine(ALL).for_session(ADA, "pg", "app")
    asked = SessionPolicy.examine
    turn = iter(range(10))

    def broken(session: SessionPolicy, asked_meaning: Meaning, now_s: float) -> object:
        if next(turn) == broken_one:
            raise RuntimeError("broken on purpose")
        return asked(session, asked_meaning, now_s)

    monkeypatch.setattr(SessionPolicy, "examine", broken)
    assert policy.decide(meaning(table("select")), 0).denial is not None


@settings(max_examples=150, deadline=None)
@given(POLICIES, REQUESTS, REQUESTS)
def test_it_is_the_stricter_of_what_each_alone_is_told(
    policy: list[ModelRule], requests: list[ModelRequest], actors: list[ModelRequest]
) -> None:
    made = engine_of(policy)
    numbered = {f"r{number}": one for number, one in enumerate(policy)}
    for request, actor in zip(requests, actors, strict=False):
        acting = msgspec.structs.replace(_principal(actor), name="actor")
        verdict = ask(made, request, acting=(acting,))
        own = reference.decide(numbered, request)
        actors_own = reference.decide(numbered, ModelRequest(actor.kind, actor.groups, request.accesses, request.hour))
        outcome = max(own.outcome, actors_own.outcome)
        counting = [one for one in (own, actors_own) if outcome is not Outcome.DENY or one.outcome is outcome]
        assert outcome_of(verdict) is outcome
        assert frozenset(verdict.rules) == frozenset[str]().union(*(one.rules for one in counting))
        demands = verdict.hold.demands if verdict.hold and not verdict.denial else ()
        assert {demand.group for demand in demands} == set[str]().union(*(one.approvals for one in counting))
        for party, one in enumerate((own, actors_own)):
            budgets = {demand.rule for demand in verdict.budgets if demand.party == party}
            assert budgets == (one.budgets if outcome is not Outcome.DENY else set())


@settings(max_examples=40, deadline=None)
@given(POLICIES, REQUESTS, REQUESTS, REQUESTS)
def test_whoever_acted_before_has_to_be_allowed_as_well(
    policy: list[ModelRule],
    requests: list[ModelRequest],
    actors: list[ModelRequest],
    earlier: list[ModelRequest],
) -> None:
    made = engine_of(policy)
    numbered = {f"r{number}": one for number, one in enumerate(policy)}
    for request, actor, before in zip(requests, actors, earlier, strict=False):
        acting = tuple(
            msgspec.structs.replace(_principal(one), name=name) for one, name in ((actor, "now"), (before, "before"))
        )
        alone = [
            reference.decide(numbered, ModelRequest(one.kind, one.groups, request.accesses, request.hour))
            for one in (request, actor, before)
        ]
        verdict = ask(made, request, acting=acting)
        assert outcome_of(verdict) is max(one.outcome for one in alone)
        for party, one in enumerate(alone):
            budgets = {demand.rule for demand in verdict.budgets if demand.party == party}
            assert budgets == (one.budgets if outcome_of(verdict) is not Outcome.DENY else set())


def test_a_token_that_is_handed_on_allows_no_more() -> None:
    text = ALL + rule("no", 'principal == Agent::"ci:acme/crm", action == Action::"select", resource', effect="forbid")
    helper = agent("crm-agents", name="helper")
    handed_on = msgspec.structs.replace(ADA, acting=(helper, CRM))
    assert decide(text, who=msgspec.structs.replace(ADA, acting=(helper,))).denial is None
    assert decide(text, who=handed_on).denial is not None


def _principal(request: ModelRequest) -> Principal:
    return Principal(PrincipalKind(request.kind), "x", request.groups)


@settings(max_examples=100, deadline=None)
@given(REVEAL_POLICIES, PRINCIPALS, PRINCIPALS)
def test_masks_are_those_of_both(policy: list[RevealRule], who: Principal, actor: Principal) -> None:
    found = found_by(policy, msgspec.structs.replace(who, acting=(actor,)))
    expected = model(policy, who)
    for key, mask in model(policy, actor).items():
        expected[key] = expected[key].stronger(mask) if key in expected else mask
    assert found == expected
