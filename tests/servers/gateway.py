"""A gateway as its users run it: ``interlock serve`` with a settings file, in a process of its own.

Tokens come from its development issuer. Its data directory is temporary, and stays readable until the context ends.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from interlock.core.administration import SOCKET_FILE
from tests.servers.api import ApiClient
from tests.servers.command_line import run_interlock
from tests.servers.endpoint import Endpoint
from tests.servers.process import ServerProcess, free_port

AGENT = "agent"
CONNECTION = "shop"

NO_DATABASE = Endpoint("127.0.0.1", 9, "nobody", "nothing", "nothing")
"""The target of a gateway that is used for something else."""

ALLOW_EVERYTHING = '@id("tests-allow-everything")\npermit (principal, action, resource);\n'


@dataclass(frozen=True)
class GatewayOptions:
    """What differs between gateways in tests. ``extra`` is appended to the settings file."""

    policy: str = ALLOW_EVERYTHING
    durability: str = "standard"
    plain: str = "refuse"
    groups: Sequence[str] = ("testers",)
    extra: str = ""
    connection_extra: str = ""
    postgres_extra: str = ""
    approval_wait_s: float = 0.0
    """How long a held statement waits; by default it is refused at once, and its request stays open."""
    approvals_extra: str = ""
    api_extra: str = ""
    api_public: bool = False
    """Whether browsers may come: ``api.public_url`` is its own address."""
    environment: Mapping[str, str] | None = None
    http: bool = False
    """Whether it listens for HTTP clients and as a forward proxy. ``extra`` has connections: see ``http_target``."""
    http_extra: str = ""
    ssh: bool = False
    """Whether it listens for SSH clients. ``extra`` has connections: see ``ssh_target``."""
    ssh_extra: str = ""


def http_target(name: str, port: int, http: str = "", connection: str = "", host: str = "127.0.0.1") -> str:
    """Settings of a connection to an HTTP server without TLS: ``http`` are keys of its own table of that name.

    Tables, such as ``[connections.NAME.http.endpoints.x]``, come last in it.
    """
    credential = "" if "credential_as" in http else 'credential_as = "none"'
    return f"""
[connections.{name}]
protocol = "http"
host = "{host}"
port = {port}
{"" if "tls =" in connection else 'tls = "disable"'}
{connection}
[connections.{name}.http]
{credential}
{http}
"""


class SshHost(Protocol):
    """A host that the gateway can log in to."""

    port: int
    login: str

    @property
    def authenticate(self) -> str:
        """A value of ``ssh.authenticate``."""

    @property
    def credential_file(self) -> Path:
        """The password or private key."""

    @property
    def host_key(self) -> str:
        """Its public key."""


def ssh_target(
    name: str, host: SshHost, ssh: str = "", connection: str = "", *, port: int = 0, certificate: bool = False
) -> str:
    """Settings of a connection to an SSH host: ``ssh`` are keys of its own table of that name.

    ``port`` is that of something else in the host's place, or before it; with ``certificate`` the gateway logs in by
    certificates of its own authority. Unless ``ssh`` says what vouches for the host, its key is pinned.
    """
    authenticate = "certificate" if certificate else host.authenticate
    credential = "" if certificate else f'credential = {{ file = "{host.credential_file}" }}'
    return f"""
