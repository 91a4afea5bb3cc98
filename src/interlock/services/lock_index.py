"""The locks in force, to be looked up by what a session can be locked under: a few dictionary look-ups, however many.

Decides nothing and keeps nothing on disk.
"""

from collections.abc import Collection

from interlock.core.identity import Principal
from interlock.core.lock import Lock, LockSubject, is_about, is_exempt, subjects_of


class LockIndex:
    """Locks by id and by subject."""

    def __init__(self) -> None:
        self._by_id: dict[str, Lock] = {}
        self._by_subject: dict[tuple[LockSubject, str], tuple[Lock, ...]] = {}

    def all(self) -> Collection[Lock]:
        return self._by_id.values()

    def find(self, lock_id: str) -> Lock | None:
        return self._by_id.get(lock_id)

    def on(self, kind: LockSubject, subject: str) -> tuple[Lock, ...]:
        """The locks on exactly this subject."""
        return self._by_subject.get((kind, subject), ())

    def concerning(self, principal: Principal, connection: str, run: str) -> list[Lock]:
        """The locks that are in force for a session."""
        return [lock for lock in self.about(principal, connection, run) if not is_exempt(lock, principal)]

    def about(self, principal: Principal, connection: str, run: str) -> list[Lock]:
        """The locks that are about a session, also those that it is exempt from."""
        found = (self._by_subject.get(subject) for subject in subjects_of(principal, connection, run))
        named = {lock.id: lock for locks in found if locks for lock in locks}.values()
        return [lock for lock in named if lock.issued_before_s is None or is_about(lock, principal, connection, run)]

    def add(self, lock: Lock) -> None:
        self._by_id[lock.id] = lock
        key = lock.subject_kind, lock.subject
        self._by_subject[key] = (*self._by_subject.get(key, ()), lock)

    def replace(self, lock: Lock) -> None:
        """Put this lock in the place of the one with its id."""
        key = lock.subject_kind, lock.subject
        self._by_id[lock.id] = lock
        self._by_subject[key] = tuple(lock if other.id == lock.id else other for other in self._by_subject[key])

    def discard(self, lock: Lock) -> None:
        if self._by_id.pop(lock.id, None) is None:
            return
        key = lock.subject_kind, lock.subject
        left = tuple(other for other in self._by_subject[key] if other.id != lock.id)
        if left:
            self._by_subject[key] = left
        else:
            del self._by_subject[key]
