"""OpenSSH's own ``sftp`` and ``scp``, and paramiko, through the state machine to OpenSSH's server."""

import contextlib
import hashlib
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from interlock.core.operation import OutcomeStatus
from interlock.protocols.ssh import events
from tests.protocols.ssh.sftp import bridge
from tests.protocols.ssh.sftp.channels import Channel, deny, real_server

ROOT = Path(__file__).parents[4]


class OpenSsh:
    """Runs OpenSSH's clients; ``operations`` and reports of the last run are in ``log``."""

    def __init__(self, place: Path) -> None:
        self.home = place / "home"
        self.local = place / "local"
        self.denied = ("none", "/")
        self._place = place
        self.home.mkdir()
        self.local.mkdir()

    @property
    def log(self) -> list[str]:
        return (self._place / "log").read_text().splitlines()

    def sftp(self, *commands: str) -> subprocess.CompletedProcess[str]:
        return self._run(["sftp", "-D", self._server(), "-b", "-"], "".join(f"{line}\n" for line in commands))

    def scp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(["scp", "-D", self._server(), *arguments], "")

    def _run(self, command: list[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=text, cwd=self.local, text=True, capture_output=True, timeout=60)

    def _server(self) -> str:
        script = self._place / "server"
        path = ":".join((str(ROOT / "src"), str(ROOT)))
        arguments = [sys.executable, bridge.__file__, str(self.home), *self.denied, str(self._place / "log")]
        script.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.join(arguments)}\n")
        script.chmod(0o755)
        return str(script)


@pytest.fixture
def openssh(tmp_path: Path) -> OpenSsh:
    return OpenSsh(tmp_path.resolve())


