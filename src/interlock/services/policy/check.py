"""Finds what is wrong or doubtful in policy texts before they are put in force.

An *error* keeps a policy from becoming active. A *warning* is about a rule that is valid and cannot do what it seems to
say. Only what is certain is reported: no warning rests on a guess about conditions.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from cedarpy import pst

from interlock.core.settings import OWN_CONNECTION, ConnectionSettings
from interlock.services.policy import permissions
from interlock.services.policy.resources import FILE, LINEAGE_BY_TYPE
from interlock.services.policy.reveal import REVEAL, REVEALED, Bearing, bearing, is_about_reveal_only
from interlock.services.policy.rules import Rule, read_rules
from interlock.services.policy.scopes import actions_of
from interlock.services.policy.sources import NO_TAGS, PolicySource, Tags
from interlock.services.policy.tags import OF_HTTP, OF_SSH, tag_problems, tag_types
from interlock.services.policy.tree import reads_action, tags_named

GATEWAY = "Gateway"
CONNECTION = "Connection"
ENDPOINT = "Endpoint"
AGENT = pst.EntityType("Agent")
_OF_PROTOCOLS: Mapping[str, Sequence[str]] = {"http": OF_HTTP, "ssh": OF_SSH}
_OF_ANY = frozenset({*OF_HTTP, *OF_SSH})


class Severity(enum.Enum):
    """Whether a policy with this remark may become active."""

    ERROR = "error"
    WARNING = "warning"


class Remark(msgspec.Struct, frozen=True):
    """One thing found. ``text`` begins with its place (``file:line:``)."""

    severity: Severity
    text: str


@dataclasses.dataclass(frozen=True)
class KnownNames:
    """The names of the configuration; None where it does not say."""

    groups: frozenset[str] | None = None
    connections: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    protocols: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The protocol of each connection that is known."""
    endpoints: frozenset[str] = frozenset()
    """All endpoints, as ids."""


def known_names(connections: Mapping[str, ConnectionSettings], node: str) -> KnownNames:
    """What the settings of a gateway know."""
    endpoints = (f"{name}/{endpoint}" for name, of in connections.items() for endpoint in of.http.endpoints)
    return KnownNames(
        connections=frozenset({*connections, OWN_CONNECTION}),
        gateways=frozenset({node}),
        protocols={OWN_CONNECTION: "http"} | {name: settings.protocol for name, settings in connections.items()},
        endpoints=frozenset(endpoints),
    )


def check(
    sources: Sequence[PolicySource], tags: Tags | None = None, names: KnownNames = KnownNames()
) -> tuple[Remark, ...]:
    """All remarks, errors first. ``tags`` is None when the configuration is not known."""
    draft = read_rules(sources)
    problems = [*draft.problems, *tag_problems(tags or NO_TAGS)]
    if problems:
        return tuple(Remark(Severity.ERROR, problem) for problem in problems)
    types = None if tags is None else tag_types(tags)
    remarks = [
        f'{rule.place}: rule "{rule.id}" {remark}'
        for rule in draft.rules
        for remark in (
            *_unknown_names(rule, names),
            *(() if types is None else _useless_tags(rule, types)),
            *_unmeant_reveal(rule),
            *_unmeant_permissions(rule),
            *_unmeant_softening(rule),
            *_shadowed(rule, draft.rules),
        )
    ]
    return tuple(Remark(Severity.WARNING, remark) for remark in remarks)


def _unknown_names(rule: Rule, names: KnownNames) -> Iterator[str]:
    named = sorted((str(uid.type), uid.id) for uid in pst.entity_uids(rule.policy))
    groups = [name for kind, name in named if kind == "Group"] + ([rule.demand.group] if rule.demand else [])
    gateways = [name for kind, name in named if kind == GATEWAY]
    connections = {name.split("/")[0] for kind, name in named if kind in LINEAGE_BY_TYPE and kind != GATEWAY}
    yield from _missing("group", groups, names.groups)
    yield from _missing("gateway", gateways, names.gateways)
    yield from _missing("connection", sorted(connections), names.connections)
    yield from filter(None, (_impossible(kind, name, names) for kind, name in named))


def _impossible(kind: str, name: str, names: KnownNames) -> str | None:
    """Why the connection can have no resource of this id."""
    connection = name.split("/")[0]
    protocol = names.protocols.get(connection)
    if protocol is None or kind == CONNECTION or kind not in LINEAGE_BY_TYPE:
        return None
    if kind not in _OF_PROTOCOLS[protocol] if protocol in _OF_PROTOCOLS else kind in _OF_ANY:
        return f'names {kind}::"{name}", but connections of protocol {protocol} have nothing of that kind'
    if kind == ENDPOINT and name not in names.endpoints:
        return f'names the endpoint "{name}", which the settings of its connection do not have'
    return None


def _missing(noun: str, used: Sequence[str], known: frozenset[str] | None) -> Iterator[str]:
    for name in dict.fromkeys(used):
        if known is not None and name not in known:
            yield f'names the {noun} "{name}", which the configuration does not have'


