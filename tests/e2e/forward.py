"""A gateway as forward proxy in front of real servers with and without TLS, and what its clients need."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tests.e2e.proxy_wire import ProxyWire
from tests.servers.certificates import CertificateAuthority
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService

POLICY = """
@id("most") permit (principal, action, resource) unless { action == Action::"http-tunnel" };
@id("no-delete") @message("Volumes are never deleted.")
forbid (principal, action == Action::"http-delete", resource in Connection::"secure");
@id("tunnels") permit (principal, action == Action::"http-tunnel", resource in Connection::"tunnels")
when { resource != Host::"tunnels/127.0.0.2" };
@id("tunnels-out") permit (principal, action == Action::"http-tunnel", resource in Connection::"public-tunnels");
"""


@dataclass(frozen=True)
class Forward:
    """The proxy, and the servers behind it: ``secure`` by TLS, ``plain`` without, ``unknown`` is no connection's.

    ``blind`` is reached by tunnels to ``localhost`` and ``127.0.0.1``. So would be ``fenced``, if its
    addresses were public. ``wide`` is one of the connection ``wide``, whose own host is another.
    """

    gateway: GatewayServer
    secure: HttpService
    plain: HttpService
    unknown: HttpService
    blind: HttpService
    fenced: HttpService
    wide: HttpService
    authority_file: Path
    """The gateway's own authority, as ``interlock ca show`` prints it."""

    @property
    def secure_authority(self) -> str:
        return f"localhost:{self.secure.port}"

    def wire(self, token: str | None = "") -> ProxyWire:
        """A connection to the proxy; the token is a fresh one unless said otherwise."""
        return ProxyWire(self.gateway.proxy_port, self.gateway.token() if token == "" else token)

    def trusting(self) -> ssl.SSLContext:
        """A context that trusts the gateway's authority, and nothing else."""
        return ssl.create_default_context(cafile=self.authority_file)

    def inside(self, token: str = "") -> ProxyWire:
        """A connection with TLS to ``secure``, by way of the proxy."""
        wire = self.wire(token)
        assert wire.connect(self.secure_authority).status == 200
        wire.start_tls(self.trusting(), "localhost")
        return wire


async def _repeat_messages(request: web.Request, body: bytes) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"{message.data}!")
    return socket


async def _events(request: web.Request, body: bytes) -> web.StreamResponse:
    """Three server-sent events."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for number in range(3):
        await answer.write(b"data: %d\n\n" % number)
    await answer.write_eof()
    return answer


def server_tls(authority: CertificateAuthority) -> ssl.SSLContext:
    """A context for a server on the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = authority.issue_server()
    context.load_cert_chain(files.certificate_file, files.key_file)
    return context


@contextmanager
def running_forward(authority: CertificateAuthority) -> Iterator[Forward]:
    """Start all of it."""
    with (
        HttpService(server_tls(authority), socket=_repeat_messages, events=_events) as secure,
        HttpService() as plain,
        HttpService() as unknown,
        HttpService(server_tls(authority)) as blind,
        HttpService() as fenced,
        HttpService(server_tls(authority)) as wide,
    ):
        tls = f'tls = "verify-full"\nca_file = "{authority.certificate_file}"'
        key = 'tls = "disable"\ncredential = { env = "PLAIN_KEY" }'
        hosts = 'tunnel = true\nhosts = ["localhost", "127.0.0.1", "127.0.0.2", "*.internal"]\n'
        hosts_of_wide = 'hosts = ["localhost", "127.0.0.1", "*.internal"]\nallow_private = true'
        targets = (
            http_target("secure", secure.port, connection=tls, host="localhost"),
            http_target("plain", plain.port, 'credential_as = "header:X-Key"', key, host="localhost"),
            http_target("wide", wide.port, hosts_of_wide, tls, host="wide.invalid"),
            http_target("fenced-wide", fenced.port, 'hosts = ["127.0.0.1"]', tls, host="wide.invalid"),
            http_target("tunnels", blind.port, hosts + "allow_private = true", host=""),
            http_target("public-tunnels", fenced.port, hosts.replace('"127.0.0.1", ', ""), host=""),
        )
        options = GatewayOptions(
            http=True,
            policy=POLICY,
            extra="".join(targets),
            environment={**os.environ, "PLAIN_KEY": "planted-key"},
        )
        with GatewayServer(NO_DATABASE, options) as gateway:
            authority_file = gateway.directory / "authority.pem"
            authority_file.write_text(gateway.command("ca", "show").stdout)
            yield Forward(gateway, secure, plain, unknown, blind, fenced, wide, authority_file)
