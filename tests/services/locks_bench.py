"""Locks over in-memory parts: a store, sessions that note what is done to them, a target that says what it is told."""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

import msgspec

from interlock.core.access_review import Attestation, SeenIdentity, Use
from interlock.core.errors import CatalogueUnavailable, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import LockAdded, LockExempted, LockExemptionEnded, LockRemoved, SessionCut
from interlock.core.lock import Exemption, Lock, LockSubject
from interlock.core.session import Session
from interlock.services.cascade import Cascade
from interlock.services.cutting import Cutting
from interlock.services.kinship import Kinship
from interlock.services.live import Backend, BackendState, LiveSession
from interlock.services.lock_exemptions import Exemptions
from interlock.services.lock_parts import LockParts
from interlock.services.lock_room import LockRoom
from interlock.services.locks import Locks
from interlock.services.ownership import Ownership
from interlock.services.ports import Clock, Ledger
from interlock.services.state import IdentityStore
from tests.clocks import ManualClock
from tests.services.policy.examples import agent


class MemoryLocks:
    """A lock store; ``broken`` makes it fail."""

    def __init__(self) -> None:
        self.locks: dict[str, Lock] = {}
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise StateUnavailable("the disk is full")

    def all(self) -> list[Lock]:
        self._check()
        return list(self.locks.values())

    async def save(self, lock: Lock) -> None:
        self._check()
        self.locks[lock.id] = lock

    async def remove(self, lock_id: str) -> None:
        self._check()
        self.locks.pop(lock_id, None)

    async def save_exemption(self, lock_id: str, exemption: Exemption) -> None:
        self._check()
        if lock_id not in self.locks:
            raise StateUnavailable(f"lock {lock_id!r} is not in the state store")
        self._replace(lock_id, exemption, (exemption,))

    async def remove_exemption(self, lock_id: str, exemption: Exemption) -> None:
        self._check()
        if lock_id in self.locks and exemption in self.locks[lock_id].exemptions:
            self._replace(lock_id, exemption, ())

    def _replace(self, lock_id: str, old: Exemption, new: tuple[Exemption, ...]) -> None:
        lock, subject = self.locks[lock_id], (old.subject_kind, old.subject)
        others = tuple(one for one in lock.exemptions if (one.subject_kind, one.subject) != subject)
        self.locks[lock_id] = msgspec.structs.replace(lock, exemptions=(*others, *new))


