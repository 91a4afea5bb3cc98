"""A host that is logged in to by password: OpenSSH would need accounts of the machine for that.

A server of asyncssh in a process of its own. Commands are run by ``/bin/sh``; SFTP is served.
``python -m tests.servers.password_host PORT LOGIN PASSWORD HOST_KEY_FILE`` runs one.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

import asyncssh

from tests.servers.openssh import new_key
from tests.servers.process import ServerProcess, accepts_connections, free_port

_ROOT: Final = Path(__file__).parents[2]


class PasswordHost:
    """One such host on a free port of the loopback. A context manager."""

    authenticate = "password"
    login = "deploy"

    def __init__(self, password: str = "correct horse") -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-password-host-")
        self.directory = Path(self._temporary.name)
        self.password = password
        self.credential_file = self.directory / "password"
        self.credential_file.write_text(password)
        self.port = free_port()
        self._key = new_key(self.directory / "host_key")

    @property
    def host_key(self) -> str:
        return self._key.public

    def __enter__(self) -> Self:
        words = [str(self.port), self.login, self.password, str(self._key.file)]
        command = [sys.executable, "-m", "tests.servers.password_host", *words]
        self._process = ServerProcess(command, log=self.directory / "server.log", directory=_ROOT)
        self._process.wait_until(lambda: accepts_connections(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._temporary.cleanup()


class _Door(asyncssh.SSHServer):
    def __init__(self, login: str, password: str) -> None:
        self._expected = (login, password)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == self._expected


async def _run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    running = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", process.command or "exec /bin/sh"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    feeding = asyncio.ensure_future(_feed(process, running))
    await asyncio.gather(_pump(running.stdout, process.stdout), _pump(running.stderr, process.stderr))
    feeding.cancel()
    process.exit(await running.wait())


async def _feed(process: asyncssh.SSHServerProcess[bytes], running: asyncio.subprocess.Process) -> None:
    assert running.stdin is not None
    while data := await process.stdin.read(65536):
        running.stdin.write(data)
        await running.stdin.drain()
    running.stdin.close()


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """The library's own redirection may lose output of a command that ends at once."""
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()


async def _serve(port: int, login: str, password: str, key_file: str) -> None:
    server = await asyncssh.create_server(
        lambda: _Door(login, password),
        host="127.0.0.1",
        port=port,
        server_host_keys=[key_file],
        process_factory=_run_command,
        sftp_factory=True,
        encoding=None,
    )
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
