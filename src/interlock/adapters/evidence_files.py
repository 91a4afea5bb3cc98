"""Evidence in the file system: packages, which are a directory or a tar archive, and gateways' data directories.

Reading takes regular files with the few expected names only, and never writes or unpacks anything.
"""

import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from interlock.adapters.ledger.opening import SEGMENTS
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.recordings.tape import read_chunk_from
from interlock.core.errors import EvidenceError
from interlock.core.session import is_session_id
from interlock.services.evidence.archive import StoredChunk
from interlock.services.evidence.bundle import REPORTS, recording_part
from interlock.services.evidence.package import ENTRIES, MANIFEST, RECORDING, SESSION_KEY

LEDGER, RECORDINGS = "ledger", "recordings"
"""The names of both in a gateway's data directory."""
_PARTS = (MANIFEST, ENTRIES, RECORDING, SESSION_KEY, *REPORTS)
_SUFFIX = ".rec"
_SPOOL_BYTES = 8 << 20


class FilePackageWriter:
    """Implements ``PackageWriter``; a context manager. Raises ``FileExistsError`` when there is something already."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "x:") if path.suffix == ".tar" else None  # noqa: SIM115 - closed in __exit__
        if self._tar is None:
            path.mkdir(mode=0o700, parents=True)

    def __enter__(self) -> "FilePackageWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar:
            self._tar.close()

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        if self._tar is None:
            (self._path / name).parent.mkdir(mode=0o700, exist_ok=True)
            with (self._path / name).open("xb") as file:
                file.writelines(pieces)
            return
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            spool.writelines(pieces)
            member = tarfile.TarInfo(name)
            member.size = spool.tell()
            member.mode = 0o600
            spool.seek(0)
            self._tar.addfile(member, spool)


class FilePackageReader:
    """Implements ``PackageReader``; a context manager. Raises ``EvidenceError`` when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}
        if path.is_dir():
            return
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed in __exit__
            self._members = {member.name: member for member in self._tar if member.isreg() and _is_part(member.name)}
        except (OSError, tarfile.TarError):
            raise EvidenceError(f"{path} is not an evidence package") from None

    def __enter__(self) -> "FilePackageReader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar:
            self._tar.close()

    def has(self, name: str) -> bool:
        return name in self._members if self._tar else (self._path / name).is_file()

    def part(self, name: str, max_bytes: int) -> bytes:
        with self._open(name) as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise EvidenceError(f"{name} is too large")
        return data

    def lines(self, name: str, max_bytes: int) -> Iterator[bytes]:
        with self._open(name) as file:
            while line := file.readline(max_bytes):
                yield line

    def chunk_at(self, session_id: str, offset: int) -> StoredChunk | None:
        name = self._recording(session_id)
        if not self.has(name):
            return None
        with self._open(name) as file:
            return read_chunk_from(file, session_id, offset)

    def recording_bytes(self, session_id: str) -> int:
        name = self._recording(session_id)
        if not self.has(name):
            return 0
        return self._members[name].size if self._tar else (self._path / name).stat().st_size

    def _recording(self, session_id: str) -> str:
        """A bundle has a recording for each session, a package has one."""
        own = recording_part(session_id)
        return own if is_session_id(session_id) and self.has(own) else RECORDING

    def _open(self, name: str) -> IO[bytes]:
        try:
            if self._tar is None:
                return (self._path / name).open("rb")
            member = self._members.get(name)
            file = self._tar.extractfile(member) if member else None
        except (OSError, tarfile.TarError):
            file = None
        if file is None:
            raise EvidenceError(f"the package has no {name}")
        return file


def _is_part(name: str) -> bool:
    session = Path(name).name.removesuffix(_SUFFIX)
    return name in _PARTS or (is_session_id(session) and name == recording_part(session))


class FileEvidenceStore:
    """Implements ``services.evidence.archive.EvidenceStore``."""

    def is_package(self, path: Path) -> bool:
        return path.is_file() or (path / MANIFEST).is_file()

    def reader(self, path: Path) -> FilePackageReader:
        return FilePackageReader(path)

    def writer(self, path: Path) -> FilePackageWriter:
        return FilePackageWriter(path)

    def archive(self, path: Path) -> FileArchive:
        ledger = path / LEDGER if (path / LEDGER).is_dir() else path
        if not (ledger / SEGMENTS).is_dir():
            raise EvidenceError(f"{path} is neither an evidence package nor a gateway's data directory")
        return FileArchive(ledger, ledger.parent / RECORDINGS)
