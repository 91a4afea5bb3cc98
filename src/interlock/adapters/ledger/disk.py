"""The few system calls by which evidence reaches the disk, in one place so that a test can make them fail."""

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """What the ledger and the recordings ask of the operating system. Every call may raise ``OSError``."""

    def write(self, descriptor: int, data: bytes, /) -> int:
        """Append at the descriptor's end; the number of bytes taken may be smaller than asked."""

    def fdatasync(self, descriptor: int, /) -> None:
        """Return when the file's data is on stable storage."""

    def ftruncate(self, descriptor: int, length: int, /) -> None:
        """Cut the file to ``length`` bytes."""


class SystemDisk:
    """The real one."""

    write = staticmethod(os.write)
    fdatasync = staticmethod(os.fdatasync)
    ftruncate = staticmethod(os.ftruncate)


def open_append(path: Path) -> int:
    """A descriptor that writes at the end of a file which only this user may read; makes the file."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def sync_directory(path: Path) -> None:
    """Make new names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(disk: Disk, descriptor: int, data: bytes, start: int) -> None:
    """Append all of ``data`` to a file that is ``start`` bytes long, or nothing.

    Raises ``OSError``: then the file is ``start`` bytes long again, unless cutting it failed too, in which case the
    error's ``filename`` is ``UNCUT``.
    """
    try:
        written = disk.write(descriptor, data)
        while written < len(data):
            written += disk.write(descriptor, data[written:])
    except OSError as error:
        try:
            disk.ftruncate(descriptor, start)
        except OSError:
            error.filename = UNCUT
        raise


UNCUT = "a partly written entry"


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of a file at once: after a crash there is the old content or the new one."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, data)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_directory(path.parent)
