"""What follows from a request or a bypass alone: how long it lasts, whether it is met, who asked, its record."""

from collections.abc import Iterable

from interlock.core.approval import ApprovalRequest, Bypass
from interlock.core.decision import ApprovalDemand
from interlock.core.identity import Principal, PrincipalKind, line_of
from interlock.core.ledger import ApprovalBypassed, ApprovalRequested


def lasts_s(demands: Iterable[ApprovalDemand]) -> float:
    """How long a request, and an approval, lasts: as long as the shortest that a rule says."""
    return min(demand.expires_s for demand in demands)


def is_met(request: ApprovalRequest) -> bool:
    """Whether enough people of every group that was asked have said yes."""
    return all(
        sum(vote.approves and demand.group in vote.groups for vote in request.votes) >= demand.approvals
        for demand in request.demands
    )


def asker_of(request: ApprovalRequest) -> Principal:
    """Who asked, with everybody who acts for them."""
    return Principal(
        PrincipalKind(request.principal_kind),
        request.principal,
        frozenset(request.groups),
        request.owner or None,
        issuer=request.issuer,
        subject=request.subject,
        claims=request.claims,
        token_id=request.token_id,
        issued_at_s=request.issued_at_s,
        login=request.login,
        ancestors=request.ancestors,
        acting=request.acting,
    )


def requested(request: ApprovalRequest) -> ApprovalRequested:
    """For the ledger."""
    return ApprovalRequested(
        approval=request.id,
        session=request.session,
        number=request.number,
        principal=request.principal,
        connection=request.connection,
        digest=request.digest,
        rules=request.rules,
        demands=tuple(f"{demand.approvals} of {demand.group} ({demand.rule})" for demand in request.demands),
        policy=request.policy,
        expires_at_s=request.expires_at_s,
        acting=tuple(map(line_of, request.acting)),
    )


def bypassed(bypass: Bypass) -> ApprovalBypassed:
    """For the ledger."""
    return ApprovalBypassed(
        bypass=bypass.id,
        approval=bypass.approval,
        principal=bypass.principal,
        connection=bypass.connection,
        rules=bypass.rules,
        by=bypass.vote.reviewer,
        reason=bypass.vote.reason,
        expires_at_s=bypass.expires_at_s,
    )