[connections.{name}]
protocol = "ssh"
host = "127.0.0.1"
port = {port or host.port}
user = "{host.login}"
{credential}
{connection}
[connections.{name}.ssh]
authenticate = "{authenticate}"
{"" if "host_" in ssh else f'host_keys = ["{host.host_key}"]'}
{ssh}
"""


class GatewayServer:
    """One gateway in front of ``target``. Use it as a context manager."""

    def __init__(self, target: Endpoint, options: GatewayOptions = GatewayOptions()) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-gateway-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self.data_dir = self.directory / "data"
        self.log_file = self.directory / "gateway.log"
        self.config_file = self.directory / "interlock.toml"
        self.policy_file = self.directory / "policy.cedar"
        self.target = target
        self.options = options
        self.port, self.admin_port, self.issuer_port, self.api_port = (free_port() for _ in range(4))
        self.http_port, self.proxy_port, self.ssh_port = (free_port() for _ in range(3))
        self._process: ServerProcess | None = None
        (self.directory / "target-password").write_text(target.password)
        self.policy_file.write_text(options.policy)
        self.config_file.write_text(self._settings())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def api_url(self) -> str:
        return f"https://127.0.0.1:{self.api_port}"

    def http_url(self, connection: str, *, tls: bool = False) -> str:
        """The base URL of an HTTP connection."""
        return f"http{'s' if tls else ''}://127.0.0.1:{self.http_port}/c/{connection}"

    def proxy_url(self, token: str | None = None) -> str:
        """The forward proxy's URL with a token in it."""
        return f"http://agent:{self.token() if token is None else token}@127.0.0.1:{self.proxy_port}"

    @property
    def certificate_file(self) -> Path:
        return self.data_dir / "listener.crt"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._process = ServerProcess(
            [sys.executable, "-m", "interlock", "--config", self.config_file, "serve"],
            log=self.log_file,
            directory=self.directory,
            environment=self.options.environment,
        )
        self._process.wait_until(self._is_ready)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        status = self._process.stop(timeout_s=20) if self._process else 0
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        assert self._process is not None
        self._process.kill()
        self._process = None

    def token(
        self,
        name: str = AGENT,
        groups: Sequence[str] | None = None,
        kind: str = "agent",
        ttl_s: int = 900,
        owner: str | None = None,
    ) -> str:
        """A token of the development issuer; without ``groups``, with those of the options."""
        groups = self.options.groups if groups is None else groups
        wanted = {"name": name, "kind": kind, "groups": list(groups), "ttl_s": ttl_s}
        if owner is not None:
            wanted["owner"] = owner
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.issuer_port}/token",
            data=json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, str] = json.load(response)
        return answer["token"]

    def endpoint(self, token: str | None = None, database: str = "") -> Endpoint:
        """Where a client connects: over verified TLS, with a token as password."""
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            user=AGENT,
            password=self.token() if token is None else token,
            database=f"{CONNECTION}/{database}" if database else CONNECTION,
            sslmode="verify-full",
            sslrootcert=self.certificate_file,
        )

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``interlock`` with this gateway's settings."""
        return run_interlock(("--config", str(self.config_file), *arguments), self.directory, check=check)

    def api(self, token: str | None = None) -> ApiClient:
        """The API over TLS, for whoever has this token."""
        return ApiClient(self.api_url, self.certificate_file, token)

    def local_api(self) -> ApiClient:
        """The API on the Unix socket, for the gateway's own operators."""
        return ApiClient(socket_file=self.data_dir / SOCKET_FILE)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout_s: float = 10) -> None:
        """Return when the log holds ``text``."""
        deadline = time.monotonic() + timeout_s
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{self.log()[-4000:]}"
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _settings(self) -> str:
        target, options = self.target, self.options
        tls = {"verify-full": "verify-full", "verify-ca": "verify-ca", "require": "require"}.get(
            target.sslmode, "disable"
        )
        authority = f'ca_file = "{target.sslrootcert}"' if target.sslrootcert else ""
        return f"""
[gateway]
data_dir = "data"
durability = "{options.durability}"
admin_listen = "127.0.0.1:{self.admin_port}"
drain_timeout_s = 1.0
log_format = "json"

[postgres]
listen = "127.0.0.1:{self.port}"
plain = "{options.plain}"
{options.postgres_extra}

[api]
listen = "127.0.0.1:{self.api_port}"
{f'public_url = "{self.api_url}"' if options.api_public else ""}
{options.api_extra}

{self._http() if options.http else ""}
{self._ssh() if options.ssh else ""}

[policy]
files = ["policy.cedar"]

[approvals]
wait_s = {options.approval_wait_s}
{options.approvals_extra}

[development]
issuer = "127.0.0.1:{self.issuer_port}"

[connections.{CONNECTION}]
protocol = "postgres"
host = "{target.host}"
port = {target.port}
user = "{target.user}"
databases = ["{target.database}"]
credential = {{ file = "target-password" }}
tls = "{tls}"
{authority}
{options.connection_extra}

{options.extra}
"""

    def _http(self) -> str:
        return f"""
[http]
listen = "127.0.0.1:{self.http_port}"
{self.options.http_extra}

[proxy]
listen = "127.0.0.1:{self.proxy_port}"
"""

    def _ssh(self) -> str:
        return f"""
[ssh]
listen = "127.0.0.1:{self.ssh_port}"
{self.options.ssh_extra}
"""


@contextmanager
def start_gateway(target: Endpoint, options: GatewayOptions = GatewayOptions()) -> Iterator[Endpoint]:
    """A gateway in front of ``target`` and an endpoint that reaches it."""
    with GatewayServer(target, options) as gateway:
        yield replace(gateway.endpoint(), database=CONNECTION)
