"""asyncssh: many channels of one connection at once, streams, SFTP in parallel."""

import asyncio
from pathlib import PurePosixPath
from typing import Any

import asyncssh

from tests.clients.ssh.trees import BIG, make_tree, tree
from tests.clients.ssh.way import SshWay


def connection_to(way: SshWay) -> Any:
    """A connection by the way's configuration file, without looking at anything else of this machine."""
    known = way.directory / "known_hosts"
    return asyncssh.connect(
        "target",
        config=[str(way.config_file)],
        known_hosts=str(known) if known.exists() else None,
        password=way.password or None,
        client_keys=[str(way.key_file)] if way.key_file else None,
        agent_path=None,
    )


def visit(way: SshWay) -> list[object]:
    return asyncio.run(_visit(way))


async def _visit(way: SshWay) -> list[object]:
    async with connection_to(way) as connection:
        done = await asyncio.gather(*(connection.run(f"cat; echo {n}; exit {n}", input="in ") for n in range(10)))
        seen: list[object] = [(one.exit_status, one.stdout, one.stderr) for one in done]
        killed = await connection.run("kill -TERM $$")
        seen.append((killed.exit_status, killed.exit_signal and killed.exit_signal[0]))
        seen.append(await _conversation(connection))
        seen += await _files(connection, way)
        return seen


async def _conversation(connection: asyncssh.SSHClientConnection) -> object:
    """Line for line, with a terminal and without an echo."""
    command = "stty -echo; echo ready; while read x; do echo =$x; done"
    async with connection.create_process(command, term_type="xterm") as process:
        answers = [await process.stdout.readline()]
        for number in range(5):
            process.stdin.write(f"{number}\n")
            answers.append(await process.stdout.readline())
        process.stdin.write("\x04")
        return answers, (await process.wait()).exit_status


async def _files(connection: asyncssh.SSHClientConnection, way: SshWay) -> list[object]:
    local = make_tree(way.directory / "local")
    async with connection.start_sftp_client() as sftp:
        await sftp.put(str(local), str(way.place / "tree"), recurse=True)
        await sftp.get(str(way.place / "tree"), str(way.directory / "back"), recurse=True)
        async with sftp.open(str(way.place / "random"), "wb+") as file:
            await file.write(BIG[:100_000], 0)
            await file.write(b"in the middle", 50_000)
            middle = await file.read(20, 49_995)
            await file.truncate(60_000)
        size = (await sftp.stat(str(way.place / "random"))).size
        names = sorted(str(PurePosixPath(str(name)).name) for name in await sftp.listdir(str(way.place)))
        try:
            await sftp.remove(str(way.place / "absent"))
            problem = ""
        except asyncssh.SFTPError as error:
            problem = f"{error.code} {error.reason}"
        there = await sftp.exists(str(way.place / "random")), await sftp.exists(str(way.place / "absent"))
    return [middle, size, names, problem, there, tree(way.place / "tree"), tree(way.directory / "back")]
