"""Verdicts hold for what rules cannot tell apart, and for nothing else."""

from collections.abc import Mapping
from typing import Any

import cedarpy
import pytest
from tests.services.policy.examples import MONDAY_NOON_S, agent, engine, sql_facts, table

from interlock.core.decision import Verdict
from interlock.core.denial import DenialReason
from interlock.core.operation import Access, Facts, Meaning, ResourceKind
from interlock.services.policy.delegated import AnyPolicy

PERMIT = '@id("p") permit (principal, action, resource);\n'
GET = Access("http-get", ResourceKind.CONNECTION)
CHANGES: Mapping[str, Mapping[str, tuple[str, object, object]]] = {
    "http": {
        "method": ('== "a"', "a", "b"),
        "path": ('like "/a*"', "/a", "/b"),
        "host": ('== "a"', "a", "b"),
        "content_type": ('== "a"', "a", "b"),
        "query": ('.contains("a")', ("a",), ("b",)),
        "fields": ('.contains("a")', ("a",), ("b",)),
        "body": ('.contains("a")', ("a",), ()),
    },
    "graphql": {"operation": ('== "a"', "a", "b"), "fields": ('.contains("a")', ("a",), ("b",))},
    "mcp": {
        "method": ('== "a"', "a", "b"),
        "tool": ('== "a"', "a", "b"),
        "arguments": ('.contains("a")', ("a",), ("b",)),
    },
    "model": {
        "name": ('== "a"', "a", "b"),
        "tools": ('.contains("a")', ("a",), ("b",)),
        "stored_prompt": ("", True, False),
        "stream": ("", True, False),
        "background": ("", True, False),
        "continued": ("", True, False),
    },
    "ssh": {
        "kind": ('== "exec"', "exec", "sftp"),
        "login": ('== "a"', "a", "b"),
        "command": ('like "rm *"', "rm x", "ls x"),
        "programs": ('.contains("a")', ("a",), ("b",)),
        "paths": ('.contains("/a")', ("/a",), ()),
        "paths_unknown": ("", True, False),
        "hosts": ('.contains("a")', ("a",), ()),
        "classes": ('.contains("a")', ("a",), ()),
        "environment": ('.contains("a")', ("a",), ()),
        "pty": ("", True, False),
    },
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever Cedar is asked."""
    calls: list[int] = []
    ask = cedarpy.is_authorized_batch

    def counting(*arguments: Any) -> list[cedarpy.AuthzResult]:
        calls.append(1)
        return ask(*arguments)

    monkeypatch.setattr(cedarpy, "is_authorized_batch", counting)
    return calls


def session(rule: str) -> AnyPolicy:
    return engine(PERMIT + rule).for_session(agent("ci-bots"), "crm", "")


def decide(policy: AnyPolicy, facts: Facts, *accesses: Access) -> Verdict:
    return policy.decide(Meaning("TEST", accesses or (GET,), facts), MONDAY_NOON_S)


def get(**facts: object) -> Facts:
    return {"http": {"method": "GET", **facts}}


def forbid(condition: str, scope: str = "principal, action, resource") -> str:
    return f'@id("f") forbid ({scope}) when {{ {condition} }};\n'


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in CHANGES.items() for name in names])
def test_what_a_rule_reads_makes_a_difference(part: str, name: str) -> None:
    test, forbidden, free = CHANGES[part][name]
    space = "" if test.startswith(".") or not test else " "
    policy = session(forbid(f"context has {part} && context.{part}.{name}{space}{test}"))
    other = "method" if part == "http" else "none"
    assert decide(policy, {part: {name: free, other: "x"}} if name != other else {part: {name: free}}).denial is None
    assert decide(policy, {part: {name: forbidden}}).rules == ("f",)
    assert decide(policy, {part: {name: free}}).denial is None
    assert decide(policy, {part: {name: forbidden}}).rules == ("f",)


def test_parts_that_are_missing_are_not_those_that_are_empty() -> None:
    policy = session(forbid("context has mcp"))
    assert decide(policy, get()).denial is None
    assert decide(policy, {**get(), "mcp": {}}).rules == ("f",)
    assert decide(policy, get()).denial is None


def test_statements_are_told_apart_by_what_is_read_of_them() -> None:
    policy = engine(PERMIT + forbid("context has sql && !context.sql.has_where")).for_session(agent(), "pg", "app")
    delete = table("delete")
    for has_where in (True, False, True, False):
        verdict = decide(policy, sql_facts(has_where=has_where, functions=("f",)), delete)
        assert (verdict.denial is None) is has_where


def test_what_nobody_reads_makes_none(asked: list[int]) -> None:
    policy = session(forbid("context has http && context.http.host == 'x'".replace("'", '"')))
    first = decide(policy, get(path="/a", host="h"))
    count = len(asked)
    assert decide(policy, get(path="/b", host="h", body=("/c=d",))) is first
    assert len(asked) == count
    assert decide(policy, get(path="/a", host="x")).rules == ("f",)
    assert len(asked) > count


@pytest.mark.parametrize(
    "scope",
    [
        'principal == Agent::"other", action, resource',
        'principal, action in Action::"write", resource',
        'principal, action, resource == Endpoint::"crm/volumes"',
        'principal, action, resource in Connection::"other"',
        "principal, action, resource is Tool",
    ],
)
def test_rules_that_cannot_fit_are_not_looked_at(asked: list[int], scope: str) -> None:
    policy = session(forbid('context has http && context.http.path == "/a"', scope))
    decide(policy, get(path="/a"))
    count = len(asked)
    assert decide(policy, get(path="/b")).denial is None
    assert len(asked) == count


@pytest.mark.parametrize(
    "scope",
    [
        'principal in Group::"ci-bots", action, resource',
        'principal, action in Action::"read", resource',
        'principal, action, resource in Connection::"crm"',
        'principal, action, resource == Connection::"crm"',
        "principal, action, resource is Connection",
        'principal, action, resource is Connection in Connection::"crm"',
    ],
)
def test_rules_that_can_fit_are(scope: str) -> None:
    policy = session(forbid('context has http && context.http.path == "/a"', scope))
    assert decide(policy, get(path="/b")).denial is None
    assert decide(policy, get(path="/a")).rules == ("f",)
    assert decide(policy, get(path="/b")).denial is None


def test_rules_on_tags_can_fit() -> None:
    rule = forbid('context has http && context.http.path == "/a"', 'principal, action, resource in Tag::"t"')
    policy = engine(PERMIT + rule, {"crm": ["t"]}).for_session(agent(), "crm", "")
    assert decide(policy, get(path="/b")).denial is None
    assert decide(policy, get(path="/a")).rules == ("f",)


@pytest.mark.parametrize(
    "condition",
    [
        'context has http && context.http == context.http && context.http.path == "/a"',
        'context has http && [context.http].contains(context.http) && context.http.path == "/a"',
    ],
)
def test_a_part_that_is_read_as_a_whole_is_asked_about_each_time(condition: str) -> None:
    policy = session(forbid(condition))
    for _ in range(2):
        assert decide(policy, get(path="/b")).denial is None
        assert decide(policy, get(path="/a")).rules == ("f",)


def test_accesses_make_a_difference() -> None:
    policy = session(forbid("true", 'principal, action == Action::"http-delete", resource'))
    assert decide(policy, get()).denial is None
    delete = Access("http-delete", ResourceKind.CONNECTION)
    assert decide(policy, get(), delete).rules == ("f",)
    assert decide(policy, get(), GET, delete).rules == ("f",)
    assert decide(policy, get()).denial is None


def test_refusals_and_errors_are_of_one_meaning_only() -> None:
    policy = session("")
    assert decide(policy, get()).denial is None
    refused = policy.decide(Meaning("TEST", (GET,), get(), "Not like that."), MONDAY_NOON_S)
    assert refused.denial is not None
    assert refused.denial.message == "Not like that."
    assert decide(policy, get()).denial is None


def test_a_failure_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> list[cedarpy.AuthzResult]:
        raise RuntimeError

    policy = session("")
    monkeypatch.setattr(cedarpy, "is_authorized_batch", broken)
    failed = decide(policy, get())
    assert failed.denial is not None
    assert failed.denial.reason is DenialReason.POLICY_ERROR
    monkeypatch.undo()
    assert decide(policy, get()).denial is None


@pytest.mark.parametrize("facts", [{"http": None}, {"http": {"path": ["/a"]}}, {"http": {"path": object()}}])
def test_strange_facts_are_decided_or_denied(facts: Facts) -> None:
    policy = session(forbid('context has http && context.http.path == "/a"'))
    verdict = decide(policy, facts)
    assert verdict.denial is None or verdict.denial.reason is DenialReason.POLICY_ERROR


def test_a_rule_that_reads_the_time_keeps_nothing(asked: list[int]) -> None:
    policy = session(forbid("context.hour < 5"))
    decide(policy, get())
    count = len(asked)
    decide(policy, get())
    assert len(asked) > count


UNREAD: Facts = {"http": {"method": "POST", "fields": (), "body": ()}, "unread": "The body is too long."}
POST = Access("http-post", ResourceKind.ENDPOINT, ("volumes",))


@pytest.mark.parametrize(
    ("action", "resource", "asks", "refused"),
    [
        ("", "", 'method == "PUT"', False),
        ("", "", 'body.contains("/a=b")', True),
        ("", "", 'fields.contains("/a")', True),
        ('== Action::"http-put"', "", 'fields.contains("/a")', False),
        ("", '== Endpoint::"crm/other"', 'fields.contains("/a")', False),
    ],
)
def test_a_body_that_was_not_read_is_refused_where_a_rule_asks_about_it(
    action: str, resource: str, asks: str, refused: bool
) -> None:
    when = f"when {{ context has http && context.http.{asks} }};"
    policy = session(f'@id("f") forbid (principal, action {action}, resource {resource}) {when}')
    for _ in range(2):
        verdict = policy.decide(Meaning("POST", (POST,), UNREAD), MONDAY_NOON_S)
        assert (verdict.denial is not None) == refused
    if verdict.denial is not None:
        assert verdict.denial.message == "The body is too long. A rule asks what is in it."
        assert verdict.denial.reason is DenialReason.UNSUPPORTED


def test_what_was_decided_about_a_request_without_a_body_does_not_hold_for_one_that_was_not_read() -> None:
    policy = session(
        '@id("f") forbid (principal, action, resource) when { context has http && context.http.fields.contains("/a") };'
    )
    without = Meaning("POST", (POST,), {"http": UNREAD["http"]})
    assert policy.decide(without, MONDAY_NOON_S).denial is None
    assert policy.decide(Meaning("POST", (POST,), UNREAD), MONDAY_NOON_S).denial is not None


def test_why_a_command_is_opaque_is_told_of_the_command_that_is() -> None:
    of = engine('@id("p") permit (principal, action in Action::"read", resource);').for_session(agent(), "web", "root")
    opaque = (Access("ssh-opaque", ResourceKind.CONNECTION),)
    for why in ("an eval", "a variable is the program"):
        facts: Facts = {"ssh": {"kind": "exec"}, "opaque": why}
        denial = of.decide(Meaning("EXEC", opaque, facts), MONDAY_NOON_S).denial
        assert denial is not None
        assert denial.reason is DenialReason.NO_PERMIT
        assert denial.message.endswith(f"no rule permits it. Nobody can say what the command does: {why}.")
        assert "Write out what is to be run" in denial.hint