def _useless_tags(rule: Rule, types: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Tags that nothing the rule is asked of has by the configuration. Columns may have them from the database."""
    asked_of_columns = bearing(rule.policy) is not Bearing.NONE
    for name in sorted(tags_named(rule.policy)):
        if name not in types and asked_of_columns:
            yield f'names the tag "{name}", which the configuration does not give; only the database could'
        elif name not in types:
            yield f'names the tag "{name}", which the configuration does not have'
        elif types[name] <= REVEALED and not asked_of_columns:
            nouns = " and ".join(f"{kind.lower()}s" for kind in sorted(types[name]))
            yield f'names the tag "{name}", which only {nouns} have; they are asked for reveal alone'


def _unmeant_reveal(rule: Rule) -> Iterator[str]:
    """Permits that have no effect, and forbids that exempt actions and may have forgotten this one."""
    if rule.permits and is_about_reveal_only(rule.policy):
        yield "grants nothing: who may read may see, unless a forbid on reveal says otherwise"
    forbids = bearing(rule.policy) is Bearing.ASKED and isinstance(rule.policy.action, pst.ScopeAny)
    if forbids and reads_action(rule.policy) and REVEAL not in pst.entity_uids(rule.policy):
        yield 'is asked for Action::"reveal" of every column, too, which its condition on actions does not name'


def _unmeant_permissions(rule: Rule) -> Iterator[str]:
    """A permit without limits, which is about the gateway itself as well."""
    everything = isinstance(rule.policy.action, pst.ScopeAny) and isinstance(rule.policy.resource, pst.ScopeAny)
    if rule.permits and everything and _kind(rule.policy.principal) != AGENT and not reads_action(rule.policy):
        yield "gives every permission on the gateway itself, too, to the users in its scope: limit actions or resources"


def _unmeant_softening(rule: Rule) -> Iterator[str]:
    """A forbid on permissions that asks for approval: nobody can be asked there."""
    if rule.demand and actions_of(rule.policy.action) <= permissions.ACTIONS:
        yield "never asks for approval: permissions on the gateway are there or not"


def _shadowed(rule: Rule, rules: Sequence[Rule]) -> Iterator[str]:
    """A forbid without conditions that covers the whole scope of a permit, or of a forbid that is softened."""
    if not rule.permits and not rule.softened:
        return
    for other in rules:
        if not other.permits and not other.softened and not other.policy.clauses and _covers(other.policy, rule.policy):
            yield f'{_unheard(rule)}: rule "{other.id}" at {other.place} forbids all of it'


def _unheard(rule: Rule) -> str:
    """What a rule does not do that another one covers."""
    if rule.permits:
        return "grants nothing"
    if rule.budgets:
        return "never lets anything pass within its budget"
    return "never asks for approval" if rule.demand else "masks nothing"


def _covers(wide: pst.Template, narrow: pst.Template) -> bool:
    return (
        _covers_scope(wide.principal, narrow.principal)
        and actions_of(narrow.action) <= actions_of(wide.action)
        and _covers_scope(wide.resource, narrow.resource)
    )


def _covers_scope(wide: pst.PrincipalOrResourceConstraint, narrow: pst.PrincipalOrResourceConstraint) -> bool:
    if wide == narrow:
        return True
    match wide:
        case pst.ScopeAny():
            return True
        case pst.ScopeIs(kind):
            return _kind(narrow) == kind
        case pst.ScopeIn(pst.EntityUid() as outer):
            inner = _entity(narrow)
            return inner is not None and _is_within(inner, outer)
        case pst.ScopeIsIn(kind, pst.EntityUid() as outer):
            inner = _entity(narrow)
            return _kind(narrow) == kind and inner is not None and _is_within(inner, outer)
        case _:
            return False


def _kind(scope: pst.PrincipalOrResourceConstraint) -> pst.EntityType | None:
    match scope:
        case pst.ScopeEq(pst.EntityUid(kind, _)) | pst.ScopeIs(kind) | pst.ScopeIsIn(kind, _):
            return kind
        case _:
            return None


def _entity(scope: pst.PrincipalOrResourceConstraint) -> pst.EntityUid | None:
    match scope:
        case pst.ScopeEq(pst.EntityUid() as entity) | pst.ScopeIn(pst.EntityUid() as entity):
            return entity
        case pst.ScopeIsIn(_, pst.EntityUid() as entity):
            return entity
        case _:
            return None


def _is_within(inner: pst.EntityUid, outer: pst.EntityUid) -> bool:
    """Whether an entity is another one or lies below it by its id; tags and groups hold nothing by id."""
    if inner == outer:
        return True
    types = LINEAGE_BY_TYPE.get(str(inner.type), ())
    if str(inner.type) == str(outer.type) == FILE:
        return inner.id.startswith(outer.id.rstrip("/") + "/")
    if str(outer.type) not in types[:-1]:
        return False
    depth = types.index(str(outer.type)) + 1
    return inner.id.split("/")[:depth] == outer.id.split("/")
