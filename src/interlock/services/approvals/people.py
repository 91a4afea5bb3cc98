"""Who may answer a request: never whoever asked, acts for whoever asked, answers for such an agent, or is acted for.

Two accounts are the same person when they share a name, an owner, or what an issuer says of them. What cannot be
known, that two names without anything in common belong to one person, nothing in here claims to know.
"""

from collections.abc import Callable

from interlock.core.approval import ApprovalRequest, Vote
from interlock.core.identity import Actor, Principal, PrincipalKind, RegisteredIdentity, everybody
from interlock.services.approvals.terms import asker_of

FindIdentity = Callable[[str], RegisteredIdentity | None]
"""A registered identity by name. May raise ``StateUnavailable``."""

_MAX_OWNERS = 16
_WHERE = frozenset(
    {"repository", "ref", "workflow", "job_workflow_ref", "environment", "runner_environment", "namespace"}
)
"""Claims that say where something runs and not who it is."""


def persons_asking(request: ApprovalRequest, find: FindIdentity) -> frozenset[str]:
    """Every name of the people behind a request."""
    asking = everybody(asker_of(request))
    return frozenset[str]().union(*(_names(who, find) | {who.subject.casefold()} for who in asking))


def persons_answering(actor: Actor, find: FindIdentity) -> frozenset[str]:
    """Every name of the person who answers."""
    account = {actor.principal.subject.casefold()} if actor.local else set()
    return (_names(actor.principal, find) | account) - {""}


def objection(request: ApprovalRequest, actor: Actor, find: FindIdentity) -> str | None:
    """Why this person may not answer this request at all, None when nothing speaks against it."""
    principal = actor.principal
    if principal.kind is not PrincipalKind.USER:
        return "agents do not answer requests for approval; a person has to"
    if principal.acting:
        return "nobody answers requests for approval for somebody else; the person has to"
    registered = find(principal.name)
    if registered is not None and registered.disabled:
        return "this identity is disabled"
    if all(demand.self_approval for demand in request.demands):
        return None
    if persons_asking(request, find) & persons_answering(actor, find):
        return "whoever asks, answers for the agent or is acted for cannot answer: it takes a second person"
    return None


def groups_of(actor: Actor, find: FindIdentity) -> frozenset[str]:
    """The groups that count now: those of the proof, and those that the registered identity has at this moment."""
    return actor.principal.groups | registered_groups(actor.principal.name, find)


def registered_groups(name: str, find: FindIdentity) -> frozenset[str]:
    """The groups that are registered for a name at this moment."""
    registered = find(name)
    return registered.groups if registered is not None else frozenset()


def as_registered(vote: Vote, find: FindIdentity) -> Principal:
    """Whoever has voted, with the owner and the groups that locks can be on."""
    registered = find(vote.reviewer)
    owner = registered.owner if registered is not None else None
    groups = registered_groups(vote.reviewer, find) | frozenset(vote.groups)
    return Principal(PrincipalKind.USER, vote.reviewer, groups, owner)


def _names(who: Principal, find: FindIdentity) -> frozenset[str]:
    """Every name of the people behind an identity; those who act for it are not looked at."""
    said = [value for name, value in who.claims if name not in _WHERE]
    return _with_owners([who.name, who.owner or "", *said], find) | {_subject(who.issuer, who.subject)}


def _with_owners(names: list[str], find: FindIdentity) -> frozenset[str]:
    """Names with those who own them, and so on."""
    found: set[str] = set()
    pending = [name for name in names if name]
    while pending and len(found) < _MAX_OWNERS * len(names):
        name = pending.pop()
        if name.casefold() in found:
            continue
        found.add(name.casefold())
        registered = find(name)
        if registered is not None and registered.owner:
            pending.append(registered.owner)
    return frozenset(found)


def _subject(issuer: str, subject: str) -> str:
    return f"{issuer} {subject}" if issuer and subject else ""
