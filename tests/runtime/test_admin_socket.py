"""The way from a command to a running gateway: who may use it, and what it carries."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import structlog

from interlock.adapters.admin_client import GatewayNotRunning, send_command
from interlock.core.administration import (
    SOCKET_FILE,
    AddIdentity,
    AnswerT,
    Command,
    GenerateSecret,
    ListIdentities,
    SetCredential,
    ShowIdentity,
)
from interlock.core.errors import AdministrationRefused, ConfigurationError
from interlock.core.identity import Actor
from interlock.core.settings import IdentityKind
from interlock.runtime import admin_socket
from interlock.runtime.admin_socket import MAX_LINE_BYTES, AdminSocket, user_name
from tests.services.administration_bench import AdministrationBench


class FailingExecutor:
    """Fails in a way that nobody foresaw, with a secret in the text."""

    async def execute(self, command: Command[AnswerT], actor: Actor) -> AnswerT:
        raise RuntimeError(f"planted-secret in {command} of {actor}")


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


@pytest.fixture
async def listening(tmp_path: Path, bench: AdministrationBench) -> AsyncIterator[AdminSocket]:
    listening = AdminSocket(tmp_path, bench.administration)
    await listening.start()
    yield listening
    await listening.stop()


async def talk(directory: Path, content: bytes) -> list[dict[str, object]]:
    """Send bytes as they are, end the sending side, and return what comes back."""
    reader, writer = await asyncio.open_unix_connection(str(directory / SOCKET_FILE))
    writer.write(content)
    writer.write_eof()
    lines = (await reader.read()).splitlines()
    writer.close()
    await writer.wait_closed()
    return [msgspec.json.decode(line) for line in lines]


async def test_commands_are_executed_for_the_user_who_gave_them(
    listening: AdminSocket, tmp_path: Path, bench: AdministrationBench
) -> None:
    await send_command(tmp_path, AddIdentity("bot", IdentityKind.AGENT, "ada", ("readers",)))
    view = await send_command(tmp_path, ShowIdentity("bot"))
    assert (view.name, view.groups) == ("bot", ("readers",))
    generated = await send_command(tmp_path, GenerateSecret("bot"))
    assert len(generated.secret) == 43
    assert [view.has_secret for view in await send_command(tmp_path, ListIdentities())] == [True]
    assert {actor for actor, _, _ in bench.recorded} == {f"os:{user_name(os.geteuid())}"}


async def test_a_refusal_arrives_as_one(listening: AdminSocket, tmp_path: Path) -> None:
    with pytest.raises(AdministrationRefused, match="there is no registered identity 'no'"):
        await send_command(tmp_path, ShowIdentity("no"))


async def test_only_the_owner_can_open_the_file(listening: AdminSocket, tmp_path: Path) -> None:
    mode = (tmp_path / SOCKET_FILE).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_another_user_is_not_served(
    listening: AdminSocket, tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "peer_uid", lambda _connection: 12345)
    with structlog.testing.capture_logs() as logs, pytest.raises(AdministrationRefused):
        await send_command(tmp_path, AddIdentity("bot", IdentityKind.AGENT))
    assert bench.recorded == []
    assert [entry["event"] for entry in logs] == ["administration refused"]


async def test_the_kernel_says_who_the_peer_is() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert admin_socket.peer_uid(one) == os.geteuid()


async def test_several_commands_on_one_connection(listening: AdminSocket, tmp_path: Path) -> None:
    line = msgspec.json.encode(ListIdentities()) + b"\n"
    assert await talk(tmp_path, line * 3) == [{"answer": []}] * 3


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"garbage\n",
        b"\xff\xfe\n",
        b'{"command": "nothing"}\n',
        b'{"command": "identities.show"}\n',
        b'{"command": "identities.show", "name": "a", "more": 1}\n',
        b'{"command": "identities.add", "name": "a b", "kind": "agent"}\n',
        b'{"command": "identities.add", "name": "a", "kind": "root"}\n',
        b'{"command": "identities.list"',
    ],
)
async def test_lines_that_are_no_commands(
    line: bytes, listening: AdminSocket, tmp_path: Path, bench: AdministrationBench
) -> None:
    replies = await talk(tmp_path, line)
    assert [list(reply) for reply in replies] == [["error"]]
    assert bench.recorded == []
    assert await send_command(tmp_path, ListIdentities()) == ()


async def test_a_line_without_an_end_is_cut_off(listening: AdminSocket, tmp_path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
    writer.write(b"x" * (MAX_LINE_BYTES + 100_000))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert await send_command(tmp_path, ListIdentities()) == ()


async def test_a_failure_is_reported_without_what_was_said(tmp_path: Path) -> None:
    listening = AdminSocket(tmp_path, FailingExecutor())
    await listening.start()
    with structlog.testing.capture_logs() as logs, pytest.raises(AdministrationRefused) as caught:
        await send_command(tmp_path, SetCredential("crm", "planted-secret"))
    await listening.stop()
    assert "planted-secret" not in str(caught.value) + str(logs)
    assert [entry["error"] for entry in logs] == ["RuntimeError"]


async def test_nobody_listens(tmp_path: Path, bench: AdministrationBench) -> None:
    with pytest.raises(GatewayNotRunning):
        await send_command(tmp_path, ListIdentities())
    listening = AdminSocket(tmp_path, bench.administration)
    await listening.start()
    await listening.stop()
    assert not (tmp_path / SOCKET_FILE).exists()
    with pytest.raises(GatewayNotRunning):
        await send_command(tmp_path, ListIdentities())


async def test_the_socket_of_a_dead_gateway_is_taken_over(tmp_path: Path, bench: AdministrationBench) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_FILE))
    left.close()
    with pytest.raises(GatewayNotRunning):
        await send_command(tmp_path, ListIdentities())
    listening = AdminSocket(tmp_path, bench.administration)
    await listening.start()
    assert await send_command(tmp_path, ListIdentities()) == ()
    await listening.stop()


async def test_a_secret_does_not_go_to_a_stranger(
    listening: AdminSocket, tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.adapters.admin_client.listener_uid", lambda _connection: 12345)
    with pytest.raises(AdministrationRefused, match="belongs to somebody else"):
        await send_command(tmp_path, SetCredential("crm", "x"))
    assert bench.state.passwords == {}


async def test_a_path_that_is_too_long_is_named(tmp_path: Path, bench: AdministrationBench) -> None:
    directory = tmp_path / ("d" * 110)
    with pytest.raises(ConfigurationError, match="shorter"):
        await AdminSocket(directory, bench.administration).start()
    with pytest.raises(AdministrationRefused):
        await send_command(directory, ListIdentities())
