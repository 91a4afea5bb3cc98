"""Who controls an SSH session can refuse, hold, freeze and end what it does, and nothing runs on after that."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from interlock.core.lock import LockMode, LockSubject
from tests.e2e.locking import Responder
from tests.e2e.reviewer import Reviewer
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

POLICY = """
@id("everything") permit (principal, action, resource);
@id("no-touching") @message("Nothing is touched here.")
forbid (principal, action, resource) when { context has ssh && context.ssh.command like "touch *" };
@id("ask-first") @approval("dba") @expires("10m") @message("Somebody has to agree.")
forbid (principal, action, resource) when { context has ssh && context.ssh.command like "echo held*" };
@id("little") @budget("bytes=100000 per 1h")
forbid (principal == User::"small", action, resource);
"""
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(host: OpenSshServer) -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY, ssh=True, extra=ssh_target("web", host), approval_wait_s=20)
    with GatewayServer(NO_DATABASE, options) as server:
        yield server


@pytest.fixture
def responder(gateway: GatewayServer) -> Iterator[Responder]:
    person = Responder(gateway)
    yield person
    person.lift_all()


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what happens elsewhere tells nobody
            await asyncio.sleep(0.02)


def running(mark: str) -> list[str]:
    """Processes of this machine whose command line has the mark, without shells that only mention it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", mark.encode()]:
                found.append(entry.name)
    return found


async def test_a_refused_command_ends_with_a_reason_and_never_reaches_the_host(
    gateway: GatewayServer, host: OpenSshServer
) -> None:
    async with connect(gateway) as connection:
        done = await connection.run("touch refused.txt")
    assert done.exit_status == 77
    assert "Nothing is touched here." in str(done.stderr)
    assert not (host.home / "refused.txt").exists()


async def test_a_held_command_waits_while_others_go_on(gateway: GatewayServer) -> None:
    reviewer = Reviewer(gateway, "ann", "dba")
    async with connect(gateway) as connection:
        held = await connection.create_process("echo held; echo twice")
        told = await held.stderr.readline() + await held.stderr.readline()
        approval = re.search(r"Request (\S+)\.", told)
        assert approval, told
        assert (await connection.run("echo meanwhile")).stdout == "meanwhile\n"
        assert reviewer.answer("approve", approval[1])[0] == 200
        done = await held.wait()
    assert (done.exit_status, done.stdout) == (0, "held\ntwice\n")


async def test_closing_a_held_channel_withdraws_its_request_only(gateway: GatewayServer) -> None:
    reviewer = Reviewer(gateway, "ann", "dba")
    async with connect(gateway) as connection:
        first, second = [await connection.create_process(f"echo held {number}") for number in (1, 2)]
        requests = [re.search(r"Request (\S+)\.", await one.stderr.readline()) for one in (first, second)]
        assert requests[0]
        assert requests[1]
        first.close()
        await first.wait_closed()
        given_up = requests[0][1]
        await until(lambda: reviewer.look(given_up)["request"]["status"] != "pending", "the request is withdrawn")
        assert reviewer.answer("approve", requests[1][1])[0] == 200
        assert (await second.wait()).stdout == "held 2\n"


async def test_a_command_ends_with_the_token_that_opened_its_session(gateway: GatewayServer) -> None:
    async with connect(gateway, token=gateway.token(ttl_s=5)) as connection:
        process = await connection.create_process("sleep 7654.321")
        await until(lambda: running("7654.321"), "the command runs")
        await asyncio.wait_for(process.wait(), TIMEOUT_S)
        await asyncio.wait_for(connection.wait_closed(), TIMEOUT_S)
    await until(lambda: not running("7654.321"), "the host has ended it")


@pytest.mark.parametrize("terminal", [False, True])
async def test_a_lock_says_why_and_ends_what_runs_at_the_host(
    gateway: GatewayServer, responder: Responder, terminal: bool
) -> None:
    mark = f"70{int(terminal)}.{os.getpid()}"
    async with connect(gateway) as connection:
        process = await connection.create_process(
            f"sleep {mark}", term_type="xterm" if terminal else None, request_pty="force" if terminal else False
        )
        await until(lambda: running(mark), "the command runs")
        await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT, LockMode.REFUSE, "it went wild")
        done = await asyncio.wait_for(process.wait(), TIMEOUT_S)
        assert "it went wild" in str(done.stderr)
        await until(lambda: not running(mark), "the command is gone")


async def test_nothing_runs_on_after_a_client_that_vanishes(gateway: GatewayServer) -> None:
    mark = f"71.{os.getpid()}"
    async with connect(gateway) as connection:
        await connection.create_process(f"sleep {mark}")
        await until(lambda: running(mark), "the command runs")
        connection.abort()
        await until(lambda: not running(mark), "the command is gone")


async def test_nothing_runs_on_when_the_gateway_stops(host: OpenSshServer) -> None:
    mark = f"73.{os.getpid()}"
    with GatewayServer(NO_DATABASE, GatewayOptions(ssh=True, extra=ssh_target("web", host))) as stopping:
        async with connect(stopping) as connection:
            process = await connection.create_process(f"sleep {mark}")
            await until(lambda: running(mark), "the command runs")
            await asyncio.to_thread(stopping.stop)
            done = await asyncio.wait_for(process.wait(), TIMEOUT_S)
        assert "shutting down" in str(done.stderr)
        await until(lambda: not running(mark), "the command is gone")


async def test_a_frozen_session_goes_on_where_it_was(gateway: GatewayServer, responder: Responder) -> None:
    async with connect(gateway) as connection:
        process = await connection.create_process("cat")
        process.stdin.write("one\n")
        assert await process.stdout.readline() == "one\n"
        receipt = await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT, LockMode.FREEZE, "a look")
        process.stdin.write("two\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.readline(), 0.5)
        await asyncio.to_thread(responder.lift, receipt)
        assert await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S) == "two\n"
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 0


async def test_a_spent_budget_ends_the_command_that_spends_it(gateway: GatewayServer) -> None:
    mark = f"72.{os.getpid()}"
    async with connect(gateway, token=gateway.token("small", kind="user")) as connection:
        done = await connection.run(f"head -c 90000 /dev/zero; head -c 90000 /dev/zero; sleep {mark}")
        assert done.exit_status == 77
        assert "beyond 100000 bytes per 1h" in str(done.stderr)
        await until(lambda: not running(mark), "the command is gone")


async def test_channels_and_variables_are_bounded(gateway: GatewayServer) -> None:
    async with connect(gateway) as connection:
        opened, refused = [], list[str]()
        for _ in range(40):
            try:
                opened.append(await connection.create_process("cat"))
            except asyncssh.ChannelOpenError as error:
                refused.append(error.reason)
        assert len(opened) == 32
        assert len(refused) == 8
        assert "as many channels" in refused[0]
        opened[0].stdin.write_eof()
        await opened[0].wait()
        assert (await connection.run("echo again", env={f"LC_{n}": "x" * 5000 for n in range(200)})).exit_status == 0
