"""Refusals in PostgreSQL's own words, and the placeholders that stand for refused statements at the target.

A placeholder must fail at the target: that is how the transaction gets the state that it would have after an error,
and how a denial waits for its turn behind answers that are still due.
"""

from typing import Final

from interlock.core.decision import Hold
from interlock.core.denial import Denial, DenialReason
from interlock.protocols.postgres import messages

_CODES: Final = {
    DenialReason.UNSUPPORTED: "0A000",
    DenialReason.UNRECORDED: "58030",
    DenialReason.BUDGET_SPENT: "53400",
    DenialReason.WITHDRAWN: "57014",
}
_SERVERS_OWN: Final = frozenset({"42601", "42P01", "42883"})
"""What the server would say as well, and in the same words: syntax errors, things that do not exist."""
_INSUFFICIENT_PRIVILEGE: Final = "42501"

PLACEHOLDER_STATEMENT: Final = "interlock: this statement was refused"
"""A prepared statement of this name never exists: a client's Parse for it is refused."""

QUERY_PLACEHOLDER: Final = messages.query(PLACEHOLDER_STATEMENT)
BIND_PLACEHOLDER: Final = messages.bind_unknown(PLACEHOLDER_STATEMENT)


def denial_response(decision: Denial | Hold) -> bytes:
    """The ErrorResponse for a refused statement: what, by which rule, and what to do instead."""
    if isinstance(decision, Hold):
        groups = ", ".join(sorted({demand.group for demand in decision.demands}))
        decision = Denial(
            DenialReason.NEEDS_APPROVAL,
            f"denied: needs approval by {groups}: {decision.message}",
            f"Ask {groups}: sending the statement again does not help by itself.",
            access=decision.access,
            rules=decision.rules,
            policy=decision.policy,
        )
    code = denial_code(decision)
    detail = "" if code in _SERVERS_OWN else _detail(decision)
    return messages.error_response("ERROR", code, decision.message, detail, decision.hint, decision.position)


def denial_code(denial: Denial) -> str:
    """The SQLSTATE of a refusal."""
    return denial.code or _CODES.get(denial.reason, _INSUFFICIENT_PRIVILEGE)


def _detail(denial: Denial) -> str:
    parts = [denial.access and f"Refused: {denial.access}", denial.rules and f"rule {', '.join(denial.rules)}"]
    parts.append(denial.policy and f"policy {denial.policy[:12]}")
    return "; ".join(part for part in parts if part)
