"""What makes a policy text unacceptable, and that the place is named."""

import os
import subprocess
import sys

import cedarpy
import pytest
from tests.services.policy.examples import BASIC, source

from interlock.core.decision import BudgetKind
from interlock.core.errors import PolicyRejected
from interlock.core.masking import ColumnMask, MaskKind, Predicates
from interlock.services.policy import PolicyEngine
from interlock.services.policy.rules import MAX_OPERATORS, read_rules

ANY = "permit (principal, action, resource);"


def problems(text: str) -> list[str]:
    return list(read_rules([source(text)]).problems)


def only_problem(text: str) -> str:
    (problem,) = problems(text)
    return problem


class TestPlaces:
    def test_syntax_error(self) -> None:
        text = (
            f'// head\n\n@id("a")\n{ANY}\n\n// a "quote; in a comment\n@id("b")\npermit (principal, action resource);\n'
        )
        assert only_problem(text) == "a.cedar:7: unexpected token `resource`"

    def test_unfinished_text(self) -> None:
        assert only_problem(f'@id("a") {ANY}\n@id("b") permit (principal').startswith("a.cedar:2: ")

    def test_schema_error(self) -> None:
        text = f'@id("a") {ANY}\n@id("b")\npermit (principal, action, resource) when {{ context.nwo == 1 }};'
        found = problems(text)
        assert all(problem.startswith("a.cedar:2: attribute `nwo` in context") for problem in found)
        assert len(found) > 1

    def test_semicolons_in_strings_and_comments(self) -> None:
        text = (
            f'@id("a") @message("a;\\";b")\nforbid (principal, action, resource); // ;\n// ;;\n\n@id("b") @x("") {ANY}'
        )
        assert only_problem(text).startswith("a.cedar:5: unknown annotation @x")

    def test_more_than_ten_rules(self) -> None:
        text = "".join(f'@id("r{number}") {ANY}\n' for number in range(12)) + '@id("last") @x("") ' + ANY
        assert only_problem(text).startswith("a.cedar:13: ")

    def test_every_problem_is_reported(self) -> None:
        text = f'{ANY}\n@id("b") @approval("x") {ANY}\n@id("c") @nope("1") {ANY}'
        assert [problem.split(" ")[0] for problem in problems(text)] == ["a.cedar:1:", "a.cedar:2:", "a.cedar:3:"]

    def test_of_several_files(self) -> None:
        draft = read_rules([source(f'@id("a") {ANY}', "one"), source("permit", "two"), source("x", "three")])
        assert [problem.split(" ")[0] for problem in draft.problems] == ["two:1:", "three:1:"]


class TestIds:
    def test_missing(self) -> None:
        assert only_problem(ANY) == "a.cedar:1: every rule needs an @id"

    def test_twice_in_one_file(self) -> None:
        text = f'@id("a") {ANY}\n@id("a") {ANY}'
        assert only_problem(text) == 'a.cedar:2: the @id "a" is already used at a.cedar:1'

    def test_twice_in_two_files(self) -> None:
        draft = read_rules([source(f'@id("a") {ANY}', "one"), source(f'@id("a") {ANY}', "two")])
        assert draft.problems == ('two:1: the @id "a" is already used at one:1',)

    @pytest.mark.parametrize("value", ["", " ", "a b", "x" * 101, "é", "a\\n"])
    def test_malformed(self, value: str) -> None:
        assert "@id must be" in only_problem(f'@id("{value}") {ANY}')


