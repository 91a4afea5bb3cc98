"""SFTP through the gateway to a real host: rules on directories, people's answers, what is on record, and locks."""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest

from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.core.lock import LockMode, LockSubject
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.locking import Responder
from tests.e2e.reviewer import Reviewer
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.gateway import AGENT, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

TIMEOUT_S = 20.0
CONTENT = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        for name in ("open", "secret", "held"):
            (server.home / name).mkdir()
        (server.home / "secret/key").write_text("secret\n")
        (server.home / "open/link").symlink_to("../secret/key")
        yield server


@pytest.fixture(scope="module")
def gateway(host: OpenSshServer) -> Iterator[GatewayServer]:
    home = host.home.resolve()
    policy = f"""
@id("everything") permit (principal, action, resource);
@id("no-secrets") @message("Secrets are not for agents.")
forbid (principal, action, resource in File::"web{home}/secret");
@id("ask-first") @approval("dba") @expires("10m") @message("Somebody has to agree.")
forbid (principal, action == Action::"file-write", resource in File::"web{home}/held");
"""
    options = GatewayOptions(policy=policy, ssh=True, extra=ssh_target("web", host), approval_wait_s=20)
    with GatewayServer(NO_DATABASE, options) as server:
        yield server


def tags(gateway: GatewayServer, status: str = "completed") -> list[str]:
    return [record.tag for record in records_of(gateway, OperationCompleted) if record.status == status]


@pytest.mark.parametrize("name", ["secret/key", "open/link", "open/../secret//key", "./secret/./key"])
async def test_a_forbidden_file_is_not_reached_by_any_name(gateway: GatewayServer, name: str) -> None:
    async with connect(gateway) as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="Secrets are not for agents"):
            await sftp.open(name)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("rename", ("secret/key", "open/key")), ("symlink", ("../secret/key", "open/new")), ("remove", ("secret/key",))],
)
async def test_a_forbidden_file_is_not_brought_elsewhere(
    gateway: GatewayServer, host: OpenSshServer, verb: str, arguments: tuple[str, ...]
) -> None:
    async with connect(gateway) as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await getattr(sftp, verb)(*arguments)
    assert (host.home / "secret/key").read_text() == "secret\n"
    assert sorted(path.name for path in (host.home / "open").iterdir() if path.name in ("key", "new")) == []


async def test_transfers_are_on_record_with_their_digests(gateway: GatewayServer, host: OpenSshServer) -> None:
    async with connect(gateway) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("open/up", "wb") as file:
            await file.write(CONTENT)
        async with sftp.open("open/up", "rb") as file:
            came: object = await file.read()
    assert came == CONTENT
    assert (host.home / "open/up").read_bytes() == CONTENT
    digest = f"{len(CONTENT)} bytes sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    wait_for(lambda: {f"WROTE {digest}", f"READ {digest}"} <= set(tags(gateway)), "both transfers")


async def test_a_held_upload_says_so_and_goes_on_when_people_agree(gateway: GatewayServer, host: OpenSshServer) -> None:
    reviewer = Reviewer(gateway, "ann", "dba")
    async with connect(gateway) as connection:
        process: Any = await connection.create_process(subsystem="sftp", encoding=None)
        process.stdin.write(bytes.fromhex("00000005 01 00000003"))
        path = str(host.home.resolve() / "held/up").encode()
        await _packet(process)
        body = b"\3" + bytes(4) + len(path).to_bytes(4) + path + bytes.fromhex("0000001a 00000000")
        process.stdin.write(len(body).to_bytes(4) + body)
        told = await process.stderr.readline() + await process.stderr.readline()
        approval = re.search(rb"Request (\S+)\.", told)
        assert approval, told
        assert f"held: file-write on file web{host.home.resolve()}/held/up".encode() in told
        assert not (host.home / "held/up").exists()
        assert reviewer.answer("approve", approval[1].decode())[0] == 200
        assert (await asyncio.wait_for(_packet(process), TIMEOUT_S))[0] == 102
        assert (host.home / "held/up").exists()
    wanted = f"open {host.home.resolve()}/held/up for writing (create, truncate)"
    assert wanted in str(reviewer.look(approval[1].decode()))


async def _packet(process: Any) -> bytes:
    length = int.from_bytes(await process.stdout.readexactly(4))
    return bytes(await process.stdout.readexactly(length))


async def test_a_lock_ends_a_transfer_and_says_how_far_it_came(gateway: GatewayServer, host: OpenSshServer) -> None:
    responder = Responder(gateway)
    async with connect(gateway) as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open("open/partly", "wb")
        await file.write(b"abc")
        await asyncio.to_thread(responder.lock, LockSubject.AGENT, AGENT, LockMode.REFUSE, "a look")
        await asyncio.wait_for(sftp.wait_closed(), TIMEOUT_S)
    responder.lift_all()
    digest = hashlib.sha256(b"abc").hexdigest()
    wait_for(lambda: f"WROTE 3 bytes sha256:{digest}" in tags(gateway, "interrupted"), "the transfer's end")
    assert (host.home / "open/partly").read_bytes() == b"abc"


def test_what_was_decided_is_on_record_in_words(gateway: GatewayServer) -> None:
    verbs = {record.verb for record in records_of(gateway, OperationDecided)}
    assert {"OPEN", "RENAME", "SYMLINK", "REMOVE"} <= verbs
