"""The policy as one session sees it: what a principal may do on one database.

Every access of a meaning is asked by itself, and the strictest answer counts: deny, then hold, then allow. Whatever
goes wrong in here is a denial, never a permit.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cedarpy
import msgspec

from interlock.core.decision import ApprovalDemand, BudgetDemand, Hold, Verdict
from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy import wording
from interlock.services.policy.alike import Alikeness, Likeness
from interlock.services.policy.evaluator import Answer, Evaluator
from interlock.services.policy.masking import MaskedPolicy
from interlock.services.policy.masks import RuleMasks
from interlock.services.policy.resources import Resource, UnresolvedName, resolve
from interlock.services.policy.viewpoint import Viewpoint

MAX_ACCESSES = 1000
"""Different accesses of one meaning; more would stop every other session while they are decided."""

_KEPT_VERDICTS = 256
_KEPT_ENTITIES = 64
_NEVER_S = float(1 << 62)
"""Beyond any time that a sound clock tells."""
_KEPT_OUTCOMES = 8
_CONNECT = Access("connect", ResourceKind.CONNECTION)
_GRAVITY = (DenialReason.POLICY_ERROR, DenialReason.FORBIDDEN, DenialReason.NO_PERMIT)
"""Which of several denials the caller reads: the first in this order."""


class Outcome(enum.IntEnum):
    """What policy says about one access; the greatest counts."""

    ALLOW = 0
    HOLD = 1
    DENY = 2


class Finding(msgspec.Struct, frozen=True):
    """The outcome for one access.

    ``rules`` made it: the permits, or the forbids that nothing softens, or for a hold the permits and the forbids.
    With ``budgets`` it is so as long as none of them is spent. ``denial`` is there exactly when the outcome is DENY.
    """

    access: Access
    line: str
    outcome: Outcome
    rules: tuple[str, ...] = ()
    demands: tuple[ApprovalDemand, ...] = ()
    denial: Denial | None = None
    budgets: tuple[BudgetDemand, ...] = ()


class SessionPolicy(MaskedPolicy):
    """One policy version for one principal on one database, with the verdicts already found.

    Whoever acts for the principal is known to rules, but not asked about: see ``delegated``.

    Verdicts are kept for the most recently used meanings, by identity, and for what is like them, unless a rule reads
    the time. ``masks`` are the rules about what this principal may see.
    """

    def __init__(self, evaluator: Evaluator, viewpoint: Viewpoint) -> None:
        super().__init__(evaluator.version, RuleMasks(evaluator, viewpoint))
        self._evaluator = evaluator
        self._viewpoint = viewpoint
        self._alikeness = Alikeness(evaluator.rules.values(), self._viewpoint)
        self._verdicts: dict[Meaning, Verdict] = {}
        self._of_alike: dict[Likeness, Verdict] = {}
        self._entities: dict[tuple[Resource, ...], cedarpy.Entities] = {}
        self._lines: dict[Meaning, tuple[str, ...]] = {}
        self._outcomes: dict[tuple[Meaning, ...], tuple[Outcome, ...]] = {}

    def decide(self, meaning: Meaning, now_s: float) -> Verdict:
        """The verdict on one meaning at a time (Unix seconds). Never raises for what went wrong: that is a denial."""
        verdicts = self._verdicts
        verdict = verdicts.pop(meaning, None)
        if verdict is None:
            verdict = self._decide_anew(meaning, now_s)
            if not self._may_keep(verdict):
                return verdict
            if len(verdicts) >= _KEPT_VERDICTS:
                del verdicts[next(iter(verdicts))]
        verdicts[meaning] = verdict
        return verdict

    def examine(self, meaning: Meaning, now_s: float) -> tuple[Finding, ...]:
        """What policy says about each different access, in order. May raise: decisions come from ``decide``."""
        accesses = self._accesses(meaning)
        seen = self._alikeness.seen_of(meaning.facts, tuple(accesses))
        context = self._viewpoint.circumstances(now_s, seen)
        found = {finding.access: finding for finding in self._ask([(one, context) for one in accesses], meaning.noun)}
        return tuple(found.get(access) or self._unresolved(access, meaning.noun) for access in accesses)

    def outcomes(self, meanings: tuple[Meaning, ...], now_s: float) -> tuple[Outcome, ...]:
        """What policy can say to calls whose arguments are not known: a look, no decision (see ``listing``).

        They have one access each, which differ, and are asked about at once. The last answers are kept. May raise.
        """
        kept = self._outcomes.get(meanings)
        if kept is not None:
            return kept
        asked = [(one.accesses[0], self._viewpoint.circumstances(now_s, one.facts)) for one in meanings]
        found = {one.access: one.outcome for one in self._ask(asked, "request", self._evaluator.for_listing)}
        outcomes = tuple(found.get(access, Outcome.DENY) for access, _ in asked)
        if not self._evaluator.reads_time:
            if len(self._outcomes) >= _KEPT_OUTCOMES:
                del self._outcomes[next(iter(self._outcomes))]
            self._outcomes[meanings] = outcomes
        return outcomes

    def access_lines(self, meaning: Meaning) -> tuple[str, ...]:
        """The meaning's different accesses as ``action on resource``, for records and people."""
        lines = self._lines.get(meaning)
        if lines is None:
            lines = tuple(self._line(access) for access in distinct_accesses(meaning)[:MAX_ACCESSES])
            if len(self._lines) >= _KEPT_VERDICTS:
                del self._lines[next(iter(self._lines))]
            self._lines[meaning] = lines
        return lines

    def _may_keep(self, verdict: Verdict) -> bool:
        failed = verdict.denial is not None and verdict.denial.reason is DenialReason.POLICY_ERROR
        return not failed and not self._evaluator.reads_time

    def _decide_anew(self, meaning: Meaning, now_s: float) -> Verdict:
        """The verdict on a meaning like this one, if there is one that may be kept, or what the rules say."""
        try:
            likeness = self._alikeness.of(meaning, tuple(self._accesses(meaning))) if 0 <= now_s < _NEVER_S else None
            verdict = self._of_alike.get(likeness) if likeness is not None else None
        except Exception:  # noqa: BLE001 - what cannot be compared is like nothing else
            likeness = verdict = None
        if verdict is not None:
            return verdict
        verdict = self._evaluate(meaning, now_s)
        if likeness is not None and self._may_keep(verdict):
            if len(self._of_alike) >= _KEPT_VERDICTS:
                del self._of_alike[next(iter(self._of_alike))]
            self._of_alike[likeness] = verdict
        return verdict

    def _evaluate(self, meaning: Meaning, now_s: float) -> Verdict:
        try:
            if meaning.refusal is not None and not meaning.refusal_code:
                return self._denied(wording.unsupported(meaning.refusal, self.version))
            count = len(self._accesses(meaning))
            if count > MAX_ACCESSES:
                return self._denied(wording.too_many(count, MAX_ACCESSES, self.version, meaning.noun))
            verdict = self._strictest(self.examine(meaning, now_s), meaning.noun)
            if verdict.denial is None and meaning.refusal is not None:
                code, position = meaning.refusal_code, meaning.refusal_position
                return self._denied(wording.unsupported(meaning.refusal, self.version, code, position))
            if verdict.denial is None and "unread" in meaning.facts and self._asks_about_body(meaning):
                return self._denied(wording.unread(str(meaning.facts["unread"]), self.version))
            if verdict.denial is not None and "error" in meaning.facts:
                return self._denied(wording.not_understood(verdict.denial, str(meaning.facts["error"]), meaning.noun))
            if verdict.denial is not None and "opaque" in meaning.facts:
                return self._denied(wording.opaque(verdict.denial, str(meaning.facts["opaque"])))
            return verdict
        except Exception:  # noqa: BLE001 - fail closed: whatever broke, the answer is no
            return self._denied(wording.broken("this request", (), self.version))

    def _asks_about_body(self, meaning: Meaning) -> bool:
        return self._alikeness.reads_body(tuple(self._accesses(meaning)))

    def _accesses(self, meaning: Meaning) -> list[Access]:
        """What is to be decided: the meaning's accesses, and what they may reach of files that rules name."""
        accesses, ssh = distinct_accesses(meaning), meaning.facts.get("ssh")
        login = str(ssh.get("login", "")) if isinstance(ssh, Mapping) else ""
        return self._evaluator.named_files.with_reached(accesses, self._viewpoint.connection, login)

    def _ask(
        self, questions: Sequence[tuple[Access, str]], noun: str, evaluator: Evaluator | None = None
    ) -> Iterator[Finding]:
        """What is found about different accesses, each in its circumstances; nothing about what has no resource."""
        resources = {access: resource for access, _ in questions if (resource := self._resource(access)) is not None}
        if not resources:
            return
        evaluator = evaluator or self._evaluator
        asked = self._entities_of(tuple(resources.values()))
        requests = [
            self._viewpoint.request(access.action, resources[access].uid, context)
            for access, context in questions
            if access in resources
        ]
        answers = evaluator.ask(requests, asked, permits_only=False)
        again = [request for request, answer in zip(requests, answers, strict=True) if evaluator.softened(answer)]
        permits = iter(evaluator.ask(again, asked, permits_only=True) if again else ())
        for access, answer in zip(resources, answers, strict=True):
            yield self._finding(access, answer, next(permits) if evaluator.softened(answer) else None, noun)

    def _resource(self, access: Access) -> Resource | None:
        try:
            return resolve(access, self._viewpoint.connection, self._viewpoint.database)
        except UnresolvedName:
            return None

    def _entities_of(self, resources: tuple[Resource, ...]) -> cedarpy.Entities:
        """The entities that questions about resources need; those of the last ones are kept."""
        entities = self._entities.pop(resources, None)
        if entities is None:
            entities = self._viewpoint.entities(resources, self._evaluator.tags)
            if len(self._entities) >= _KEPT_ENTITIES:
                del self._entities[next(iter(self._entities))]
        self._entities[resources] = entities
        return entities

    def _finding(self, access: Access, answer: Answer, permits: Answer | None, noun: str) -> Finding:
        line = self._line(access)
        failed = answer.failed if permits is None else permits.failed
        if failed is not None:
            return Finding(access, line, Outcome.DENY, failed, denial=wording.broken(line, failed, self.version))
        if answer.allowed:
            return Finding(access, line, Outcome.ALLOW, answer.rules)
        if permits is not None and permits.allowed:
            return self._softened(access, line, answer.rules, permits.rules)
        return self._refused(access, line, answer, noun)

    def _softened(self, access: Access, line: str, forbids: tuple[str, ...], permits: tuple[str, ...]) -> Finding:
        rules = self._evaluator.rules
        demands = tuple(demand for rule in forbids if (demand := rules[rule].asked_first))
        outcome = Outcome.HOLD if demands else Outcome.ALLOW
        made_by = tuple(sorted((*forbids, *permits)))
        return Finding(access, line, outcome, made_by, demands, budgets=self._evaluator.budgets(forbids))

    def _refused(self, access: Access, line: str, answer: Answer, noun: str) -> Finding:
        forbids = tuple(rule for rule in answer.rules if not self._evaluator.rules[rule].softens_operations)
        if forbids:
            denial = wording.forbidden(line, forbids, self._messages(forbids), self.version, noun)
        else:
            view = self._viewpoint
            denial = wording.no_permit(view.principal, line, access, view.connection, self.version)
        return Finding(access, line, Outcome.DENY, forbids, denial=denial)

    def _unresolved(self, access: Access, noun: str) -> Finding:
        line = self._line(access)
        return Finding(access, line, Outcome.DENY, denial=wording.unresolved(line, self.version, noun))

    def _strictest(self, findings: Sequence[Finding], noun: str) -> Verdict:
        outcome = max(finding.outcome for finding in findings)
        if outcome is not Outcome.DENY:
            budgets, budgeted = self._budgets(findings)
            hold = self._held(findings) if outcome is Outcome.HOLD else None
            return Verdict(self.version, _rules(findings), None, hold, budgets, budgeted, noun)
        denied = [finding for finding in findings if finding.outcome is Outcome.DENY]
        worst = min((finding.denial for finding in denied if finding.denial), key=lambda d: _GRAVITY.index(d.reason))
        return self._denied(msgspec.structs.replace(worst, rules=_rules(denied)))

    def _budgets(self, findings: Sequence[Finding]) -> tuple[tuple[BudgetDemand, ...], tuple[str, ...]]:
        """The budgets of all findings, each once, with the first access that it is about."""
        lines: dict[BudgetDemand, str] = {}
        for finding in findings:
            for demand in finding.budgets:
                lines.setdefault(demand, finding.line)
        if not lines:
            return (), ()
        budgets = self._evaluator.budgets(dict.fromkeys(demand.rule for demand in lines))
        return budgets, tuple(lines[demand] for demand in budgets)

    def _held(self, findings: Sequence[Finding]) -> Hold:
        demands = tuple(dict.fromkeys(demand for finding in findings for demand in finding.demands))
        line = next(finding.line for finding in findings if finding.outcome is Outcome.HOLD)
        messages = self._messages(demand.rule for demand in demands)
        return wording.held(line, demands, messages, _rules(findings), self.version)

    def _denied(self, denial: Denial) -> Verdict:
        return Verdict(self.version, denial.rules, denial=denial)

    def _messages(self, rules: Iterable[str]) -> list[str]:
        said = (self._evaluator.rules[rule].message for rule in rules)
        return list(dict.fromkeys(message for message in said if message))

    def _line(self, access: Access) -> str:
        try:
            resource_id = resolve(access, self._viewpoint.connection, self._viewpoint.database).id
        except UnresolvedName:
            resource_id = "/".join(filter(None, access.path)) or "(unnamed)"
        return wording.access_line(access, resource_id)


def distinct_accesses(meaning: Meaning) -> list[Access]:
    """The accesses to decide, each once; columns don't make a difference. Without any, it is ``connect``."""
    bare = (msgspec.structs.replace(access, columns=()) if access.columns else access for access in meaning.accesses)
    return list(dict.fromkeys(bare)) or [_CONNECT]


def _rules(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(sorted({rule for finding in findings for rule in finding.rules}))