class TestAnnotations:
    @pytest.mark.parametrize(
        "annotation",
        [
            '@approval("")',
            "@approval",
            '@approvals("0") @approval("x")',
            '@approvals("21") @approval("x")',
            '@approvals("1.5") @approval("x")',
            '@approvals("٣") @approval("x")',
            '@approvals("1")',
            '@expires("10m")',
            '@expires("10") @approval("x")',
            '@expires("0m") @approval("x")',
            '@expires("8d") @approval("x")',
            '@expires("10 m") @approval("x")',
            '@expires("1m30s") @approval("x")',
            '@message("")',
            '@message("a\\nb")',
            '@Approval("x")',
            '@approve("x")',
            '@within("10m")',
        ],
    )
    def test_malformed_misplaced_or_unknown(self, annotation: str) -> None:
        assert only_problem(f'@id("a") {annotation} forbid (principal, action, resource);')

    @pytest.mark.parametrize(
        ("annotation", "seconds"), [("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("7d", 604800.0), (None, 600.0)]
    )
    def test_expiry(self, annotation: str | None, seconds: float) -> None:
        expires = f'@expires("{annotation}")' if annotation else ""
        draft = read_rules([source(f'@id("a") @approval("dba") {expires} forbid (principal, action, resource);')])
        assert draft.problems == ()
        demand = draft.rules[0].demand
        assert demand is not None
        assert (demand.group, demand.approvals, demand.expires_s) == ("dba", 1, seconds)

    @pytest.mark.parametrize(
        "annotation", ['@approval("x")', '@message("x")', '@mask("hash")', '@budget("rows=1 per 1h")']
    )
    def test_nothing_softens_a_permit(self, annotation: str) -> None:
        assert "may only stand on a forbid" in only_problem(f'@id("a") {annotation} {ANY}')

    def test_who_may_approve_oneself(self) -> None:
        text = '@id("a") @approval("dba") {} forbid (principal, action, resource);'
        demands = [read_rules([source(text.format(more))]).rules[0].demand for more in ("", '@self_approval("allow")')]
        assert [demand.self_approval for demand in demands if demand] == [False, True]
        assert "needs @approval" in only_problem(
            '@id("a") @self_approval("allow") forbid (principal, action, resource);'
        )
        assert 'must be "allow"' in only_problem(text.format('@self_approval("yes")'))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("rows=10000 per 1h", [(BudgetKind.ROWS, 10000, "1h", 3600.0)]),
            (
                "rows=5 per 90s, bytes=50000000 per 31d,denials=1 per run",
                [
                    (BudgetKind.ROWS, 5, "90s", 90.0),
                    (BudgetKind.BYTES, 50_000_000, "31d", 2_678_400.0),
                    (BudgetKind.DENIALS, 1, "run", 0.0),
                ],
            ),
            ("rows=5 per 1m, rows=50 per 1h", [(BudgetKind.ROWS, 5, "1m", 60.0), (BudgetKind.ROWS, 50, "1h", 3600.0)]),
            ("statements=7 per 10m", [(BudgetKind.STATEMENTS, 7, "10m", 600.0)]),
            ("requests=7 per 10m", [(BudgetKind.STATEMENTS, 7, "10m", 600.0)]),
            ("tokens=9 per run", [(BudgetKind.TOKENS, 9, "run", 0.0)]),
        ],
    )
    def test_budgets(self, text: str, expected: list[tuple[BudgetKind, int, str, float]]) -> None:
        draft = read_rules([source(f'@id("a") @message("m") @budget("{text}") forbid (principal, action, resource);')])
        assert draft.problems == ()
        (rule,) = draft.rules
        assert [(one.kind, one.limit, one.per, one.window_s) for one in rule.budgets] == expected
        assert {(one.rule, one.message, one.approval) for one in rule.budgets} == {("a", "m", None)}
        assert rule.softened
        assert rule.softens_operations

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "rows=0 per 1h",
            "rows=-1 per 1h",
            "rows=01 per 1h",
            "rows=1e4 per 1h",
            "rows=10000",
            "requests=1 per 1h, statements=2 per 1h",
            "rows=10000 per 0s",
            "rows=10000 per 32d",
            "rows=10000 per hour",
            "rows = 10000 per 1h",
            "rows=10000 per 1h,",
            "rows=10000 per 1h; bytes=1 per 1h",
            "rows=1 per 1h, rows=2 per 60m",
            "operations=5 per 1h",
            "columns=5 per 1h",
            "rows=1000000000000000000 per 1h",
            ", ".join(f"rows=1 per {seconds}s" for seconds in range(1, 10)),
            "rows=\u0663 per 1h",
        ],
    )
    def test_malformed_budgets(self, text: str) -> None:
        found = problems(f'@id("a") @budget("{text}") forbid (principal, action, resource);')
        assert len(found) == 1
        assert "@budget must be such as rows=10000 per 1h" in found[0]

    def test_a_budget_with_an_approval(self) -> None:
        text = '@id("a") @approval("dba") @budget("rows=5 per run") forbid (principal, action, resource);'
        (rule,) = read_rules([source(text)]).rules
        assert rule.asked_first is None
        assert rule.demand is not None
        assert rule.budgets[0].approval == rule.demand

    @pytest.mark.parametrize(
        ("annotation", "text"),
        [
            ('@mask("x")', "@mask must be one of"),
            ('@mask("forbid")', "@mask must be one of"),
            ('@mask("Redact")', "@mask must be one of"),
            ('@mask("redact") @predicates("x")', "@predicates must be one of"),
            ('@predicates("allow")', "@predicates needs @mask"),
        ],
    )
    def test_malformed_masks(self, annotation: str, text: str) -> None:
        assert text in only_problem(f'@id("a") {annotation} forbid (principal, action == Action::"reveal", resource);')

    @pytest.mark.parametrize(
        ("annotation", "mask"),
        [
            ('@mask("partial")', ColumnMask(MaskKind.PARTIAL, Predicates.EQUALITY, ("a",))),
            ('@mask("tokenise") @predicates("allow")', ColumnMask(MaskKind.TOKENISE, Predicates.ALLOW, ("a",))),
            ('@mask("null") @predicates("deny")', ColumnMask(MaskKind.NULL, Predicates.DENY, ("a",))),
            ('@message("no")', None),
        ],
    )
    def test_masks(self, annotation: str, mask: ColumnMask | None) -> None:
        text = f'@id("a") {annotation} forbid (principal, action == Action::"reveal", resource);'
        draft = read_rules([source(text)])
        assert draft.problems == ()
        assert draft.rules[0].mask == mask
        assert draft.rules[0].softened is (mask is not None)


