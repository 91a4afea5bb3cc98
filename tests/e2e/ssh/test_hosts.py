"""A host is believed only by what it is known by, and whatever is wrong with it ends in a sentence for the client."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from interlock.core.ledger import HostKeyRefused, OperationCompleted, OperationDecided, SessionOpened
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.gateway import GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer, new_key
from tests.servers.password_host import PasswordHost
from tests.servers.silent_host import SilentHost

RUN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER_RUN = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01"


class Hosts:
    """Hosts of all kinds, and a gateway in front of them."""

    def __init__(self, stack: ExitStack) -> None:
        self.key = stack.enter_context(OpenSshServer())
        self.certified = stack.enter_context(OpenSshServer(host_certificate=True))
        self.password = stack.enter_context(PasswordHost())
        self.silent = stack.enter_context(SilentHost())
        authority = f'host_authorities = ["{self.certified.host_authority.public}"]'
        other_key = f'host_keys = ["{self.certified.host_key}"]'
        extra = (
            ssh_target("key", self.key)
            + ssh_target("certified", self.certified, authority, certificate=True)
            + ssh_target("password", self.password)
            + ssh_target("unknown", self.key, "host_authorities = []")
            + ssh_target("impostor", self.key, other_key)
            + ssh_target("kind", self.key, f'host_keys = ["{new_key(self.key.directory / "other", "ecdsa").public}"]')
            + ssh_target("silent", self.key, port=self.silent.port)
            + ssh_target("absent", self.key, port=1)
        )
        options = GatewayOptions(ssh=True, extra=extra, ssh_extra="connect_timeout_s = 1.5")
        self.gateway = stack.enter_context(GatewayServer(NO_DATABASE, options))
        self.certified.trust_user_authority(self.gateway.command("ssh", "authority").stdout.split("\n")[0])


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack)


@pytest.mark.parametrize("connection", ["key", "password", "certified"])
async def test_the_gateway_logs_in_with_what_the_client_never_sees(hosts: Hosts, connection: str) -> None:
    async with connect(hosts.gateway, connection) as client:
        done = await client.run("echo $((40+2)); exit 3")
    assert (done.stdout, done.exit_status) == ("42\n", 3)


@pytest.mark.parametrize("connection", ["unknown", "impostor"])
async def test_a_host_with_another_key_is_refused_and_on_record(hosts: Hosts, connection: str) -> None:
    async with connect(hosts.gateway, connection) as client:
        done = await client.run("echo out")
    assert (done.stdout, done.exit_status) == ("", 255)
    refused = wait_for(
        lambda: [record for record in records_of(hosts.gateway, HostKeyRefused) if record.connection == connection],
        "the record of the refused key",
    )
    assert len(refused) == 1
    assert refused[0].fingerprint in str(done.stderr)
    assert refused[0].fingerprint.startswith("SHA256:")


async def test_a_host_without_a_key_of_the_kind_that_is_known_is_another_host(hosts: Hosts) -> None:
    async with connect(hosts.gateway, "kind") as client:
        done = await client.run("echo out")
    assert (done.stdout, done.exit_status) == ("", 255)
    wait_for(
        lambda: [record for record in records_of(hosts.gateway, HostKeyRefused) if record.connection == "kind"],
        "the record of the refused host",
    )


@pytest.mark.parametrize("connection", ["silent", "absent"])
async def test_a_host_that_cannot_be_reached_ends_the_command_with_a_sentence(hosts: Hosts, connection: str) -> None:
    async with connect(hosts.gateway, connection) as client:
        done = await asyncio.wait_for(client.run("echo out"), 20)
    assert (done.stdout, done.exit_status) == ("", 255)
    assert f'the target of connection "{connection}" cannot be reached' in str(done.stderr)


async def test_a_host_that_breaks_down_ends_the_command_and_is_reached_again(hosts: Hosts) -> None:
    async with connect(hosts.gateway, "key") as client:
        process = await client.create_process("echo ready; sleep 1000")
        assert await process.stdout.readline() == "ready\n"
        hosts.key.drop_connections()
        done = await asyncio.wait_for(process.wait(), 20)
        assert done.exit_status == 255
        assert "lost" in str(done.stderr)
        assert (await client.run("echo back")).stdout == "back\n"
    wait_for(
        lambda: (
            ("interrupted", "the target is lost")
            in {(record.status, record.tag) for record in records_of(hosts.gateway, OperationCompleted)}
        ),
        "the record of the lost command",
    )


async def test_a_client_may_say_which_run_it_belongs_to(hosts: Hosts) -> None:
    async with connect(hosts.gateway, "key") as client:
        assert (await client.run("echo one", env={"INTERLOCK_RUN": RUN})).stdout == "one\n"
        assert (await client.run("echo two", env={"TRACEPARENT": RUN})).stdout == "two\n"
        other = await client.run("echo three", env={"INTERLOCK_RUN": OTHER_RUN})
    assert other.exit_status == 77
    assert "belongs to another run" in str(other.stderr)
    wait_for(lambda: len(_decided_in_run(hosts)) == 2, "the records of both operations")
    assert [record.number for record in _decided_in_run(hosts)] == [1, 2]
    assert len({record.session for record in _decided_in_run(hosts)}) == 1


def _decided_in_run(hosts: Hosts) -> list[OperationDecided]:
    sessions = {record.session for record in records_of(hosts.gateway, SessionOpened) if record.trace == RUN[3:35]}
    return [record for record in records_of(hosts.gateway, OperationDecided) if record.session in sessions]


async def test_channels_that_come_while_the_run_is_being_said_belong_to_it(hosts: Hosts) -> None:
    run = "00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-00f067aa0ba902b7-01"
    async with connect(hosts.gateway, "key") as client:
        done = await asyncio.gather(*(client.run(f"echo {n}", env={"INTERLOCK_RUN": run}) for n in range(5)))
    assert [one.stdout for one in done] == [f"{n}\n" for n in range(5)]
    sessions = {record.session for record in records_of(hosts.gateway, SessionOpened) if record.trace == run[3:35]}
    assert len(sessions) == 1


async def test_a_token_that_has_expired_opens_no_more_channels(hosts: Hosts) -> None:
    async with connect(hosts.gateway, "key", token=hosts.gateway.token(ttl_s=3)) as client:
        async with asyncio.timeout(20):
            while (done := await client.run("sleep 0.2")).exit_status == 0:
                pass
    assert done.exit_status == 77
    assert "has expired" in str(done.stderr)
