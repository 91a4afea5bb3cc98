"""How a client gets to a host: directly with a key, or through the gateway with a token as its password.

Everything that differs is in a configuration file for ``ssh -F`` and in the environment; what clients are told to do is
the same on every way. The host is called ``target``.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from tests.servers.gateway import GatewayServer
from tests.servers.openssh import OpenSshServer

TIMEOUT_S: Final = 60
TARGET: Final = "target"
_CONFIGURATION = """
Host {target}
    HostName 127.0.0.1
    Port {port}
    User {user}
    UserKnownHostsFile {directory}/known_hosts
    GlobalKnownHostsFile none
    NumberOfPasswordPrompts 1
    IdentitiesOnly yes
    LogLevel ERROR
{lines}
"""
_JUMP = """
Host jump
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {key}
    UserKnownHostsFile {known_hosts}
    LogLevel ERROR
"""
_ASKPASS = '#!/bin/sh\ncat "$TOKEN_FILE"\n'


@dataclass(frozen=True)
class Done:
    """What a program left behind."""

    status: int
    output: bytes
    errors: bytes

    @property
    def said(self) -> str:
        """Its standard error as text, line ends of terminals taken out."""
        return self.errors.decode(errors="replace").replace("\r", "")


@dataclass(frozen=True)
class SshWay:
    """One way. ``place`` is a fresh directory at the host, ``directory`` one of the client's; both go with it."""

    user: str
    port: int
    directory: Path
    place: Path
    password: str = field(default="", repr=False)
    key_file: Path | None = None

    @property
    def config_file(self) -> Path:
        return self.directory / "config"

    @property
    def environment(self) -> dict[str, str]:
        """What programs are started with: nothing personal."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "SSH_ASKPASS": str(self.directory / "askpass"),
            "SSH_ASKPASS_REQUIRE": "force",
            "TOKEN_FILE": str(self.directory / "token"),
        }

    def words(self, program: str, *arguments: str) -> list[str]:
        """The command line of a program of OpenSSH."""
        return [program, "-F", str(self.config_file), *arguments]

    def run(self, *words: str, source: bytes = b"", variables: Mapping[str, str] = MappingProxyType({})) -> Done:
        """Run a program to its end."""
        done = subprocess.run(
            words,
            input=source,
            capture_output=True,
            cwd=self.directory,
            env=self.environment | dict(variables),
            timeout=TIMEOUT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ssh(self, *arguments: str, source: bytes = b"", variables: Mapping[str, str] = MappingProxyType({})) -> Done:
        """Run ``ssh``; the host's name is among ``arguments`` as ``target``."""
        return self.run(*self.words("ssh", *arguments), source=source, variables=variables)

    def remote_shell(self) -> str:
        """``ssh`` with its options in one text, as programs take it that start it themselves."""
        return " ".join(self.words("ssh"))

    def alike(self, seen: object) -> str:
        """What was seen, with what has to differ between ways written alike."""
        text = repr(seen)
        for path, name in ((self.place, "PLACE"), (self.directory, "DIRECTORY")):
            text = text.replace(str(path), name)
        return text


class Ways:
    """Makes ways and removes their directories in the end. A context manager."""

    def __init__(self) -> None:
        self._temporary: list[tempfile.TemporaryDirectory[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for directory in self._temporary:
            directory.cleanup()

    def direct(self, host: OpenSshServer, jump: OpenSshServer | None = None) -> SshWay:
        """Without anything in between, or by a jump host, which only programs of OpenSSH do."""
        way = SshWay(host.login, host.port, self._directory(), self._directory(), key_file=host.client_key.file)
        (way.directory / "known_hosts").write_bytes(host.known_hosts().read_bytes())
        lines = [f"IdentityFile {host.client_key.file}", "BatchMode yes", "StrictHostKeyChecking yes"]
        if jump is None:
            return self._written(way, lines)
        block = _JUMP.format(port=jump.port, user=jump.login, key=jump.client_key.file, known_hosts=jump.known_hosts())
        return self._written(way, [*lines, "ProxyJump jump", block])

    def through(self, gateway: GatewayServer, connection: str, token: str | None = None) -> SshWay:
        """Through the gateway, for the identity of a token."""
        password = gateway.token() if token is None else token
        way = SshWay(connection, gateway.ssh_port, self._directory(), self._directory(), password)
        return self._written(way, ["PubkeyAuthentication no", "StrictHostKeyChecking accept-new"])

    def _directory(self) -> Path:
        """A directory with a short name: the socket of a shared connection has to fit in 108 bytes."""
        self._temporary.append(tempfile.TemporaryDirectory(prefix="il-", ignore_cleanup_errors=True))
        return Path(self._temporary[-1].name)

    @staticmethod
    def _written(way: SshWay, lines: Sequence[str]) -> SshWay:
        way.config_file.write_text(
            _CONFIGURATION.format(
                target=TARGET, port=way.port, user=way.user, directory=way.directory, lines="\n".join(lines)
            )
        )
        askpass = way.directory / "askpass"
        askpass.write_text(_ASKPASS)
        askpass.chmod(0o700)
        (way.directory / "token").write_text(way.password)
        return way
