"""Streams of HTTP/2 as clients of drivers: what they are given, what goes back, and in what order of magnitude."""

import asyncio

import pytest
from h2.errors import ErrorCodes

from interlock.protocols.base import Side
from interlock.protocols.http.wire.messages import RequestHead
from interlock.runtime.http2_limits import Http2Limits
from tests.runtime.http2_parties import Client, Fields, Server, answer_of, echo, get

MEGABYTE = bytes(1 << 20)


@pytest.fixture(autouse=True)
async def _loop() -> None:
    """Connections need a loop for their timers."""
    asyncio.get_running_loop()


async def test_a_request_is_one_of_http_1_1() -> None:
    client = Client()
    stream = client.open(
        get(b"/c/shop/orders?x=1", b"GET", (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"te", b"trailers"))
    )
    client.pump()
    (server,) = client.servers
    assert bytes(server.raw) == (
        b"GET /c/shop/orders?x=1 HTTP/1.1\r\nhost: gateway.example\r\ncookie: a=1; b=2\r\n\r\n"
    )
    assert client.heads[stream] == [{b":status": b"200", b"content-length": b"18", b"x-method": b"test"}]
    assert bytes(client.bodies[stream]) == b"/c/shop/orders?x=1"
    assert stream in client.complete
    assert client.resets == {}


@pytest.mark.parametrize("cut", [1, 13, 1 << 20])
async def test_bodies_with_and_without_a_length(cut: int) -> None:
    client = Client(cut=cut)
    chunked = client.open(get(b"/", b"POST"), b"hello")
    sized = client.open(get(b"/", b"PUT", (b"content-length", b"5")), b"world")
    empty = client.open(get(b"/empty", b"POST"))
    client.pump()
    assert [bytes(client.bodies[stream]) for stream in (chunked, sized, empty)] == [b"hello", b"world", b"/empty"]
    assert b"transfer-encoding: chunked" in client.servers[0].raw


async def test_trailers_go_both_ways() -> None:
    def answer(server: Server, head: RequestHead) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n"
        )

    client = Client(answer)
    stream = client.open(get(b"/", b"POST"), b"data", end=False)
    client.h2.send_headers(stream, [(b"x-digest", b"abc")], end_stream=True)
    client.pump()
    assert client.servers[0].trailers == [((b"x-digest", b"abc"),)]
    assert client.trailers[stream] == [(b"x-sum", b"42")]
    assert bytes(client.bodies[stream]) == b"ok"
    assert stream in client.complete