REVEAL = 'action == Action::"reveal"'


class TestRulesOnReveal:
    @pytest.mark.parametrize(
        "rule",
        [
            "forbid (principal, action, resource);",
            'forbid (principal, action in Action::"reveal", resource);',
            'forbid (principal, action in [Action::"reveal"], resource);',
            'forbid (principal, action in [Action::"select", Action::"reveal"], resource);',
            'forbid (principal, action == Action::"select", resource);',
            'forbid (principal, action, resource) when { action == Action::"reveal" };',
        ],
    )
    def test_a_mask_stands_on_reveal_and_nothing_else(self, rule: str) -> None:
        text = 'may only stand on a forbid with action == Action::"reveal" in its scope'
        assert only_problem(f'@id("a") @mask("redact") {rule}') == f"a.cedar:1: @mask {text}"
        assert len(problems(f'@id("a") @mask("redact") @predicates("deny") {rule}')) == 2

    @pytest.mark.parametrize(
        "rule",
        [
            f"forbid (principal, {REVEAL}, resource);",
            'forbid (principal, action in [Action::"select", Action::"reveal"], resource);',
            'forbid (principal, action, resource == Column::"pg/app/public/users/email");',
            'forbid (principal, action, resource is Detector in Detector::"email");',
            "forbid (principal, action, resource) when { resource is Column };",
            'forbid (principal, action, resource) when { action == Action::"reveal" };',
        ],
    )
    @pytest.mark.parametrize(
        ("annotation", "condition", "text"),
        [
            ('@approval("dba")', "", "@approval may not stand on a forbid about reveal, columns or fields"),
            ('@budget("rows=1 per 1h")', "", "@budget may not stand on a forbid about reveal, columns or fields"),
            ("", "unless { context.now > 5 }", "may not read the time"),
            ("", "when { context.hour == 5 }", "may not read the time"),
            ("", "when { context.weekday == 5 }", "may not read the time"),
            ("", "unless { context has sql && context.sql.has_where }", "may not read the time"),
            ("", "when { context == context }", "may not read the time"),
        ],
    )
    def test_masks_do_not_change_from_statement_to_statement(
        self, rule: str, annotation: str, condition: str, text: str
    ) -> None:
        assert text in only_problem(f'@id("a") {annotation} {rule.removesuffix(";")} {condition};')

    @pytest.mark.parametrize(
        "condition",
        [
            'when { context.client.address == "10.0.0.1" }',
            'unless { context.trace == "t" || principal in Group::"support" }',
            'unless { principal has owner && principal.owner == "alice" }',
        ],
    )
    def test_what_stays_for_a_session_may_be_read(self, condition: str) -> None:
        rule = f"forbid (principal is Agent, {REVEAL}, resource) {condition};"
        assert problems(f'@id("a") {rule}') == []

    @pytest.mark.parametrize(
        "rule",
        [
            "forbid (principal, action, resource) when { context.hour < 7 };",
            '@approval("dba") forbid (principal, action, resource in Tag::"pii");',
            '@budget("rows=1 per 1h") forbid (principal, action, resource in Tag::"pii");',
            'forbid (principal, action in Action::"read", resource) unless { context has sql };',
        ],
    )
    def test_rules_about_operations_stay_as_they_were(self, rule: str) -> None:
        assert problems(f'@id("a") {rule}') == []

    @pytest.mark.parametrize(
        "resource",
        ['== Table::"pg/app/public/users"', "is Table", 'is Table in Tag::"pii"', '== Connection::"pg"'],
    )
    @pytest.mark.parametrize("action", [REVEAL, 'action in [Action::"select", Action::"reveal"]'])
    def test_scopes_that_no_column_fits(self, action: str, resource: str) -> None:
        found = problems(f'@id("a") @message("x") forbid (principal, {action}, resource {resource});')
        assert any('write "resource in"' in problem for problem in found)

    @pytest.mark.parametrize(
        "rule",
        [
            f"permit (principal, {REVEAL}, resource);",
            'permit (principal, action, resource == Column::"pg/app/public/users/email");',
            f"permit (principal, {REVEAL}, resource is Column) when {{ context.hour < 5 }};",
            'forbid (principal, action, resource is Column in Tag::"x");',
            f'forbid (principal, {REVEAL}, resource in Table::"pg/app/public/users");',
            f'forbid (principal, {REVEAL}, resource == Column::"pg/app/public/users/e%2Fmail");',
            f'@mask("redact") forbid (principal, {REVEAL}, resource == Detector::"credit-card");',
            f'@mask("redact") forbid (principal, {REVEAL}, resource is Detector);',
        ],
    )
    def test_accepted(self, rule: str) -> None:
        assert problems(f'@id("a") {rule}') == []

    @pytest.mark.parametrize(
        "rule",
        [
            'forbid (principal, action == Action::"select", resource is Column);',
            'permit (principal, action in Action::"read", resource == Column::"pg/app/public/users/email");',
            'permit (principal, action == Action::"select", resource == Detector::"email");',
        ],
    )
    def test_nothing_else_is_asked_of_columns_and_detectors(self, rule: str) -> None:
        assert problems(f'@id("a") {rule}')


