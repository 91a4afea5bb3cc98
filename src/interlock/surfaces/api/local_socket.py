"""The Unix socket by which a gateway's own operators reach it.

The file has mode 0600, and the kernel's word on who connects is checked besides: only the gateway's own user and root
are served.
"""

import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Final

from interlock.core.errors import ConfigurationError

_MAX_PATH_BYTES: Final = 107  # sun_path of unix(7), without the final NUL
_PEER_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
_BACKLOG: Final = 128


def open_local_socket(file: Path) -> socket.socket:
    """A listening socket whose file nobody else could open, not even for a moment; a dead gateway's is taken over.

    The caller holds the lock of the file's directory. Raises ConfigurationError when the path is too long, OSError.
    """
    if len(os.fsencode(file)) > _MAX_PATH_BYTES:
        raise ConfigurationError(f"{file}: too long for a socket; choose a shorter gateway.data_dir")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file.unlink(missing_ok=True)
    previous = os.umask(0o177)
    try:
        listener.bind(str(file))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(previous)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel noted it when the connection was made."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    _, uid, _ = _PEER_CREDENTIALS.unpack(credentials)
    return int(uid)


def is_operator(uid: int) -> bool:
    """Whether an account administers this gateway by being who it is."""
    return uid in (0, os.geteuid())


def user_name(uid: int) -> str:
    """The account's name, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
