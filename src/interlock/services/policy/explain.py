"""Explains one decision: its accesses, the rules that made it, what would change it, and what would be masked."""

from collections.abc import Iterator

import msgspec
from cedarpy import pst

from interlock.core.decision import Verdict
from interlock.core.errors import MaskingUnavailable
from interlock.core.identity import Principal
from interlock.core.operation import Meaning
from interlock.services.policy.delegated import AnyPolicy, policy_for
from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.evaluator import Evaluator
from interlock.services.policy.named_masks import named_masks
from interlock.services.policy.session import Finding, Outcome
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.policy.wording import amount, quoted

_MAX_GROUPS_TRIED = 200


class Question(msgspec.Struct, frozen=True):
    """Who asks, where, for what, when (Unix seconds)."""

    principal: Principal
    connection: str
    database: str
    meaning: Meaning
    client: ClientFacts
    now_s: float


class Explanation(msgspec.Struct, frozen=True):
    """The verdict with the finding for each access, and sentences on what would change it and what would be masked.

    ``budgets`` are the amounts up to which it is so, and what it is beyond them.
    """

    outcome: Outcome
    verdict: Verdict
    findings: tuple[Finding, ...]
    changes: tuple[str, ...]
    masked: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()


def outcome_of(verdict: Verdict) -> Outcome:
    """A verdict in one word."""
    if verdict.denial is not None:
        return Outcome.DENY
    return Outcome.ALLOW if verdict.hold is None else Outcome.HOLD


def explain(engine: PolicyEngine, question: Question) -> Explanation:
    """Ask the engine, and ask again with single rules left out and single groups joined."""
    policy = _session(engine.evaluator, question, question.principal)
    verdict = policy.decide(question.meaning, question.now_s)
    outcome = outcome_of(verdict)
    undecided = question.meaning.refusal is not None
    findings = () if undecided else policy.examine(question.meaning, question.now_s)
    changes = () if undecided else tuple(_changes(engine.evaluator, question, verdict, outcome))
    masked = () if undecided else tuple(_masked(policy, question.meaning))
    return Explanation(outcome, verdict, findings, changes, masked, tuple(_budgets(verdict)))


def _budgets(verdict: Verdict) -> Iterator[str]:
    for demand in verdict.budgets:
        whose = " of who acts" if demand.party else ""
        beyond = "denied" if demand.approval is None else f"held for group {demand.approval.group}"
        yield f"{amount(demand)}{whose} ({quoted([demand.rule])}), beyond that {beyond}"


def _masked(policy: AnyPolicy, meaning: Meaning) -> Iterator[str]:
    """What rules mask of the columns that the statement names, or of the answers to the request."""
    try:
        found = named_masks(policy.masks, meaning)
    except MaskingUnavailable as error:
        yield f"{error}; the session would be refused"
        return
    for name, mask in found.columns.items():
        compared = f", predicates {mask.predicates.word}" if meaning.noun == "statement" else ""
        yield f"{name}: {mask.kind.word}{compared} ({quoted(mask.rules)})"
    for name in found.unnamed:
        yield f"{name}: which columns * stands for is known with the database only"


def _changes(evaluator: Evaluator, question: Question, verdict: Verdict, outcome: Outcome) -> Iterator[str]:
    if outcome is Outcome.ALLOW:
        return
    forbids = [rule for rule in verdict.rules if not evaluator.rules[rule].permits]
    for rule in forbids:
        other = _ask(evaluator.without({rule}), question, question.principal)
        yield f'without rule "{rule}": {_word(other, outcome)}'
    if len(forbids) > 1:
        other = _ask(evaluator.without(forbids), question, question.principal)
        yield f"without all of these rules: {_word(other, outcome)}"
    yield from _joined_groups(evaluator, question, outcome)


def _joined_groups(evaluator: Evaluator, question: Question, outcome: Outcome) -> Iterator[str]:
    named = {uid.id for rule in evaluator.rules.values() for uid in pst.entity_uids(rule.policy) if _is_group(uid)}
    helped = False
    for group in sorted(named)[:_MAX_GROUPS_TRIED]:
        for whose, member in _members(question.principal, group):
            other = _ask(evaluator, question, member)
            if other < outcome:
                helped = True
                yield f"{whose}as a member of group {group}: {_word(other, outcome)}"
    if not helped:
        yield "no group that the policy names would make a difference"


def _members(who: Principal, group: str) -> Iterator[tuple[str, Principal]]:
    """The principal as if it, who acts for it, or both were in a group, as far as that is something else."""
    if group not in who.groups:
        yield "", _joining(who, group)
    if who.actor is not None and group not in who.actor.groups:
        acting = (_joining(who.actor, group), *who.acting[1:])
        yield "who acts ", msgspec.structs.replace(who, acting=acting)
        if group not in who.groups:
            yield "both ", msgspec.structs.replace(_joining(who, group), acting=acting)


def _joining(who: Principal, group: str) -> Principal:
    return msgspec.structs.replace(who, groups=who.groups | {group})


def _is_group(uid: pst.EntityUid) -> bool:
    return str(uid.type) == "Group"


def _word(other: Outcome, outcome: Outcome) -> str:
    return ("still " if other is outcome else "") + {0: "allowed", 1: "held for approval", 2: "denied"}[other]


def _session(evaluator: Evaluator, question: Question, principal: Principal) -> AnyPolicy:
    return policy_for(evaluator, principal, question.connection, question.database, question.client)


def _ask(evaluator: Evaluator, question: Question, principal: Principal) -> Outcome:
    return outcome_of(_session(evaluator, question, principal).decide(question.meaning, question.now_s))
