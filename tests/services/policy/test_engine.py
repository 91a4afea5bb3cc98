"""What the engine decides, rule by rule of docs/policy.md, and that whatever breaks is a denial."""

import asyncio
import hashlib
from typing import Any

import cedarpy
import pytest
from tests.services.policy.examples import (
    BASIC,
    MONDAY_NOON_S,
    agent,
    engine,
    meaning,
    source,
    sql_facts,
    table,
    user,
)

from interlock.core.decision import ApprovalDemand, Verdict
from interlock.core.denial import DenialReason
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy import ClientFacts, PolicyEngine, session
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.session import MAX_ACCESSES

CI = agent("ci-bots")


@pytest.fixture(scope="module")
def basic() -> PolicyEngine:
    return engine()


def decide(policy: PolicyEngine, asked: Meaning, **client: str) -> Verdict:
    return policy.decide(CI, "pg", "app", asked, ClientFacts(**client), MONDAY_NOON_S)


def reason(verdict: Verdict) -> DenialReason | None:
    return verdict.denial.reason if verdict.denial else None


def is_allowed(verdict: Verdict) -> bool:
    return verdict.denial is None and verdict.hold is None


class TestOutcomes:
    def test_permit(self, basic: PolicyEngine) -> None:
        assert decide(basic, meaning("select")) == Verdict(basic.version, ("ci-reads",))

    def test_without_a_permit_it_is_denied(self, basic: PolicyEngine) -> None:
        verdict = decide(basic, meaning(table("call")))
        assert reason(verdict) is DenialReason.NO_PERMIT
        assert verdict.denial is not None
        assert verdict.denial.message == "Agent ci-1 may not call on table pg/app/public/users: no rule permits it."
        assert "connection pg" in verdict.denial.hint
        assert verdict.denial.policy == basic.version

    def test_forbid_beats_permit_and_says_its_message(self, basic: PolicyEngine) -> None:
        verdict = decide(basic, meaning("drop"))
        assert verdict.rules == ("never-drop",)
        assert verdict.denial is not None
        assert verdict.denial.reason is DenialReason.FORBIDDEN
        assert verdict.denial.message == (
            'Rule "never-drop" forbids drop on table pg/app/public/users: '
            "Agents never drop objects. Propose a migration instead."
        )
        assert verdict.denial.access == "drop on table pg/app/public/users"

    def test_softened_forbid_holds(self, basic: PolicyEngine) -> None:
        verdict = decide(basic, meaning("insert"))
        assert verdict.denial is None
        assert verdict.hold is not None
        assert verdict.hold.demands == (ApprovalDemand("writes-need-a-dba", "dba", 2, 300.0),)
        assert verdict.rules == verdict.hold.rules == ("ci-writes", "writes-need-a-dba")
        assert "2 approvals of group dba" in verdict.hold.message

    def test_a_hold_without_a_permit_is_a_denial(self) -> None:
        policy = engine('@id("ask") @approval("dba") forbid (principal, action, resource);')
        assert reason(decide(policy, meaning("insert"))) is DenialReason.NO_PERMIT

    def test_an_unsoftened_forbid_beats_a_softened_one(self) -> None:
        policy = engine(BASIC + '@id("no") forbid (principal, action == Action::"insert", resource);')
        verdict = decide(policy, meaning("insert"))
        assert reason(verdict) is DenialReason.FORBIDDEN
        assert verdict.rules == ("no",)

    def test_demands_add_up(self) -> None:
        legal = '@id("legal") @approval("legal") forbid (principal, action, resource in Tag::"pii");'
        policy = engine(BASIC + legal, {"*.users": ["pii"]})
        verdict = decide(policy, meaning("insert", table("update", "orders")))
        assert verdict.hold is not None
        assert {demand.group for demand in verdict.hold.demands} == {"dba", "legal"}

    def test_the_strictest_access_counts(self, basic: PolicyEngine) -> None:
        assert decide(basic, meaning("select", "insert")).hold is not None
        assert reason(decide(basic, meaning("select", "insert", "drop"))) is DenialReason.FORBIDDEN
        assert reason(decide(basic, meaning("select", "call", "insert"))) is DenialReason.NO_PERMIT

    def test_rules_of_all_accesses_are_joined(self, basic: PolicyEngine) -> None:
        verdict = decide(basic, meaning("select", "insert"))
        assert verdict.rules == ("ci-reads", "ci-writes", "writes-need-a-dba")

    def test_nothing_touched_asks_for_connect(self, basic: PolicyEngine) -> None:
        assert decide(basic, meaning()).rules == ("ci-reads",)
        verdict = basic.decide(CI, "other", "app", meaning())
        assert verdict.denial is not None
        assert verdict.denial.access == "connect on connection other"

    def test_who_may_connect_may_introspect(self) -> None:
        policy = engine('@id("c") permit (principal, action in Action::"connect", resource);')
        assert is_allowed(decide(policy, meaning("introspect")))
        assert reason(decide(policy, meaning("select"))) is DenialReason.NO_PERMIT

    def test_an_empty_policy_denies(self) -> None:
        assert reason(decide(engine(""), meaning())) is DenialReason.NO_PERMIT


