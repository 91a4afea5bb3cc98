"""``interlock connect`` and ``ssh-cert`` on a workload's own machine, with a stock ``ssh``."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.ledger import SessionOpened
from tests.e2e.ledger_files import records_of
from tests.e2e.ssh.access import NO_DATABASE
from tests.servers.command_line import run_interlock
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with OpenSshServer() as host:
        connections = ssh_target("web", host) + ssh_target("other", host)
        options = GatewayOptions(ssh=True, ssh_extra='host_names = ["127.0.0.1"]', extra=connections)
        with GatewayServer(NO_DATABASE, options) as server:
            yield server


class Workload:
    """A machine with a file that has its token."""

    def __init__(self, gateway: GatewayServer, directory: Path) -> None:
        self.directory = directory
        (directory / "token").write_text(gateway.token())
        self.environment = {
            "XDG_STATE_HOME": str(directory / "state"),
            "INTERLOCK_API": gateway.api_url,
            "INTERLOCK_API_CA": str(gateway.certificate_file),
            "INTERLOCK_SUBJECT_TOKEN_FILE": str(directory / "token"),
            "INTERLOCK_TOKEN": "",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_interlock(words, self.directory, check=False, environment=self.environment)


@pytest.fixture
def workload(gateway: GatewayServer, tmp_path: Path) -> Workload:
    return Workload(gateway, tmp_path)


def test_ssh_connects(gateway: GatewayServer, workload: Workload) -> None:
    done = workload.run("connect", "web", "--", "echo in; exit 7")
    assert (done.stdout, done.returncode) == ("in\n", 7), done.stderr
    session = records_of(gateway, SessionOpened)[-1]
    assert (session.principal, session.connection) == (AGENT, "web")
    assert not list(workload.directory.rglob("run/*"))


def test_the_proof_is_not_passed_on(workload: Workload) -> None:
    workload.environment["INTERLOCK_TOKEN"] = (workload.directory / "token").read_text()
    local = ("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=env >&2")
    done = workload.run("connect", "web", "--", *local, "echo in")
    assert done.stdout == "in\n"
    assert "SSH_ASKPASS=" in done.stderr
    assert "INTERLOCK_TOKEN" not in done.stderr


def test_a_certificate_is_for_the_connections_that_are_named(workload: Workload) -> None:
    directory = workload.directory / "of-ssh"
    made = workload.run("ssh-cert", "web", "--dir", str(directory))
    assert made.returncode == 0, made.stderr
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    answers = [
        subprocess.run(
            ["ssh", "-F", directory / "config", "-o", "BatchMode=yes", f"{user}@interlock", "echo in"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=TIMEOUT_S,
        ).stdout
        for user in ("web", "other")
    ]
    assert answers == ["in\n", ""]


def test_variables_for_other_clients(gateway: GatewayServer, workload: Workload) -> None:
    done = workload.run("env", "web")
    assert f"export WEB_SSH_PORT={gateway.ssh_port}\n" in done.stdout
    assert "interlock ssh-cert web" in done.stderr
    variables = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    known_hosts = Path(variables["WEB_SSH_KNOWN_HOSTS"])
    assert known_hosts.read_text() == gateway.command("ssh", "known-hosts").stdout


def test_a_login_that_the_host_does_not_offer(workload: Workload) -> None:
    done = workload.run("connect", "web", "--login", "nobody-there")
    assert done.returncode == 1
    assert "has no login 'nobody-there'" in done.stderr
