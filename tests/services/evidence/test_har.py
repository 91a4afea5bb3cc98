"""Sessions over HTTP as HTTP Archives."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.adapters.evidence import Gateway, PlainSealer, closed, decided, opened, operation, session_id
from tests.services.evidence.har_schema import Log, read_har

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.bootstrap.interpretation import new_transcript
from interlock.core.errors import EvidenceError
from interlock.core.ledger import OperationCompleted
from interlock.protocols.base import Side
from interlock.protocols.http.websocket.recorded import recorded
from interlock.protocols.http.websocket.values import Kind, Message
from interlock.services.evidence import EvidenceService
from interlock.services.evidence.formats import session_sql
from interlock.services.evidence.har import session_har

_HEAD = b"%s HTTP/1.1\r\nhost: api.example\r\n"


class Recorded:
    """A session over HTTP that is written down as it goes."""

    def __init__(self, gateway: Gateway) -> None:
        self.session = session_id(1)
        self._gateway = gateway
        self._recorder = gateway.recordings.open(self.session, "http")
        gateway.ledger.append(
            msgspec.structs.replace(opened(self.session, self._recorder.wrapped_key), protocol="http")
        )
        self._number = 0

    def ask(self, line: bytes, body: bytes = b"", kind: bytes = b"", decision: str = "allowed") -> None:
        self._number += 1
        self.ask_again(line, body, kind, decision)

    def ask_again(self, line: bytes, body: bytes = b"", kind: bytes = b"", decision: str = "allowed") -> None:
        head = _HEAD % line + (b"content-type: " + kind + b"\r\n" if kind else b"")
        self._decide(head, body, decision)

    def ask_as(self, text: bytes) -> None:
        self._number += 1
        self._decide(text, b"", "allowed")

    def _decide(self, text: bytes, body: bytes, decision: str) -> None:
        self._gateway.clock.at_s += 0.25
        asked = operation(self._number, text, body)
        record = decided(
            self.session, self._number, self._recorder.seal(asked), decision=decision, digest=asked.digest()
        )
        self._gateway.ledger.append(record)

    def answer(self, data: bytes) -> None:
        self._gateway.clock.at_s += 0.25
        self._recorder.answer(self._number, data)

    def send(self, data: bytes) -> None:
        self._gateway.clock.at_s += 0.25
        self._recorder.request(self._number, data)

    def complete(self, masked: int = 0) -> None:
        outcome = OperationCompleted(self.session, self._number, "completed", "200", "", 0, 10, masked, tokens=7)
        self._gateway.ledger.note(outcome)

    def end(self) -> None:
        self._recorder.close()
        self._gateway.recordings.tick()
        self._gateway.recordings.drain()
        self._gateway.ledger.note(closed(self.session))
        self._gateway.ledger.checkpoint()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    gateway.policy()
    yield gateway
    gateway.close()


def _archive(gateway: Gateway, session: str) -> bytes:
    store = FileEvidenceStore()
    keys = WrappedSessionKeys(PlainSealer())
    return b"".join(
        session_har(EvidenceService(store.archive(gateway.directory), keys, new_transcript, store), session)
    )


def _log(gateway: Gateway, recorded_session: Recorded) -> Log:
    recorded_session.end()
    return read_har(_archive(gateway, recorded_session.session))


def test_an_exchange(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask(b"GET /users?q=a%20b&q=")
    session.answer(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"email":')
    session.answer(b'"***"}')
    session.complete(masked=1)
    (entry,) = _log(gateway, session).entries
    assert entry.request.url == "https://api.example/users?q=a%20b&q="
    assert [(pair.name, pair.value) for pair in entry.request.queryString] == [("q", "a b"), ("q", "")]
    assert (entry.response.status, entry.response.statusText, entry.response.content.mimeType) == (
        200,
        "OK",
        "application/json",
    )
    assert (entry.response.content.text, entry.response.content.size) == ('{"email":"***"}', 15)
    assert (entry.timings.send, entry.timings.wait, entry.timings.receive) == (0, 250, 250)
    own = json.loads(_archive(gateway, session.session))["log"]["entries"][0]["_interlock"]
    assert (own["number"], own["decision"], own["rules"], own["masked_values"], own["tokens"]) == (
        1,
        "allowed",
        ["read"],
        1,
        7,
    )


def test_bodies_of_requests(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask(b"POST /a", b'{"x": 1}', b"application/json")
    session.ask(b"POST /b", b"x=1&y=a+b", b"application/x-www-form-urlencoded; charset=utf-8")
    session.ask(b"POST /c", b"\xff\x00", b"image/png")
    session.ask(b"POST /d", b"", b"text/plain")
    session.send(b"streamed")
    first, second, third, fourth = (entry.request for entry in _log(gateway, session).entries)
    assert msgspec.to_builtins(first.postData) == {"mimeType": "application/json", "text": '{"x": 1}'}
    assert msgspec.to_builtins(second.postData)["params"] == [
        {"name": "x", "value": "1"},
        {"name": "y", "value": "a b"},
    ]
    assert msgspec.to_builtins(third.postData)["text"] == "/wA="
    assert (msgspec.to_builtins(fourth.postData)["text"], fourth.bodySize) == ("streamed", 8)


def test_a_refusal_has_no_status_and_what_was_held_comes_once(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask(b"DELETE /a", decision="denied")
    session.ask(b"DELETE /b", decision="held")
    session.ask_again(b"DELETE /b")
    session.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    log = _log(gateway, session)
    assert [(entry.request.method, entry.response.status) for entry in log.entries] == [("DELETE", 0), ("DELETE", 204)]
    owns = [entry["_interlock"] for entry in json.loads(_archive(gateway, session.session))["log"]["entries"]]
    assert [(own["decision"], own["message"]) for own in owns] == [("denied", "no rule permits it"), ("allowed", "")]


def test_binary_answers_are_base64(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask(b"GET /image")
    session.answer(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n\x89PNG\xff")
    (entry,) = _log(gateway, session).entries
    assert (entry.response.content.encoding, entry.response.content.text) == ("base64", "iVBOR/8=")


def test_messages_of_a_websocket(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask(b"GET /socket")
    session.answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    session.send(recorded(Message(Side.TARGET, Kind.TEXT, b"hello")))
    session.answer(recorded(Message(Side.CLIENT, Kind.BINARY, b"\xff")))
    _log(gateway, session)
    messages = json.loads(_archive(gateway, session.session))["log"]["entries"][0]["_webSocketMessages"]
    assert [(one["type"], one["opcode"], one["data"]) for one in messages] == [
        ("send", 1, "hello"),
        ("receive", 2, "/w=="),
    ]
    assert messages[1]["time"] - messages[0]["time"] == pytest.approx(0.25, abs=1e-3)


def test_a_tunnel_is_where_it_leads_to(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.ask_as(b"outside.example:443")
    (entry,) = _log(gateway, session).entries
    assert (entry.request.method, entry.request.url) == ("CONNECT", "https://outside.example:443")


def test_it_is_no_script_of_statements(gateway: Gateway) -> None:
    session = Recorded(gateway)
    session.end()
    store = FileEvidenceStore()
    keys = WrappedSessionKeys(PlainSealer())
    evidence = EvidenceService(store.archive(gateway.directory), keys, new_transcript, store)
    with pytest.raises(EvidenceError, match="export it as har"):
        list(session_sql(evidence, session.session))


def test_an_empty_session_is_an_empty_archive(gateway: Gateway) -> None:
    assert _log(gateway, Recorded(gateway)).entries == []


def test_a_session_of_another_protocol_has_none(gateway: Gateway) -> None:
    session = gateway.session(2, [(b"select 1", b"")])
    with pytest.raises(EvidenceError, match="not made of HTTP exchanges"):
        _archive(gateway, session)
