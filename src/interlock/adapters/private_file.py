"""Files that only their owner may read: keys, the state database, the development issuer's key."""

import os
import stat
from pathlib import Path

from interlock.core.errors import ConfigurationError


def read_private(file: Path, max_bytes: int = 65_536) -> bytes:
    """The file's content. Raises ConfigurationError when others may reach it, OSError when it cannot be read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        _require_private(os.fstat(descriptor), file)
        return stream.read(max_bytes)


def require_private(file: Path) -> None:
    """Raises ConfigurationError when others may reach the file, OSError when it is not there."""
    _require_private(file.stat(), file)


def create_private(file: Path, content: bytes) -> None:
    """Write a new file with mode 0600, durably. Raises FileExistsError when it is there already."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def replace_private(file: Path, content: bytes) -> None:
    """Put a file with mode 0600 in the place of one, durably, as a whole or not at all. Raises OSError."""
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    create_private(unfinished, content)
    unfinished.rename(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _require_private(status: os.stat_result, file: Path) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise ConfigurationError(f"{file}: must be a file that only its owner may reach (chmod 600)")


def make_private_directory(directory: Path) -> None:
    """Create the directory with mode 0700 when it is not there; an existing one is left as it is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
