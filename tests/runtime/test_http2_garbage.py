"""Whatever a client sends over HTTP/2, in any cut and order: no error, bounded answers, drivers that know the truth."""

import asyncio
import random
import zlib

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from interlock.protocols.base import Side
from interlock.runtime.http2_limits import Http2Limits
from tests.runtime.http2_parties import Client, Server, answer_of, echo, get

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(SettingsFrame(0).serialize())
GET = bytes.fromhex("828684") + b"\x41\x0fgateway.example"
"""A block of HPACK without Huffman codes: GET, http, /, and an authority."""

ENDS_FIELDS = frozenset(("END_HEADERS",))
ENDS = ENDS_FIELDS | {"END_STREAM"}
NUMBERS = st.integers(1, 9)
BLOCKS = st.one_of(st.just(GET), st.just(GET[:-3]), st.binary(max_size=30), st.just(b"\x83" + GET[1:]))
FLAGS = st.frozensets(st.sampled_from(sorted(ENDS)))
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(lambda number, block, flags: HeadersFrame(number, block, flags=flags), NUMBERS, BLOCKS, FLAGS),
    st.builds(
        lambda number, block, flags: ContinuationFrame(number, block, flags=flags & ENDS_FIELDS), NUMBERS, BLOCKS, FLAGS
    ),
    st.builds(
        lambda number, data, flags: DataFrame(number, data, flags=flags - ENDS_FIELDS),
        NUMBERS,
        st.binary(max_size=50),
        FLAGS,
    ),
    st.builds(lambda number, code: RstStreamFrame(number, error_code=code), NUMBERS, st.integers(0, 20)),
    st.builds(
        lambda number, by: WindowUpdateFrame(number - 1, window_increment=by), NUMBERS, st.integers(1, 2**31 - 1)
    ),
    st.builds(lambda key, value: SettingsFrame(0, settings={key: value}), NUMBERS, st.integers(0, 2**32 - 1)),
    st.builds(lambda data: PingFrame(0, opaque_data=data), st.binary(min_size=8, max_size=8)),
    st.builds(lambda number: PriorityFrame(number, depends_on=0, stream_weight=1), NUMBERS),
    st.builds(lambda: GoAwayFrame(0)),
)
STREAMS = st.lists(st.one_of(FRAMES.map(lambda frame: bytes(frame.serialize())), st.binary(max_size=20)), max_size=12)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def feed(client: Client, stream: bytes, sizes: list[int]) -> None:
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        client.connection.data_received(Side.CLIENT, stream[at : at + size])
        at, turn = at + size, turn + 1


@given(STREAMS, CUTS)
def test_garbage_is_taken_in_any_cut(parts: list[bytes], cuts: list[int]) -> None:
    stream = GREETING + b"".join(parts)
    asyncio.run(take_garbage(stream, [len(stream)]))
    asyncio.run(take_garbage(stream, cuts))


async def take_garbage(stream: bytes, sizes: list[int]) -> None:
    client = Client(echo, Http2Limits(max_streams=4), greets=False)
    with capture_logs() as logs:
        feed(client, stream, sizes)
        client.connection.connection_lost(Side.CLIENT)
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert len(client.socket.written) < 4096 + 40 * len(stream)
    assert client.ended == 1
    assert all(not server.peer.open for server in client.servers)


@given(st.binary(max_size=200))
def test_what_is_no_http_2_at_all(stream: bytes) -> None:
    asyncio.run(take_garbage(stream, [7]))


async def test_a_flood_of_continuations_is_bounded() -> None:
    client = Client(echo, greets=False)
    feed(client, GREETING + bytes(HeadersFrame(1, GET, flags=["END_STREAM"]).serialize()), [1 << 20])
    frame = bytes(ContinuationFrame(1, b"\x00\x01a\x01b" * 2000).serialize())
    sent = 0
    while not client.socket.closed:
        feed(client, frame, [1 << 20])
        sent += len(frame)
        assert sent < 2 << 20
    assert client.servers == []


