"""Explanations say what decided and what would change it."""

from tests.services.policy.examples import BASIC, MONDAY_NOON_S, agent, engine, meaning, table

from interlock.core.identity import Principal
from interlock.core.operation import Meaning
from interlock.services.policy import ClientFacts
from interlock.services.policy.explain import Explanation, Question, explain
from interlock.services.policy.session import Outcome

POLICY = engine(BASIC + '@id("legal") @approval("legal") forbid (principal, action == Action::"merge", resource);')


def ask(asked: Meaning, principal: Principal) -> Explanation:
    return explain(POLICY, Question(principal, "pg", "app", asked, ClientFacts(), MONDAY_NOON_S))


def test_allowed() -> None:
    found = ask(meaning("select"), agent("ci-bots"))
    assert found.outcome is Outcome.ALLOW
    assert [(finding.line, finding.rules) for finding in found.findings] == [
        ("select on table pg/app/public/users", ("ci-reads",))
    ]
    assert found.changes == ()


def test_held() -> None:
    found = ask(meaning("select", "insert"), agent("ci-bots"))
    assert [finding.outcome for finding in found.findings] == [Outcome.ALLOW, Outcome.HOLD]
    assert found.changes == (
        'without rule "writes-need-a-dba": allowed',
        "no group that the policy names would make a difference",
    )


def test_held_by_two() -> None:
    assert ask(meaning("merge"), agent("ci-bots")).changes[:3] == (
        'without rule "legal": still held for approval',
        'without rule "writes-need-a-dba": still held for approval',
        "without all of these rules: allowed",
    )


def test_forbidden() -> None:
    found = ask(meaning("drop"), agent("ci-bots"))
    assert found.outcome is Outcome.DENY
    assert found.changes[0] == 'without rule "never-drop": still denied'


def test_a_group_would_help() -> None:
    assert ask(meaning("select"), agent()).changes == ("as a member of group ci-bots: allowed",)
    assert ask(meaning("insert"), agent()).changes == ("as a member of group ci-bots: held for approval",)


def test_unresolved_and_refused() -> None:
    assert ask(meaning(table("select", "users", "")), agent("ci-bots")).outcome is Outcome.DENY
    refused = ask(meaning("select", refusal="Too long."), agent("ci-bots"))
    assert (refused.outcome, refused.findings, refused.changes) == (Outcome.DENY, (), ())
