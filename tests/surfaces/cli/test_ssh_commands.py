"""``interlock ssh`` and ``interlock ssh-cert``: what is sent, shown and written, and what is said when it cannot be."""

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from interlock.core.administration import (
    AddSshKey,
    Command,
    IssuedCertificate,
    IssueSshCertificate,
    ListSshKeys,
    ShowSshGateway,
    SshGatewayView,
    SshKeyView,
)
from interlock.core.administration.remote import RemoteGateway
from interlock.core.errors import NotAllowed
from interlock.core.ssh_key import read_ssh_key
from interlock.surfaces.cli.application import build

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmQ2Dr8JxCGGx0vHCvpmUCThZWVr/0y3g/NFfJ2hlwV"
GATEWAY = SshGatewayView(
    ("gateway.example", "192.0.2.1"),
    2222,
    "ssh-ed25519 HOST",
    "@authority\nkey\n",
    "ssh-ed25519 USERS",
    "ssh-ed25519 TARGETS",
)
ISSUED = IssuedCertificate("ssh-ed25519-cert-v01@openssh.com AAAA", "bot", 7, "SHA256:x", 1_800_000_600.0, GATEWAY)
TOKEN = {"INTERLOCK_TOKEN": "planted-token"}


class Answering:
    """A workbench with an answer for each kind of command; an error is raised. ``asked`` keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[type, Any] = {ShowSshGateway: GATEWAY, IssueSshCertificate: ISSUED}
        self.asked: list[tuple[Any, str]] = []

    def administer(self, command: Command[Any], token: str = "") -> Any:
        self.asked.append((command, token))
        answer = self.answers[type(command)]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def workbench() -> Answering:
    return Answering()


Run = Callable[..., Result]


@pytest.fixture
def run(workbench: Answering) -> Run:
    def _make(_config: Path | None, _remote: RemoteGateway | None) -> Any:
        return workbench

    def _run(*words: str, **options: Any) -> Result:
        return CliRunner().invoke(build(_make), words, **options)

    return _run


def test_a_key_pair_is_made_and_only_its_public_part_is_sent(run: Run, workbench: Answering, tmp_path: Path) -> None:
    directory = tmp_path / "a directory"
    done = run("ssh-cert", "--dir", str(directory), "--for", "5m", "--from", "192.0.2.0/24", env=TOKEN)
    assert done.exit_code == 0, done.output
    ((command, token),) = workbench.asked
    assert (command.lifetime_s, command.addresses, token) == (300, ("192.0.2.0/24",), "planted-token")
    key = directory / "id_interlock"
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    assert read_ssh_key(public).line == command.key
    assert (directory / "id_interlock-cert.pub").read_text() == ISSUED.certificate + "\n"
    assert (directory / "known_hosts").read_text() == "key\n"
    assert (directory / "config").read_text() == done.output
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert key.read_text() not in done.output
    assert "planted-token" not in done.output


def test_the_configuration_is_what_ssh_reads(run: Run, tmp_path: Path) -> None:
    run("ssh-cert", "--dir", str(tmp_path / "a directory"), env=TOKEN)
    file = tmp_path / "a directory" / "config"
    shown = subprocess.run(["ssh", "-G", "-F", file, "web@interlock"], capture_output=True, text=True, check=True)
    lines = shown.stdout.splitlines()
    for line in (
        "hostname gateway.example",
        "port 2222",
        "user web",
        "identitiesonly yes",
        f"identityfile {tmp_path}/a directory/id_interlock",
        f"certificatefile {tmp_path}/a directory/id_interlock-cert.pub",
        f"userknownhostsfile {tmp_path}/a directory/known_hosts",
    ):
        assert line in lines
    assert "# bot until 2027-01-15T08:10:00+00:00." in file.read_text()


@pytest.mark.parametrize("has_private", [True, False])
def test_a_key_of_ones_own(run: Run, workbench: Answering, tmp_path: Path, has_private: bool) -> None:
    """Its private part may be in an agent only; then ``ssh`` finds it there by the public one."""
    own = tmp_path / "own"
    own.with_suffix(".pub").write_text(KEY + " me@here\n")
    if has_private:
        own.write_text("private")
    done = run("ssh-cert", "--dir", str(tmp_path / "ssh"), "--key", f"{own}.pub", env=TOKEN)
    assert workbench.asked[0][0].key == KEY + " me@here\n"
    assert not (tmp_path / "ssh" / "id_interlock").exists()
    assert f'IdentityFile "{own if has_private else f"{own}.pub"}"' in done.output


def test_a_private_key_is_not_sent(run: Run, workbench: Answering, tmp_path: Path) -> None:
    own = tmp_path / "own"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", own], check=True)
    done = run("ssh-cert", "--dir", str(tmp_path / "ssh"), "--key", str(own), env=TOKEN)
    assert done.exit_code == 1
    assert "private key" in done.output
    done = run("ssh", "keys", "add", "bot", str(own))
    assert done.exit_code == 1
    assert not workbench.asked


def test_nothing_is_written_without_a_certificate(run: Run, workbench: Answering, tmp_path: Path) -> None:
    workbench.answers[IssueSshCertificate] = NotAllowed("locked")
    done = run("ssh-cert", "--dir", str(tmp_path / "ssh"), env=TOKEN)
    assert (done.exit_code, done.output) == (1, "error: locked\n")
    assert not (tmp_path / "ssh").exists()


@pytest.mark.parametrize("host", ["x\n    ProxyCommand touch /tmp/owned", "-oProxyCommand=x", "a b", ""])
def test_a_gateway_that_would_have_ssh_run_something(run: Run, workbench: Answering, tmp_path: Path, host: str) -> None:
    gateway = msgspec.structs.replace(GATEWAY, host_names=(host,))
    workbench.answers[IssueSshCertificate] = msgspec.structs.replace(ISSUED, gateway=gateway)
    done = run("ssh-cert", "--dir", str(tmp_path / "ssh"), env=TOKEN)
    assert done.exit_code == 1
    assert "is no host" in done.output
    assert not (tmp_path / "ssh").exists()


def test_a_name_that_would_be_a_line_of_its_own(run: Run, workbench: Answering, tmp_path: Path) -> None:
    workbench.answers[IssueSshCertificate] = msgspec.structs.replace(ISSUED, identity="x\nProxyCommand true")
    done = run("ssh-cert", "--dir", str(tmp_path / "ssh"), env=TOKEN)
    assert not [line for line in done.output.splitlines() if line.startswith("ProxyCommand")]


@pytest.mark.parametrize("name", ['a"b', "a\nb", "100%d"])
def test_a_path_that_ssh_cannot_be_told(run: Run, tmp_path: Path, name: str) -> None:
    done = run("ssh-cert", "--dir", str(tmp_path / name), env=TOKEN)
    assert done.exit_code == 1
    assert "choose another with --dir" in done.output
    assert not (tmp_path / name).exists()


def test_a_directory_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("ssh-cert", "--dir", str(tmp_path / "file"), env=TOKEN)
    assert done.exit_code == 2
    assert str(tmp_path / "file") in done.output


def test_keys_by_standard_input(run: Run, workbench: Answering) -> None:
    workbench.answers[AddSshKey] = SshKeyView("bot", "SHA256:x", "ssh-ed25519", "", "os:root", 0.0, 1_800_000_000.0)
    done = run("ssh", "keys", "add", "bot", "-", "--for", "30d", input=KEY)
    assert "Key SHA256:x is registered for 'bot'; it ends: 2027-01-15T08:00:00+00:00." in done.output
    assert workbench.asked[0][0] == AddSshKey("bot", KEY, 30 * 86_400)


def test_a_list_of_keys(run: Run, workbench: Answering) -> None:
    view = SshKeyView("bot", "SHA256:" + "x" * 43, "ssh-ed25519", "evil\x1b[2J", "os:root", 0.0, None)
    workbench.answers[ListSshKeys] = (view,)
    done = run("ssh", "keys", "list", env={"COLUMNS": "200"})
    assert view.fingerprint in done.output
    assert "never" in done.output
    assert "\x1b[2J" not in done.output
    workbench.answers[ListSshKeys] = ()
    assert run("ssh", "keys", "list", "bot").output == "There is no registered key.\n"


def test_what_is_trusted(run: Run, workbench: Answering) -> None:
    assert run("ssh", "known-hosts").output == "@authority\nkey\n"
    assert run("ssh", "known-hosts", "--key-only").output == "key\n"
    shown = run("ssh", "authority")
    assert shown.stdout == "ssh-ed25519 TARGETS\n"
    assert "TrustedUserCAKeys" in shown.stderr


def test_a_gateway_that_does_not_listen(run: Run, workbench: Answering) -> None:
    workbench.answers[ShowSshGateway] = SshGatewayView(("h",), 0, "", "", "", "")
    done = run("ssh", "known-hosts")
    assert done.exit_code == 1
    assert "set listen under [ssh]" in done.output