class TestEntities:
    @pytest.mark.parametrize(
        "resource",
        [
            'in Connection::"pg"',
            'in Database::"pg/app"',
            'in Schema::"pg/app/public"',
            '== Table::"pg/app/public/users"',
        ],
    )
    def test_every_level_holds_the_table(self, resource: str) -> None:
        policy = engine(f'@id("r") permit (principal, action, resource {resource});')
        assert is_allowed(decide(policy, meaning("select")))
        assert not is_allowed(policy.decide(CI, "pg2", "app", meaning("select")))

    def test_names_cannot_pretend_to_be_paths(self) -> None:
        policy = engine('@id("r") permit (principal, action, resource in Schema::"pg/app/public");')
        assert is_allowed(policy.decide(CI, "pg", "app", meaning(table("select", "x", "public"))))
        assert not is_allowed(policy.decide(CI, "pg", "app/public", meaning(table("select", "x", "y"))))
        assert not is_allowed(policy.decide(CI, "pg/app", "public", meaning(table("select"))))

    def test_escaped_names_can_be_ruled_on(self) -> None:
        policy = engine('@id("r") permit (principal, action, resource == Table::"pg/app/public/a%2Fb%25");')
        assert is_allowed(decide(policy, meaning(table("select", "a/b%"))))
        assert not is_allowed(decide(policy, meaning(table("select", "a%2Fb%25"))))

    def test_tags_reach_down(self) -> None:
        text = '@id("r") permit (principal, action, resource in Tag::"open");'
        policy = engine(text, {"pg/*/public": ["open"]})
        assert is_allowed(decide(policy, meaning("select")))
        assert not is_allowed(decide(policy, meaning(table("select", "users", "private"))))

    def test_owner_is_an_attribute_of_agents(self) -> None:
        owned = 'principal has owner && principal.owner == "alice"'
        policy = engine(f'@id("r") permit (principal is Agent, action, resource) when {{ {owned} }};')
        assert is_allowed(policy.decide(agent(owner="alice"), "pg", "app", meaning()))
        assert not is_allowed(policy.decide(agent(owner="bob"), "pg", "app", meaning()))
        assert not is_allowed(policy.decide(agent(owner=None), "pg", "app", meaning()))

    def test_agents_and_users_with_one_name_are_two(self) -> None:
        policy = engine('@id("r") permit (principal == User::"sam", action, resource);')
        assert is_allowed(policy.decide(user(name="sam"), "pg", "app", meaning()))
        assert not is_allowed(policy.decide(agent(name="sam"), "pg", "app", meaning()))

    @pytest.mark.parametrize(
        ("access", "rule"),
        [
            (Access("connect", ResourceKind.CONNECTION), 'Connection::"pg"'),
            (Access("create", ResourceKind.DATABASE), 'Database::"pg/app"'),
            (Access("drop", ResourceKind.DATABASE, ("other",)), 'Database::"pg/other"'),
            (Access("create", ResourceKind.SCHEMA, ("s",)), 'Schema::"pg/app/s"'),
            (Access("call", ResourceKind.FUNCTION, ("public", "f")), 'Function::"pg/app/public/f"'),
            (Access("set-role", ResourceKind.ROLE, ("admin",)), 'Role::"pg/admin"'),
            (Access("set", ResourceKind.SETTING, ("work_mem",)), 'Setting::"pg/work_mem"'),
            (Access("server-file-read", ResourceKind.SERVER_FILE, ("/etc/x",)), 'ServerFile::"pg/%2Fetc%2Fx"'),
        ],
    )
    def test_kinds(self, access: Access, rule: str) -> None:
        policy = engine(f'@id("r") permit (principal, action, resource == {rule});')
        assert is_allowed(decide(policy, meaning(access)))


