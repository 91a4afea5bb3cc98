"""The SSH hosts of the tests, used without anything in between."""

import subprocess
from pathlib import Path

import asyncssh
import pytest

from tests.servers.openssh import KeyPair, OpenSshServer, new_key
from tests.servers.password_host import PasswordHost
from tests.servers.silent_host import SilentHost


def ssh(host: OpenSshServer, *arguments: str, key: KeyPair | None = None) -> subprocess.CompletedProcess[str]:
    words = ["ssh", "-F", "none", "-p", str(host.port), "-i", str((key or host.client_key).file)]
    words += ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    words += ["-o", f"UserKnownHostsFile={host.directory}/known_hosts", f"{host.login}@127.0.0.1", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def test_commands_start_in_the_servers_own_home(openssh: OpenSshServer) -> None:
    openssh.known_hosts()
    done = ssh(openssh, "echo $HOME; echo oops >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{openssh.home}\n", "oops\n")


def test_a_stranger_is_refused_and_a_certificate_lets_in(openssh: OpenSshServer, tmp_path: Path) -> None:
    openssh.known_hosts()
    stranger = new_key(tmp_path / "stranger")
    refused = ssh(openssh, "true", key=stranger)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    authority = new_key(tmp_path / "authority")
    openssh.trust_user_authority(authority.public)
    words = ["ssh-keygen", "-q", "-s", str(authority.file), "-I", "me", "-n", openssh.login, f"{stranger.file}.pub"]
    subprocess.run(words, check=True)
    assert ssh(openssh, "echo in", key=stranger).stdout == "in\n"


def test_a_changed_host_key_is_noticed() -> None:
    with OpenSshServer() as host:
        host.known_hosts()
        assert ssh(host, "true").returncode == 0
        host.change_host_keys()
        assert "IDENTIFICATION HAS CHANGED" in ssh(host, "true").stderr


def test_a_host_that_vouches_with_a_certificate_and_vanishes() -> None:
    with OpenSshServer(host_certificate=True) as host:
        known = host.directory / "known_hosts"
        known.write_text(f"@cert-authority 127.0.0.1 {host.host_authority.public}\n")
        assert ssh(host, "echo certain").stdout == "certain\n"
        words = ["ssh", "-F", "none", "-p", str(host.port), "-i", str(host.client_key.file)]
        words += ["-o", f"UserKnownHostsFile={known}", f"{host.login}@127.0.0.1", "echo up; sleep 100"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"up\n"
            host.drop_connections()
            assert client.wait(30) == 255


async def test_a_host_with_a_password() -> None:
    with PasswordHost() as host:
        key = asyncssh.import_public_key(host.host_key)
        place = {"host": "127.0.0.1", "port": host.port, "username": host.login, "config": None}
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(**place, password="wrong", client_keys=None, known_hosts=([key], [], []))
        async with asyncssh.connect(
            **place, password=host.password, client_keys=None, known_hosts=([key], [], [])
        ) as client:
            done = await client.run("cat; echo oops >&2; exit 4", input="in")
            assert (done.exit_status, done.stdout, done.stderr) == (4, "in", "oops\n")


def test_a_silent_host_is_silent() -> None:
    with SilentHost() as host:
        words = ["ssh", "-F", "none", "-p", str(host.port), "-o", "ConnectTimeout=1", "127.0.0.1"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 255
        assert "timed out" in done.stderr
        assert len(host.accepted) == 1