class TestRefusedRules:
    @pytest.mark.parametrize(
        "resource",
        [
            'Table::"public.users"',
            'Table::"pg/app/users"',
            'Table::"pg/app//users"',
            'Schema::"public"',
            'Connection::"a/b"',
            'Connection::""',
            'Column::"pg/app/public/users"',
            'Column::"public.users.email"',
            'Detector::"pg/app/email"',
            'Detector::"e-mail"',
            'Table::"pg/app/public/a%2f"',
            'Table::"pg/app/public/50%"',
            'Endpoint::"crm"',
            'Endpoint::"crm/GET %2Fusers"',
            'Field::"crm/*mail"',
            'Field::"crm/%2F"',
            'GraphqlField::"shop/volumeDelete"',
            'GraphqlField::"shop/mutation.volumeDelete"',
            'Host::"internet/PyPI.org"',
            'Host::"internet/pypi.org:443"',
            'Tool::"lookup"',
            'HostedTool::"openai/a/b"',
        ],
    )
    def test_ids_of_no_resource(self, resource: str) -> None:
        assert "is no resource" in only_problem(f'@id("a") forbid (principal, action, resource in {resource});')

    def test_templates(self) -> None:
        assert "templates" in only_problem('@id("a") permit (principal == ?principal, action, resource);')

    @pytest.mark.parametrize(
        "rule",
        [
            'permit (principal, action == Action::"slect", resource);',
            'permit (principal, action == Action::"read", resource);',
            'permit (principal, action == Action::"http-get", resource == Table::"pg/app/public/users");',
            'permit (principal, action, resource in Group::"x");',
            'permit (principal in Tag::"x", action, resource);',
            'permit (principal, action, resource) when { principal.owner == "x" };',
            "permit (principal, action, resource) when { context.sql.has_where };",
            "permit (principal, action, resource) when { 1 };",
            'permit (principal == Robot::"x", action, resource);',
        ],
    )
    def test_against_the_schema(self, rule: str) -> None:
        assert problems(f'@id("a") {rule}')