class TestContext:
    @pytest.mark.parametrize(
        ("condition", "holds"),
        [
            ("context.now == 1767614400", True),
            ("context.hour == 12 && context.weekday == 1", True),
            ("context.hour >= 13", False),
            ('context.client.address == "10.0.0.7"', True),
            ('context.client.application like "psql*"', True),
            ('context.trace == "t1"', True),
            ('context has sql && context.sql.verb == "SELECT"', True),
            ("context has sql && context.sql.has_where && context.sql.statements == 1", True),
            ('context has sql && context.sql.tables.contains("public.users")', True),
            ("context has sql && context.sql.functions.isEmpty()", True),
        ],
    )
    def test_attributes(self, condition: str, holds: bool) -> None:
        policy = engine(f'@id("r") permit (principal, action, resource) when {{ {condition} }};')
        asked = meaning("select", facts=sql_facts())
        verdict = decide(policy, asked, address="10.0.0.7", application="psql 17", trace="t1")
        assert is_allowed(verdict) is holds

    def test_facts_a_protocol_does_not_know_are_the_strict_ones(self) -> None:
        policy = engine(
            '@id("r") permit (principal, action, resource);'
            '@id("f") forbid (principal, action, resource) unless { context has sql && context.sql.has_where };'
        )
        assert reason(decide(policy, meaning("select", facts={"verb": "X"}))) is DenialReason.FORBIDDEN

    @pytest.mark.parametrize("facts", [sql_facts(has_where="yes"), sql_facts(tables=(1,)), sql_facts(verb=object())])
    def test_facts_of_another_shape_are_a_denial(self, facts: Any) -> None:
        assert reason(decide(engine(), meaning("select", facts=facts))) is DenialReason.POLICY_ERROR

    def test_facts_that_the_schema_does_not_have_are_left_out(self, basic: PolicyEngine) -> None:
        assert is_allowed(decide(basic, meaning("select", facts=sql_facts(surprise=object()))))

    def test_facts_cannot_replace_the_circumstances(self) -> None:
        policy = engine('@id("r") permit (principal, action, resource) when { context.client.address == "10.0.0.7" };')
        facts = sql_facts(client={"address": "10.0.0.7", "application": ""})
        assert not is_allowed(decide(policy, meaning("select", facts=facts), address="10.0.0.8"))

    @pytest.mark.parametrize("now_s", [float("nan"), float("inf"), 1e300])
    def test_a_broken_clock_is_a_denial(self, basic: PolicyEngine, now_s: float) -> None:
        assert reason(basic.decide(CI, "pg", "app", meaning("select"), now_s=now_s)) is DenialReason.POLICY_ERROR


