"""Short ways to write principals, meanings and engines in policy tests."""

from collections.abc import Mapping

from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import NO_FACTS, Access, Facts, Meaning, ResourceKind
from interlock.services.policy import PolicyEngine, PolicySource
from interlock.services.policy.sources import NO_TAGS, Tags

MONDAY_NOON_S = 1_767_614_400.0
"""2026-01-05T12:00:00Z."""

BASIC = """
@id("ci-reads")
permit (principal in Group::"ci-bots", action in Action::"read", resource in Connection::"pg");

@id("ci-writes")
permit (principal in Group::"ci-bots", action in Action::"write", resource in Connection::"pg");

@id("writes-need-a-dba") @approval("dba") @approvals("2") @expires("5m")
forbid (principal in Group::"ci-bots", action in Action::"write", resource in Connection::"pg");

@id("never-drop") @message("Agents never drop objects. Propose a migration instead.")
forbid (principal, action in Action::"destructive", resource);
"""


def agent(*groups: str, name: str = "ci-1", owner: str | None = "alice") -> Principal:
    return Principal(PrincipalKind.AGENT, name, frozenset(groups), owner)


def user(
    *groups: str, name: str = "sam", acting: tuple[Principal, ...] = (), issued_at_s: float | None = None
) -> Principal:
    return Principal(PrincipalKind.USER, name, frozenset(groups), acting=acting, issued_at_s=issued_at_s)


def table(action: str, name: str = "users", schema: str = "public") -> Access:
    return Access(action, ResourceKind.TABLE, (schema, name))


def meaning(*accesses: Access | str, facts: Facts = NO_FACTS, refusal: str | None = None) -> Meaning:
    """A meaning of these accesses; a plain word is that action on the table public.users."""
    full = tuple(table(access) if isinstance(access, str) else access for access in accesses)
    return Meaning("TEST", full, facts, refusal)


def sql_facts(**changes: object) -> Mapping[str, object]:
    facts = {"verb": "SELECT", "has_where": True, "tables": ("public.users",), "functions": (), "statements": 1}
    return {**facts, **changes}


def source(text: str, name: str = "a.cedar") -> PolicySource:
    return PolicySource(name, text)


def engine(text: str = BASIC, tags: Tags = NO_TAGS) -> PolicyEngine:
    return PolicyEngine([source(text)], tags)
