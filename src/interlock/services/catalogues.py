"""The catalogues of the targets: read once for everybody, kept fresh, and given up when they are too old to rely on.

Every caller that needs a catalogue and cannot have one gets an error, never an older one than the settings allow.
Names that a relation or column had before are remembered as long as the process lives, so that renaming takes no tag
away. Nothing is written to the target or to disk.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from interlock.core.catalogue import Catalogue
from interlock.core.errors import CatalogueUnavailable, InterlockError
from interlock.core.settings import ConnectionSettings
from interlock.services.known_names import remember_names
from interlock.services.ports import CatalogueReader, Clock

TICK_S: Final = 1.0
"""How often ``tick`` is to be called."""

_REST: Final = 10
"""How many times as long as a read took it is not repeated by the timer."""

Spawn = Callable[[Coroutine[Any, Any, "_Outcome"], str], "asyncio.Task[_Outcome]"]
_Outcome = Catalogue | CatalogueUnavailable
_Key = tuple[str, str]

log = structlog.get_logger()


@dataclass(eq=False)
class _Entry:
    """One database. Times are monotonic seconds; a catalogue is as old as the beginning of its read.

    ``waiting`` is a read that has not begun, which whoever wants a new one may join; ``running`` is one that has.
    """

    settings: ConnectionSettings
    used_at_s: float
    tried_at_s: float = 0.0
    read_at_s: float = 0.0
    took_s: float = 0.0
    catalogue: Catalogue | None = None
    last: Catalogue | None = None
    running: "asyncio.Task[_Outcome] | None" = None
    waiting: "asyncio.Task[_Outcome] | None" = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Catalogues:
    """One catalogue for each database of each connection, shared by all sessions.

    ``find`` gives a connection's settings. ``trace`` fills in the lineage and may take its time: it runs in a thread.
    ``spawn`` starts a task that somebody else keeps and whose failure is logged.
    """

    def __init__(
        self,
        reader: CatalogueReader,
        trace: Callable[[Catalogue], Catalogue],
        find: Callable[[str], ConnectionSettings | None],
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._reader = reader
        self._trace = trace
        self._find = find
        self._clock = clock
        self._spawn = spawn
        self._entries: dict[_Key, _Entry] = {}
        self.epoch = 0
        """Grows when any catalogue was read for the first time, has changed, or was given up."""

    async def get(self, connection: str, database: str) -> Catalogue:
        """The catalogue, read when none is there that may be used.

        Raises CatalogueUnavailable, StateUnavailable.
        """
        entry = self._use(connection, database)
        catalogue = self._usable(entry)
        if catalogue is not None:
            return catalogue
        return await _result(entry.running or self._begin((connection, database), entry))

    def peek(self, connection: str, database: str) -> Catalogue | None:
        """The catalogue if there is one that may be used. It asks nobody."""
        entry = self._entries.get((connection, database))
        if entry is None:
            return None
        entry.used_at_s = self._clock.monotonic_s()
        return self._usable(entry)

    async def refresh(self, connection: str, database: str) -> Catalogue:
        """The catalogue from a read that begins after this call; calls share it. Raises as ``get``."""
        return await _result(self._begin((connection, database), self._use(connection, database)))

    def expire(self, connection: str, database: str) -> None:
        """Note that the database was changed: what is cached is read again in the background."""
        entry = self._entries.get((connection, database))
        if entry is not None and (entry.last is not None or entry.running is not None):
            self._begin((connection, database), entry)

    def tick(self) -> None:
        """Begin to read again what is in use and old, and give up what is too old. It waits for nothing."""
        now_s = self._clock.monotonic_s()
        for key, entry in self._entries.items():
            masking = entry.settings.masking
            if entry.catalogue is not None and self._usable(entry) is None:
                log.warning("catalogue given up", connection=key[0], database=key[1], age_s=now_s - entry.read_at_s)
                self._put(entry, None)
            in_use = now_s - entry.used_at_s <= masking.max_stale_s
            due = now_s - entry.tried_at_s >= max(masking.refresh_s, _REST * entry.took_s)
            if in_use and due and entry.running is None and entry.last is not None:
                self._begin(key, entry)

    def close(self) -> None:
        """Stop reading. Whoever waits for a read is cancelled."""
        for entry in self._entries.values():
            for task in (entry.running, entry.waiting):
                if task is not None:
                    task.cancel()

    def _use(self, connection: str, database: str) -> _Entry:
        """The entry of a database; a new one when there is none, or when the connection leads elsewhere now."""
        settings = self._find(connection)
        if settings is None or database not in settings.databases:
            raise CatalogueUnavailable(f"there is no database {database!r} of a connection {connection!r}")
        now_s = self._clock.monotonic_s()
        entry = self._entries.get((connection, database))
        if entry is None or entry.settings != settings:
            entry = self._entries[connection, database] = _Entry(settings, now_s)
        entry.used_at_s = now_s
        return entry

    def _usable(self, entry: _Entry) -> Catalogue | None:
        age_s = self._clock.monotonic_s() - entry.read_at_s
        return entry.catalogue if age_s <= entry.settings.masking.max_stale_s else None

    def _begin(self, key: _Key, entry: _Entry) -> "asyncio.Task[_Outcome]":
        """A read that has not begun yet."""
        if entry.waiting is None:
            entry.waiting = self._spawn(self._read(key, entry), f"read the catalogue of {key[0]}/{key[1]}")
        return entry.waiting

    async def _read(self, key: _Key, entry: _Entry) -> _Outcome:
        try:
            async with entry.turn:
                entry.running, entry.waiting = entry.waiting, None
                try:
                    return await self._read_now(key, entry)
                finally:
                    entry.running = None
        except InterlockError as error:
            log.warning("catalogue not read", connection=key[0], database=key[1], error=str(error))
            return CatalogueUnavailable(str(error))
        except Exception as error:  # noqa: BLE001 - whatever fails here is a catalogue that cannot be relied on
            log.error("catalogue not read", connection=key[0], database=key[1], error=type(error).__name__)
            return CatalogueUnavailable(f"the catalogue of {key[0]}/{key[1]} cannot be made: {type(error).__name__}")

    async def _read_now(self, key: _Key, entry: _Entry) -> Catalogue:
        begun_s = entry.tried_at_s = self._clock.monotonic_s()
        read = await self._reader.read(*key)
        catalogue = await asyncio.to_thread(self._complete, read, entry.last)
        entry.read_at_s = begun_s
        entry.took_s = self._clock.monotonic_s() - begun_s
        self._put(entry, catalogue)
        return catalogue

    def _complete(self, read: Catalogue, last: Catalogue | None) -> Catalogue:
        """What was read with its earlier names and its lineage; the one before when nothing has changed."""
        named = remember_names(read, last)
        return last if last is not None and last.version == named.version else self._trace(named)

    def _put(self, entry: _Entry, catalogue: Catalogue | None) -> None:
        if catalogue is not entry.catalogue:
            self.epoch += 1
        entry.catalogue = catalogue
        entry.last = catalogue or entry.last


async def _result(task: "asyncio.Task[_Outcome]") -> Catalogue:
    """What a read that others may wait for as well has come to: a caller that is cancelled does not end it."""
    outcome = await asyncio.shield(task)
    if isinstance(outcome, CatalogueUnavailable):
        raise CatalogueUnavailable(str(outcome))
    return outcome