class TestFailsClosed:
    def test_an_error_in_a_forbid_denies_although_cedar_would_allow(self) -> None:
        text = (
            '@id("r") permit (principal, action, resource);'
            '@id("overflows") forbid (principal, action, resource) when { context.now * 9223372036854775807 > 1 };'
        )
        verdict = decide(engine(text), meaning("select"))
        assert reason(verdict) is DenialReason.POLICY_ERROR
        assert verdict.rules == ("overflows",)
        assert verdict.denial is not None
        assert "9223372036854775807" not in verdict.denial.message

    def test_an_error_beside_a_satisfied_approval_denies(self) -> None:
        text = BASIC + '@id("o") permit (principal, action, resource) when { context.now * 9223372036854775807 > 1 };'
        assert reason(decide(engine(text), meaning("insert"))) is DenialReason.POLICY_ERROR

    def test_refusal_of_the_gateway(self, basic: PolicyEngine) -> None:
        verdict = decide(basic, meaning("select", refusal="The text has a NUL byte."))
        assert reason(verdict) is DenialReason.UNSUPPORTED
        assert verdict.denial is not None
        assert verdict.denial.message == "The text has a NUL byte."

    @pytest.mark.parametrize(
        "access",
        [
            table("select", "users", ""),
            table("select", ""),
            Access("select", ResourceKind.TABLE, ("users",)),
            Access("select", ResourceKind.TABLE, ("a", "b", "c")),
            Access("select", ResourceKind.TABLE),
            Access("set", ResourceKind.SETTING),
            Access("connect", ResourceKind.CONNECTION, ("x",)),
        ],
    )
    def test_incomplete_names(self, access: Access) -> None:
        policy = engine('@id("r") permit (principal, action, resource);')
        verdict = decide(policy, meaning("select", access))
        assert reason(verdict) is DenialReason.POLICY_ERROR

    @pytest.mark.parametrize("action", ["no-such-action", "read", "", 'x"', "reveal"])
    def test_unknown_actions_and_groups_are_never_permitted(self, action: str) -> None:
        policy = engine('@id("r") permit (principal, action, resource);')
        asked = meaning(Access(action, ResourceKind.SCHEMA, ("public",)))
        assert reason(decide(policy, asked)) is DenialReason.POLICY_ERROR

    @pytest.mark.parametrize("name", ["a\ud800", "nul\0", "new\nline", 'quote"', "\u202e", "x" * 100_000])
    def test_hostile_names_never_raise_and_never_match(self, name: str) -> None:
        policy = engine('@id("r") permit (principal, action, resource == Table::"pg/app/public/a");')
        verdict = decide(policy, meaning(table("select", name)))
        assert verdict.denial is not None
        assert verdict.denial.message.isprintable()
        assert len(verdict.denial.message) < 1000

    def test_hostile_principal(self, basic: PolicyEngine) -> None:
        verdict = basic.decide(agent("ci-bots", name="\udcff"), "pg", "app", meaning("select"))
        assert reason(verdict) is DenialReason.POLICY_ERROR

    def test_too_many_accesses(self, basic: PolicyEngine) -> None:
        asked = meaning(*(table("select", f"t{number}") for number in range(MAX_ACCESSES + 1)))
        assert reason(decide(basic, asked)) is DenialReason.UNSUPPORTED

    def test_equal_accesses_count_once(self, basic: PolicyEngine) -> None:
        columns = (
            Access("select", ResourceKind.TABLE, ("public", "users"), (f"c{n}",)) for n in range(MAX_ACCESSES + 1)
        )
        assert is_allowed(decide(basic, meaning(*columns)))

    @pytest.mark.parametrize(
        "error", [RuntimeError("x"), ValueError("x"), RecursionError(), MemoryError(), KeyError("x")]
    )
    def test_a_broken_engine_denies(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        policy = engine()

        def broken(*_args: object) -> list[cedarpy.AuthzResult]:
            raise error

        monkeypatch.setattr(cedarpy, "is_authorized_batch", broken)
        verdict = decide(policy, meaning("select"))
        assert reason(verdict) is DenialReason.POLICY_ERROR
        monkeypatch.undo()
        assert is_allowed(decide(policy, meaning("select"))), "a failure must not be remembered"

    def test_a_panic_denies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class PanicException(BaseException):
            """Looks like the one of native code, which cannot be raised on purpose."""

        def panics(*_args: object) -> list[cedarpy.AuthzResult]:
            raise PanicException("internal error: entered unreachable code")

        policy = engine()
        monkeypatch.setattr(cedarpy, "is_authorized_batch", panics)
        assert reason(decide(policy, meaning("select"))) is DenialReason.POLICY_ERROR

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_an_interrupt_is_not_swallowed(self, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
        def interrupted(*_args: object) -> list[cedarpy.AuthzResult]:
            raise error

        policy = engine()
        monkeypatch.setattr(cedarpy, "is_authorized_batch", interrupted)
        with pytest.raises(error):
            decide(policy, meaning("select"))

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"decision": "NoDecision"},
            {"decision": "Perhaps"},
            {"decision": "NoDecision", "diagnostics": {"reason": ["ci-reads"]}},
            {"decision": "Allow", "diagnostics": {"reason": ["ci-reads"], "errors": ["something"]}},
            {"decision": "Deny", "diagnostics": {"reason": ["a-rule-nobody-wrote"]}},
        ],
    )
    def test_strange_answers_deny(self, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
        policy = engine()
        monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda *_: [cedarpy.AuthzResult(answer)])
        assert reason(decide(policy, meaning("select"))) is DenialReason.POLICY_ERROR

    def test_missing_answers_deny(self, monkeypatch: pytest.MonkeyPatch) -> None:
        policy = engine()
        monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda *_: [])
        assert reason(decide(policy, meaning("select"))) is DenialReason.POLICY_ERROR


