"""Bundles of incidents in the data directory: the newest one of each, until it is replaced.

A file's name has the digest of what is in it, so a reader that asks by digest never gets half of one and half of
another.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from interlock.adapters.evidence_files import FilePackageWriter
from interlock.adapters.private_file import make_private_directory
from interlock.core.errors import NotFound
from interlock.services.evidence.archive import PackageWriter


class BundleShelf:
    """Implements ``services.incidents.bundling.Shelf``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, incident: str, write: Callable[[PackageWriter], None]) -> tuple[str, int]:
        make_private_directory(self._directory)
        new = self._directory / f"{incident}.new.tar"
        new.unlink(missing_ok=True)
        try:
            with FilePackageWriter(new) as writer:
                write(writer)
            new.chmod(0o600)
            with new.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = new.stat().st_size
            for old in self._directory.glob(f"{incident}-*.tar"):
                old.unlink()
            new.rename(self._path(incident, digest))
        finally:
            new.unlink(missing_ok=True)
        return digest, size

    def read(self, incident: str, digest: str, offset: int, size: int) -> bytes:
        try:
            with self._path(incident, digest).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            raise NotFound("there is no such bundle of the incident any more: make a new one") from None

    def _path(self, incident: str, digest: str) -> Path:
        return self._directory / f"{incident}-{digest}.tar"
