"""What a reviewer is told of an agent: what it may do and did, who answers for it, and what about that is not well.

Values and rules. Nothing in here looks anything up.
"""

import enum
from collections.abc import Iterator
from typing import Final

import msgspec

from interlock.core.identity import Principal, RegisteredIdentity

DAY_S: Final = 86_400


class Flag(enum.Enum):
    """What is not well with an agent."""

    OWNER_GONE = "owner-gone"
    WIDE_RULE = "wide-rule"
    OWNER_UNCONFIRMED = "owner-unconfirmed"
    NO_OWNER = "no-owner"
    OLD_SECRET = "old-secret"  # noqa: S105 - what there is to say about it
    OLD_KEY = "old-key"
    NEVER_USED = "never-used"
    UNUSED = "unused"
    OWNER_UNKNOWN = "owner-unknown"
    NOT_REGISTERED = "not-registered"
    BREADTH = "breadth"


RISKS: Final = {
    Flag.OWNER_GONE: 50,
    Flag.WIDE_RULE: 40,
    Flag.OWNER_UNCONFIRMED: 30,
    Flag.NO_OWNER: 30,
    Flag.OLD_SECRET: 20,
    Flag.OLD_KEY: 20,
    Flag.NEVER_USED: 20,
    Flag.UNUSED: 20,
    Flag.OWNER_UNKNOWN: 10,
    Flag.NOT_REGISTERED: 10,
    Flag.BREADTH: 10,
}
"""How much each counts; those of an agent are added up, and the sum orders a review."""


class OwnerState(enum.Enum):
    """What is known of an agent's owner."""

    PRESENT = "present"
    GONE = "gone"
    """Locked, or registered and disabled."""
    UNKNOWN = "unknown"
    """Nobody of this name is registered, or has had a session."""
    NONE = "none"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not well, and a sentence on it."""

    flag: Flag
    text: str


class SeenIdentity(msgspec.Struct, frozen=True):
    """Somebody who has had sessions: as its last one had it, and when they were, as Unix time."""

    principal: Principal
    first_at_s: float
    last_at_s: float
    sessions: int


class Use(msgspec.Struct, frozen=True):
    """An action that an identity was permitted on a connection, and when last a session began to do so."""

    connection: str
    action: str
    last_at_s: float


class Grant(msgspec.Struct, frozen=True):
    """A connection that policy lets an identity use, and the actions that it permits on it as a whole."""

    connection: str
    actions: tuple[str, ...]


class Attestation(msgspec.Struct, frozen=True):
    """Somebody has looked at an agent's access."""

    by: str
    at_s: float
    note: str = ""


class ReviewTerms(msgspec.Struct, frozen=True):
    """When something is too long ago, as of ``now_s``."""

    now_s: float
    unused_for_s: float
    old_after_s: float

    def days_since(self, at_s: float) -> int:
        return max(0, int((self.now_s - at_s) // DAY_S))


class Subject(msgspec.Struct, frozen=True):
    """Everything that is known of one agent. ``wide_rules`` permit it everything; ``keys`` are when each was added."""

    principal: Principal
    owner_state: OwnerState
    registered: RegisteredIdentity | None = None
    seen: SeenIdentity | None = None
    uses: tuple[Use, ...] = ()
    grants: tuple[Grant, ...] = ()
    wide_rules: tuple[str, ...] = ()
    keys: tuple[float, ...] = ()

    def used_within(self, terms: ReviewTerms) -> frozenset[tuple[str, str]]:
        """What it was permitted lately and policy still grants, as connections with actions."""
        granted = {(grant.connection, action) for grant in self.grants for action in (CONNECT, *grant.actions)}
        since_s = terms.now_s - terms.unused_for_s
        return frozenset(granted & {(use.connection, use.action) for use in self.uses if use.last_at_s >= since_s})


CONNECT: Final = "connect"
"""The action that every session is an instance of."""


def findings_of(subject: Subject, terms: ReviewTerms) -> tuple[Finding, ...]:
    """What is not well, the worst first."""
    found = [*_of_owner(subject), *_of_use(subject, terms), *_of_proofs(subject, terms)]
    if subject.registered is None:
        found.append(Finding(Flag.NOT_REGISTERED, "it is known from its tokens only"))
    if subject.wide_rules:
        found.append(Finding(Flag.WIDE_RULE, f"everything is permitted to it by {', '.join(subject.wide_rules)}"))
    return tuple(sorted(found, key=lambda one: (-RISKS[one.flag], one.flag.value)))


def risk_of(findings: tuple[Finding, ...]) -> int:
    """The risks of all findings together."""
    return sum(RISKS[one.flag] for one in findings)


def _of_owner(subject: Subject) -> Iterator[Finding]:
    owner = subject.principal.owner
    match subject.owner_state:
        case OwnerState.NONE:
            yield Finding(Flag.NO_OWNER, "nobody answers for it")
        case OwnerState.GONE:
            yield Finding(Flag.OWNER_GONE, f"its owner {owner} is disabled or locked")
        case OwnerState.UNKNOWN:
            yield Finding(Flag.OWNER_UNKNOWN, f"nobody called {owner} is registered or has had a session")
    if subject.registered is not None and subject.registered.handover is not None:
        yield Finding(Flag.OWNER_UNCONFIRMED, f"that {owner} answers for it is not confirmed")


def _of_use(subject: Subject, terms: ReviewTerms) -> Iterator[Finding]:
    if subject.seen is None:
        since = subject.registered.created_at_s if subject.registered is not None else terms.now_s
        yield Finding(Flag.NEVER_USED, f"never used since it was registered {terms.days_since(since)} days ago")
        return
    if terms.now_s - subject.seen.last_at_s > terms.unused_for_s:
        yield Finding(Flag.UNUSED, f"not used for {terms.days_since(subject.seen.last_at_s)} days")
        return
    used = subject.used_within(terms)
    connections = len({connection for connection, _ in used})
    actions = len([action for _, action in used if action != CONNECT])
    granted = sum(len(grant.actions) for grant in subject.grants)
    if connections < len(subject.grants) or actions < granted:
        of_all = f"{connections} of {len(subject.grants)} connections and {actions} of {granted} actions on them"
        yield Finding(Flag.BREADTH, f"used {of_all} in the last {int(terms.unused_for_s // DAY_S)} days")


def _of_proofs(subject: Subject, terms: ReviewTerms) -> Iterator[Finding]:
    registered = subject.registered
    if registered is not None and registered.scram_verifier is not None:
        made_at_s = registered.secret_made_at_s or registered.created_at_s
        if terms.now_s - made_at_s > terms.old_after_s:
            known = "" if registered.secret_made_at_s else "up to "
            yield Finding(Flag.OLD_SECRET, f"its secret is {known}{terms.days_since(made_at_s)} days old")
    if subject.keys and terms.now_s - min(subject.keys) > terms.old_after_s:
        yield Finding(Flag.OLD_KEY, f"it has an SSH key that is {terms.days_since(min(subject.keys))} days old")