async def test_interim_answers_and_heads() -> None:
    client = Client(
        lambda server, head: (
            b"HTTP/1.1 100 Continue\r\n\r\n" + answer_of(b"", "204 No Content").replace(b"Content-Length: 0\r\n", b"")
        )
    )
    stream = client.open(get(b"/", b"POST", (b"expect", b"100-continue")), b"x")
    client.pump()
    assert [head[b":status"] for head in client.heads[stream]] == [b"100", b"204"]
    head = Client(lambda server, head: b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
    stream = head.open(get(b"/", b"HEAD"))
    head.pump()
    assert head.heads[stream] == [{b":status": b"200", b"content-length": b"77"}]
    assert stream in head.complete


async def test_an_answer_that_ends_with_the_connection() -> None:
    client = Client(None)
    stream = client.open(get())
    client.pump()
    client.servers[0].peer.write(b"HTTP/1.1 200 OK\r\n\r\npart one, ")
    client.pump()
    assert stream not in client.complete
    client.servers[0].peer.write(b"part two")
    client.servers[0].peer.close()
    client.pump()
    assert bytes(client.bodies[stream]) == b"part one, part two"
    assert stream in client.complete
    assert client.resets == {}


async def test_drivers_are_kept_for_the_same_caller_and_no_other() -> None:
    client = Client()
    alice, bob = (b"authorization", b"Bearer alice"), (b"authorization", b"Bearer bob")
    for fields in (
        get(b"/c/shop/a", b"GET", alice),
        get(b"/c/shop/b", b"GET", alice),
        get(b"/c/shop/c", b"GET", bob),
        get(b"/c/other/d", b"GET", alice),
        get(b"/c/shop/e", b"GET", bob),
    ):
        client.open(fields)
        client.pump()
    served = [[head.target for head in server.heads] for server in client.servers]
    assert served == [[b"/c/shop/a", b"/c/shop/b"], [b"/c/shop/c", b"/c/shop/e"], [b"/c/other/d"]]


async def test_streams_at_the_same_time_have_drivers_of_their_own() -> None:
    client = Client(None)
    streams = [client.open(get(b"/%d" % number)) for number in range(20)]
    client.pump()
    assert len(client.servers) == 20
    for server in reversed(client.servers):
        server.peer.write(answer_of(server.heads[0].target))
    client.pump()
    assert [bytes(client.bodies[stream]) for stream in streams] == [b"/%d" % number for number in range(20)]
    for number in range(20):
        client.open(get(b"/again/%d" % number))
    client.pump()
    assert len(client.servers) == 20


async def test_more_streams_than_drivers_are_refused_and_idle_drivers_make_room() -> None:
    client = Client(None, Http2Limits(max_streams=3))
    streams = [client.open(get(b"/", b"GET", (b"authorization", b"%d" % number))) for number in range(3)]
    client.pump()
    assert client.resets == {}
    client.servers[0].peer.write(answer_of(b"x"))
    client.pump()
    another = client.open(get(b"/", b"GET", (b"authorization", b"another")))
    client.pump()
    assert client.servers[0].left == 1
    assert client.servers[3].heads
    assert another not in client.resets
    assert streams[0] in client.complete


async def test_a_client_that_resets_a_stream_has_left_for_its_driver() -> None:
    client = Client(None)
    stream, other = client.open(get(b"/slow")), client.open(get(b"/other"))
    client.pump()
    client.h2.reset_stream(stream, ErrorCodes.CANCEL)
    client.pump()
    assert [server.left for server in client.servers] == [1, 0]
    assert client.servers[0].peer.has_left
    client.servers[0].peer.write(answer_of(b"too late"))
    client.servers[1].peer.write(answer_of(b"fine"))
    client.pump()
    assert bytes(client.bodies[other]) == b"fine"
    assert stream not in client.heads


async def test_a_driver_that_ends_within_an_answer_resets_its_stream() -> None:
    client = Client(None)
    none, part, other = client.open(get()), client.open(get()), client.open(get())
    client.pump()
    first, second, third = client.servers
    first.peer.close()
    second.peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    second.peer.close()
    third.peer.write(b"nonsense")
    client.pump()
    assert client.resets == dict.fromkeys((none, part, other), int(ErrorCodes.INTERNAL_ERROR))
    assert bytes(client.bodies[part]) == b"half"
    assert third.left == 1
    assert client.went_away is None


async def test_an_early_answer_ends_a_request_that_goes_on() -> None:
    client = Client(None)
    stream = client.open(get(b"/", b"POST"), b"begin", end=False)
    client.pump()
    client.servers[0].peer.write(answer_of(b"no", "403 Forbidden"))
    client.pump()
    assert bytes(client.bodies[stream]) == b"no"
    client.servers[0].peer.close()
    client.pump()
    assert client.resets == {stream: int(ErrorCodes.NO_ERROR)}


async def test_the_last_driver_that_is_killed_takes_the_connection_with_it() -> None:
    client = Client(None)
    one, two = client.open(get()), client.open(get())
    client.pump()
    for server in client.servers:
        server.killed = True
    client.servers[0].peer.close()
    client.pump()
    assert client.went_away is None
    client.servers[1].peer.close()
    client.pump()
    assert client.resets.keys() == {one, two}
    assert client.went_away == int(ErrorCodes.NO_ERROR)
    assert client.socket.closed
    assert client.ended == 1


async def test_what_a_cut_driver_wrote_does_not_arrive() -> None:
    client = Client(None, window=10)
    stream = client.open(get())
    client.pump()
    client.acknowledges = False
    server = client.servers[0]
    server.peer.write(answer_of(b"0123456789secret"))
    assert server.peer.unsent_bytes == 6
    server.peer.drop_unsent()
    server.peer.write(answer_of(b"ended"))
    server.peer.close()
    client.pump()
    assert bytes(client.bodies[stream]) == b"0123456789"
    assert client.resets == {stream: int(ErrorCodes.CANCEL)}


async def test_a_cut_closes_the_socket_when_it_holds_something() -> None:
    client = Client(None)
    client.open(get())
    client.pump()
    client.socket.unsent = 5
    client.servers[0].peer.drop_unsent()
    assert client.socket.dropped


async def test_the_end_of_the_socket_is_told_to_every_driver() -> None:
    client = Client(None)
    client.open(get())
    client.pump()
    client.servers[0].peer.write(answer_of(b"x"))
    client.open(get())
    client.open(get(b"/two"))
    client.pump()
    client.connection.connection_lost(Side.CLIENT)
    assert [server.left for server in client.servers] == [1, 1]
    assert client.ended == 1
    client.connection.connection_lost(Side.CLIENT)
    assert client.ended == 1


# ---------------------------------------------------------------- back-pressure


async def test_an_upload_waits_for_its_driver() -> None:
    limits = Http2Limits(window_bytes=64 << 10)
    client = Client(None, limits)
    held, free = client.open(get(b"/held", b"POST"), end=False), client.open(get(b"/free", b"POST"), end=False)
    client.pump()
    client.servers[0].peer.pause("session")
    assert upload(client, held) == 64 << 10
    assert len(client.servers[0].bodies[0]) == 0
    for _ in range(40):
        assert upload(client, free) > 0
    client.servers[0].peer.resume("session")
    client.pump()
    assert len(client.servers[0].bodies[0]) == 64 << 10
    assert upload(client, held) > 0


def upload(client: Client, stream: int) -> int:
    """Send on a stream what its window lets through."""
    sent = 0
    while (room := min(client.h2.local_flow_control_window(stream), 16_384)) > 0 and sent < 1 << 20:
        client.h2.send_data(stream, bytes(room))
        sent += room
        if sent % (64 << 10) == 0:
            break
    client.pump()
    return sent


async def test_a_download_waits_for_its_client() -> None:
    client = Client(None, Http2Limits(max_unsent_bytes=100_000), window=50_000)
    stream, other = client.open(get()), client.open(get(b"/other"))
    client.pump()
    client.acknowledges = False
    server = client.servers[0]
    server.peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n")
    server.peer.write(MEGABYTE[:90_000])
    assert not server.waits
    server.peer.write(MEGABYTE[: (1 << 20) - 90_000])
    assert server.waits
    client.pump()
    assert len(client.bodies[stream]) == 50_000
    client.h2.acknowledge_received_data(50_000, stream)
    client.acknowledges = True
    client.servers[1].peer.write(answer_of(b"small"))
    client.pump()
    assert bytes(client.bodies[other]) == b"small"
    assert bytes(client.bodies[stream]) == MEGABYTE
    assert not server.waits
    assert stream in client.complete


async def test_streams_share_a_window_of_the_connection() -> None:
    client = Client(None, window=1 << 20)
    streams = [client.open(get(b"/%d" % number)) for number in range(4)]
    client.pump()
    client.acknowledges = False
    for server in client.servers:
        server.peer.write(answer_of(MEGABYTE[:200_000]))
    client.pump()
    arrived = sum(len(client.bodies[stream]) for stream in streams)
    assert arrived == 65_535
    client.h2.increment_flow_control_window(64_000)
    client.pump()
    assert min(len(client.bodies[stream]) for stream in streams) > 0


async def test_nothing_is_sent_to_a_socket_that_is_full() -> None:
    client = Client(None)
    stream = client.open(get())
    client.pump()
    client.connection.writing_paused(Side.CLIENT, True)
    assert client.socket.pauses
    client.servers[0].peer.write(answer_of(MEGABYTE[:60_000]))
    client.pump()
    assert len(client.bodies[stream]) == 0
    client.connection.writing_paused(Side.CLIENT, False)
    client.pump()
    assert len(client.bodies[stream]) == 60_000


# ---------------------------------------------------------------- limits


async def test_rapid_resets_end_the_connection() -> None:
    client = Client(None, Http2Limits(reset_burst=10, resets_per_s=0))
    while client.went_away is None:
        stream = client.open(get())
        client.pump()
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.pump()
    assert client.went_away == int(ErrorCodes.ENHANCE_YOUR_CALM)
    assert client.socket.closed
    assert len(client.servers) == 11
    assert all(server.left == 1 for server in client.servers)


async def test_requests_that_are_reset_at_once_get_no_driver() -> None:
    client = Client(None)
    for _ in range(50):
        client.h2.reset_stream(client.open(get()), ErrorCodes.CANCEL)
    client.pump()
    assert client.servers == []
    assert client.went_away is None


async def test_floods_of_control_frames_end_the_connection() -> None:
    limits = Http2Limits(control_burst=20, controls_per_s=0)
    pings = Client(None, limits)
    for _ in range(30):
        pings.h2.ping(b"12345678")
    pings.pump()
    assert pings.went_away == int(ErrorCodes.ENHANCE_YOUR_CALM)
    empties = Client(None, limits)
    stream = empties.open(get(b"/", b"POST"), end=False)
    for _ in range(30):
        empties.h2.send_data(stream, b"")
    empties.pump()
    assert empties.went_away == int(ErrorCodes.ENHANCE_YOUR_CALM)
    assert empties.servers[0].left == 1


async def test_dribbles_end_the_connection() -> None:
    limits = Http2Limits(small_burst=100, small_per_s=0)
    bodies = Client(None, limits)
    stream = bodies.open(get(b"/", b"POST"), end=False)
    bodies.pump()
    bodies.servers[0].peer.pause("session")
    for _ in range(120):
        bodies.h2.send_data(stream, b"x")
    bodies.pump()
    assert bodies.went_away == int(ErrorCodes.ENHANCE_YOUR_CALM)
    windows = Client(None, limits)
    windows.open(get())
    for _ in range(120):
        windows.h2.increment_flow_control_window(1)
    windows.pump()
    assert windows.went_away == int(ErrorCodes.ENHANCE_YOUR_CALM)


async def test_a_connection_without_streams_ends_after_a_while() -> None:
    client = Client(echo, Http2Limits(idle_timeout_s=0.01))
    client.open(get())
    client.pump()
    await asyncio.wait_for(client.end.wait(), 10)
    client.pump()
    assert client.went_away == int(ErrorCodes.NO_ERROR)
    assert client.servers[0].left == 1


async def test_going_away_waits_for_the_streams_that_there_are() -> None:
    client = Client(None)
    stream = client.open(get())
    client.pump()
    client.connection.go_away()
    late = client.open(get())
    client.pump()
    assert client.resets == {late: int(ErrorCodes.REFUSED_STREAM)}
    assert not client.socket.closed
    client.servers[0].peer.write(answer_of(b"done"))
    client.pump()
    assert bytes(client.bodies[stream]) == b"done"
    assert client.socket.closed


# ---------------------------------------------------------------- what is no request


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (get(b"/", b"GET", (b"Upper", b"x")), b"400"),
        (get(b"/", b"GET", (b"x", b"a\r\nb: c")), b"400"),
        (get(b"/", b"GET", (b"x", b"a\x00")), b"400"),
        (get(b"/", b"GET", (b"x", b" a")), b"400"),
        (get(b"/", b"GET", (b"x y", b"a")), b"400"),
        (get(b"/", b"GET", (b"", b"a")), b"400"),
        (get(b"/", b"GET", (b"connection", b"close")), b"400"),
        (get(b"/", b"GET", (b"transfer-encoding", b"chunked")), b"400"),
        (get(b"/", b"GET", (b"upgrade", b"h2c")), b"400"),
        (get(b"/", b"GET", (b"te", b"gzip")), b"400"),
        (get(b"/", b"GET", (b":path", b"/other")), b"400"),
        (get(b"/", b"GET", (b"x", b"y"), (b":protocol", b"websocket")), b"400"),
        (get(b"/", b"GET", (b"host", b"other.example")), b"400"),
        (get(b""), b"400"),
        (get(b"*"), b"400"),
        (get(b"http://x/"), b"400"),
        (get(b"/a b"), b"400"),
        (get(b"/a\r\nb"), b"400"),
        (get(b"/", b"GE T"), b"400"),
        (get()[1:], b"400"),
        (get()[:3], b"400"),
        ([get()[0], (b":scheme", b"ftp"), *get()[2:]], b"400"),
        ([*get()[:2], get()[3]], b"400"),
        ([get()[0], *get()], b"400"),
        ([(b":method", b"CONNECT"), (b":authority", b"db.example:5432")], b"405"),
    ],
)
async def test_what_is_no_request(fields: Fields, status: bytes) -> None:
    client = Client(validate=False)
    bad, good = client.open(fields), client.open(get(b"/good"))
    client.pump()
    assert client.status(bad) == status
    assert client.heads[bad][0][b"content-type"] == b"application/problem+json"
    assert [head.target for server in client.servers for head in server.heads] == [b"/good"]
    assert bytes(client.bodies[good]) == b"/good"


