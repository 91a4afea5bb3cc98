"""What one session's principal must not see, kept up to date with policy, catalogue and locks.

Fails closed: when it cannot be determined, no session opens and an open one ends. Nothing in here touches a value.
"""

from collections.abc import Callable

import msgspec
import structlog

from interlock.core.catalogue import Catalogue
from interlock.core.errors import CatalogueUnavailable, MaskingUnavailable, StateUnavailable
from interlock.core.lock import LockMode
from interlock.core.masking import ColumnMask, Masking, MaskingOptions, MaskKind, Predicates
from interlock.core.session import Session
from interlock.services.catalogues import Catalogues
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import LocksInForce

log = structlog.get_logger()

OptionsOf = Callable[[str], MaskingOptions]
_NOTHING_KNOWN = Catalogue("")
_OF_BODIES = frozenset({"http", "ssh"})
"""Protocols without databases, of which no catalogue is needed: what is masked is in bodies, or in output."""


class Maskings:
    """Makes the masking of each session. ``options_of`` gives what the configuration says of a connection."""

    def __init__(
        self,
        policies: PolicyStore,
        catalogues: Catalogues,
        options_of: OptionsOf,
        locks: LocksInForce | None = None,
    ) -> None:
        self.policies = policies
        self.catalogues = catalogues
        self.options_of = options_of
        self.locks = locks

    async def open(self, session: Session, client: ClientFacts) -> "SessionMasking":
        """The masking of a session that is about to open. Raises ``MaskingUnavailable``."""
        masking = SessionMasking(self, session, client)
        await masking.load()
        return masking


class SessionMasking:
    """One session's masking: what it is, and whether it still is."""

    def __init__(self, maskings: Maskings, session: Session, client: ClientFacts) -> None:
        self._maskings = maskings
        self._session = session
        self._client = client
        self._is_of_bodies = session.protocol in _OF_BODIES
        self._seen = (-1, -1, -1)
        self.current: Masking | None = None

    @property
    def version(self) -> str:
        """What operations carry that were made under this masking."""
        return self.current.version if self.current is not None else ""

    @property
    def is_stale(self) -> bool:
        """Whether policy, a catalogue or a lock that masks has changed since this was determined."""
        return self._seen != self._epochs()

    async def load(self) -> None:
        """Determine it, with a catalogue that is read when none is there. Raises ``MaskingUnavailable``."""
        if self._needs_catalogue():
            try:
                await self._maskings.catalogues.get(self._session.connection, self._session.database)
            except CatalogueUnavailable as error:
                raise MaskingUnavailable(f"the catalogue cannot be read: {error}") from error
        self.renew()

    async def refresh(self) -> Masking | None:
        """Read the catalogue again and determine it anew. Raises ``MaskingUnavailable``."""
        if self._is_of_bodies:
            return self.renew()
        try:
            await self._maskings.catalogues.refresh(self._session.connection, self._session.database)
        except CatalogueUnavailable as error:
            log.warning("catalogue not refreshed", session=self._session.id, error=str(error))
        return self.renew()

    def renew(self) -> Masking | None:
        """Determine it anew and keep it. Raises ``MaskingUnavailable``."""
        epochs = self._epochs()
        self.current = self.determine()
        self._seen = epochs
        return self.current

    def determine(self) -> Masking | None:
        """What it is now, which is not kept. Raises ``MaskingUnavailable``."""
        session = self._session
        options = self._maskings.options_of(session.connection)
        if (everything := self._mask_of_locks()) is not None:
            options = msgspec.structs.replace(options, everything=everything)
        if self._is_of_bodies:
            return self._policy().body_masking(options)
        if not self._needs_catalogue():
            return _only_detectors(options)
        catalogue = self._maskings.catalogues.peek(session.connection, session.database)
        if catalogue is None:
            raise MaskingUnavailable("there is no catalogue that may be relied on")
        return self._policy().masking(catalogue, options)

    def note_definition(self) -> None:
        """The session has changed what the database contains."""
        if not self._is_of_bodies:
            self._maskings.catalogues.expire(self._session.connection, self._session.database)

    def _mask_of_locks(self) -> ColumnMask | None:
        """What a lock puts on every column. Raises ``MaskingUnavailable``."""
        locks, session = self._maskings.locks, self._session
        if locks is None:
            return None
        try:
            restriction = locks.restriction(session.principal, session.connection, session.trace)
        except StateUnavailable as error:
            raise MaskingUnavailable(str(error)) from error
        if restriction is None or LockMode.MASK_ALL not in restriction.modes:
            return None
        rules = tuple(f"lock {lock_id}" for lock_id in restriction.locks)
        return ColumnMask(MaskKind.REDACT, Predicates.DENY, rules)

    def _policy(self) -> AnyPolicy:
        session = self._session
        return self._maskings.policies.engine.for_session(
            session.principal, session.connection, session.database, self._client
        )

    def _needs_catalogue(self) -> bool:
        if self._is_of_bodies:
            return False
        session, engine = self._session, self._maskings.policies.engine
        if engine.masks_anything(session.connection, session.database, session.principal):
            return True
        return self._mask_of_locks() is not None

    def _epochs(self) -> tuple[int, int, int]:
        maskings = self._maskings
        locks_epoch = maskings.locks.masking_epoch if maskings.locks is not None else 0
        catalogues_epoch = 0 if self._is_of_bodies else maskings.catalogues.epoch
        return maskings.policies.epoch, catalogues_epoch, locks_epoch


def _only_detectors(options: MaskingOptions) -> Masking | None:
    """Content detection that the configuration asks for, where no rule masks a column."""
    if not options.detectors:
        return None
    version = "+".join(f"{name}:{mask.masked:d}" for name, mask in sorted(options.detectors.items()))
    return Masking(version, _NOTHING_KNOWN, detectors=options.detectors)
