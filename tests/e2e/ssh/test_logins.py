"""Who a stock ``ssh`` is: by certificate, by registered key, by signing in elsewhere; and who is kept out."""

import asyncio
import contextlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from typer.testing import CliRunner

from interlock.bootstrap.bench import Bench
from interlock.core.ledger import AdministrationChanged, ConnectionRefused, SessionOpened
from interlock.surfaces.cli.application import build
from tests.clients.ssh.terminal import Terminal
from tests.e2e.exchange import session_token
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.device_issuer import AUDIENCE, CLIENT_ID, DeviceIssuer
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import KeyPair, OpenSshServer, new_key

HOST_NAMES = 'host_names = ["127.0.0.1"]'
TIMEOUT_S = 20
DIRECTORY = "of ssh"


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        yield server


@pytest.fixture(scope="module")
def issuer() -> Iterator[DeviceIssuer]:
    with DeviceIssuer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(host: OpenSshServer, issuer: DeviceIssuer) -> Iterator[GatewayServer]:
    people = f"""
[[issuers]]
url = "{issuer.url}"
name = "people"
audience = "{AUDIENCE}"
device_client_id = "{CLIENT_ID}"
allow_http_loopback = true

[[identities]]
issuer = "people"
when = {{}}
identity = "{{sub}}"
kind = "user"
"""
    connections = ssh_target("web", host) + ssh_target("trusting", host, certificate=True)
    options = GatewayOptions(ssh=True, ssh_extra=HOST_NAMES, extra=connections + people)
    with GatewayServer(NO_DATABASE, options) as server:
        yield server