async def test_a_client_that_takes_nothing_is_not_told_why() -> None:
    client = Client(validate=False, window=5)
    bad = client.open(get(b"no path"))
    client.pump()
    assert client.resets == {bad: int(ErrorCodes.PROTOCOL_ERROR)}


async def test_a_host_that_agrees_and_one_in_the_place_of_the_authority() -> None:
    client = Client(validate=False)
    client.open(get(b"/a", b"GET", (b"host", b"Gateway.Example")))
    client.open([*get(b"/b")[:2], get(b"/b")[3], (b"host", b"gateway.example")])
    client.pump()
    hosts = [dict(head.headers)[b"host"] for server in client.servers for head in server.heads]
    assert hosts == [b"gateway.example", b"gateway.example"]


async def test_a_body_that_is_not_as_long_as_it_says_ends_the_connection() -> None:
    for body in (b"too long", b"x"):
        client = Client(None)
        client.open(get(b"/", b"POST", (b"content-length", b"3")), body)
        client.pump()
        assert client.went_away == int(ErrorCodes.PROTOCOL_ERROR)
        assert client.servers == []


async def test_trailers_that_are_none_reset_the_stream() -> None:
    client = Client(None, validate=False)
    stream = client.open(get(b"/", b"POST"), b"x", end=False)
    client.h2.send_headers(stream, [(b"x", b"a\r\nb")], end_stream=True)
    client.pump()
    assert client.resets == {stream: int(ErrorCodes.PROTOCOL_ERROR)}
    assert client.servers[0].left == 1


async def test_fields_that_are_too_long_together_end_the_connection() -> None:
    client = Client(None)
    stream = client.h2.get_next_available_stream_id()
    client.h2.send_headers(
        stream, get(b"/", b"GET", *((b"x-%d" % n, bytes(1000).replace(b"\0", b"y")) for n in range(100)))
    )
    client.pump()
    assert client.went_away is not None
    assert client.socket.closed
    assert client.servers == []
