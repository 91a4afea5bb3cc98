"""How much policy grants somebody on connections as a whole: a look, no decision.

Rules about parts of a connection may say otherwise.
"""

from collections.abc import Iterable

from cedarpy import pst

from interlock.core.identity import Principal
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy.delegated import policy_for
from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.rules import Rule
from interlock.services.policy.scopes import fits_principal
from interlock.services.policy.session import Outcome
from interlock.services.policy.viewpoint import ClientFacts

_CONNECT = Meaning("CONNECT", ())


def granted_actions(
    engine: PolicyEngine, who: Principal, connection: str, place: str, actions: Iterable[str], now_s: float
) -> tuple[str, ...] | None:
    """Which of these actions are not refused on a connection as a whole; None when it may not even connect.

    What needs an approval is granted. May raise: what cannot be told must not be taken for nothing.
    """
    policy = policy_for(engine.evaluator, who, connection, place, ClientFacts())
    if policy.decide(_CONNECT, now_s).denial is not None:
        return None
    accesses = tuple(Access(action, ResourceKind.CONNECTION) for action in actions)
    found = policy.examine(Meaning("BREADTH", accesses), now_s)
    return tuple(finding.access.action for finding in found if finding.outcome is not Outcome.DENY)


def wide_rules(engine: PolicyEngine, who: Principal) -> tuple[str, ...]:
    """The rules that permit somebody everything everywhere, without a condition, by id."""
    return tuple(sorted(rule.id for rule in engine.rules.values() if rule.permits and _is_wide(rule, who)))


def _is_wide(rule: Rule, who: Principal) -> bool:
    policy = rule.policy
    anywhere = isinstance(policy.action, pst.ScopeAny) and isinstance(policy.resource, pst.ScopeAny)
    return anywhere and not policy.clauses and fits_principal(policy.principal, who)
