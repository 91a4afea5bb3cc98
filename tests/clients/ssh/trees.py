"""A tree of files to copy, and what a tree holds, for comparison."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

BIG: Final = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(1 << 15))
_TIME_S: Final = 1_700_000_000


def make_tree(root: Path) -> Path:
    """A directory with what clients get wrong: names, modes, times, empty and large files, a link."""
    (root / "sub" / "empty directory").mkdir(parents=True)
    files = {
        "plain.txt": b"text\n",
        "empty": b"",
        "big.bin": BIG,
        "a name with 'quotes' & $signs": b"quoted\n",
        "sub/ünïcode": b"\xc3\xbc\n",
        "sub/script": b"#!/bin/sh\necho run\n",
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    (root / "sub" / "script").chmod(0o750)
    (root / "sub" / "link").symlink_to("../plain.txt")
    for path in (*root.rglob("*"), root):
        os.utime(path, (_TIME_S, _TIME_S), follow_symlinks=False)
    return root


def tree(root: Path, *, times: bool = False) -> list[tuple[object, ...]]:
    """What is below ``root``: names, kinds, modes, digests, and the times of files when they matter."""
    return [_entry(path, root, times=times) for path in sorted(root.rglob("*"))]


def _entry(path: Path, root: Path, *, times: bool) -> tuple[object, ...]:
    name, status = str(path.relative_to(root)), path.lstat()
    if path.is_symlink():
        return name, "link", str(path.readlink())
    mode = stat.filemode(status.st_mode)
    if path.is_dir():
        return name, mode
    seen = (name, mode, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    return (*seen, int(status.st_mtime)) if times else seen
