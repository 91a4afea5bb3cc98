"""Password files of libpq (``PGPASSFILE``), which every client that is built on it reads for each connection."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from interlock.core.administration import ConnectionAccess
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused
from interlock.surfaces.cli.access import database_name, host_of
from interlock.surfaces.cli.answers import UNAVAILABLE, stop

MAX_FILE_BYTES: Final = 1 << 20


def password_line(host: str, port: int, database: str, token: str) -> str:
    """A line for whatever user, as libpq reads it."""
    return ":".join((_escaped(host), str(port), _escaped(database), "*", _escaped(token))) + "\n"


def renew_password_file(file: Path, address: GatewayAddress, places: Sequence[ConnectionAccess], token: str) -> None:
    """Have a password file say the token for these connections, and what it says already for everything else.

    It is written as a whole or not at all, for this account only. Raises AdministrationRefused.
    """
    others = [place.name for place in places if place.protocol != "postgres"]
    if others:
        raise AdministrationRefused(f"{others[0]!r} is no database: a password file is for PostgreSQL only")
    lines = [
        password_line(host_of(place, address), place.port, database_name(place, database), token)
        for place in places
        for database in place.databases
    ]
    try:
        _replace(file, [*lines, *_kept(file, {_place_of(line) for line in lines})])
    except OSError as error:
        stop(f"{file}: {error.strerror}", UNAVAILABLE)
    except UnicodeDecodeError:
        stop(f"{file}: this is no password file", UNAVAILABLE)


def _kept(file: Path, places: Iterable[str]) -> list[str]:
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line if line.endswith("\n") else f"{line}\n" for line in lines if _place_of(line) not in places]


def _place_of(line: str) -> str:
    """Host, port, database and user of a line, as they are written there."""
    return line.rpartition(":")[0]


def _replace(file: Path, lines: list[str]) -> None:
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(lines)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")
