"""HTTP/1.1 through a running gateway, byte by byte: what a client sends and gets, what the target gets and sends."""

import json
import socket
from collections.abc import Iterator
from typing import Self

import pytest

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, ResponseHead
from interlock.protocols.http.wire.responses import ResponseParser
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.scripted_target import CUT, Script, ScriptedTarget, Step

TIMEOUT_S = 20
POLICY = """
@id("all") permit (principal, action, resource);
@id("no-put") forbid (principal, action == Action::"http-put", resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
OK = b"HTTP/1.1 200 OK\r\n"
DOCUMENT = b'{"id": 7, "email": "ada@example.com"}'
WITH_DOCUMENT = b"Content-Type: application/json\r\nETag: abc\r\nAccept-Ranges: bytes\r\nContent-Length: 37\r\n\r\n"
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Range: bytes 0-3/37\r\n"


def sized(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def target() -> Iterator[ScriptedTarget]:
    answers: dict[bytes, Script] = {
        b"/hello": (sized(b"hello"),),
        b"/document": (OK + WITH_DOCUMENT + DOCUMENT,),
        b"/part": (PART + b'Content-Length: 4\r\n\r\n{"id',),
        b"/trailers": (
            OK + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
            b"25\r\n" + DOCUMENT + b"\r\n0\r\nX-Sum: 42\r\nX-Email: ada@example.com\r\n\r\n",
        ),
        b"/until-close": (OK + b"Content-Type: text/plain\r\n\r\nall ", b"of it", CUT),
        b"/interim": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", sized(b"late")),
        b"/empty": (b"HTTP/1.1 204 No Content\r\n\r\n",),
        b"/unchanged": (b"HTTP/1.1 304 Not Modified\r\nETag: abc\r\n\r\n",),
        b"/cut-sized": (OK + b"Content-Length: 100\r\n\r\nonly this", CUT),
        b"/cut-chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n", CUT),
        b"/cut-at-once": (CUT,),
        b"/two-answers": (sized(b"one") + sized(b"two"),),
    }
    with ScriptedTarget(answers) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget) -> Iterator[GatewayServer]:
    extra = http_target("open", target.port, "max_held_bytes = 65536") + http_target(
        "masked", target.port, "fields = { email = ['pii'] }"
    )
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


class Client:
    """A socket to the gateway. ``connection`` is whom requests are for."""

    def __init__(self, gateway: GatewayServer, connection: str = "open") -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.http_port), TIMEOUT_S)
        self._token = gateway.token()
        self._prefix = f"/c/{connection}"
        self._parser = ResponseParser()
        self._rest = b""
        self._at_end = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def head(self, path: str, *fields: str, method: str = "GET", minor: int = 1) -> bytes:
        lines = (
            f"{method} {self._prefix}{path} HTTP/1.{minor}",
            "Host: gateway",
            f"Authorization: Bearer {self._token}",
        )
        return "\r\n".join((*lines, *fields)).encode() + b"\r\n\r\n"

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, path: str, *fields: str, method: str = "GET") -> "Answer":
        """One request without a body, and its answer."""
        self.send(self.head(path, *fields, method=method))
        return self.answer(method)

    def answer(self, method: str = "GET") -> "Answer":
        """The next answer."""
        answer = Answer()
        self._begin(method)
        while not answer.complete:
            found = self._parser.next()
            if found is None:
                self._feed(answer)
            else:
                answer.take(found)
        self._rest = self._parser.take_rest()
        return answer

    def interim(self) -> ResponseHead:
        """The next interim answer."""
        self._begin("GET")
        while (found := self._parser.next()) is None:
            self._parser.feed(self._socket.recv(1 << 16))
        assert isinstance(found, ResponseHead)
        self._rest = self._parser.take_rest()
        return found

    def read_until(self, wanted: bytes) -> None:
        """Read until these bytes have come."""
        seen = b""
        while wanted not in seen:
            data = self._socket.recv(1 << 16)
            assert data, seen
            seen += data

    def at_end(self) -> bool:
        """Whether the gateway has closed, with nothing more to say."""
        return self._at_end or self._socket.recv(1) == b""

    def _begin(self, method: str) -> None:
        """Expect an answer, of which something may be here already."""
        self._parser = ResponseParser()
        self._parser.begin(method.encode())
        self._parser.feed(self._rest)

    def _feed(self, answer: "Answer") -> None:
        data = self._socket.recv(1 << 16)
        if data:
            self._parser.feed(data)
            return
        self._at_end = True
        end = self._parser.eof()
        assert end is not None
        answer.take(end)


class Answer:
    def __init__(self) -> None:
        self.interim: list[int] = []
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: dict[bytes, bytes] = {}
        self.cut = False
        self.complete = False

    def take(self, found: ResponseHead | BodyData | BodyEnd | BadMessage) -> None:
        if isinstance(found, ResponseHead) and found.status < 200:
            self.interim.append(found.status)
        elif isinstance(found, ResponseHead):
            self.status, self.fields = found.status, dict(found.headers)
        elif isinstance(found, BodyData):
            self.body += found.data
        else:
            self.complete = True
            self.cut = isinstance(found, BadMessage)
            if isinstance(found, BodyEnd):
                self.trailers = dict(found.trailers)


def test_many_requests_on_one_connection_use_one_of_the_target(gateway: GatewayServer, target: ScriptedTarget) -> None:
    before = target.connections
    with Client(gateway) as client:
        for _ in range(20):
            assert client.ask("/hello").body == b"hello"
    assert target.connections == before + 1


def test_pipelined_requests_are_answered_in_order(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(client.head("/hello") + client.head("/document") + client.head("/empty") + client.head("/hello"))
        answers = [client.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 204, 200]
    assert [answer.body for answer in answers] == [b"hello", DOCUMENT, b"", b"hello"]


def test_a_denial_within_a_pipeline_comes_in_its_turn(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(client.head("/hello") + client.head("/hello", method="PUT") + client.head("/hello"))
        assert [client.answer().status for _ in range(3)] == [200, 403, 200]


def test_a_client_that_closes(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        answer = client.ask("/hello", "Connection: close")
        assert answer.fields[b"connection"] == b"close"
        assert client.at_end()


def test_a_client_of_http_1_0(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(client.head("/trailers", minor=0))
        answer = client.answer()
        assert answer.body == DOCUMENT
        assert b"transfer-encoding" not in answer.fields
        assert client.at_end()


# ---------------------------------------------------------------- 100-continue


def test_a_client_that_waits_to_send_its_body(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with Client(gateway) as client:
        client.send(client.head("/hello", "Content-Length: 4", "Expect: 100-continue", method="POST"))
        assert client.interim().status == 100
        client.send(b"body")
        assert client.answer().body == b"hello"
    assert target.got[-1].body == b"body"
    assert b"expect" not in target.got[-1].fields


def test_a_long_body_is_asked_for_when_it_was_permitted(gateway: GatewayServer, target: ScriptedTarget) -> None:
    size = 200_000
    fields = (f"Content-Length: {size}", "Content-Type: application/octet-stream", "Expect: 100-continue")
    with Client(gateway) as client:
        client.send(client.head("/hello", *fields, method="POST"))
        assert client.interim().status == 100
        client.send(bytes(size))
        assert client.answer().body == b"hello"
    assert len(target.got[-1].body) == size
    with Client(gateway) as client:
        client.send(client.head("/hello", *fields, method="PUT"))
        answer = client.answer()
        assert (answer.status, answer.interim) == (403, [])
        assert client.at_end()


def test_an_expectation_that_cannot_be_met(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        client.send(client.head("/hello", "Content-Length: 4", "Expect: miracles", method="POST"))
        assert client.answer().status == 417


# ---------------------------------------------------------------- bodies


def test_heads_have_no_body(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        answer = client.ask("/document", method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert client.ask("/hello").body == b"hello"


@pytest.mark.parametrize(("path", "status"), [("/empty", 204), ("/unchanged", 304)])
def test_answers_without_a_body(gateway: GatewayServer, path: str, status: int) -> None:
    with Client(gateway) as client:
        answer = client.ask(path)
        assert (answer.status, answer.body) == (status, b"")
        assert client.ask("/hello").body == b"hello"


def test_a_body_that_ends_with_the_connection_gets_an_end(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        answer = client.ask("/until-close")
        assert answer.body == b"all of it"
        assert answer.fields[b"transfer-encoding"] == b"chunked"
        assert client.ask("/hello").body == b"hello"


def test_chunked_requests(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with Client(gateway) as client:
        client.send(client.head("/hello", "Transfer-Encoding: chunked", method="POST"))
        for part in (b"5;a=b\r\nhello\r\n", b"1", b"\r\n \r\n", b"5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n"):
            client.send(part)
        assert client.answer().body == b"hello"
    assert target.got[-1].body == b"hello world"


def test_trailers_of_an_answer(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        answer = client.ask("/trailers")
        assert answer.body == DOCUMENT
        assert answer.trailers[b"x-sum"] == b"42"
    with Client(gateway, "masked") as client:
        answer = client.ask("/trailers")
        assert json.loads(answer.body)["id"] == 7
        assert not [value for value in (answer.body, *answer.trailers.values()) if b"example.com" in value]


def test_interim_answers_of_the_target(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        assert client.ask("/interim").body == b"late"
        assert client.ask("/hello").body == b"hello"


def test_parts_of_a_document(gateway: GatewayServer, target: ScriptedTarget) -> None:
    with Client(gateway) as client:
        answer = client.ask("/part", "Range: bytes=0-3", 'If-Range: "abc"')
        assert (answer.status, answer.fields[b"content-range"]) == (206, b"bytes 0-3/37")
    assert target.got[-1].fields[b"range"] == b"bytes=0-3"
    with Client(gateway, "masked") as client:
        answer = client.ask("/document", "Range: bytes=0-3", 'If-None-Match: "abc"')
        assert json.loads(answer.body)["id"] == 7
        assert b"example.com" not in answer.body
        assert not answer.fields.keys() & {b"etag", b"accept-ranges", b"content-range"}
    assert not target.got[-1].fields.keys() & {b"range", b"if-range", b"if-none-match"}
    with Client(gateway, "masked") as client:
        answer = client.ask("/part")
        assert answer.status != 206
        assert b'{"id' not in answer.body


@pytest.mark.parametrize("connection", ["open", "masked"])
def test_an_answer_comes_as_it_is_sent(gateway: GatewayServer, target: ScriptedTarget, connection: str) -> None:
    first, second = Step(), Step()
    head = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    target.answers[b"/steps"] = (
        head + b"9\r\ndata: 1\n\n\r\n",
        first,
        b"9\r\ndata: 2\n\n\r\n",
        second,
        b"0\r\n\r\n",
    )
    with Client(gateway, connection) as client:
        client.send(client.head("/steps"))
        client.read_until(b"data: 1")
        first.go()
        client.read_until(b"data: 2")
        second.go()
        client.read_until(b"0\r\n\r\n")


# ---------------------------------------------------------------- targets that break off


@pytest.mark.parametrize(("path", "part"), [("/cut-sized", b"only this"), ("/cut-chunked", b"only")])
def test_a_target_that_breaks_off_is_not_made_whole(gateway: GatewayServer, path: str, part: bytes) -> None:
    with Client(gateway) as client:
        answer = client.ask(path)
        assert answer.cut
        assert part.startswith(answer.body)
        assert client.at_end()


def test_a_target_that_says_nothing(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        answer = client.ask("/cut-at-once")
        assert answer.status == 502
        assert client.ask("/hello").body == b"hello"


def test_a_second_answer_that_nobody_asked_for_goes_to_nobody(gateway: GatewayServer) -> None:
    with Client(gateway) as client:
        assert client.ask("/two-answers").body == b"one"
        assert client.ask("/hello").body == b"hello"