def test_sftp_does_all_that_it_does(openssh: OpenSsh) -> None:
    content = bytes(range(256)) * 4000
    (openssh.local / "up").write_bytes(content)
    ran = openssh.sftp(
        "put -p up", "get up down", "mkdir d", "rename up d/up", "ln -s d/up link", "ln d/up hard", "ls -l",
        "chmod 600 hard", "df", "rm link", "cd d", "pwd", "reget up ../local/again", "rm up", "cd ..", "rmdir d",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (openssh.local / "down").read_bytes() == content
    assert (openssh.home / "hard").read_bytes() == content
    assert sorted(path.name for path in openssh.home.iterdir()) == ["hard"]
    digest = hashlib.sha256(content).hexdigest()
    assert f"completed WROTE {len(content)} bytes sha256:{digest}" in openssh.log
    assert f"completed READ {len(content)} bytes sha256:{digest}" in openssh.log
    home = openssh.home
    for line in (
        f"open {home}/up for writing (create, truncate) with mode 0644",
        f"rename {home}/up to {home}/d/up",
        f"make the link {home}/link to {home}/d/up",
        f"link {home}/hard to the file {home}/d/up",
        f"remove the directory {home}/d",
        "completed LISTED 3",
    ):
        assert any(line in logged for logged in openssh.log), (line, openssh.log)
    assert not any(logged.startswith("interrupted") for logged in openssh.log)


def test_sftp_shows_why_something_is_denied_and_goes_on(openssh: OpenSsh) -> None:
    (openssh.home / "keep").write_text("kept")
    openssh.denied = ("file-remove", "/")
    ran = openssh.sftp("-rm keep", "ls -1")
    assert ran.returncode == 0
    assert "interlock: denied: file-remove on" in ran.stderr
    assert "keep" in ran.stdout.splitlines()
    assert (openssh.home / "keep").read_text() == "kept"


def test_sftp_works_where_nothing_may_be_listed_outside_of_one_directory(openssh: OpenSsh) -> None:
    (openssh.home / "d").mkdir()
    (openssh.home / "d/x").write_text("hello")
    openssh.denied = ("file-list", "~")
    ran = openssh.sftp(f"get {openssh.home}/d/x")
    assert ran.returncode != 0
    openssh.denied = ("file-write", "/")
    ran = openssh.sftp(f"get {openssh.home}/d/x")
    assert ran.returncode == 0
    assert (openssh.local / "x").read_text() == "hello"


def test_scp_copies_both_ways_and_trees(openssh: OpenSsh) -> None:
    (openssh.local / "tree/inner").mkdir(parents=True)
    (openssh.local / "tree/inner/a").write_text("a")
    (openssh.local / "tree/b").write_text("b")
    ran = openssh.scp("-rp", "tree", "host:")
    assert ran.returncode == 0, ran.stderr
    assert (openssh.home / "tree/inner/a").read_text() == "a"
    ran = openssh.scp("-r", "host:tree", "back")
    assert ran.returncode == 0, ran.stderr
    assert (openssh.local / "back/inner/a").read_text() == "a"
    assert (openssh.local / "back/b").read_text() == "b"


def test_scp_is_told_why_it_may_not(openssh: OpenSsh) -> None:
    (openssh.home / "secret").write_text("secret")
    openssh.denied = ("file-read", f"{openssh.home}/secret")
    ran = openssh.scp("host:secret", ".")
    assert ran.returncode != 0
    assert "interlock: denied: file-read on" in ran.stderr
    assert not (openssh.local / "secret").exists()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path.resolve()


class NamedSocket(socket.socket):
    """What paramiko takes for a channel."""

    def get_name(self) -> str:
        return "1"


class Pumped:
    """A socket for a client whose other end is a channel that a thread feeds."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        client, self._gateway = socket.socketpair()
        self.client = NamedSocket(fileno=client.detach())
        self._thread = threading.Thread(target=self._pump)
        self._thread.start()

    def _pump(self) -> None:
        while self._channel.exit is None:
            data = b""
            with contextlib.suppress(ConnectionError):
                data = self._gateway.recv(32768)
            self._channel.feed(events.ClientData(data) if data else events.ClientEof())
            packets = b"".join(self._channel.packets)
            self._channel.packets.clear()
            with contextlib.suppress(ConnectionError):  # the client does not wait for its last answers
                self._gateway.sendall(packets)

    def close(self) -> None:
        self.client.close()
        self._thread.join(10)
        self._gateway.close()


@pytest.fixture
def channel(home: Path) -> Iterator[Channel]:
    with real_server(home) as target:
        yield Channel(target, deny("file-remove", under=f"{home}/keep"))


def test_paramiko_does_all_that_it_does(channel: Channel, home: Path) -> None:
    content = bytes(range(256)) * 2000
    (home / "local").write_bytes(content)
    (home / "keep").write_text("kept")
    pumped = Pumped(channel)
    client = paramiko.SFTPClient(pumped.client)
    try:
        assert client.normalize(".") == str(home)
        client.put(str(home / "local"), "up")
        client.get("up", str(home / "down"))
        assert (home / "down").read_bytes() == content
        client.mkdir("d", 0o700)
        client.rename("up", "d/up")
        client.posix_rename("d/up", "d/up2")
        client.symlink("d/up2", "link")
        assert client.readlink("link") == "d/up2"
        client.chmod("link", 0o640)
        client.utime("link", (1, 2))
        client.truncate("d/up2", 10)
        assert client.stat("link").st_size == 10
        assert client.lstat("link").st_size == len("d/up2")
        assert sorted(client.listdir("d")) == ["up2"]
        with client.open("d/up2", "r+b") as file:
            file.seek(5)
            file.write(b"hello")
            file.flush()
            file.seek(0)
            assert file.read() == content[:5] + b"hello"
        client.remove("link")
        client.remove("d/up2")
        client.rmdir("d")
        with pytest.raises(PermissionError, match="denied: file-remove"):
            client.remove("keep")
        with pytest.raises(FileNotFoundError):
            client.stat("nothing")
    finally:
        pumped.close()
    assert len(channel.reports) == len(channel.operations) - 1
    assert {report.status for report in channel.reports} == {OutcomeStatus.COMPLETED, OutcomeStatus.FAILED}
    digest = hashlib.sha256(content).hexdigest()
    assert f"READ {len(content)} bytes sha256:{digest}" in [report.tag for report in channel.reports]
