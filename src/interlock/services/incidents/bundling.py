"""Makes bundles and gives them out in pieces."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from interlock.core.administration.incidents import BundleIncident, BundleMade, BundlePiece, ReadBundle
from interlock.core.errors import AdministrationRefused
from interlock.core.identity import Actor
from interlock.core.ledger import AnyRecord
from interlock.services.evidence.archive import PackageWriter
from interlock.services.evidence.bundle import write_bundle
from interlock.services.incidents.reading import IncidentReader, since_of
from interlock.services.incidents.reports import rendered

PIECE_BYTES: Final = 8 << 20


class Shelf(Protocol):
    """Keeps the newest bundle of each incident."""

    def put(self, incident: str, write: Callable[[PackageWriter], None]) -> tuple[str, int]:
        """Have a bundle written in the place of an older one; its SHA-256 in hexadecimal, and its size.

        Raises ``OSError`` and what ``write`` raises: then the older one is still there.
        """

    def read(self, incident: str, digest: str, offset: int, size: int) -> bytes:
        """Up to so many bytes of the bundle with this digest. Raises ``NotFound`` when there is none."""


class Bundling:
    """One bundle after the other. ``sign`` puts everything that is on the ledger under a signed checkpoint."""

    def __init__(self, reader: IncidentReader, shelf: Shelf, sign: Callable[[], None]) -> None:
        self._reader = reader
        self._shelf = shelf
        self._sign = sign
        self._turn = asyncio.Lock()

    async def make(
        self, command: BundleIncident, actor: Actor, accept: Callable[[AnyRecord], Awaitable[None]]
    ) -> BundleMade:
        """Make a bundle: first it is on the ledger what will be in it.

        Raises ``AdministrationRefused`` when it cannot be written, ``EvidenceError``, ``LedgerUnavailable``.
        """
        reader = self._reader
        async with self._turn:
            incident = await asyncio.to_thread(reader.find, command.id)
            since_ns = since_of(incident, command.since_s)
            report = await asyncio.to_thread(reader.report, incident, since_ns)
            contents = await asyncio.to_thread(reader.contents, incident, since_ns, rendered(report))
            record = contents.record(incident, actor.name)
            await accept(record)
            await asyncio.to_thread(self._sign)

            def write(writer: PackageWriter) -> None:
                write_bundle(reader.archive, incident, contents, record, writer)

            try:
                digest, size = await asyncio.to_thread(self._shelf.put, incident.id, write)
            except OSError as error:
                raise AdministrationRefused(f"the bundle cannot be written: {error.strerror or error}") from None
        return BundleMade(incident.id, size, digest, record.entries + 1, len(contents.sessions))

    async def piece(self, command: ReadBundle) -> BundlePiece:
        """Bytes of a bundle. Raises ``NotFound``."""
        data = await asyncio.to_thread(self._shelf.read, command.id, command.sha256, command.offset, PIECE_BYTES + 1)
        return BundlePiece(data[:PIECE_BYTES], len(data) <= PIECE_BYTES)
