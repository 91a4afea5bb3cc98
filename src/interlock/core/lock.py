"""Locks: the one primitive by which a responder stops somebody, and the receipt of what that did.

Values only. What a lock does, ``services.locks`` says.
"""

import enum
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from interlock.core.identity import Principal, PrincipalKind


class LockMode(enum.Enum):
    """What becomes of whom a lock is about."""

    REFUSE = "refuse"
    """Sessions are cut, new ones refused."""
    FREEZE = "freeze"
    """Nothing goes either way any more; sessions stay to be looked at, new ones are refused."""
    READ_ONLY = "read-only"
    """Only reading is let through."""
    MASK_ALL = "mask-all"
    """Every column is masked."""


class LockSubject(enum.Enum):
    """Whom a lock is about."""

    USER = "user"
    AGENT = "agent"
    OWNER = "owner"
    GROUP = "group"
    CONNECTION = "connection"
    TOKEN = "token"  # noqa: S105 - the kind of subject
    RUN = "run"
    LOGIN = "login"
    """``ISSUER LOGIN``: a person's session at an issuer."""
    SUBJECT = "subject"
    """``ISSUER SUBJECT``: whom an issuer calls so, under whatever name here."""
    EVERYTHING = "everything"


EXEMPTIBLE: Final = frozenset({LockSubject.USER, LockSubject.AGENT, LockSubject.OWNER, LockSubject.GROUP})
"""Whom an exemption can be for. A run is not among them: its name is what clients say of themselves."""
MAX_EXEMPTION_S: Final = 86_400
MAX_EXEMPTIONS: Final = 100
"""Of one lock, at the same time."""


class Exemption(msgspec.Struct, frozen=True):
    """Whom a lock does not concern for a while. Subjects are as those of locks; times are Unix seconds."""

    subject_kind: LockSubject
    subject: str
    reason: str
    by: str
    begins_at_s: float
    ends_at_s: float


class Lock(msgspec.Struct, frozen=True):
    """One lock. ``subject`` is the name within its kind, empty for everything; times are Unix seconds.

    An owner's lock is about the owner and all agents that it answers for. ``expires_at_s`` is None for one that stays
    until it is removed. ``cause`` says what made it: ``command``, ``incident ID``, ``identity disabled`` … With
    ``issued_before_s`` it is only about whose first proof was not given after that; a time that is unknown was before.
    """

    id: str
    subject_kind: LockSubject
    subject: str
    mode: LockMode
    reason: str
    by: str
    created_at_s: float
    expires_at_s: float | None = None
    cause: str = "command"
    exemptions: tuple[Exemption, ...] = ()
    issued_before_s: float | None = None


SESSION_ENDED: Final = "session ended"
"""How causes of locks begin that follow from somebody's logging out."""


def is_routine(lock: Lock) -> bool:
    """Whether it came of somebody's logging out, as happens all day, so that it is no news to responders."""
    return lock.cause.startswith(SESSION_ENDED)


class Restriction(msgspec.Struct, frozen=True):
    """What is in force for one session. ``message`` is a sentence for its client, ``locks`` are the locks' ids.

    The sentence is about the strictest lock, and the oldest of those.
    """

    modes: frozenset[LockMode]
    message: str
    locks: tuple[str, ...]

    @property
    def keeps_out(self) -> bool:
        """Whether no session may open."""
        return not self.modes.isdisjoint(_KEEPING_OUT)


_KEEPING_OUT: Final = frozenset({LockMode.REFUSE, LockMode.FREEZE})
_STRICTEST_FIRST: Final = tuple(LockMode)
_SENTENCES: Final = {
    LockMode.REFUSE: "access is locked",
    LockMode.FREEZE: "access is frozen",
    LockMode.READ_ONLY: "only reading is allowed now",
    LockMode.MASK_ALL: "all columns are masked now",
}


def restriction_of(locks: Sequence[Lock]) -> Restriction | None:
    """What locks that are in force together restrict; None without any."""
    if not locks:
        return None
    ordered = sorted(locks, key=lambda lock: (_STRICTEST_FIRST.index(lock.mode), lock.created_at_s, lock.id))
    return Restriction(frozenset(lock.mode for lock in locks), sentence(ordered[0]), tuple(lock.id for lock in ordered))


def sentence(lock: Lock) -> str:
    """What a client is told about a lock."""
    return f"{_SENTENCES[lock.mode]}: {lock.reason} (lock {lock.id})"


def concerns(lock: Lock, principal: Principal, connection: str, run: str) -> bool:
    """Whether a lock is in force for a session of this principal, on this connection, in this run (empty: in none)."""
    return is_about(lock, principal, connection, run) and not is_exempt(lock, principal)


