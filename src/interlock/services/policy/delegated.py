"""Policy where somebody acts for the principal (``act`` of RFC 8693 section 4.1): what both are allowed.

The principal is asked about with who acts in the context, and who acts with the principal in the context; the stricter
answer counts. So do the answers about whoever acted before: that section has them for information only, but then a
token that is handed on would allow what the one before did not.
"""

from collections.abc import Iterable

import msgspec

from interlock.core.catalogue import Catalogue, ColumnKey
from interlock.core.decision import BudgetDemand, Hold, Verdict
from interlock.core.denial import Denial
from interlock.core.identity import Principal
from interlock.core.masking import ColumnMask
from interlock.core.operation import Meaning
from interlock.services.policy import wording
from interlock.services.policy.evaluator import Evaluator
from interlock.services.policy.masking import MaskedPolicy
from interlock.services.policy.masks import KeyT, MaskRules, join
from interlock.services.policy.session import Finding, Outcome, SessionPolicy
from interlock.services.policy.viewpoint import NO_DELEGATION, ClientFacts, Delegation, Party, Viewpoint

_KEPT_VERDICTS = 256


class DelegatedPolicy(MaskedPolicy):
    """One policy version for somebody and who acts for them, on one database. As ``SessionPolicy``."""

    def __init__(
        self,
        evaluator: Evaluator,
        parties: tuple[Principal, Principal],
        own: SessionPolicy,
        actors: "SessionPolicy | DelegatedPolicy",
    ) -> None:
        """``own`` is about the first of the parties, ``actors`` about the other and whoever acts for that one."""
        super().__init__(evaluator.version, JoinedMasks(own.masks, actors.masks))
        self._own, self._actors = own, actors
        self._evaluator = evaluator
        self._principal, self._actor = parties
        self._kept: dict[Meaning, tuple[Verdict, Verdict, Verdict]] = {}

    def decide(self, meaning: Meaning, now_s: float) -> Verdict:
        """See ``SessionPolicy``."""
        own, actors = self._own.decide(meaning, now_s), self._actors.decide(meaning, now_s)
        kept = self._kept.pop(meaning, None)
        if kept is None or kept[0] is not own or kept[1] is not actors:
            kept = own, actors, self._both(own, actors)
            if len(self._kept) >= _KEPT_VERDICTS:
                del self._kept[next(iter(self._kept))]
        self._kept[meaning] = kept
        return kept[2]

    def examine(self, meaning: Meaning, now_s: float) -> tuple[Finding, ...]:
        """See ``SessionPolicy``."""
        found = zip(self._own.examine(meaning, now_s), self._actors.examine(meaning, now_s), strict=True)
        return tuple(self._stricter(own, actors) for own, actors in found)

    def outcomes(self, meanings: tuple[Meaning, ...], now_s: float) -> tuple[Outcome, ...]:
        """See ``SessionPolicy``."""
        found = zip(self._own.outcomes(meanings, now_s), self._actors.outcomes(meanings, now_s), strict=True)
        return tuple(map(max, found))

    def access_lines(self, meaning: Meaning) -> tuple[str, ...]:
        """See ``SessionPolicy``."""
        return self._own.access_lines(meaning)

    def _both(self, own: Verdict, actors: Verdict) -> Verdict:
        try:
            if (denial := self._denial(own.denial, actors.denial)) is not None:
                return Verdict(self.version, denial.rules, denial)
            budgets = self._evaluator.shared((*own.budgets, *map(_of_actor, actors.budgets)))
            budgeted = (*own.budgeted, *actors.budgeted)
            rules = _together(own.rules, actors.rules)
            return Verdict(self.version, rules, None, _hold(own.hold, actors.hold), budgets, budgeted, own.noun)
        except Exception:  # noqa: BLE001 - fail closed: whatever broke, the answer is no
            denial = wording.broken("this request", (), self.version)
            return Verdict(self.version, denial=denial)

    def _stricter(self, own: Finding, actors: Finding) -> Finding:
        outcome = max(own.outcome, actors.outcome)
        made_by = [one.rules for one in (own, actors) if outcome is not Outcome.DENY or one.outcome is Outcome.DENY]
        return Finding(
            own.access,
            own.line,
            outcome,
            _together(*made_by),
            tuple(dict.fromkeys((*own.demands, *actors.demands))) if outcome is Outcome.HOLD else (),
            self._denial(own.denial, actors.denial),
            (*own.budgets, *map(_of_actor, actors.budgets)) if outcome is not Outcome.DENY else (),
        )

    def _denial(self, own: Denial | None, actors: Denial | None) -> Denial | None:
        """The denial when one of them is denied; of two, the principal's."""
        if own is not None:
            denial = wording.refused_to_principal(own, self._principal, self._actor)
        elif actors is not None:
            denial = wording.refused_to_actor(actors, self._principal, self._actor)
        else:
            return None
        rules = _together(*(one.rules for one in (own, actors) if one is not None))
        return msgspec.structs.replace(denial, rules=rules)


class JoinedMasks:
    """What is masked for either of two. Implements ``MaskRules``."""

    def __init__(self, one: MaskRules, other: MaskRules) -> None:
        self._one = one
        self._other = other

    @property
    def any(self) -> bool:
        return self._one.any or self._other.any

    def on_columns(self, catalogue: Catalogue) -> dict[ColumnKey, ColumnMask]:
        return _joined(self._one.on_columns(catalogue), self._other.on_columns(catalogue))

    def on_fields(self) -> dict[str, ColumnMask]:
        return _joined(self._one.on_fields(), self._other.on_fields())

    def on_detectors(self) -> dict[str, ColumnMask]:
        return _joined(self._one.on_detectors(), self._other.on_detectors())


AnyPolicy = SessionPolicy | DelegatedPolicy
"""One policy version for whoever has a session."""


def policy_for(
    evaluator: Evaluator, principal: Principal, connection: str, database: str, client: ClientFacts
) -> AnyPolicy:
    """The policy for a principal and, when somebody acts for it, for whoever does and did."""
    delegation = Delegation(actor=Party.of(principal.actor)) if principal.actor is not None else NO_DELEGATION
    own = SessionPolicy(evaluator, Viewpoint(principal, connection, database, client, delegation))
    acting = Delegation(on_behalf_of=Party.of(principal))
    joined: AnyPolicy = own
    later: list[tuple[Principal, SessionPolicy]] = [(principal, own)]
    for who in principal.acting:
        later.append((who, SessionPolicy(evaluator, Viewpoint(who, connection, database, client, acting))))
    actor, joined = later.pop()
    while later:
        who, policy = later.pop()
        actor, joined = who, DelegatedPolicy(evaluator, (who, actor), policy, joined)
    return joined


def _joined(one: dict[KeyT, ColumnMask], other: dict[KeyT, ColumnMask]) -> dict[KeyT, ColumnMask]:
    masks = dict(one)
    for key, mask in other.items():
        join(masks, key, mask)
    return masks


def _hold(own: Hold | None, actors: Hold | None) -> Hold | None:
    """What holds either: everybody is asked that one of them needs the word of."""
    if own is None or actors is None:
        return own or actors
    return Hold(
        tuple(dict.fromkeys((*own.demands, *actors.demands))),
        " ".join(dict.fromkeys((own.message, actors.message))),
        _together(own.rules, actors.rules),
        own.policy,
        own.access,
    )


def _of_actor(demand: BudgetDemand) -> BudgetDemand:
    return msgspec.structs.replace(demand, party=demand.party + 1)


def _together(*rules: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set[str]().union(*rules)))