class Counting:
    """Counts how often Cedar is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        ask = cedarpy.is_authorized_batch

        def counted(*arguments: Any) -> list[cedarpy.AuthzResult]:
            self.calls += 1
            return ask(*arguments)

        monkeypatch.setattr(cedarpy, "is_authorized_batch", counted)


@pytest.fixture
def cedar(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


class TestRemembered:
    def test_one_meaning_is_asked_once(self, cedar: Counting) -> None:
        policy, asked = engine().for_session(CI, "pg", "app"), meaning("select")
        assert policy.decide(asked, 1.0) is policy.decide(asked, 2.0)
        assert cedar.calls == 1

    def test_meanings_that_are_alike_are_asked_once(self, cedar: Counting) -> None:
        policy = engine().for_session(CI, "pg", "app")
        assert policy.decide(meaning("select"), 1.0) is policy.decide(meaning("select"), 1.0)
        assert cedar.calls == 1

    def test_never_when_a_rule_reads_the_time(self, cedar: Counting) -> None:
        policy = engine('@id("r") permit (principal, action, resource) when { context.now < 100 };')
        mine, asked = policy.for_session(CI, "pg", "app"), meaning("select")
        assert is_allowed(mine.decide(asked, 99.0))
        assert not is_allowed(mine.decide(asked, 100.0))
        assert cedar.calls == 2

    def test_sessions_share_unless_something_differs(self) -> None:
        policy = engine()
        mine = policy.for_session(CI, "pg", "app", ClientFacts("10.0.0.1"))
        assert policy.for_session(CI, "pg", "app", ClientFacts("10.0.0.2")) is mine
        for who, connection, database in (
            (agent("ci-bots", "x"), "pg", "app"),
            (agent("ci-bots", owner="bob"), "pg", "app"),
            (agent("ci-bots", name="ci-2"), "pg", "app"),
            (user("ci-bots", name="ci-1"), "pg", "app"),
            (CI, "pg2", "app"),
            (CI, "pg", "app2"),
        ):
            assert policy.for_session(who, connection, database) is not mine

    @pytest.mark.parametrize(
        "condition",
        ['context.client.address == "10.0.0.1"', 'context.trace == "a"', "context.client == context.client"],
    )
    def test_client_facts_differ_when_a_rule_reads_them(self, condition: str) -> None:
        policy = engine(f'@id("r") permit (principal, action, resource) when {{ {condition} }};')
        first = policy.for_session(CI, "pg", "app", ClientFacts("10.0.0.1", trace="a"))
        second = policy.for_session(CI, "pg", "app", ClientFacts("10.0.0.2", trace="b"))
        assert first is not second

    def test_bounded(self, monkeypatch: pytest.MonkeyPatch, cedar: Counting) -> None:
        monkeypatch.setattr(session, "_KEPT_VERDICTS", 3)
        policy = engine().for_session(CI, "pg", "app")
        asked = [meaning(table("select", f"t{number}")) for number in range(8)]
        for each in asked:
            policy.decide(each, 1.0)
            policy.access_lines(each)
        assert cedar.calls == 8
        policy.decide(asked[7], 1.0)
        assert cedar.calls == 8, "the last one stays"
        policy.decide(asked[0], 1.0)
        assert cedar.calls == 9, "the first one went"

    def test_sessions_are_bounded(self) -> None:
        policy = engine()
        first = policy.for_session(CI, "pg", "app")
        for number in range(300):
            policy.for_session(agent(name=f"ci-{number}"), "pg", "app")
        assert policy.for_session(CI, "pg", "app") is not first


class TestVersion:
    def test_is_the_digest_of_the_text(self, basic: PolicyEngine) -> None:
        assert basic.version == hashlib.sha256(basic.text.encode()).hexdigest()

    def test_is_independent_of_files_and_line_endings(self) -> None:
        one, two = '@id("a") permit (principal, action, resource);\n', '@id("b")\nforbid (principal, action, resource);'
        first = PolicyEngine([source(one, "1"), source(two, "2")])
        second = PolicyEngine([source(two.replace("\n", "\r\n"), "x"), source(one, "y")])
        assert first.version == second.version

    def test_depends_on_texts_and_tags(self) -> None:
        versions = {
            engine(BASIC).version,
            engine(BASIC + "// more").version,
            engine(BASIC, {"a": ["b"]}).version,
            engine(BASIC, {"a": ["c"]}).version,
        }
        assert len(versions) == 4

    def test_order_of_tags_does_not_count(self) -> None:
        assert (
            engine(BASIC, {"a": ["x", "y"], "b": ["z"]}).version == engine(BASIC, {"b": ["z"], "a": ["y", "x"]}).version
        )


def test_access_lines() -> None:
    policy: AnyPolicy = engine().for_session(CI, "pg", "app")
    asked = meaning("select", "select", table("drop", "a/b"), table("select", "x", ""))
    assert policy.access_lines(asked) == (
        "select on table pg/app/public/users",
        "drop on table pg/app/public/a%2Fb",
        "select on table x",
    )
    assert policy.access_lines(meaning()) == ("connect on connection pg",)
