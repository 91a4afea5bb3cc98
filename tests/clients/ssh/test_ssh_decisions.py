"""What real SSH clients show of a decision: the reason of a refusal, and whom a held command waits for.

Nothing that is refused happens, and scripts notice. What is approved goes on where it was.
"""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import paramiko
import pytest

from tests.clients.ssh import with_asyncssh, with_paramiko
from tests.clients.ssh.trees import make_tree
from tests.clients.ssh.way import SshWay, Ways
from tests.e2e.reviewer import Reviewer
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer, new_key

POLICY = """
@id("look") permit (principal, action in [Action::"read", Action::"ssh-opaque"], resource);
@id("reviewers") permit (principal in Group::"dba", action, resource);
@id("careful") permit (principal in Group::"careful", action, resource);
@id("nothing-changes")
@message("This host is only looked at.")
forbid (principal, action in [Action::"write", Action::"destructive", Action::"admin"], resource)
unless { principal in Group::"careful" };
@id("changes-are-agreed") @approval("dba") @expires("10m")
forbid (principal in Group::"careful", action in [Action::"write", Action::"destructive"], resource);
"""
REASON = "This host is only looked at."
DENIED = 77


@pytest.fixture(scope="module")
def gateway(openssh: OpenSshServer) -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY, approval_wait_s=20, ssh=True, extra=ssh_target("host", openssh))
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


@pytest.fixture
def way(gateway: GatewayServer) -> Iterator[SshWay]:
    with Ways() as ways:
        way = ways.through(gateway, "host")
        (way.place / "kept").write_text("kept\n")
        make_tree(way.directory / "local")
        yield way


@contextmanager
def ssh_agent(listening: Path) -> Iterator[None]:
    """An agent without keys, for as long as it is entered."""
    words = ["ssh-agent", "-D", "-a", str(listening)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as agent:
        deadline_s = time.monotonic() + 30
        while not listening.exists():
            assert time.monotonic() < deadline_s, "the agent does not listen"
            time.sleep(0.01)
        try:
            yield
        finally:
            agent.terminate()


def _git(way: SshWay) -> list[str]:
    repository = way.directory / "repository"
    way.run("git", "init", "-q", "--bare", str(way.place / "bare.git"))
    way.run("git", "clone", "-q", str(way.place / "bare.git"), str(repository))
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.hooksPath=/dev/null"]
    way.run("git", "-C", str(repository), *identity, "commit", "-q", "--allow-empty", "-m", "empty")
    return ["git", "-C", str(repository), "push", "-q", f"target:{way.place}/bare.git", "HEAD:main"]


def _sftp(way: SshWay) -> list[str]:
    (way.directory / "batch").write_text(f"rm {way.place}/kept\n")
    return way.words("sftp", "-o", "BatchMode=no", "-b", "batch", "target")


CHANGES: dict[str, Callable[[SshWay], list[str]]] = {
    "ssh": lambda way: way.words("ssh", "target", f"rm -rf {way.place}/kept"),
    "ssh with a terminal": lambda way: way.words("ssh", "-tt", "target", f"rm {way.place}/kept"),
    "scp": lambda way: way.words("scp", "local/plain.txt", f"target:{way.place}/new"),
    "scp -O": lambda way: way.words("scp", "-O", "local/plain.txt", f"target:{way.place}/new"),
    "sftp": _sftp,
    "rsync": lambda way: ["rsync", "-a", "-e", way.remote_shell(), "local/", f"target:{way.place}/copy"],
    "git": _git,
}
STATUSES = {"ssh": DENIED, "ssh with a terminal": DENIED}
"""What a refused client exits with, where that does not depend on the client."""


def _variables(way: SshWay) -> dict[str, str]:
    return {"GIT_SSH_COMMAND": way.remote_shell()}


def files(way: SshWay) -> dict[str, str]:
    """The files at the host by their paths, whatever git writes into them."""
    return {str(path.relative_to(way.place)): path.name for path in way.place.rglob("*")}


@pytest.mark.parametrize("client", CHANGES)
def test_nothing_happens_and_the_reason_is_shown(way: SshWay, client: str) -> None:
    words = CHANGES[client](way)
    before = files(way)
    done = way.run(*words, variables=_variables(way))
    assert done.status == STATUSES.get(client, done.status or "a failure"), done
    assert REASON in done.said + done.output.decode(), done
    assert files(way) == before


def test_a_shell_and_other_subsystems_are_refused(way: SshWay) -> None:
    shell = way.ssh("-T", "target", source=b"touch new\n")
    assert (shell.status, shell.output) == (DENIED, b"")
    assert "interlock: " in shell.said
    subsystem = way.ssh("-s", "target", "netconf")
    assert subsystem.status == DENIED
    assert "no subsystem but sftp" in subsystem.said


@pytest.mark.parametrize("client", CHANGES)
def test_what_is_held_goes_on_once_it_is_approved(gateway: GatewayServer, client: str) -> None:
    reviewer = Reviewer(gateway, "ann", "dba")
    with Ways() as ways:
        way = ways.through(gateway, "host", gateway.token("cora", ["careful"]))
        (way.place / "kept").write_text("kept\n")
        make_tree(way.directory / "local")
        words = CHANGES[client](way)
        before = files(way)
        asked = _run_and_approve(way, words, reviewer)
        assert asked
        assert files(way) != before


def _run_and_approve(way: SshWay, words: list[str], reviewer: Reviewer) -> list[str]:
    """Run a client, and approve what it says that it waits for; the requests."""
    asked, answered = list[str](), list[int]()
    said = b""
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=way.directory,
        env=way.environment | _variables(way),
    ) as client:
        assert client.stdout is not None
        for line in client.stdout:
            said += line
            if found := re.search(rb"Request (\S+)\.", line):
                asked.append(found[1].decode())
                answered.append(reviewer.answer("approve", asked[-1])[0])
    assert (client.returncode, set(answered)) == (0, {200}), said
    return asked


