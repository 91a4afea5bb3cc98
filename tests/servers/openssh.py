"""A throw-away OpenSSH server: a real host to stand behind the gateway. It lets in who runs the tests, by key.

The account is real, so what a client runs is run for real. ``home`` is a directory of the server's own, which commands
and SFTP start in, so that nothing of the account's own files is read or written.
"""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.servers.process import ServerDied, ServerProcess, accepts_connections, free_port

_PRIVILEGE_SEPARATION_DIRECTORY: Final = Path("/run/sshd")
_CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
PidFile none
LogLevel VERBOSE
{host_keys}
AuthorizedKeysFile {directory}/authorized_keys
TrustedUserCAKeys {directory}/user_authorities
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
UseDNS no
AcceptEnv *
SetEnv HOME={home}
MaxStartups 10000
MaxSessions 10000
MaxAuthTries 100
Subsystem sftp internal-sftp -d {home}
{settings}
"""


def sshd_program() -> Path | None:
    """The path of ``sshd``, or None when it is not installed. It has to be started by its full path."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return Path(found) if found else None


@dataclass(frozen=True)
class KeyPair:
    """A key as ``ssh-keygen`` makes it: ``file`` is the private one."""

    file: Path

    @property
    def public(self) -> str:
        """The public key without a comment: ``ssh-ed25519 AAAA…``."""
        return " ".join(self.file.with_suffix(".pub").read_text().split()[:2])


def new_key(file: Path, kind: str = "ed25519") -> KeyPair:
    """Make a key without a passphrase."""
    _keygen("-t", kind, "-N", "", "-C", file.name, "-f", str(file))
    return KeyPair(file)


class OpenSshServer:
    """One server on a free port of the loopback. A context manager.

    ``host_key_kinds`` are words of ``ssh-keygen -t``; ``settings`` are further lines of its configuration. With
    ``host_certificate`` it shows a certificate of ``host_authority`` for its first key, made out to 127.0.0.1.
    """

    authenticate = "key"

    def __init__(
        self, *, host_key_kinds: tuple[str, ...] = ("ed25519",), host_certificate: bool = False, settings: str = ""
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-sshd-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self.home = self.directory / "home"
        self.port = free_port()
        self.login = getpass.getuser()
        self.log_file = self.directory / "server.log"
        self._host_key_kinds = host_key_kinds
        self._host_certificate = host_certificate
        self._settings = settings
        self._process: ServerProcess | None = None
        self._prepare()

    def _prepare(self) -> None:
        self.home.mkdir()
        (self.home / ".bashrc").write_text('cd "$HOME"\n')
        self.client_key = new_key(self.directory / "client_key")
        self.user_authority = new_key(self.directory / "user_authority")
        self.host_authority = new_key(self.directory / "host_authority")
        (self.directory / "authorized_keys").write_text(self.client_key.public + "\n")
        (self.directory / "user_authorities").write_text(self.user_authority.public + "\n")
        self._new_host_keys()

    def _new_host_keys(self) -> None:
        self.host_keys = [new_key(self.directory / f"host_{kind}", kind) for kind in self._host_key_kinds]
        if self._host_certificate:
            host = str(self.host_keys[0].file.with_suffix(".pub"))
            _keygen("-s", str(self.host_authority.file), "-I", "host", "-h", "-n", "127.0.0.1", host)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int:
        """The process that listens; each connection is a child of it."""
        assert self._process is not None
        return self._process.pid

    @property
    def host_key(self) -> str:
        """Its first public key, as settings take it."""
        return self.host_keys[0].public

    @property
    def credential_file(self) -> Path:
        """What the gateway logs in with."""
        return self.client_key.file

    def start(self) -> None:
        """Start it, again if need be, and wait until it is ready."""
        program = sshd_program()
        if program is None:
            raise ServerDied("sshd is not installed")
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION_DIRECTORY.mkdir(exist_ok=True)
        configuration = self.directory / "sshd_config"
        configuration.write_text(self._configuration())
        self._process = ServerProcess(
            [program, "-D", "-e", "-f", configuration], log=self.log_file, directory=self.directory
        )
        self._process.wait_until(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        """End it, and with it every connection."""
        if self._process is not None:
            self.drop_connections()
            self._process.stop()
        self._process = None

    def drop_connections(self) -> None:
        """End what serves connections at once, as a crash of the host would; the clients' sockets close."""
        for child in self.connection_pids():
            os.kill(child, signal.SIGKILL)

    def connection_pids(self) -> list[int]:
        """A process for each connection that is open now."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def change_host_keys(self) -> None:
        """Come back as what looks like another host: with other keys, on the same port."""
        self.stop()
        for key in self.host_keys:
            key.file.unlink()
            key.file.with_suffix(".pub").unlink()
        self._new_host_keys()
        self.start()

    def trust_user_authority(self, public_key: str) -> None:
        """Let in by certificates of one more authority, from now on."""
        with (self.directory / "user_authorities").open("a") as file:
            file.write(public_key + "\n")

    def known_hosts(self) -> Path:
        """A file for clients that connect directly."""
        file = self.directory / "known_hosts"
        file.write_text("".join(f"[127.0.0.1]:{self.port} {key.public}\n" for key in self.host_keys))
        return file

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _configuration(self) -> str:
        lines = [f"HostKey {key.file}" for key in self.host_keys]
        if self._host_certificate:
            lines.append(f"HostCertificate {self.host_keys[0].file}-cert.pub")
        return _CONFIGURATION.format(
            port=self.port,
            directory=self.directory,
            home=self.home,
            host_keys="\n".join(lines),
            settings=self._settings,
        )


def _keygen(*arguments: str) -> None:
    done = subprocess.run(["ssh-keygen", "-q", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerDied(f"ssh-keygen failed: {done.stderr}")
