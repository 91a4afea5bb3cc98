"""What decisions say and how they stand on the ledger. It decides nothing."""

import functools
from typing import Final

from interlock.core.decision import Hold
from interlock.core.denial import Denial, DenialReason
from interlock.core.file_paths import shown
from interlock.core.masking import MaskedColumn
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.approvals.holding import Granted

UNRECORDED: Final = Denial(
    DenialReason.UNRECORDED,
    "denied: the gateway cannot record this now, and nothing is forwarded unrecorded",
    "Try again later; the gateway's operator has been told.",
)
BROKEN: Final = Denial(
    DenialReason.POLICY_ERROR,
    "denied: the decision could not be made",
    "This is a fault of the gateway, not of what was sent; its operator has been told.",
)
CHANGED: Final = Denial(
    DenialReason.NOT_APPROVED,
    "denied: what was approved is not what would be executed now, as policy or access has changed meanwhile",
    "Send it again: it will be decided anew.",
)
MASKED_OTHERWISE: Final = Denial(
    DenialReason.POLICY_ERROR,
    "denied: what is masked for you has just changed",
    "Send it again.",
)
_UNCERTAIN: Final = {
    "statement": (
        "what a name in it stands for is not certain now",
        "Send it again once what was sent before it is answered, or send the statement itself.",
    ),
    "request": (
        "its body is longer than what can be shown to them",
        "Send less at once, or ask the gateway's operator to raise max_held_bytes of the connection.",
    ),
}
_NOT_ASKED = "nobody was asked, because what is sent together with it is refused"


def access_line(access: Access) -> str:
    """One access, as in "delete on Table public.orders"."""
    if access.kind is ResourceKind.FILE and access.path:
        return f"{access.action} on {access.kind.value} {shown(access.path)}"
    return f"{access.action} on {access.kind.value} {'.'.join(access.path)}".rstrip()


@functools.lru_cache(maxsize=4096)
def access_lines(meaning: Meaning) -> tuple[str, ...]:
    """All accesses, for the record and for whoever is asked."""
    return tuple(map(access_line, meaning.accesses))


@functools.lru_cache(maxsize=4096)
def masked_lines(masked: tuple[MaskedColumn, ...]) -> tuple[str, ...]:
    """Which columns are masked how, by which rules; of fields, which have no relation, by their selectors."""
    return tuple(
        f"{'.'.join(filter(None, (column.schema, column.relation, column.column)))} {column.mask}"
        f" ({', '.join(column.rules)})"
        for column in masked
    )


def tool_not_approved(why: str, line: str, policy: str) -> Denial:
    """For a call of a tool that may not be used as its server describes it."""
    return Denial(
        DenialReason.TOOL_NOT_APPROVED,
        f"denied: {why}",
        "Use another tool; whoever administers the gateway sees what the server says of this one and can approve it.",
        line,
        policy=policy,
    )


def not_asked(hold: Hold) -> Denial:
    """What becomes of a hold when the group that it is in is refused anyway."""
    return Denial(
        DenialReason.NEEDS_APPROVAL,
        f"denied: needs approval: {_NOT_ASKED}. {hold.message}",
        "Send it by itself.",
        hold.access,
        hold.rules,
        hold.policy,
    )


def uncertain(hold: Hold, noun: str) -> Denial:
    """What becomes of a hold when nobody can be shown what it is about: several things, or more than is held."""
    groups = ", ".join(sorted({demand.group for demand in hold.demands}))
    why, hint = _UNCERTAIN.get(noun, _UNCERTAIN["statement"])
    return Denial(
        DenialReason.NEEDS_APPROVAL,
        f"denied: needs approval by {groups}, but {why}. {hold.message}",
        hint,
        hold.access,
        hold.rules,
        hold.policy,
    )


def approved_by(answer: Granted | Denial | None) -> str:
    """For the record of a permit: whose yes made it."""
    if not isinstance(answer, Granted):
        return ""
    return f"approved by {', '.join(answer.reviewers)} (request {answer.approval})"
