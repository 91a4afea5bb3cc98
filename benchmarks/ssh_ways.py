"""The ways to one and the same SSH host that are compared: directly, by way of a jump host, by the gateway."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.clients.ssh.way import SshWay, Ways
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

from benchmarks.http_ways import allow_files

DIRECT: Final = "direct"
JUMP: Final = "jump"
GATEWAY: Final = "gateway"
NAMES: Final = (DIRECT, JUMP, GATEWAY)

POLICY = """
@id("bench-may-work")
permit (principal in Group::"testers", action, resource);

@id("nobody-stops-the-host")
forbid (principal, action == Action::"ssh-privilege", resource);
"""


@dataclass(frozen=True)
class Way:
    """One way to the host. ``pid`` is the process in the middle, None where there is none."""

    name: str
    ssh: SshWay
    pid: int | None


@contextmanager
def open_ssh_ways(wanted: tuple[str, ...]) -> Iterator[list[Way]]:
    """Start the host, and whatever the wanted ways need in front of it.

    The gateway takes a token as password, decides by policy and records what is said; the others log in by key.
    """
    allow_files()
    with ExitStack() as stack:
        host, ways = stack.enter_context(OpenSshServer()), stack.enter_context(Ways())
        opened = [Way(DIRECT, ways.direct(host), None)]
        if JUMP in wanted:
            jump = stack.enter_context(OpenSshServer())
            opened.append(Way(JUMP, ways.direct(host, jump), jump.pid))
        if GATEWAY in wanted:
            options = GatewayOptions(policy=POLICY, ssh=True, extra=ssh_target("host", host))
            gateway = stack.enter_context(GatewayServer(NO_DATABASE, options))
            opened.append(Way(GATEWAY, ways.through(gateway, "host"), gateway.pid))
        yield opened
