"""Access reviews: what agents may do and did, who answers for them, and who has looked at that."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.access_review import DAY_S, Attestation, Finding, OwnerState
from interlock.core.administration.base import Command, Done, Permission, Route

Seconds = Annotated[float, Meta(gt=0, le=3650 * DAY_S)]
_REVIEWERS = (Permission.ADMINISTER, Permission.AUDIT)


class ReviewedConnection(msgspec.Struct, frozen=True):
    """What an agent may do on one connection as a whole, and did. ``granted`` is whether it may use it now.

    Actions that rules permit on parts of it only are not among ``actions_granted``.
    """

    name: str
    granted: bool
    actions_granted: tuple[str, ...]
    actions_used: tuple[str, ...]
    last_used_at_s: float | None


class IdentityReview(msgspec.Struct, frozen=True):
    """One agent. Times are Unix time; groups of an agent that is not registered are those of its last session.

    ``risk`` adds up what the findings count for.
    """

    name: str
    risk: int
    findings: tuple[Finding, ...]
    registered: bool
    disabled: bool
    owner: str | None
    owner_state: OwnerState
    purpose: str
    issuers: tuple[str, ...]
    groups: tuple[str, ...]
    first_used_at_s: float | None
    last_used_at_s: float | None
    sessions: int
    connections: tuple[ReviewedConnection, ...]
    attested: Attestation | None


class ReviewPage(msgspec.Struct, frozen=True):
    """The agents by risk. ``left_out`` counts those that were too many to be looked at."""

    items: tuple[IdentityReview, ...]
    left_out: int = 0


class ReviewIdentities(Command[ReviewPage], frozen=True, tag="identities.review"):
    """Agents that are registered, or had a session within ``seen_within_s``, the greatest risk first."""

    route: ClassVar = Route("GET", "/v1/identity-review", _REVIEWERS)
    answer_timeout_s: ClassVar = 600.0

    unused_for_s: Seconds = 90.0 * DAY_S
    old_after_s: Seconds = 180.0 * DAY_S
    seen_within_s: Seconds = 365.0 * DAY_S


class AttestIdentity(Command[Done], frozen=True, tag="identities.attest"):
    """Put on record that somebody has looked at an agent's access; the next review shows it."""

    route: ClassVar = Route("POST", "/v1/identities/{name}/attest", _REVIEWERS)

    name: str
    note: Annotated[str, Meta(max_length=500)] = ""
