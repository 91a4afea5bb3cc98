"""What OpenSSH adds to version 3 (its file PROTOCOL, section 4) and the gateway understands.

Anything else is neither offered to clients nor passed on.
"""

from collections.abc import Mapping
from typing import Final

POSIX_RENAME: Final = b"posix-rename@openssh.com"
STATVFS: Final = b"statvfs@openssh.com"
FSTATVFS: Final = b"fstatvfs@openssh.com"
HARDLINK: Final = b"hardlink@openssh.com"
FSYNC: Final = b"fsync@openssh.com"
LSETSTAT: Final = b"lsetstat@openssh.com"
LIMITS: Final = b"limits@openssh.com"
EXPAND_PATH: Final = b"expand-path@openssh.com"
COPY_DATA: Final = b"copy-data"
HOME_DIRECTORY: Final = b"home-directory"
USERS_GROUPS: Final = b"users-groups-by-id@openssh.com"

UNDERSTOOD: Final[Mapping[bytes, bytes]] = {
    POSIX_RENAME: b"1",
    STATVFS: b"2",
    FSTATVFS: b"2",
    HARDLINK: b"1",
    FSYNC: b"1",
    LSETSTAT: b"1",
    LIMITS: b"1",
    EXPAND_PATH: b"1",
    COPY_DATA: b"1",
    HOME_DIRECTORY: b"1",
    USERS_GROUPS: b"1",
}
"""Each with its version, as VERSION has it."""


def understood(offered: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Those of a target that clients are told of."""
    return {name: version for name, version in offered.items() if UNDERSTOOD.get(name) == version}


def verb_of(extension: bytes) -> str:
    """``POSIX-RENAME``"""
    return extension.partition(b"@")[0].decode().upper()