def concerns_anew(lock: Lock, before: Lock | None, principal: Principal, connection: str, run: str) -> bool:
    """As ``concerns``, but not what the lock concerned when it was as ``before``."""
    if before is not None and concerns(before, principal, connection, run):
        return False
    return concerns(lock, principal, connection, run)


def is_about(lock: Lock, principal: Principal, connection: str, run: str) -> bool:
    """As ``concerns``, whoever is exempt: that does not make a lock somebody else's."""
    subject = lock.subject_kind, lock.subject
    return any(
        subject in subjects and _was_issued_before(lock, who)
        for who, subjects in _each_with_subjects(principal, connection, run)
    )


def _was_issued_before(lock: Lock, principal: Principal) -> bool:
    if lock.issued_before_s is None or principal.issued_at_s is None:
        return True
    return principal.issued_at_s <= lock.issued_before_s


def is_exempt(lock: Lock, principal: Principal) -> bool:
    """Whether the lock's exemptions are for this principal and, each by itself, for everybody who acts for it."""
    if not lock.exemptions:
        return False
    exempted = {(exemption.subject_kind, exemption.subject) for exemption in lock.exemptions}
    return all(not exempted.isdisjoint(subjects) for _, subjects in _each_with_subjects(principal, "", ""))


def subjects_of(principal: Principal, connection: str, run: str) -> tuple[tuple[LockSubject, str], ...]:
    """Everything under which a session can be locked: also what those are called who act for the principal."""
    return tuple(subject for _, own in _each_with_subjects(principal, connection, run) for subject in own)


Subjects = tuple[tuple[LockSubject, str], ...]


def _each_with_subjects(principal: Principal, connection: str, run: str) -> Iterator[tuple[Principal, Subjects]]:
    place = ((LockSubject.EVERYTHING, ""), (LockSubject.CONNECTION, connection))
    yield principal, (*place, *_own_subjects(principal, run))
    for actor in principal.acting:
        yield actor, _own_subjects(actor, run)


def _own_subjects(principal: Principal, run: str) -> Subjects:
    """What one proved identity can be locked under by itself."""
    kind = LockSubject.AGENT if principal.kind is PrincipalKind.AGENT else LockSubject.USER
    named = (
        (LockSubject.OWNER, principal.owner or ""),
        (LockSubject.RUN, run),
        (LockSubject.RUN, principal.run),
        *((LockSubject.TOKEN, token) for token in (principal.token_id, *principal.ancestors)),
        *(_at_issuer(principal) if principal.subject else ()),
    )
    return (
        (kind, principal.name),
        (LockSubject.OWNER, principal.name),
        *((LockSubject.GROUP, group) for group in principal.groups),
        *(subject for subject in named if subject[1]),
    )


def _at_issuer(principal: Principal) -> Subjects:
    """What the issuer calls the person and the person's session."""
    issuer, emails = principal.issuer, [value for claim, value in principal.claims if claim == "email"]
    login = at_issuer(issuer, principal.login) if principal.login else unnamed_login(issuer, principal.subject)
    return (
        (LockSubject.LOGIN, login),
        (LockSubject.SUBJECT, at_issuer(issuer, principal.subject)),
        *((LockSubject.SUBJECT, email_subject(issuer, email)) for email in emails),
    )


def at_issuer(issuer: str, name: str) -> str:
    """What an issuer calls somebody, or somebody's session there, as locks have it."""
    return f"{issuer} {name}"


def unnamed_login(issuer: str, subject: str) -> str:
    """The session of somebody whose proof does not name one."""
    return at_issuer(issuer, f"of:{subject}")


def email_subject(issuer: str, email: str) -> str:
    """Somebody whom an issuer calls by an address. Case does not count."""
    return at_issuer(issuer, f"mailto:{email.casefold()}")


class SessionReceipt(msgspec.Struct, frozen=True):
    """What became of one session. Times are milliseconds from when the lock was asked for.

    ``stopped_after_ms`` is when the last byte had gone either way. ``in_flight`` is the verb of what the target was
    doing, empty for nothing; ``gone_after_ms`` when the target itself said that it was over, None when it did not say.
    ``rows`` and ``bytes_sent`` are what the client had been sent.
    """

    session: str
    node: str
    principal: str
    connection: str
    action: str
    """``cut``, ``frozen``, ``read-only`` or ``masked``."""
    stopped_after_ms: float
    in_flight: str
    gone_after_ms: float | None
    rows: int
    bytes_sent: int


class LockReceipt(msgspec.Struct, frozen=True):
    """What a lock did. ``voided_approvals`` are requests and unspent grants that it made void."""

    lock: Lock
    sessions: tuple[SessionReceipt, ...]
    voided_approvals: int = 0
    warnings: tuple[str, ...] = ()
    """What could not be verified, and why."""
    kept: bool = True
    """Whether the lock outlives the process."""
