"""The ways to one and the same web server that are compared: directly, by nginx, by the gateway, by mitmproxy."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.nginx import Nginx

from benchmarks.http_origin import MAX_CONNECTIONS, STREAMED, open_origin
from benchmarks.mitmproxy import NoMitmproxy, start_mitmproxy

DIRECT = "direct"
NGINX = "nginx"
GATEWAY = "gateway"
MITMPROXY = "mitmproxy"
NAMES = (DIRECT, NGINX, GATEWAY, MITMPROXY)

POLICY = """
@id("bench-may-work")
permit (principal in Group::"testers", action, resource);

@id("nobody-deletes")
forbid (principal, action == Action::"http-delete", resource);

@id("pii")
@mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
_UPSTREAM = """
upstream origin { server 127.0.0.1:%d; keepalive 64; keepalive_requests 100000000; keepalive_timeout 600; }
map $http_upgrade $hop { default upgrade; '' ''; }
"""
_PROXY = f"location / {{ proxy_pass http://origin; proxy_set_header Connection $hop; {STREAMED} }}"


@dataclass(frozen=True)
class HttpWay:
    """One way to the server. ``pid`` is the process in the middle, None where there is none.

    ``prefix`` is put in front of a path, ``masked_prefix`` instead to have masks. ``new_token`` makes a fresh token.
    """

    name: str
    port: int
    pid: int | None
    prefix: str = ""
    masked_prefix: str = ""
    new_token: Callable[[], str] | None = field(default=None, repr=False)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}{path}"

    def headers(self) -> dict[str, str]:
        """What a request has to carry."""
        return {} if self.new_token is None else {"Authorization": f"Bearer {self.new_token()}"}


@contextmanager
def open_http_ways(wanted: tuple[str, ...], *, big_bytes: int = 1024) -> Iterator[list[HttpWay]]:
    """Start the server, and whatever the wanted ways need in front of it. Nobody uses TLS; nginx writes no access log.

    The gateway decides by policy and records all heads and bodies. mitmproxy is left out, with a line on standard
    error, where it cannot be had.
    """
    allow_files()
    with ExitStack() as stack:
        target_port = stack.enter_context(open_origin(big_bytes))
        ways = [HttpWay(DIRECT, target_port, None)]
        if NGINX in wanted:
            proxy = Nginx(http=_UPSTREAM % target_port, server=_PROXY, connections=MAX_CONNECTIONS)
            ways.append(HttpWay(NGINX, stack.enter_context(proxy).port, proxy.pid))
        if GATEWAY in wanted:
            ways.append(stack.enter_context(_gateway(target_port)))
        if MITMPROXY in wanted:
            try:
                running = stack.enter_context(start_mitmproxy(target_port))
                ways.append(HttpWay(MITMPROXY, running.port, running.pid))
            except NoMitmproxy as error:
                print(f"mitmproxy is left out, because it cannot be installed here: {error}", file=sys.stderr)
        yield ways


@contextmanager
def _gateway(target_port: int) -> Iterator[HttpWay]:
    settings = http_target("plain", target_port) + http_target("masked", target_port, "fields = { email = ['pii'] }")
    options = GatewayOptions(policy=POLICY, http=True, extra=settings)
    with GatewayServer(NO_DATABASE, options) as server:
        yield HttpWay(GATEWAY, server.http_port, server.pid, "/c/plain", "/c/masked", server.token)


def allow_files() -> int:
    """Let this process and those that it starts open as many files as the system permits; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
