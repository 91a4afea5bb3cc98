"""Hostile requests before a target that keeps every byte: refused, or forwarded as exactly what was decided."""

from collections.abc import Iterator

import h11
import pytest

from tests.e2e.hostile.paths import PATHS
from tests.e2e.hostile.requests import REQUESTS, Hostile
from tests.e2e.hostile.talking import CANARY, statuses, talk, written
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.scripted_target import ScriptedTarget

POLICY = """
@id("all") permit (principal, action, resource);
@id("no-delete") forbid (principal, action == Action::"http-delete", resource);
"""
HOST = b"target.test"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORWARDED = {name: entry for name, entry in REQUESTS.items() if entry.forwarded}
CANARY_FORWARDED = b"GET /canary HTTP/1.1\r\n\r\n"


@pytest.fixture(scope="module")
def target() -> Iterator[ScriptedTarget]:
    with ScriptedTarget({}, otherwise=(OK,)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget) -> Iterator[GatewayServer]:
    extra = http_target("open", target.port, f"host_header = '{HOST.decode()}'") + http_target("other", target.port)
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


class Seen:
    """What the target gets while this is open, on one connection at most."""

    def __init__(self, target: ScriptedTarget) -> None:
        self._target = target
        self._before = len(target.streams)

    def bytes(self) -> bytes:
        new = self._target.streams[self._before :]
        assert len(new) <= 1
        return b"".join(map(bytes, new)).replace(b"host: " + HOST + b"\r\n", b"")


def requests_in(stream: bytes) -> list[bytes]:
    """The requests of a stream as h11 tells them apart: each a method and a target."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(stream)
    found = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            found.append(event.method + b" " + event.target)
        elif isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
        elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
            return found


@pytest.mark.parametrize("entry", REQUESTS.values(), ids=REQUESTS)
def test_requests(gateway: GatewayServer, target: ScriptedTarget, entry: Hostile) -> None:
    seen = Seen(target)
    answers = talk(gateway, written(entry.request + CANARY, gateway, "open"))
    assert statuses(answers) == entry.statuses + (() if entry.closes else (200,))
    expected = b"".join(entry.forwarded) + (b"" if entry.closes else CANARY_FORWARDED)
    assert seen.bytes() == expected


@pytest.mark.parametrize("entry", FORWARDED.values(), ids=FORWARDED)
def test_an_independent_reader_sees_as_many_requests(
    gateway: GatewayServer, target: ScriptedTarget, entry: Hostile
) -> None:
    before = len(target.streams)
    talk(gateway, written(entry.request + CANARY, gateway, "open"))
    stream = bytes(target.streams[before])
    wanted = [*(b" ".join(one.split(b" ")[:2]) for one in entry.forwarded), *([] if entry.closes else [b"GET /canary"])]
    assert requests_in(stream) == wanted


@pytest.mark.parametrize(("path", "canonical"), PATHS.items(), ids=PATHS)
def test_paths(gateway: GatewayServer, target: ScriptedTarget, path: str, canonical: str | None) -> None:
    seen = Seen(target)
    request = b"GET @P" + path.encode("latin-1") + b" HTTP/1.1\r\n@T\r\n\r\n"
    answers = talk(gateway, written(request + CANARY, gateway, "open"))
    if canonical is None:
        assert (statuses(answers), seen.bytes()) == ((400,), b"")
    else:
        assert statuses(answers) == (200, 200)
        assert seen.bytes() == f"GET {canonical} HTTP/1.1\r\n\r\n".encode() + CANARY_FORWARDED


def test_no_path_leads_to_another_connection(gateway: GatewayServer, target: ScriptedTarget) -> None:
    climbs = ("..", "%2e%2e", "..;", ".%2e", "..%00", "%c0%ae%c0%ae", "..%2f..")
    for climb in climbs:
        before = len(target.streams)
        answers = talk(gateway, written(f"GET @P/{climb}/other/x HTTP/1.1\r\n@T\r\n\r\n".encode(), gateway, "open"))
        assert statuses(answers) == (400,)
        assert len(target.streams) == before


@pytest.mark.parametrize(
    ("path", "status"), [(b"/" + b"a" * 17_000, 414), (b"/a?" + b"&".join(b"k%d=1" % n for n in range(1001)), 400)]
)
def test_long_targets(gateway: GatewayServer, target: ScriptedTarget, path: bytes, status: int) -> None:
    seen = Seen(target)
    answers = talk(gateway, written(b"GET @P" + path + b" HTTP/1.1\r\n@T\r\n\r\n" + CANARY, gateway, "open"))
    assert (statuses(answers), seen.bytes()) == ((status,), b"")


def test_nothing_of_it_was_an_error_of_the_gateway(gateway: GatewayServer) -> None:
    """Runs last: whatever was sent above is an event for its client, not one for the operator."""
    assert '"level": "error"' not in gateway.log()
