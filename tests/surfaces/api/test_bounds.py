"""What the API does not wait for, and how much it does at a time."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from interlock.core.administration import SOCKET_FILE, AnswerT, Command, ListIdentities
from interlock.core.identity import Actor, Principal, PrincipalKind
from interlock.services.events import KINDS, Batch
from interlock.surfaces.api import events as api_events
from interlock.surfaces.api import gate, routes
from interlock.surfaces.api import serving as serving_module
from tests.services.administration_bench import AdministrationBench
from tests.surfaces.api.bench import give, serving
from tests.surfaces.api.test_slow_listeners import Flood, streams_of

HEAD = b"Host: gateway\r\nContent-Type: application/json\r\n"
ANSWER = tuple[int, dict[str, str], bytes]


class Quiet(Flood):
    """Has nothing to tell."""

    async def follow(self, after: int, kinds: frozenset[str] = frozenset(KINDS)) -> AsyncIterator[Batch]:
        try:
            while True:
                self.told += 1
                yield Batch(after)
                await asyncio.sleep(0.001)
        finally:
            self.left.set()


class PatientExecutor:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()

    async def execute(self, command: Command[AnswerT], actor: Actor) -> AnswerT:
        self.asked += 1
        await self.go_on.wait()
        return ()  # type: ignore[return-value]


@pytest.fixture
def bench() -> AdministrationBench:
    return AdministrationBench()


async def say(directory: Path, content: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(directory / SOCKET_FILE))
    writer.write(content)
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> ANSWER:
    """Status, headers and body of one response with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "BODY_TIMEOUT_S", 0.05)
    async with serving(tmp_path, bench):
        reader, writer = await say(
            tmp_path, b"PUT /v1/identities/x HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n{"
        )
        status, headers, body = await answer(reader)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["status"] == 408
        assert await reader.read() == b""
        writer.close()
    assert bench.state.identities == {}


async def test_so_many_requests_at_a_time(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_REQUESTS", 2)
    executor = PatientExecutor()
    request = b"GET /v1/identities HTTP/1.1\r\n" + HEAD + b"\r\n"
    async with serving(tmp_path, bench, executor):
        waiting = [await say(tmp_path, request) for _ in range(2)]
        while executor.asked < 2:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0)
        one_more, writer = await say(tmp_path, request)
        status, headers, _ = await answer(one_more)
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) > 0
        executor.go_on.set()
        assert [(await answer(reader))[0] for reader, _ in waiting] == [200, 200]
        writer.write(request)
        assert (await answer(one_more))[0] == 200
        for _, other in [*waiting, (one_more, writer)]:
            other.close()


async def test_strangers_do_not_keep_operators_out(
    tmp_path: Path, bench: AdministrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reaches the API can take all connections and send forms slowly, without any token."""
    monkeypatch.setattr(gate, "MAX_REQUESTS", 2)
    monkeypatch.setattr(serving_module, "MAX_CONNECTIONS", 2)
    slow = b"POST /slow HTTP/1.1\r\nHost: gateway\r\nContent-Length: 9\r\n\r\n"
    listener, page = socket.create_server(("127.0.0.1", 0)), SlowPage()
    async with serving(tmp_path, bench, network=listener, pages=[page]):
        strangers = [await asyncio.open_connection(*listener.getsockname()) for _ in range(2)]
        for _, writer in strangers:
            writer.write(slow)
        while page.asked < 2:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0)
        turned_away, last = await asyncio.open_connection(*listener.getsockname())
        assert await turned_away.read() == b""
        assert await give(tmp_path, ListIdentities()) == ()
        for writer in (last, *(writer for _, writer in strangers)):
            writer.close()


class SlowPage:
    """Reads what anybody sends."""

    def __init__(self) -> None:
        self.asked = 0

    def add_to(self, app: FastAPI) -> None:
        app.add_api_route("/slow", self._answer, methods=["POST"], response_class=Response)

    async def _answer(self, request: Request) -> Response:
        self.asked += 1
        return Response(await request.body())


async def test_a_quiet_stream_shows_that_it_lives_and_ends_in_time(tmp_path: Path, bench: AdministrationBench) -> None:
    quiet = Quiet()
    async with serving(tmp_path, bench, streams=streams_of(bench, quiet)):
        reader, writer = await say(tmp_path, b"GET /v1/events HTTP/1.1\r\n" + HEAD + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head.lower()
        assert b"retry: " in await reader.readuntil(b"id: -1\n\n")
        for _ in range(3):
            bench.clock.advance(api_events.HEARTBEAT_S)
            assert b": heartbeat\nid: -1\n\n" in await reader.readuntil(b"\n\n")
            await reader.readline()
        bench.clock.advance(api_events.MAX_LIFE_S)
        rest = await reader.readuntil(b"0\r\n\r\n")
        assert b"data:" not in rest
        await quiet.left.wait()
        writer.close()


def test_a_stream_does_not_outlive_its_listeners_token(bench: AdministrationBench) -> None:
    streams = streams_of(bench, Quiet())
    ends_at_s = bench.clock.now_s() + 60
    listener = Actor(Principal(PrincipalKind.USER, "os:ada", expires_at_s=ends_at_s), local=True)
    assert streams.may_listen(listener)
    bench.clock.advance(60)
    assert not streams.may_listen(listener)
