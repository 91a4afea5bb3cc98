"""A gateway for the demo, run as its users run it: ``interlock serve`` with a settings file of its own."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncssh

import interlock
from interlock.demo.database import DATABASE, OWNER, SampleDatabase
from interlock.demo.host import LOGIN
from interlock.demo.processes import DemoFailed, Processes, free_ports

AGENT: Final = "ci-agent"
CONNECTION: Final = "demo"
"""The name that the sample policy speaks of."""

_HOST: Final = "127.0.0.1"
_COMMAND: Final = (sys.executable, "-m", "interlock")
_TOKEN_ARGUMENTS: Final = ("development-token", AGENT, "--group", "ci-bots", "--owner", "alice")
_COMMAND_TIMEOUT_S: Final = 60
_LEAST_COLUMNS: Final = 120
_INDENTATION: Final = 4
_POLICIES: Final = Path(interlock.__file__).parent / "services" / "policy"
_SAMPLE_POLICIES: Final = (
    _POLICIES / "sample.cedar",
    _POLICIES / "sample_http.cedar",
    _POLICIES / "sample_ssh.cedar",
)


class Ports(NamedTuple):
    """Where what the demo starts listens."""

    postgres: int
    admin: int
    issuer: int
    api: int
    http: int
    services: int
    ssh: int
    host: int


@dataclass(frozen=True)
class DemoGateway:
    """A running gateway."""

    directory: Path
    port: int
    api_port: int
    http_port: int
    services_port: int
    ssh_port: int
    host_port: int
    services_secret: str = field(repr=False)
    _tokens: dict[str, str] = field(default_factory=dict)
    """Of people, by name: they last longer than the demo."""

    @property
    def settings_file(self) -> Path:
        return self.directory / "interlock.toml"

    @property
    def policy_file(self) -> Path:
        return self.directory / "policy.cedar"

    @property
    def home(self) -> Path:
        """Where commands on the sample host run."""
        return self.directory / "host"

    @property
    def host_key_file(self) -> Path:
        return self.directory / "host.key"

    @property
    def authority_file(self) -> Path:
        """Whose certificates the sample host trusts."""
        return self.directory / "host-trusts.pub"

    def host_answers(self) -> bool:
        return _listens(self.host_port)

    @property
    def certificate_file(self) -> Path:
        return self.directory / "data" / "listener.crt"

    @property
    def typed(self) -> tuple[str, ...]:
        """How a person in the same place calls ``interlock`` with this gateway's settings."""
        program = sys.argv[0] if Path(sys.argv[0]).name == "interlock" else "interlock"
        return (program, "--config", str(self.settings_file))

    @property
    def token_command(self) -> tuple[str, ...]:
        """The command that prints a fresh token for the agent, as a person would type it."""
        return (*self.typed, *_TOKEN_ARGUMENTS)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``interlock`` with this gateway's settings."""
        words = [*_COMMAND, "--config", str(self.settings_file), *arguments]
        columns = max(_LEAST_COLUMNS, shutil.get_terminal_size().columns - _INDENTATION)
        environment = os.environ | {"COLUMNS": str(columns)}
        return subprocess.run(  # noqa: S603 - this very program
            words, capture_output=True, text=True, check=False, timeout=_COMMAND_TIMEOUT_S, env=environment
        )

    def command_as(self, person: str, group: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``interlock`` as somebody else would, from anywhere: over the API, with a token of their own."""
        words = [*_COMMAND, "--api", f"https://{_HOST}:{self.api_port}", *arguments]
        if person not in self._tokens:
            self._tokens[person] = self._issued("development-token", person, "--kind", "user", "--group", group)
        token = {"INTERLOCK_TOKEN": self._tokens[person]}
        environment = os.environ | token | {"COLUMNS": "160", "INTERLOCK_API_CA": str(self.certificate_file)}
        return subprocess.run(  # noqa: S603 - this very program
            words, capture_output=True, text=True, check=False, timeout=_COMMAND_TIMEOUT_S, env=environment
        )

    def deleted_volumes(self) -> list[str]:
        """What the sample service has deleted, by its own word: asked past the gateway."""
        headers = {"Authorization": f"Bearer {self.services_secret}"}
        request = urllib.request.Request(f"http://{_HOST}:{self.services_port}/deleted", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - of this machine
            found: list[str] = json.load(answer)
        return found

    def token(self) -> str:
        """A fresh token for the agent. Raises ``DemoFailed``."""
        return self._issued(*_TOKEN_ARGUMENTS)

    def _issued(self, *arguments: str) -> str:
        result = self.command(*arguments)
        if result.returncode != 0:
            raise DemoFailed(f"no token was issued: {result.stderr}")
        return result.stdout.strip()

    def address(self, token: str) -> dict[str, Any]:
        """How any PostgreSQL client connects: the connection's name as database, the token as password."""
        return {
            "host": _HOST,
            "port": self.port,
            "user": AGENT,
            "password": token,
            "dbname": CONNECTION,
            "sslmode": "verify-full",
            "sslrootcert": str(self.certificate_file),
        }

    def psql_command(self) -> str:
        """A command line that reaches the sample database through the gateway."""
        target = f"host={_HOST} port={self.port} user={AGENT} dbname={CONNECTION}"
        return f'psql "{target} sslmode=verify-full sslrootcert={self.certificate_file}"'


def start_gateway(processes: Processes, directory: Path, database: SampleDatabase) -> DemoGateway:
    """Write its files below ``directory`` and start it. Raises ``DemoFailed``."""
    ports = Ports(*free_ports(8))
    secret = secrets.token_urlsafe(24)
    gateway = DemoGateway(
        directory, ports.postgres, ports.api, ports.http, ports.services, ports.ssh, ports.host, secret
    )
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    gateway.host_key_file.touch(mode=0o600)
    host_key.write_private_key(gateway.host_key_file)
    host_public = " ".join(host_key.export_public_key().decode().split()[:2])
    for sample in _SAMPLE_POLICIES:
        shutil.copyfile(sample, directory / sample.name.replace("sample", "policy"))
    password_file, secret_file = directory / "database-password", directory / "services-secret"
    for file, content in ((password_file, database.owner_password), (secret_file, secret)):
        file.touch(mode=0o600)
        file.write_text(content)
    gateway.settings_file.write_text(_settings(database.port, ports, host_public))
    services = [sys.executable, "-m", "interlock.demo.services", str(ports.services), str(secret_file)]
    processes.start(services, directory / "services.log").wait_until(lambda: _listens(ports.services))
    server = processes.start([*_COMMAND, "--config", str(gateway.settings_file), "serve"], directory / "gateway.log")
    server.wait_until(lambda: _ready(ports.admin))
    return gateway


def _ready(admin_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_HOST}:{admin_port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0


def _settings(target_port: int, ports: Ports, host_key: str) -> str:
    return f"""\
# Written by "interlock demo". For a real gateway see the README: another issuer, another place for the
# password, TLS towards the target.

[gateway]
data_dir = "data"
admin_listen = "{_HOST}:{ports.admin}"
drain_timeout_s = 1.0

[postgres]
listen = "{_HOST}:{ports.postgres}"

[api]
listen = "{_HOST}:{ports.api}"

[http]
listen = "{_HOST}:{ports.http}"

[ssh]
listen = "{_HOST}:{ports.ssh}"

[policy]
files = ["policy.cedar", "policy_http.cedar", "policy_ssh.cedar"]
tags = {{ "public.customers.card" = ["payment"] }}

[development]
issuer = "{_HOST}:{ports.issuer}"

[connections.{CONNECTION}]
protocol = "postgres"
host = "{_HOST}"
port = {target_port}
databases = {json.dumps([DATABASE])}
user = "{OWNER}"
credential = {{ file = "database-password" }}
tls = "disable"

[connections.crm]
protocol = "http"
host = "{_HOST}"
port = {ports.services}
credential = {{ file = "services-secret" }}
tls = "disable"

[connections.crm.http]
hold_s = 60.0

[connections.crm.http.endpoints]
customer = {{ path = "/customers/{{id}}" }}
volumes = {{ path = "/volumes/**", tags = ["dangerous"] }}

[connections.crm.http.fields]
email = ["pii"]

[connections.openai]
protocol = "http"
host = "{_HOST}"
port = {ports.services}
credential = {{ file = "services-secret" }}
tls = "disable"

[connections.openai.http]
api = "openai"

[connections.web]
protocol = "ssh"
host = "{_HOST}"
port = {ports.host}
user = "{LOGIN}"

[connections.web.masking]
detect = "mask"

[connections.web.ssh]
authenticate = "certificate"
host_keys = ["{host_key}"]
"""
