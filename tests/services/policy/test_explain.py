"""Explanations say what decided and what would change it."""

from tests.services.policy.examples import BASIC, MONDAY_NOON_S, agent, engine, meaning, table, user

from interlock.core.identity import Principal
from interlock.core.operation import Access, Meaning, ResourceKind
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


def test_within_budgets() -> None:
    policy = engine(
        BASIC
        + '@id("rows") @budget("rows=10 per 1h, bytes=99 per run") '
        + 'forbid (principal, action in Action::"read", resource);'
        + '@id("asks") @budget("statements=2 per 1d") @approval("dba") forbid (principal, action, resource);'
    )
    question = Question(agent("ci-bots"), "pg", "app", meaning("select"), ClientFacts(), MONDAY_NOON_S)
    found = explain(policy, question)
    assert found.outcome is Outcome.ALLOW
    assert found.findings[0].rules == ("asks", "ci-reads", "rows")
    assert found.budgets == (
        '2 statements per 1d (rule "asks"), beyond that held for group dba',
        '10 rows per 1h (rule "rows"), beyond that denied',
        '99 bytes per run (rule "rows"), beyond that denied',
    )
    assert found.changes == ()


MASKED = """
@id("p") permit (principal, action, resource);
@id("pii") @mask("partial")
forbid (principal, action == Action::"reveal", resource in Tag::"pii") unless { principal in Group::"support" };
@id("secret") forbid (principal, action == Action::"reveal", resource == Column::"pg/app/public/users/password");
"""
PII = {"*.users.email": ["pii"], "public.orders": ["pii"]}


def masks_of(*accesses: Access, policy: str = MASKED, who: Principal | None = None) -> tuple[str, ...]:
    question = Question(who or agent("ci-bots"), "pg", "app", meaning(*accesses), ClientFacts(), MONDAY_NOON_S)
    return explain(engine(policy, PII), question).masked


def reading(table: str, *columns: str, action: str = "select", schema: str = "public") -> Access:
    return Access(action, ResourceKind.TABLE, (schema, table), columns)


class TestMasked:
    def test_columns_that_are_read_by_name(self) -> None:
        assert masks_of(reading("users", "email", "id", "password"), reading("orders", "total")) == (
            'public.orders.total: partial, predicates equality (rule "pii")',
            'public.users.email: partial, predicates equality (rule "pii")',
            'public.users.password: forbid, predicates deny (rule "secret")',
        )
        assert len(masks_of(reading("users", "email", action="copy-out"), reading("users", "password"))) == 2

    def test_a_star_stands_for_what_is_not_known_here(self) -> None:
        star = "public.users: which columns * stands for is known with the database only"
        email = 'public.users.email: partial, predicates equality (rule "pii")'
        assert masks_of(reading("users", "*", "email")) == (email, star)
        assert masks_of(reading("users", "*"), policy='@id("p") permit (principal, action, resource);') == ()

    def test_what_shows_nothing(self) -> None:
        assert masks_of(reading("users", "email", action="insert")) == ()
        assert masks_of(reading("users", "email", schema="")) == ()
        assert masks_of(reading("users")) == ()
        assert masks_of() == ()

    def test_who_is_exempt(self) -> None:
        assert masks_of(reading("users", "email"), who=agent("support")) == ()

    def test_rules_that_fail(self) -> None:
        overflow = 'when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false }'
        text = f'@id("o") forbid (principal, action == Action::"reveal", resource) {overflow};'
        (line,) = masks_of(reading("users", "email"), policy=text)
        assert line == 'the rules about reveal could not be evaluated (rule "o" failed); the session would be refused'


def test_of_two_it_says_who_would_have_to_join() -> None:
    member, other = agent("ci-bots"), agent(name="ci-2")
    assert ask(meaning("select"), user("ci-bots", acting=(other,))).changes == (
        "who acts as a member of group ci-bots: allowed",
    )
    assert ask(meaning("select"), user(acting=(member,))).changes == ("as a member of group ci-bots: allowed",)
    assert ask(meaning("select"), user(acting=(other,))).changes == ("both as a member of group ci-bots: allowed",)