class TestHostileTexts:
    @pytest.mark.parametrize("nested", ["(", "[", "!", "if true then true else ", "true && ", "1 + "])
    def test_deep_nesting_is_refused_before_the_parser_sees_it(self, nested: str) -> None:
        text = f'@id("a") permit (principal, action, resource) when {{ {nested * 100_000} }};'
        assert f"more than {MAX_OPERATORS} operators" in only_problem(text)

    def test_what_is_let_through_does_not_end_the_process(self) -> None:
        program = """
import threading
from interlock.services.policy.rules import MAX_OPERATORS, read_rules
from interlock.services.policy.sources import PolicySource

def run():
    for before, after in ("()", ("true && ", ""), ("context.now + ", ""), ("if true then true else ", ""), "[]"):
        for count in range(10, MAX_OPERATORS + 1, 10):
            body = before * count + "true" + after * count
            read_rules([PolicySource("a", f'@id("a") permit (principal, action, resource) when {{ {body} }};')])

threading.stack_size(2 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
        done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_a_long_list_is_no_nesting(self) -> None:
        names = ", ".join(f'"t{number}"' for number in range(5000))
        text = f'@id("a") permit (principal, action, resource) when {{ [{names}].contains(context.trace) }};'
        assert problems(text) == []

    @pytest.mark.parametrize("text", ["\0", "permit", ";", ";;;", '"', "@", "\ud800", "\x1b[0m", '@id("a', "// only"])
    def test_garbage(self, text: str) -> None:
        draft = read_rules([source(text)])
        assert draft.rules == ()
        assert draft.problems or text == "// only"

    def test_a_panicking_parser(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class PanicException(BaseException):
            pass

        def panics(_text: str) -> None:
            raise PanicException

        monkeypatch.setattr(cedarpy, "policies_to_pst", panics)
        assert problems(f'@id("a") {ANY}')


def test_rejection_lists_all_problems() -> None:
    with pytest.raises(PolicyRejected) as caught:
        PolicyEngine([source(ANY), source("x", "b")], {"a/b/c/d/e/f": ["x"]})
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["a.cedar:1:", "b:1:", "tag"]


def test_rules_keep_their_places() -> None:
    draft = read_rules([source(BASIC)])
    assert draft.problems == ()
    assert [(rule.id, rule.place) for rule in draft.rules] == [
        ("ci-reads", "a.cedar:2"),
        ("ci-writes", "a.cedar:5"),
        ("writes-need-a-dba", "a.cedar:8"),
        ("never-drop", "a.cedar:11"),
    ]