class FakeSession:
    """An open session. ``done`` notes what is done to it."""

    def __init__(self, number: int, principal: Principal, connection: str = "pg", run: str = "") -> None:
        self.session = Session(
            f"{number:026d}", "postgres", connection, "app", principal, f"127.0.0.1:{5000 + number}", trace=run
        )
        self.opened_at_s = 1000.0 + number
        self.backend: Backend | None = Backend(100 + number, 40_000 + number)
        self.state = "idle"
        self.doing = ""
        self.busy = self.may_show = self.may_have_written = False
        self.operations = self.denied = self.rows = self.bytes_sent = self.unsent_bytes = 0
        self.done: list[str] = []
        self.failure: Exception | None = None

    @property
    def can_freeze(self) -> bool:
        return self.backend is not None

    def run(self, verb: str) -> None:
        self.state, self.doing, self.busy, self.may_show = "running", verb, True, True

    def cut(self, code: str, reason: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.done.append(f"cut {code} {reason}")

    def freeze(self) -> None:
        self.state = "frozen"
        self.done.append("freeze")

    def thaw(self) -> None:
        self.state = "idle"
        self.done.append("thaw")


class FakeSessions:
    def __init__(self) -> None:
        self.open: list[FakeSession] = []

    def add(self, principal: Principal | None = None, connection: str = "pg", run: str = "") -> FakeSession:
        session = FakeSession(len(self.open) + 1, principal or agent("ci-bots"), connection, run)
        self.open.append(session)
        return session

    def all(self) -> Collection[LiveSession]:
        return [session for session in self.open if not session.done or session.done[-1][:3] != "cut"]

    def find(self, session_id: str) -> LiveSession | None:
        return next((session for session in self.all() if session.session.id == session_id), None)


class FakeTarget:
    """``stubborn`` processes stay until they are terminated; ``immortal`` ones even then."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.stubborn: dict[Backend, BackendState] = {}
        self.immortal: dict[Backend, BackendState] = {}
        self.opened: list[str] = []
        self.terminated: list[Backend] = []
        self.cancelled: list[Backend] = []
        self.hidden = ""

    @contextlib.asynccontextmanager
    async def open(self, connection: str, database: str) -> AsyncIterator["FakeTarget"]:
        self.opened.append(connection)
        if self.hidden:
            raise CatalogueUnavailable(self.hidden)
        yield self

    async def states(self, backends: Collection[Backend]) -> Mapping[Backend, BackendState]:
        self.clock.advance(0.01)
        there = self.stubborn | self.immortal
        return {backend: there[backend] for backend in backends if backend in there}

    async def cancel(self, backends: Collection[Backend]) -> None:
        self.cancelled += backends

    async def terminate(self, backends: Collection[Backend]) -> None:
        for backend in backends:
            self.terminated.append(backend)
            self.stubborn.pop(backend, None)


class FakeApprovals:
    def __init__(self) -> None:
        self.voided: list[Lock] = []
        self.broken = False

    async def void_matching(self, lock: Lock, before: Lock | None = None) -> int:
        if self.broken:
            raise ZeroDivisionError
        self.voided.append(lock)
        return 2


class FakeKnown:
    """Principals of earlier sessions, by what a lock would be on."""

    def __init__(self) -> None:
        self.principals: dict[tuple[LockSubject, str], list[Principal]] = {}

    def known(self, kind: LockSubject, subject: str) -> list[Principal]:
        return self.principals.get((kind, subject), [])


class FakeUses:
    """Agents that have had sessions, by name."""

    def __init__(self) -> None:
        self.seen: dict[str, SeenIdentity] = {}
        self.attested: dict[str, Attestation] = {}

    def add(self, principal: Principal) -> None:
        """Its last session was as this principal."""
        self.seen[principal.name] = SeenIdentity(principal, 1.0, 2.0, 1)

    def agents(self, since_s: float) -> list[SeenIdentity]:
        return [one for one in self.seen.values() if one.last_at_s >= since_s]

    def find(self, kind: PrincipalKind, name: str) -> SeenIdentity | None:
        return self.seen.get(name)

    def uses(self, kind: PrincipalKind, name: str) -> list[Use]:
        return []

    def attestation(self, name: str) -> Attestation | None:
        return self.attested.get(name)

    async def attest(self, name: str, attestation: Attestation) -> None:
        self.attested[name] = attestation


class LocksBench:
    """Everything around one ``Locks``."""

    def __init__(self, ledger: Ledger, clock: ManualClock, identities: IdentityStore) -> None:
        self.ledger, self.clock = ledger, clock
        self.store, self.sessions, self.approvals = MemoryLocks(), FakeSessions(), FakeApprovals()
        self.known, self.target = FakeKnown(), FakeTarget(clock)
        self.identities = identities
        self.uses = FakeUses()
        self.start()

    def start(self, clock: Clock | None = None) -> None:
        """As after a restart: what is not in the store is gone."""
        clock = clock or self.clock
        cutting = Cutting(self.target, self.ledger, clock, "node-1")
        kinship = Kinship(self.identities, self.known, self.sessions)
        parts = LockParts(self.store, self.sessions, cutting, kinship, self.approvals, self.ledger, clock)
        self.locks = Locks(parts)
        self.exemptions = Exemptions(self.locks, parts)
        self.ownership = Ownership(self.locks, kinship, self.identities, self.known, self.uses, self.sessions)
        self.cascade = Cascade(self.locks, self.sessions, cutting, self.approvals, clock)
        self.room = LockRoom(self.locks, self.exemptions, self.sessions, self.cascade, self.ledger, clock)
        if not self.store.broken:
            self.locks.load()
            self.exemptions.expire()


def lock_records(records: Collection[object]) -> list[str]:
    """What the ledger says of locks and sessions, a word each."""
    words: dict[type, str] = {
        LockAdded: "added",
        LockRemoved: "removed",
        LockExempted: "exempted",
        LockExemptionEnded: "exemption-ended",
        SessionCut: "session",
    }
    return [words[type(record)] for record in records if type(record) in words]
