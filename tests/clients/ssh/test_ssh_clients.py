"""Real SSH clients: what they see and do at a host through the gateway is what they do without it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.ssh import (
    with_ansible,
    with_asyncssh,
    with_git,
    with_paramiko,
    with_rsync,
    with_scp,
    with_sftp,
    with_ssh,
)
from tests.clients.ssh.way import SshWay, Ways
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

VISITS: dict[str, Callable[[SshWay], list[object]]] = {
    "ssh": with_ssh.visit,
    "scp": with_scp.visit,
    "sftp": with_sftp.visit,
    "rsync": with_rsync.visit,
    "git": with_git.visit,
    "asyncssh": with_asyncssh.visit,
    "paramiko": with_paramiko.visit,
    "ansible": with_ansible.visit,
}


@pytest.fixture(scope="module")
def gateway(openssh: OpenSshServer) -> Iterator[GatewayServer]:
    with GatewayServer(NO_DATABASE, GatewayOptions(ssh=True, extra=ssh_target("host", openssh))) as running:
        yield running


@pytest.mark.parametrize("client", VISITS)
def test_the_same_through_the_gateway(gateway: GatewayServer, openssh: OpenSshServer, client: str) -> None:
    with Ways() as ways, ThreadPoolExecutor(2) as threads:
        both = ways.through(gateway, "host"), ways.direct(openssh)
        through, directly = threads.map(VISITS[client], both)
        for number, (one, other) in enumerate(zip(through, directly, strict=True)):
            assert both[0].alike(one) == both[1].alike(other), number


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-gcm@openssh.com"])
def test_every_cipher_that_ssh_may_be_left_with(gateway: GatewayServer, cipher: str) -> None:
    with Ways() as ways:
        way = ways.through(gateway, "host")
        done = way.ssh("-o", f"Ciphers={cipher}", "-o", "RekeyLimit=64K", "target", "cat", source=bytes(300_000))
        assert (done.status, done.output, done.said) == (0, bytes(300_000), "")
