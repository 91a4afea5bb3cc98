"""Lists show tools that may be called with some arguments; what is decided of a call does not change by that."""

import pytest
from tests.services.policy.examples import MONDAY_NOON_S, agent, engine

from interlock.core.operation import Access, Facts, Meaning, ResourceKind
from interlock.services.policy.session import Outcome

CALL = 'principal, action == Action::"mcp-call"'


def call(tool: str, *arguments: str) -> Meaning:
    facts: Facts = {"http": {"path": "/mcp"}, "mcp": {"method": "tools/call", "tool": tool, "arguments": arguments}}
    return Meaning("call", (Access("mcp-call", ResourceKind.TOOL, (tool,)),), facts)


def outcomes(policy: str, *tools: str) -> list[Outcome]:
    session = engine(policy).for_session(agent(), "crm", "")
    return list(session.outcomes(tuple(call(tool) for tool in tools), MONDAY_NOON_S))


ALL = f'@id("all") permit ({CALL}, resource in Connection::"crm");\n'


@pytest.mark.parametrize(
    ("rule", "listed"),
    [
        ('forbid (%s, resource) unless { context has mcp && context.mcp.arguments.contains("/region=eu") };', True),
        ('forbid (%s, resource) when { context has mcp.arguments && context.mcp.arguments.contains("/a=1") };', True),
        ("forbid (%s, resource) when { context has mcp && context.mcp.arguments.isEmpty() };", True),
        ('forbid (%s, resource) when { context has mcp && context.mcp.tool == "lookup" };', False),
        ('forbid (%s, resource) when { context has http && context.http.path == "/mcp" };', False),
        ('forbid (%s, resource) when { resource == Tool::"crm/lookup" };', False),
        ('forbid (%s, resource) unless { context has http && context.http.path == "/mcp" };', True),
    ],
)
def test_what_a_forbid_demands_of_arguments_hides_nothing(rule: str, listed: bool) -> None:
    assert outcomes(ALL + '@id("one") ' + rule % CALL, "lookup") == [Outcome.ALLOW if listed else Outcome.DENY]


@pytest.mark.parametrize(
    ("clause", "listed"),
    [
        ('when { context has mcp && context.mcp.arguments.contains("/region=eu") }', True),
        ('when { context has mcp && context.mcp.tool == "other" }', False),
        ('when { context has mcp && context.mcp.arguments.contains("/a=1") } unless { principal is Agent }', False),
    ],
)
def test_what_a_permit_demands_of_arguments_is_taken_as_met(clause: str, listed: bool) -> None:
    policy = f'@id("one") permit ({CALL}, resource) {clause};'
    assert outcomes(policy, "lookup") == [Outcome.ALLOW if listed else Outcome.DENY]
    decided = engine(policy).for_session(agent(), "crm", "").decide(call("lookup", "/region=us"), MONDAY_NOON_S)
    assert decided.denial is not None


def test_many_are_asked_about_at_once_and_each_is_answered_for() -> None:
    rules = ALL + '@id("held") @approval("dba") forbid (principal, action, resource == Tool::"crm/b");\n'
    rules += '@id("never") forbid (principal, action, resource == Tool::"crm/c");'
    assert outcomes(rules, "a", "b", "c") == [Outcome.ALLOW, Outcome.HOLD, Outcome.DENY]
    assert outcomes("", "a") == [Outcome.DENY]


def test_answers_are_kept() -> None:
    session = engine(ALL).for_session(agent(), "crm", "")
    asked = (call("a"), call("b"))
    assert session.outcomes(asked, MONDAY_NOON_S) is session.outcomes(asked, MONDAY_NOON_S)