async def test_a_bomb_of_fields_is_bounded() -> None:
    """A long field is put into the table, and referred to over and over."""
    client = Client(echo, greets=False)
    block = GET + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 12_000
    feed(client, GREETING + bytes(HeadersFrame(1, block, flags=ENDS).serialize()), [1 << 20])
    assert client.socket.closed
    assert client.servers == []


@pytest.mark.parametrize("seed", range(15))
async def test_random_streams_end_as_they_should(seed: int) -> None:
    """Uploads, resets, drivers that pause and answer late, clients that take little, full sockets."""
    traffic = Traffic(seed)
    for _ in range(400):
        traffic.step()
    traffic.settle()
    assert traffic.checked > 10


class Traffic:
    """A client that does things by chance, and knows what has to come of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        limits = Http2Limits(reset_burst=1000, window_bytes=4096, max_unsent_bytes=4096)
        self.client = Client(None, limits, window=3000)
        self.sent: dict[int, bytes] = {}
        self.growing: set[int] = set()
        self.given_up: set[int] = set()
        self.checked = 0
        self.answered: dict[int, int] = {}

    def step(self) -> None:
        self.chance.choices(
            [self.open, self.grow, self.answer, self.give_up, self.hold, self.clog], [20, 40, 25, 5, 10, 10]
        )[0]()
        self.client.pump()

    def settle(self) -> None:
        """Let everything come to its end, and look at it."""
        self.client.connection.writing_paused(Side.CLIENT, False)
        for server in self.client.servers:
            server.peer.resume("test")
        for _ in range(1000):
            if self.sent.keys() - self.given_up <= self.client.complete:
                break
            self.grow()
            self.answer()
            self.client.pump()
        for stream, body in self.sent.items():
            if stream not in self.given_up:
                assert bytes(self.client.bodies[stream]) == expected(body)
                assert stream not in self.client.resets
                self.checked += 1

    def open(self) -> None:
        if len(self.sent) - len(self.client.complete | self.given_up) < 30:
            stream = self.client.open(get(b"/", b"POST"), end=False)
            self.sent[stream] = b""
            self.growing.add(stream)

    def grow(self) -> None:
        for stream in self.chance.sample(sorted(self.growing), min(len(self.growing), 3)):
            data = self.chance.randbytes(min(self.client.h2.local_flow_control_window(stream), 2000))
            self.sent[stream] += data
            end = self.chance.random() < 0.3
            self.client.h2.send_data(stream, data, end_stream=end)
            if end:
                self.growing.discard(stream)

    def answer(self) -> None:
        for number, server in enumerate(self.client.servers):
            done = self.answered.get(number, 0)
            if len(server.trailers) > done and self.chance.random() < 0.7:
                self.answered[number] = done + 1
                self.write(server, answer_of(expected(server.bodies[done])))

    def write(self, server: Server, answer: bytes) -> None:
        at = self.chance.randint(0, len(answer))
        server.peer.write(answer[:at])
        server.peer.write(answer[at:])

    def give_up(self) -> None:
        left = sorted(self.sent.keys() - self.client.complete - self.given_up)
        if left:
            stream = self.chance.choice(left)
            self.client.h2.reset_stream(stream, ErrorCodes.CANCEL)
            self.given_up.add(stream)
            self.growing.discard(stream)

    def hold(self) -> None:
        if self.client.servers:
            peer = self.chance.choice(self.client.servers).peer
            self.chance.choice((peer.pause, peer.resume))("test")

    def clog(self) -> None:
        self.client.connection.writing_paused(Side.CLIENT, not self.client.socket.pauses)


def expected(body: bytes) -> bytes:
    """What is answered to a body: long enough to be in the way."""
    return b"%d" % zlib.crc32(body) + bytes(len(body) % 9000)
