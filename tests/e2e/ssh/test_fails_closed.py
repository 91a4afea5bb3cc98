"""One part of the gateway after the other breaks: nothing reaches the host, and the client is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncssh
import pytest

from interlock.core.ledger import OperationCompleted
from tests.e2e.breaking import damage, full_disk, moved_away, table_away
from tests.e2e.held import make_dba, newest
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.ssh.access import NO_DATABASE, connect, until
from tests.servers.gateway import GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

POLICY = """
@id("all") permit (principal, action, resource);
@id("ask") @approval("dba") forbid (principal, action == Action::"ssh-write", resource)
when { context has ssh && context.ssh.command like "touch held*" };
@id("overflows") forbid (principal, action == Action::"ssh-write", resource)
when { context has ssh && context.ssh.command like "touch overflow*" && context.now * 9223372036854775807 > 1 };
"""
TOUCH = "touch touched.txt"
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(host: OpenSshServer) -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY, ssh=True, extra=ssh_target("web", host), approval_wait_s=20)
    server = GatewayServer(NO_DATABASE, options)
    with server:
        make_dba(server)
        yield server


@asynccontextmanager
async def nothing_reaches(host: OpenSshServer) -> AsyncIterator[None]:
    before = sorted(file.name for file in host.home.iterdir())
    yield
    assert sorted(file.name for file in host.home.iterdir()) == before


@pytest.fixture(autouse=True)
async def comes_back(gateway: GatewayServer) -> AsyncIterator[None]:
    """When it is repaired, the gateway works as before."""
    yield
    await until(lambda: works(gateway), "the gateway comes back")


async def works(gateway: GatewayServer) -> bool:
    try:
        async with connect(gateway) as client:
            return (await client.run("true")).exit_status == 0
    except (OSError, asyncssh.Error):
        return False


async def refused(client: asyncssh.SSHClientConnection, command: str = TOUCH) -> str:
    """What a command that must not run is answered with."""
    done = await asyncio.wait_for(client.run(command), TIMEOUT_S)
    assert done.exit_status == 77
    return str(done.stderr)


async def test_a_rule_that_cannot_be_evaluated(gateway: GatewayServer, host: OpenSshServer) -> None:
    async with nothing_reaches(host), connect(gateway) as client:
        assert "could not be evaluated" in await refused(client, "touch overflow.txt")


async def test_identities_that_cannot_be_looked_up(gateway: GatewayServer) -> None:
    with table_away(gateway, "identities"), pytest.raises(asyncssh.PermissionDenied):
        async with connect(gateway):
            pass


async def test_approvals_that_cannot_be_asked_for(gateway: GatewayServer, host: OpenSshServer) -> None:
    async with nothing_reaches(host), connect(gateway) as client:
        with table_away(gateway, "approvals"):
            assert "nobody can be asked now" in await refused(client, "touch held.txt")


async def test_an_approval_that_cannot_be_spent(gateway: GatewayServer, host: OpenSshServer) -> None:
    damage(
        gateway,
        "CREATE TRIGGER full BEFORE UPDATE ON approvals WHEN new.status = 'spent'"
        " BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    try:
        async with nothing_reaches(host), connect(gateway) as client:
            held = asyncio.create_task(refused(client, "touch held-2.txt"))
            request = await asyncio.to_thread(newest, gateway)
            await asyncio.to_thread(gateway.command, "approvals", "approve", request, "-r", "ok")
            await held
    finally:
        damage(gateway, "DROP TRIGGER full")


async def test_a_full_disk(gateway: GatewayServer, host: OpenSshServer) -> None:
    async with nothing_reaches(host), connect(gateway) as client:
        assert (await client.run("true")).exit_status == 0
        with full_disk(gateway):
            assert "recorded" in await refused(client)
            with pytest.raises(asyncssh.PermissionDenied):
                async with connect(gateway, token=""):
                    pass


async def test_a_full_disk_refuses_files_as_well(gateway: GatewayServer, host: OpenSshServer) -> None:
    async with nothing_reaches(host), connect(gateway) as client, client.start_sftp_client() as sftp:
        await sftp.listdir(".")
        with full_disk(gateway), pytest.raises(asyncssh.SFTPError):
            await sftp.mkdir("made")


async def test_recordings_that_cannot_be_written(gateway: GatewayServer, host: OpenSshServer) -> None:
    """What was under way when it was noticed may end; after that nothing begins."""
    with moved_away(gateway.data_dir / "recordings", stands_in="not a directory"):

        async def is_noticed() -> bool:
            return not await works(gateway)

        await until(is_noticed, "the gateway notices")
        assert not await works(gateway)


async def test_a_credential_that_is_gone(gateway: GatewayServer, host: OpenSshServer) -> None:
    with moved_away(host.credential_file):
        async with nothing_reaches(host), connect(gateway) as client:
            done = await client.run(TOUCH)
            assert done.exit_status == 255
            assert "has no credential" in str(done.stderr)


async def test_a_sudden_end(host: OpenSshServer) -> None:
    """SIGKILL while a command runs: what was decided is on record, and the gateway starts again."""
    with GatewayServer(NO_DATABASE, GatewayOptions(ssh=True, extra=ssh_target("web", host))) as doomed:
        async with connect(doomed) as client:
            process = await client.create_process("echo ready; sleep 1000")
            assert await process.stdout.readline() == "ready\n"
            doomed.kill()
            assert (await asyncio.wait_for(process.wait(), TIMEOUT_S)).exit_status is None
        doomed.start()
        async with connect(doomed) as client:
            assert (await client.run("echo again")).stdout == "again\n"
        wait_for(lambda: records_of(doomed, OperationCompleted), "the record of the last command")
