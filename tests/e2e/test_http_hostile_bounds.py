"""What clients and targets can make the gateway hold or wait for is bounded: memory, connections, time."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import brotli
import pytest
import zstandard

from tests.e2e.hostile.talking import TIMEOUT_S, read_all, statuses, talk, written
from tests.e2e.process_figures import open_files, peak_kib
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.scripted_target import Script, ScriptedTarget, Step

POLICY = """
@id("all") permit (principal, action, resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
MEGABYTE = 1 << 20
BOMB_MEGABYTES = 128
GROWTH_KIB = 48 << 10
"""More than all buffers of a few connections, less than half of what any of these would hold."""
HEAD_TIMEOUT_S = 1.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVENTS = 10_000
PIECES = 64
BUFFERED_MEGABYTES = 24
"""What two sockets of the loopback and the gateway's own buffers can hold at most."""


def _bomb(start: Callable[[bytes], bytes], end: Callable[[], bytes]) -> bytes:
    parts = [start(b'{"a": "')]
    parts += [start(b" " * MEGABYTE) for _ in range(BOMB_MEGABYTES)]
    return b"".join((*parts, start(b'"}'), end()))


def _bombs() -> dict[str, bytes]:
    deflate = zlib.compressobj(9, wbits=31)
    zstd = zstandard.ZstdCompressor().compressobj()
    br = brotli.Compressor(quality=4)
    bombs = {
        "gzip": _bomb(deflate.compress, deflate.flush),
        "zstd": _bomb(zstd.compress, zstd.flush),
        "br": _bomb(br.process, br.finish),
    }
    return bombs | {"gzip, gzip": gzip.compress(bombs["gzip"])}


BOMBS = ("gzip", "gzip, gzip", "zstd", "br")


def _answer(body: bytes, *fields: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def target() -> Iterator[ScriptedTarget]:
    answers: dict[bytes, Script] = {b"/ok": (OK,)}
    for coding, bomb in _bombs().items():
        path = f"/bomb/{coding.replace(', ', '-')}".encode()
        answers[path] = (_answer(bomb, "Content-Type: application/json", f"Content-Encoding: {coding}"),)
    event = 'data: {{"n": {}, "email": "planted@example.test"}}\n\n'
    stream = b"".join(
        b"%x\r\n%b\r\n" % (len(data), data) for data in (event.format(number).encode() for number in range(EVENTS))
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers[b"/events"] = (head, stream, b"0\r\n\r\n")
    tiny = b"1\r\n1\r\n1\r\n\n\r\n" * 20_000
    answers[b"/tiny"] = (head.replace(b"event-stream", b"plain"), tiny, b"0\r\n\r\n")
    with ScriptedTarget(answers) as running:
        yield running


class Flood:
    """A target that sends as much as it can, and counts."""

    def __init__(self) -> None:
        self.megabytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(PIECES):
                connection.sendall(b"100000\r\n" + bytes(MEGABYTE) + b"\r\n")
                self.megabytes += 1
            connection.sendall(b"0\r\n\r\n")

    def wait_until_stuck(self) -> None:
        """Until it could send nothing for a while. Too short a while makes the test weaker, not wrong."""
        seen = -1
        while seen < self.megabytes or not seen:
            seen = self.megabytes
            time.sleep(0.3)


@pytest.fixture(scope="module")
def flood() -> Flood:
    return Flood()


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget, flood: Flood) -> Iterator[GatewayServer]:
    extra = http_target("open", target.port, "max_held_bytes = 65536")
    extra += http_target("masked", target.port, "fields = { email = ['pii'] }")
    extra += http_target("flood", flood.port)
    options = GatewayOptions(
        http=True, policy=POLICY, extra=extra, http_extra=f"head_timeout_s = {HEAD_TIMEOUT_S}\nidle_timeout_s = 60.0"
    )
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


@pytest.fixture(autouse=True)
def peak(gateway: GatewayServer) -> Iterator[None]:
    """Whatever a test does, it makes the gateway grow by no more than that."""
    assert statuses(talk(gateway, get(gateway, "/ok"))) == (200,)
    before = peak_kib(gateway)
    yield
    assert peak_kib(gateway) - before < GROWTH_KIB


def connect(gateway: GatewayServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.http_port), TIMEOUT_S)


def request(gateway: GatewayServer, path: str, *fields: str, connection: str = "open", method: str = "GET") -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return written(f"{method} @P{path} HTTP/1.1\r\n@T\r\n{lines}\r\n".encode(), gateway, connection)


def get(gateway: GatewayServer, path: str, connection: str = "open") -> bytes:
    return request(gateway, path, "Connection: close", connection=connection)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("connection", ["open", "masked"])
@pytest.mark.parametrize("coding", BOMBS)
def test_bombs(gateway: GatewayServer, coding: str, connection: str) -> None:
    """Whom nothing is masked for gets it as it came; otherwise it is decoded as far as is reasonable."""
    answer = talk(gateway, get(gateway, f"/bomb/{coding.replace(', ', '-')}", connection))
    assert statuses(answer) == ((200,) if connection == "open" else (403,))


def test_many_events(gateway: GatewayServer) -> None:
    answer = talk(gateway, get(gateway, "/events", "masked"))
    numbers = [json.loads(line[6:])["n"] for line in answer.split(b"\n") if line.startswith(b"data: ")]
    assert numbers == list(range(EVENTS))
    assert b"planted" not in answer


@pytest.mark.parametrize("connection", ["open", "masked"])
def test_many_tiny_chunks(gateway: GatewayServer, connection: str) -> None:
    answer = talk(gateway, get(gateway, "/tiny", connection))
    assert statuses(answer) == (200,)
    assert answer.endswith(b"\r\n0\r\n\r\n")


def test_a_client_that_does_not_read(gateway: GatewayServer, flood: Flood) -> None:
    with connect(gateway) as client:
        client.sendall(get(gateway, "/flood", "flood"))
        flood.wait_until_stuck()
        assert flood.megabytes < BUFFERED_MEGABYTES
        assert len(read_all(client)) > PIECES * MEGABYTE


# ---------------------------------------------------------------- requests


def test_a_client_that_sends_ahead(gateway: GatewayServer, target: ScriptedTarget) -> None:
    sent, step = 0, Step()
    target.answers[b"/silent"] = (step, OK)
    with connect(gateway) as client:
        client.sendall(request(gateway, "/silent"))
        client.settimeout(0.3)
        one = request(gateway, "/ok") * 1000
        with suppress(TimeoutError):
            while sent < PIECES * MEGABYTE:
                client.sendall(one)
                sent += len(one)
    step.go()
    assert sent < BUFFERED_MEGABYTES * MEGABYTE


HEADS: dict[str, tuple[bytes, int]] = {
    "a long field": (b"GET @P/ok HTTP/1.1\r\n@T\r\nX: " + b"a" * MEGABYTE + b"\r\n\r\n", 431),
    "a long name": (b"GET @P/ok HTTP/1.1\r\n@T\r\n" + b"a" * MEGABYTE + b": x\r\n\r\n", 431),
    "many fields": (b"GET @P/ok HTTP/1.1\r\n@T\r\n" + b"X: a\r\n" * 300 + b"\r\n", 431),
    "fields without an end": (b"GET @P/ok HTTP/1.1\r\n@T\r\n" + b"X: a\r\n" * 200_000, 431),
    "a long target": (b"GET @P/" + b"a" * MEGABYTE + b" HTTP/1.1\r\n@T\r\n\r\n", 414),
    "a long method": (b"A" * MEGABYTE, 414),
    "one long line": (b"GET @P/" + b"a" * MEGABYTE, 414),
    "a long trailer": (
        b"POST @P/ok HTTP/1.1\r\n@T\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * MEGABYTE + b"\r\n\r\n",
        431,
    ),
    "many trailers": (
        b"POST @P/ok HTTP/1.1\r\n@T\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 60 + b"\r\n",
        431,
    ),
    "a long extension": (
        b"POST @P/ok HTTP/1.1\r\n@T\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * MEGABYTE + b"\r\n",
        400,
    ),
    "many extensions": (
        b"POST @P/ok HTTP/1.1\r\n@T\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100,
        400,
    ),
}


@pytest.mark.parametrize(("data", "status"), HEADS.values(), ids=HEADS)
def test_floods(gateway: GatewayServer, data: bytes, status: int) -> None:
    assert statuses(talk(gateway, written(data, gateway, "open"))) == (status,)


def test_many_tiny_chunks_of_a_request(gateway: GatewayServer, target: ScriptedTarget) -> None:
    head = request(gateway, "/ok", "Transfer-Encoding: chunked", "Connection: close", method="POST")
    assert statuses(talk(gateway, head + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")) == (200,)
    assert target.got[-1].body == b"x" * 100_000


@pytest.mark.parametrize("body", [b"[" * MEGABYTE, b'{"a":' * 100_000, b'{"a":1e' + b"9" * MEGABYTE + b"}"])
def test_bodies_that_are_hard_to_read(gateway: GatewayServer, body: bytes) -> None:
    fields = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    answer = talk(gateway, request(gateway, "/ok", *fields, method="POST", connection="masked") + body)
    assert statuses(answer) in ((200,), (403,))


@pytest.mark.parametrize("coding", BOMBS)
def test_bombs_in_requests(gateway: GatewayServer, target: ScriptedTarget, coding: str) -> None:
    """They are read no further than policy reads; they go on as they came."""
    script = target.answers[f"/bomb/{coding.replace(', ', '-')}".encode()]
    assert isinstance(script, tuple)
    body = script[0].partition(b"\r\n\r\n")[2]
    fields = ("Content-Type: application/json", f"Content-Encoding: {coding}", f"Content-Length: {len(body)}")
    data = request(gateway, "/ok", *fields, "Connection: close", method="POST", connection="masked") + body
    assert statuses(talk(gateway, data)) in ((200,), (403,))


# ---------------------------------------------------------------- slow clients


SLOW: dict[str, bytes] = {
    "nothing": b"",
    "a line": b"GET @P/ok HTTP/1.1\r\n",
    "half a line": b"GET @P/o",
    "half a field": b"GET @P/ok HTTP/1.1\r\nHost: gate",
    "no end": b"GET @P/ok HTTP/1.1\r\n@T\r\n",
    "an empty line": b"\r\n",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_a_head_that_does_not_come(gateway: GatewayServer, sent: bytes) -> None:
    with connect(gateway) as client:
        client.sendall(written(sent, gateway, "open"))
        assert statuses(read_all(client)) == ((408,) if sent.strip() else ())


def test_a_head_that_comes_byte_by_byte(gateway: GatewayServer) -> None:
    """More bytes do not buy more time."""
    with connect(gateway) as client:
        client.sendall(b"GET /c/open/ok HTTP/1.1\r\nX: ")
        client.settimeout(0.05)
        received = b""
        deadline = time.monotonic() + TIMEOUT_S
        while not received:
            assert time.monotonic() < deadline
            client.sendall(b"a")
            with suppress(TimeoutError):
                received = client.recv(1 << 16)
    assert statuses(received) == (408,)


def test_a_second_head_that_does_not_come(gateway: GatewayServer) -> None:
    with connect(gateway) as client:
        client.sendall(request(gateway, "/ok") + b"GET /c/open/ok HTTP/1.1\r\nHost: ")
        assert statuses(read_all(client)) == (200, 408)


def test_a_body_that_does_not_come(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with connect(gateway) as client:
        client.sendall(request(gateway, "/half", "Content-Length: 100", method="POST") + b"1")
        assert statuses(read_all(client)) == (408,)
    assert b"/half" not in {got.head.target for got in target.got}


@pytest.mark.parametrize("sent", [b"\x16", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_that_does_not_come(gateway: GatewayServer, sent: bytes) -> None:
    with connect(gateway) as client:
        client.sendall(sent)
        assert read_all(client) == b""


def test_many_half_open_connections(gateway: GatewayServer) -> None:
    """The oldest make room, and whoever asks for something is served at once."""
    before = open_files(gateway)
    waiting = []
    try:
        for _ in range(700):
            client = connect(gateway)
            waiting.append(client)
            client.sendall(b"GET /c/open/ok HTTP/1.1\r\nX: ")
        assert statuses(talk(gateway, get(gateway, "/ok"))) == (200,)
        assert open_files(gateway) - before < 600
    finally:
        for client in waiting:
            client.close()


def test_nothing_of_it_was_an_error_of_the_gateway(gateway: GatewayServer) -> None:
    """Runs last."""
    assert '"level": "error"' not in gateway.log()
