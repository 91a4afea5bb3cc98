"""Locks and tokens that are taken back: what can be asked of them and what is answered."""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Done, Permission, Route
from interlock.core.lock import MAX_EXEMPTION_S, Lock, LockMode, LockReceipt, LockSubject

Reason = Annotated[str, Meta(min_length=1, max_length=1000)]
LockSeconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]
ExemptionSeconds = Annotated[int, Meta(ge=1, le=MAX_EXEMPTION_S)]
SubjectName = Annotated[str, Meta(min_length=1, max_length=255)]
MAX_SUBJECT_CHARACTERS: Final = 2048
"""Of what a lock is on: issuers' names for people are long."""


class LockPage(msgspec.Struct, frozen=True):
    """Locks in force, the newest first; ``next`` is what to give as ``after`` for more, empty at the end."""

    items: tuple[Lock, ...]
    next: str = ""


class ListLocks(Command[LockPage], frozen=True, tag="locks.list"):
    """The locks in force."""

    route: ClassVar = Route("GET", "/v1/locks", (Permission.RESPOND, Permission.AUDIT, Permission.ADMINISTER))

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""


class AddLock(Command[LockReceipt], frozen=True, tag="locks.add"):
    """Lock somebody or something; without ``expires_in_s`` until the lock is removed.

    A ``login`` is ``ISSUER SID``, a ``subject`` is ``ISSUER SUB``. With ``earlier_proofs``, whoever proves who it is
    after this is not concerned.
    """

    route: ClassVar = Route("POST", "/v1/locks", (Permission.RESPOND,))

    subject_kind: LockSubject
    reason: Reason
    subject: Annotated[str, Meta(max_length=MAX_SUBJECT_CHARACTERS)] = ""
    mode: LockMode = LockMode.REFUSE
    expires_in_s: LockSeconds | None = None
    earlier_proofs: bool = False


class RemoveLock(Command[Done], frozen=True, tag="locks.remove"):
    """Lift a lock."""

    route: ClassVar = Route("POST", "/v1/locks/{id}/remove", (Permission.RESPOND,))

    id: str
    reason: Reason


class ExemptFromLock(Command[Done], frozen=True, tag="locks.exempt"):
    """Have a lock not concern a user, agent, owner or group for a while; anew, it ends then instead."""

    route: ClassVar = Route("POST", "/v1/locks/{id}/exempt", (Permission.RESPOND,))

    id: str
    subject_kind: LockSubject
    subject: SubjectName
    expires_in_s: ExemptionSeconds
    reason: Reason


class EndExemption(Command[Done], frozen=True, tag="locks.unexempt"):
    """End an exemption from a lock before its time."""

    route: ClassVar = Route("POST", "/v1/locks/{id}/unexempt", (Permission.RESPOND,))

    id: str
    subject_kind: LockSubject
    subject: SubjectName
    reason: Reason


class RevokeToken(Command[LockReceipt], frozen=True, tag="tokens.revoke"):
    """Take a token back, by its id (the claim ``jti``): its sessions are cut, and it opens no more."""

    route: ClassVar = Route("POST", "/v1/tokens/{token_id}/revoke", (Permission.RESPOND, Permission.ADMINISTER))

    token_id: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Reason
