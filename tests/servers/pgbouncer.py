"""A throw-away PgBouncer in front of a throw-away PostgreSQL: the yardstick of the benchmarks."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from tests.servers.certificates import Certificate
from tests.servers.endpoint import Endpoint
from tests.servers.process import ServerDied, ServerProcess, accepts_connections, free_port, unprivileged_account

PoolMode = Literal["session", "transaction"]


def pgbouncer_program() -> Path | None:
    """The path of PgBouncer, or None when it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return Path(found) if found else None


class PgBouncer:
    """A PgBouncer for one role and any database of ``target``, with SCRAM on both sides. A context manager.

    With ``certificate`` it offers TLS to clients; the target is reached as ``target.sslmode`` says.
    """

    def __init__(
        self, target: Endpoint, *, pool_mode: PoolMode = "session", certificate: Certificate | None = None
    ) -> None:
        self._target = target
        self._pool_mode = pool_mode
        self._account = unprivileged_account()
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-pgbouncer-", ignore_cleanup_errors=True)
        self._directory = Path(self._temporary.name)
        self._tls_settings: dict[str, object] = self._install_certificate(certificate) if certificate else {}
        self.port = free_port()

    def __enter__(self) -> Self:
        program = pgbouncer_program()
        if program is None:
            raise ServerDied("pgbouncer is not installed")
        configuration = self._write("pgbouncer.ini", self._configuration())
        self._process = ServerProcess(
            [program, configuration],
            log=self._directory / "server.log",
            directory=self._directory,
            account=self._account,
        )
        self._process.wait_until(lambda: accepts_connections(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def endpoint(self) -> Endpoint:
        """Where the role connects through PgBouncer."""
        sslmode = "require" if self._tls_settings else "disable"
        return replace(self._target, host="127.0.0.1", port=self.port, sslmode=sslmode, sslrootcert=None)

    def _configuration(self) -> str:
        target = self._target
        users = self._write("users.txt", f'"{target.user}" "{target.password}"\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": self._pool_mode,
            "max_client_conn": 1000,
            "default_pool_size": 250,
            "server_tls_sslmode": target.sslmode,
            "log_connections": 0,
            "log_disconnections": 0,
            "stats_period": 3600,
            **({"server_tls_ca_file": self._copy(target.sslrootcert)} if target.sslrootcert else {}),
            **self._tls_settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        return "\n".join(["[databases]", f"* = host={target.host} port={target.port}", "[pgbouncer]", *lines, ""])

    def _install_certificate(self, certificate: Certificate) -> dict[str, object]:
        return {
            "client_tls_sslmode": "require",
            "client_tls_cert_file": self._copy(certificate.certificate_file),
            "client_tls_key_file": self._copy(certificate.key_file),
        }

    def _copy(self, source: Path) -> Path:
        return self._write(source.name, source.read_text())

    def _write(self, name: str, text: str) -> Path:
        """A file that only the account of the server may read."""
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        if self._account is not None:
            for owned in (path, self._directory):
                os.chown(owned, self._account.uid, self._account.gid)
        return path
