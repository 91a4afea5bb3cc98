"""The way from a command to a running gateway on this machine: who may use it, and what it carries."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from interlock.adapters.api_client import GatewayNotRunning
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
from interlock.core.errors import AdministrationRefused, ConfigurationError, NotFound
from interlock.core.identity import Actor
from interlock.core.settings import IdentityKind
from interlock.surfaces.api import local_socket
from interlock.surfaces.api import serving as api_serving
from interlock.surfaces.api.local_socket import open_local_socket, user_name
from interlock.surfaces.api.serving import MAX_HEADER_BYTES
from tests.services.administration_bench import AdministrationBench
from tests.surfaces.api.bench import give, serving


class FailingExecutor:
    """Fails in a way that nobody foresaw, with a secret in the text."""

    async def execute(self, command: Command[AnswerT], actor: Actor) -> AnswerT:
        raise RuntimeError(f"planted-secret in {command} of {actor}")


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


@pytest.fixture
async def listening(tmp_path: Path, bench: AdministrationBench) -> AsyncIterator[Path]:
    async with serving(tmp_path, bench) as directory:
        yield directory


async def talk(directory: Path, content: bytes) -> bytes:
    """Send bytes as they are, end the sending side, and return what comes back."""
    reader, writer = await asyncio.open_unix_connection(str(directory / SOCKET_FILE))
    writer.write(content)
    with contextlib.suppress(OSError):
        writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def test_commands_are_executed_for_the_user_who_gave_them(listening: Path, bench: AdministrationBench) -> None:
    await give(listening, AddIdentity("team/bot:1@x", IdentityKind.AGENT, "ada", ("readers",)))
    view = await give(listening, ShowIdentity("team/bot:1@x"))
    assert (view.name, view.groups) == ("team/bot:1@x", ("readers",))
    generated = await give(listening, GenerateSecret("team/bot:1@x"))
    assert len(generated.secret) == 43
    assert [view.has_secret for view in await give(listening, ListIdentities())] == [True]
    assert {actor for actor, _, _ in bench.recorded} == {f"os:{user_name(os.geteuid())}"}


async def test_a_refusal_arrives_as_one(listening: Path) -> None:
    with pytest.raises(NotFound, match="there is no registered identity 'no'"):
        await give(listening, ShowIdentity("no"))


async def test_only_the_owner_can_open_the_file(listening: Path) -> None:
    mode = (listening / SOCKET_FILE).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_file_is_never_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    bind = socket.socket.bind

    class Watched(socket.socket):
        def bind(self, address: object) -> None:
            bind(self, address)  # type: ignore[arg-type]
            modes.append(stat.S_IMODE(Path(str(address)).stat().st_mode))

    monkeypatch.setattr(socket, "socket", Watched)
    open_local_socket(tmp_path / SOCKET_FILE).close()
    assert modes == [0o600]


async def test_another_user_is_not_served(
    listening: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_serving, "peer_uid", lambda _connection: 12345)
    with structlog.testing.capture_logs() as logs, pytest.raises(AdministrationRefused):
        await give(listening, AddIdentity("bot", IdentityKind.AGENT))
    assert bench.recorded == []
    assert [entry["event"] for entry in logs] == ["administration refused"]


async def test_the_kernel_says_who_the_peer_is() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert local_socket.peer_uid(one) == os.geteuid()


async def test_several_commands_on_one_connection(listening: Path) -> None:
    answer = await talk(listening, b"GET /v1/identities HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"\r\n\r\n[]") == 3


@pytest.mark.parametrize(
    "content",
    [b"garbage\r\n\r\n", b"\xff\xfe\x00\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"],
)
async def test_what_is_not_http(content: bytes, listening: Path) -> None:
    answer = await talk(listening, content)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert await give(listening, ListIdentities()) == ()


async def test_a_head_without_an_end_is_cut_off(listening: Path) -> None:
    answer = await talk(listening, b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEADER_BYTES + 100_000))
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert await give(listening, ListIdentities()) == ()


async def test_a_head_that_takes_too_long_is_cut_off(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_serving, "HEADER_TIMEOUT_S", 0.05)
    async with serving(tmp_path, bench):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
        writer.write(b"GET /v1/identities HTTP/1.1\r\nHost:")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        assert await give(tmp_path, ListIdentities()) == ()


async def test_there_are_only_so_many_connections(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_serving, "MAX_CONNECTIONS", 2)
    async with serving(tmp_path, bench):
        two = [await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE)) for _ in range(2)]
        with pytest.raises(AdministrationRefused):
            await give(tmp_path, ListIdentities())
        for reader, writer in two:
            writer.write(b"GET /v1/identities HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"[]")
            writer.close()
        assert await give(tmp_path, ListIdentities()) == ()


async def test_a_failure_is_reported_without_what_was_said(tmp_path: Path, bench: AdministrationBench) -> None:
    async with serving(tmp_path, bench, FailingExecutor()):
        with structlog.testing.capture_logs() as logs, pytest.raises(AdministrationRefused) as caught:
            await give(tmp_path, SetCredential("crm", "planted-secret"))
    assert "planted-secret" not in str(caught.value) + str(logs)
    assert [entry["error"] for entry in logs] == ["RuntimeError"]


async def test_nobody_listens(tmp_path: Path, bench: AdministrationBench) -> None:
    with pytest.raises(GatewayNotRunning):
        await give(tmp_path, ListIdentities())
    async with serving(tmp_path, bench):
        pass
    with pytest.raises(GatewayNotRunning):
        await give(tmp_path, ListIdentities())


async def test_the_socket_of_a_dead_gateway_is_taken_over(tmp_path: Path, bench: AdministrationBench) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_FILE))
    left.close()
    with pytest.raises(GatewayNotRunning):
        await give(tmp_path, ListIdentities())
    async with serving(tmp_path, bench):
        assert await give(tmp_path, ListIdentities()) == ()


async def test_a_secret_does_not_go_to_a_stranger(
    listening: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.adapters.api_client.listener_uid", lambda _connection: 12345)
    with pytest.raises(AdministrationRefused, match="belongs to somebody else"):
        await give(listening, SetCredential("crm", "x"))
    assert bench.state.passwords == {}


async def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 110)
    with pytest.raises(ConfigurationError, match="shorter"):
        open_local_socket(directory / SOCKET_FILE)
    with pytest.raises(AdministrationRefused):
        await give(directory, ListIdentities())