async def test_asyncssh_is_told(way: SshWay) -> None:
    async with with_asyncssh.connection_to(way) as connection:
        done = await connection.run(f"touch {way.place}/new")
        assert (done.exit_status, REASON in str(done.stderr)) == (DENIED, True)
        async with connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPPermissionDenied, match=REASON):
                await sftp.rename(str(way.place / "kept"), str(way.place / "new"))
            assert await sftp.exists(str(way.place / "kept"))


def test_paramiko_is_told(way: SshWay) -> None:
    client = with_paramiko.connected(way)
    try:
        _, stdout, stderr = client.exec_command(f"touch {way.place}/new", timeout=30)
        assert (stdout.channel.recv_exit_status(), REASON in stderr.read().decode()) == (DENIED, True)
        with client.open_sftp() as sftp:
            with pytest.raises(PermissionError):
                sftp.open(str(way.place / "new"), "w")
            assert sftp.listdir(str(way.place)) == ["kept"]
    finally:
        client.close()


FORWARDINGS = {
    "-R": ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:{port}", "target", "true"],
    "-W": ["-W", "127.0.0.1:{port}", "target"],
    "-J": ["-J", "target", "-p", "{port}", "nobody@127.0.0.1", "true"],
}


@pytest.mark.parametrize("forwarding", FORWARDINGS)
def test_forwardings_are_refused(way: SshWay, openssh: OpenSshServer, forwarding: str) -> None:
    words = [word.format(port=openssh.port) for word in FORWARDINGS[forwarding]]
    done = way.ssh("-o", "LogLevel=INFO", *words)
    assert done.status == 255
    assert done.output == b""
    assert "forward" in done.said, done


def test_what_is_asked_for_beside_a_command_is_refused_and_the_command_runs(
    way: SshWay, openssh: OpenSshServer
) -> None:
    """An agent, X11, and local forwardings, which are refused when something connects."""
    listening = way.directory / "listening"
    words = ["-A", "-Y", "-L", f"{listening}:127.0.0.1:{openssh.port}", "-o", "LogLevel=INFO"]
    words += ["target", "echo ${SSH_AUTH_SOCK-none} ${DISPLAY-none}; read line; echo $line"]
    agent = way.directory / "agent"
    environment = way.environment | {"SSH_AUTH_SOCK": str(agent), "DISPLAY": ":99"}
    pipe = subprocess.PIPE
    with (
        ssh_agent(agent),
        socket.socket(socket.AF_UNIX) as client,
        subprocess.Popen(way.words("ssh", *words), env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as ssh,
    ):
        assert ssh.stdout is not None
        assert ssh.stdout.readline() == b"none none\n"
        client.connect(str(listening))
        assert client.recv(1) == b""
        output, errors = ssh.communicate(b"went on\n", timeout=60)
    assert (ssh.returncode, output) == (0, b"went on\n")
    assert b"administratively prohibited: interlock: " in errors, errors


def test_a_token_that_does_not_count(gateway: GatewayServer, openssh: OpenSshServer) -> None:
    with Ways() as ways:
        seen = {
            "expired": ways.through(gateway, "host", "not.a.token"),
            "cut": ways.through(gateway, "host", "x" * 2000),
            "unknown": ways.through(gateway, "elsewhere"),
        }
        said = {name: way.ssh("-o", "LogLevel=INFO", "target", "true") for name, way in seen.items()}
        stranger = ways.through(gateway, "host")
        key = new_key(stranger.directory / "stranger")
        words = ["-o", "PubkeyAuthentication=yes", "-o", "PreferredAuthentications=publickey", "-i", str(key.file)]
        said["stranger"] = stranger.ssh(*words, "target", "true")
        with pytest.raises(paramiko.AuthenticationException):
            with_paramiko.connected(seen["expired"])
    assert {name: done.status for name, done in said.items()} == dict.fromkeys(said, 255)
    assert "interlock: " in said["expired"].said
    assert "cut the token" in said["cut"].said
    assert "elsewhere" in said["unknown"].said
    assert all("Permission denied" in done.said for done in said.values())