def ssh(configuration: Path, user: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody who is not asked anything, with the host key looked at."""
    strict = ("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=none")
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    return subprocess.run(
        ["ssh", "-F", configuration, *strict, *options, f"{user}@interlock", command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )


def certified(gateway: GatewayServer, directory: Path, *words: str, name: str = AGENT, **token: Any) -> Path:
    """The configuration that ``interlock ssh-cert`` writes for somebody."""
    return certified_by(gateway, directory, gateway.token(name, **token), *words)


def certified_by(gateway: GatewayServer, directory: Path, token: str, *words: str) -> Path:
    """The same for whoever has this token."""
    file = directory / "token"
    file.write_text(token)
    gateway.command("--token-file", str(file), "ssh-cert", "--dir", str(directory / DIRECTORY), *words)
    return directory / DIRECTORY / "config"


def last_session(gateway: GatewayServer) -> SessionOpened:
    return records_of(gateway, SessionOpened)[-1]


def last_refusal(gateway: GatewayServer) -> ConnectionRefused:
    return records_of(gateway, ConnectionRefused)[-1]


# ---------------------------------------------------------------- certificates


def test_a_certificate_and_a_key_made_for_it(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    done = ssh(configuration, "web", "echo in")
    assert (done.stdout, done.returncode) == ("in\n", 0), done.stderr
    assert [stat.S_IMODE(file.stat().st_mode) for file in configuration.parent.iterdir()] == [0o600] * 4
    session, issued = last_session(gateway), records_of(gateway, AdministrationChanged)[-1]
    claims = dict(session.claims)
    assert (session.principal, issued.action, issued.actor) == (AGENT, "ssh-cert", AGENT)
    assert f"serial {claims['ssh_certificate']}, key {claims['ssh_key']}" in issued.detail
    assert gateway.options.groups[0] in session.groups


def test_a_certificate_for_ones_own_key(gateway: GatewayServer, tmp_path: Path) -> None:
    key = new_key(tmp_path / "own")
    configuration = certified(gateway, tmp_path, "--key", str(key.file.with_suffix(".pub")))
    assert not (configuration.parent / "id_interlock").exists()
    assert ssh(configuration, "web", "echo in").stdout == "in\n"


def test_the_hosts_certificate_is_enough_to_know_it(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    known_hosts = configuration.with_name("known_hosts")
    authority, plain = gateway.command("ssh", "known-hosts").stdout.splitlines(keepends=True)
    assert gateway.command("ssh", "known-hosts", "--key-only").stdout == plain == known_hosts.read_text()
    for line in (authority, plain):
        known_hosts.write_text(line)
        assert ssh(configuration, "web", "echo in").stdout == "in\n"
    known_hosts.write_text("")
    assert "Host key verification failed" in ssh(configuration, "web", "echo in").stderr


async def test_libraries_use_the_files_as_they_are(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    async with asyncssh.connect("interlock", username="web", config=[configuration], agent_path=None) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
    key = paramiko.Ed25519Key.from_private_key_file(str(configuration.with_name("id_interlock")))
    key.load_certificate(str(configuration.with_name("id_interlock-cert.pub")))
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(configuration.with_name("known_hosts")))
        place = {"hostname": "127.0.0.1", "port": gateway.ssh_port, "username": "web"}
        await asyncio.to_thread(client.connect, **place, pkey=key, allow_agent=False, look_for_keys=False)
        _, output, _ = client.exec_command("echo in")
        assert await asyncio.to_thread(output.read) == b"in\n"


def test_a_certificate_from_elsewhere_by_the_api(gateway: GatewayServer, tmp_path: Path) -> None:
    environment = {
        "INTERLOCK_API": gateway.api_url,
        "INTERLOCK_API_CA": str(gateway.certificate_file),
        "INTERLOCK_TOKEN": gateway.token("ann", kind="user"),
    }
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(build(Bench), ["ssh-cert", "--dir", "here", "--for", "5m"], env=environment)
    assert done.exit_code == 0, done.output
    assert "Host interlock\n" in done.output
    assert environment["INTERLOCK_TOKEN"] not in done.output
    assert ssh(tmp_path / "here" / "config", "web", "echo in").stdout == "in\n"
    assert last_session(gateway).principal == "ann"


def test_a_certificate_is_good_for_no_more_than_its_token(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified_by(gateway, tmp_path, session_token(gateway, gateway.token("narrow"), "api", "web"))
    assert ssh(configuration, "web", "echo in").stdout == "in\n"
    assert ssh(configuration, "trusting", "echo in").returncode == 255
    assert last_refusal(gateway).reason == "the token is for something else"


def test_a_certificate_takes_a_token(gateway: GatewayServer, tmp_path: Path) -> None:
    done = gateway.command("ssh-cert", "--dir", str(tmp_path / "ssh"), check=False)
    assert done.returncode == 2
    assert "INTERLOCK_TOKEN" in done.stderr
    assert not (tmp_path / "ssh").exists()


def test_a_certificate_from_the_wrong_address(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path, "--from", "192.0.2.0/24")
    assert ssh(configuration, "web", "echo in").returncode == 255
    configuration = certified(gateway, tmp_path, "--from", "192.0.2.0/24", "--from", "127.0.0.0/8")
    assert ssh(configuration, "web", "echo in").stdout == "in\n"


def test_a_certificate_whose_token_is_taken_back(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path, name="leaked")
    assert ssh(configuration, "web", "echo in").stdout == "in\n"
    gateway.command("tokens", "revoke", last_session(gateway).token_id, "--reason", "leaked")
    assert ssh(configuration, "web", "echo in").returncode == 255
    assert "locked by" in last_refusal(gateway).reason


def test_a_certificate_of_a_disabled_identity(gateway: GatewayServer, tmp_path: Path) -> None:
    gateway.command("identities", "add", "wild")
    configuration = certified(gateway, tmp_path, name="wild")
    gateway.command("identities", "disable", "wild")
    done = ssh(configuration, "web", "echo in")
    assert (done.returncode, done.stdout) == (255, "")
    assert last_refusal(gateway).reason == "identity disabled"
    gateway.command("identities", "enable", "wild")
    assert ssh(configuration, "web", "echo in").stdout == "in\n"


def test_a_certificate_without_its_key(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    other = new_key(tmp_path / "other")
    (configuration.parent / "id_interlock").write_bytes(other.file.read_bytes())
    before = len(records_of(gateway, SessionOpened))
    assert ssh(configuration, "web", "echo in").returncode == 255
    assert len(records_of(gateway, SessionOpened)) == before


# ---------------------------------------------------------------- registered keys


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return new_key(tmp_path / "registered")


def configuration_for(gateway: GatewayServer, directory: Path, key: KeyPair) -> Path:
    known_hosts, file = directory / "known_hosts", directory / "config"
    known_hosts.write_text(gateway.command("ssh", "known-hosts").stdout)
    place = f"HostName 127.0.0.1\nPort {gateway.ssh_port}\nIdentityFile {key.file}\nIdentitiesOnly yes\n"
    file.write_text(f"Host interlock\n{place}UserKnownHostsFile {known_hosts}\n")
    return file


@pytest.fixture
def registered(gateway: GatewayServer, tmp_path: Path, key: KeyPair) -> Mapping[str, str]:
    """A key of an identity of its own, as listed."""
    name = f"robot-{tmp_path.name}"
    gateway.command("identities", "add", name, "--owner", "ada")
    gateway.command("ssh", "keys", "add", name, str(key.file.with_suffix(".pub")), "--for", "1h")
    (view,) = json.loads(gateway.command("ssh", "keys", "list", name, "--json").stdout)
    found: Mapping[str, str] = view
    return found


def test_a_registered_key(gateway: GatewayServer, tmp_path: Path, key: KeyPair, registered: Mapping[str, str]) -> None:
    configuration = configuration_for(gateway, tmp_path, key)
    assert ssh(configuration, "web", "echo in").stdout == "in\n"
    session = last_session(gateway)
    assert (session.principal, session.owner, session.token_id) == (
        registered["identity"],
        "ada",
        registered["fingerprint"],
    )
    gateway.command("ssh", "keys", "remove", registered["fingerprint"])
    assert ssh(configuration, "web", "echo in").returncode == 255


@pytest.mark.parametrize(("algorithm", "status"), [("rsa-sha2-256", 0), ("rsa-sha2-512", 0), ("ssh-rsa", 255)])
def test_an_rsa_key_signs_with_sha2(gateway: GatewayServer, tmp_path: Path, algorithm: str, status: int) -> None:
    key = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "rsa", "-b", "3072", "-f", key], check=True)
    gateway.command("identities", "add", "rsa", "--replace")
    gateway.command("ssh", "keys", "add", "rsa", f"{key}.pub")
    configuration = configuration_for(gateway, tmp_path, KeyPair(key))
    assert ssh(configuration, "web", "true", "-o", f"PubkeyAcceptedAlgorithms={algorithm}").returncode == status


def test_a_registered_key_of_a_disabled_identity(
    gateway: GatewayServer, tmp_path: Path, key: KeyPair, registered: Mapping[str, str]
) -> None:
    configuration = configuration_for(gateway, tmp_path, key)
    gateway.command("identities", "disable", registered["identity"])
    assert ssh(configuration, "web", "echo in").returncode == 255


async def test_removing_a_key_cuts_its_sessions(
    gateway: GatewayServer, key: KeyPair, registered: Mapping[str, str]
) -> None:
    options: dict[str, Any] = {"client_keys": [str(key.file)], "token": ""}
    async with connect(gateway, password=None, **options) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
        removing = ("ssh", "keys", "remove", registered["fingerprint"])
        done = await asyncio.to_thread(gateway.command, *removing)
        assert last_session(gateway).session[:8] in done.stdout
        await asyncio.wait_for(connection.wait_closed(), TIMEOUT_S)


def test_a_key_of_nobody(gateway: GatewayServer, tmp_path: Path, key: KeyPair) -> None:
    assert ssh(configuration_for(gateway, tmp_path, key), "web", "echo in").returncode == 255


def test_a_weak_key_is_not_registered(gateway: GatewayServer, tmp_path: Path) -> None:
    gateway.command("identities", "add", "old", check=False)
    weak = tmp_path / "weak"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "rsa", "-b", "2048", "-f", weak], check=True)
    done = gateway.command("ssh", "keys", "add", "old", f"{weak}.pub", check=False)
    assert done.returncode == 1
    assert "ssh-keygen -t ed25519" in done.stderr


# ---------------------------------------------------------------- hosts that trust the gateway


def test_a_host_that_trusts_the_gateways_authority(gateway: GatewayServer, host: OpenSshServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    assert ssh(configuration, "trusting", "echo in").returncode != 0
    shown = gateway.command("ssh", "authority")
    assert "TrustedUserCAKeys" in shown.stderr
    host.trust_user_authority(shown.stdout.strip())
    assert ssh(configuration, "trusting", "echo in").stdout == "in\n"
    assert f"{last_session(gateway).session} {AGENT}" in host.log()


# ---------------------------------------------------------------- signing in elsewhere


class Person(asyncssh.SSHClient):
    """Does what it is asked: signs in where it is told, or says that it was somebody else."""

    def __init__(self, issuer: DeviceIssuer, *, agrees: bool = True, pastes: str = "") -> None:
        self._issuer = issuer
        self._agrees = agrees
        self._pastes = pastes
        self.told: list[str] = []
        self.banners = ""

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banners += msg

    def kbdint_auth_requested(self) -> str | None:
        return "" if not self.told else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        self.told.append(instructions)
        if self._pastes:
            return [self._pastes]
        code = instructions.partition("user_code=")[2].partition(" ")[0]
        if self._agrees:
            self._issuer.sign_in(code, "grace")
        else:
            self._issuer.refuse(code)
        return [""] * len(prompts)


KEYBOARD: dict[str, Any] = {"password": None, "token": "", "preferred_auth": "keyboard-interactive"}


async def test_a_person_signs_in_elsewhere(gateway: GatewayServer, issuer: DeviceIssuer) -> None:
    person = Person(issuer)
    async with connect(gateway, client_factory=lambda: person, **KEYBOARD) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
    assert f"{issuer.url}/activate?user_code=" in person.told[0]
    session = last_session(gateway)
    assert (session.principal, session.issuer) == ("grace", issuer.url)


def test_a_person_at_a_terminal_signs_in_elsewhere(
    gateway: GatewayServer, issuer: DeviceIssuer, tmp_path: Path
) -> None:
    (tmp_path / "known_hosts").write_text(gateway.command("ssh", "known-hosts").stdout)
    options = (f"UserKnownHostsFile={tmp_path}/known_hosts", "PreferredAuthentications=keyboard-interactive")
    words = [
        "setsid",
        "--ctty",
        "--wait",
        "ssh",
        "-F",
        "none",
        "-p",
        str(gateway.ssh_port),
        *(word for one in options for word in ("-o", one)),
    ]
    with Terminal([*words, "web@127.0.0.1", "echo in"], os.environ) as terminal:
        terminal.wait_for(f"Sign in at {issuer.url}/activate?user_code=".encode())
        terminal.wait_for(b"Press Enter")
        issuer.sign_in(issuer.user_codes[-1], "heidi")
        terminal.type(b"\n")
        terminal.wait_for(b"in\r\n")
        assert terminal.finish() == 0
    assert last_session(gateway).principal == "heidi"


async def test_a_person_says_no(gateway: GatewayServer, issuer: DeviceIssuer) -> None:
    person = Person(issuer, agrees=False)
    with pytest.raises(asyncssh.PermissionDenied):
        async with connect(gateway, client_factory=lambda: person, **KEYBOARD):
            pass
    assert "refused at the issuer" in person.banners
    refused = last_refusal(gateway)
    assert (refused.protocol, refused.connection, refused.reason) == ("ssh", "web", "device login: access_denied")


async def test_nobody_asks_the_issuer_for_a_client_that_left(gateway: GatewayServer, issuer: DeviceIssuer) -> None:
    class Leaving(Person):
        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
            self.told.append(instructions)
            return [""]

    person = Leaving(issuer)
    connecting = asyncio.ensure_future(_enter(gateway, person))
    before = len(issuer.polls)
    while len(issuer.polls) == before:  # noqa: ASYNC110 - what happens at the issuer tells nobody
        await asyncio.sleep(0.02)
    connecting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await connecting
    pending = len(issuer.polls)
    async with connect(gateway, client_factory=lambda: Person(issuer), **KEYBOARD) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
    codes = [form["device_code"] for form in issuer.polls[pending:]]
    assert issuer.polls[pending - 1]["device_code"] not in codes


async def _enter(gateway: GatewayServer, person: Person) -> None:
    async with connect(gateway, client_factory=lambda: person, **KEYBOARD):
        pass


async def test_a_token_is_pasted_where_a_person_would_sign_in(gateway: GatewayServer, issuer: DeviceIssuer) -> None:
    person = Person(issuer, pastes=gateway.token("pasted"))
    async with connect(gateway, client_factory=lambda: person, **KEYBOARD) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
    assert last_session(gateway).principal == "pasted"


# ---------------------------------------------------------------- tokens that are asked for


def asked(gateway: GatewayServer, directory: Path, method: str, token: str) -> subprocess.CompletedProcess[str]:
    """Run a command with ``ssh``, which asks a program for the token."""
    (directory / "token").write_text(token)
    program = directory / "askpass"
    program.write_text(f"#!/bin/sh\ncat '{directory}/token'\n")
    program.chmod(0o700)
    (directory / "known_hosts").write_text(gateway.command("ssh", "known-hosts").stdout)
    options = {
        "Port": gateway.ssh_port,
        "UserKnownHostsFile": directory / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "PreferredAuthentications": method,
        "NumberOfPasswordPrompts": 1,
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    environment = os.environ | {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    return subprocess.run(
        ["ssh", "-F", "none", *words, "web@127.0.0.1", "echo in"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )


METHODS = pytest.mark.parametrize("method", ["password", "keyboard-interactive"])


@METHODS
def test_a_token_that_ssh_asks_for(gateway: GatewayServer, tmp_path: Path, method: str) -> None:
    assert asked(gateway, tmp_path, method, gateway.token("asked")).stdout == "in\n"
    assert last_session(gateway).principal == "asked"


@METHODS
def test_a_token_that_ssh_cuts(gateway: GatewayServer, tmp_path: Path, method: str) -> None:
    token = gateway.token("asked", [f"group-{number}" for number in range(100)])
    assert len(token) > 1023
    done = asked(gateway, tmp_path, method, token)
    assert (done.returncode, done.stdout) == (255, "")
    assert "has cut the token" in done.stderr
    assert "interlock ssh-cert" in done.stderr
    assert last_refusal(gateway).reason == "the client cut the token"


@METHODS
def test_a_session_token_is_short_enough(gateway: GatewayServer, tmp_path: Path, method: str) -> None:
    token = session_token(gateway, gateway.token("asked", [f"group-{number}" for number in range(100)]), "web")
    assert asked(gateway, tmp_path, method, token).stdout == "in\n"
    assert len(last_session(gateway).groups) == 100


async def test_a_long_token_of_a_library(gateway: GatewayServer) -> None:
    token = gateway.token("long", [f"group-{number}" for number in range(100)])
    async with connect(gateway, token=token) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"


# ---------------------------------------------------------------- trying over and over


def test_a_source_that_fails_over_and_over_is_not_heard(host: OpenSshServer, tmp_path: Path) -> None:
    extra = f"{HOST_NAMES}\nfailures_per_minute = 3"
    options = GatewayOptions(ssh=True, ssh_extra=extra, extra=ssh_target("web", host))
    with GatewayServer(NO_DATABASE, options) as gateway:
        configuration = certified(gateway, tmp_path)
        assert ssh(configuration, "web", "echo in").stdout == "in\n"
        for _ in range(4):
            asyncio.run(_fails(gateway))
        done = ssh(configuration, "web", "echo in")
        assert done.returncode == 255
        assert "Too many failed logins" in done.stderr
        wait_for(lambda: len(records_of(gateway, ConnectionRefused)) == 3, "what was heard is on record")


async def _fails(gateway: GatewayServer) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with connect(gateway, token="nonsense"):
            pass


# ---------------------------------------------------------------- what stays hidden


def test_no_private_key_or_token_is_anywhere(gateway: GatewayServer, tmp_path: Path) -> None:
    configuration = certified(gateway, tmp_path)
    assert ssh(configuration, "web", "echo in").stdout == "in\n"
    keys = list(gateway.data_dir.glob("ssh-*.key"))
    assert len(keys) == 4
    made = configuration.parent / "id_interlock"
    hidden = [(tmp_path / "token").read_bytes()] + [key.read_bytes().splitlines()[4] for key in (*keys, made)]
    files = [file for file in gateway.directory.rglob("*") if file.is_file() and file not in keys]
    written = b"".join(file.read_bytes() for file in files)
    assert min(map(len, hidden)) > 60
    assert [secret for secret in hidden if secret in written] == []
