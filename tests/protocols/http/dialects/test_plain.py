import gzip
import json
from collections.abc import Mapping

import pytest

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import EndpointSettings, HttpTarget
from interlock.protocols.http.dialects.base import Request
from interlock.protocols.http.dialects.plain import PlainDialect
from interlock.protocols.http.dialects.readings import MAX_KEPT
from tests.protocols.http.dialects.requests import request

_ENDPOINTS = {"volume": "/volumes/{id}", "volumes": "/volumes", "files": "/files/**"}


def _dialect(endpoints: Mapping[str, str] = _ENDPOINTS) -> PlainDialect:
    return PlainDialect(HttpTarget(endpoints={name: EndpointSettings(path=path) for name, path in endpoints.items()}))


def _of(dialect: PlainDialect, asked: Request) -> Meaning:
    return dialect.read(asked, None).meaning


def _meaning(asked: Request) -> Meaning:
    return _of(_dialect(), asked)


def _http(meaning: Meaning) -> Mapping[str, object]:
    http = meaning.facts["http"]
    assert isinstance(http, Mapping)
    return http


def test_a_request_on_an_endpoint() -> None:
    meaning = _meaning(request("DELETE", "/volumes/7", query=(("force", "1"),)))
    assert meaning.verb == "DELETE /volumes/{id}"
    assert meaning.accesses == (Access("http-delete", ResourceKind.ENDPOINT, ("volume",)),)
    assert meaning.refusal is None
    assert _http(meaning) == {
        "method": "DELETE",
        "path": "/volumes/7",
        "host": "api.example",
        "content_type": "",
        "query": ("force",),
        "fields": (),
        "body": (),
    }


def test_a_request_on_no_endpoint_is_on_the_connection_and_its_path_is_not_shown() -> None:
    meaning = _meaning(request("GET", "/users/alice@example.com"))
    assert meaning.verb == "GET"
    assert meaning.accesses == (Access("http-get", ResourceKind.CONNECTION),)


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("GET", "http-get"),
        ("HEAD", "http-head"),
        ("PATCH", "http-patch"),
        ("get", "http-other"),
        ("PURGE", "http-other"),
    ],
)
def test_methods_are_actions(method: str, action: str) -> None:
    assert _meaning(request(method)).accesses[0].action == action


def test_an_upgrade_to_websocket_is_an_action_of_its_own() -> None:
    headers = ((b"connection", b"Upgrade"), (b"upgrade", b"WebSocket"))
    assert _meaning(request("GET", "/volumes", headers=headers)).accesses == (
        Access("http-websocket", ResourceKind.ENDPOINT, ("volumes",)),
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"name": "a", "size": 10}'),
        ("application/merge-patch+json; charset=utf-8", b'{"name": "a", "size": 1e1}'),
        ("application/x-www-form-urlencoded", b"name=a&size=10"),
        ("text/plain", b'  {"name": "a", "size": 10.0}'),
        ("", b'{"name": "a", "size": 10}'),
    ],
)
def test_the_body_is_read(content_type: str, body: bytes) -> None:
    asked = request("POST", "/volumes", content_type=content_type, body=body)
    assert _dialect().wants_body(asked)
    http = _http(_meaning(asked))
    assert (http["fields"], http["body"]) == (("/name", "/size"), ("/name=a", "/size=10"))


def test_a_multipart_body_is_read() -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n--b--'
    asked = request("POST", "/volumes", content_type="multipart/form-data; boundary=b", body=body)
    assert _http(_meaning(asked))["body"] == ("/name=a",)


@pytest.mark.parametrize("content_type", ["image/png", "application/grpc", "text/csv"])
def test_other_bodies_stream(content_type: str) -> None:
    assert not _dialect().wants_body(request("POST", "/volumes", content_type=content_type))


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        ("application/json", b"{", "not valid JSON"),
        ("application/json", b'{"a": 1, "a": 2}', "twice"),
        ("application/x-www-form-urlencoded", b"a=%", "percent"),
        ("multipart/form-data", b"", "boundary"),
        ("application/json; charset=utf-7", b'{"a": 1}', "charset"),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=1", "charset"),
        ("application/json; charset=utf-8; charset=utf-7", b'{"a": 1}', "twice"),
    ],
)
def test_what_cannot_be_read_is_refused(content_type: str, body: bytes | None, why: str) -> None:
    meaning = _meaning(request("POST", "/volumes", content_type=content_type, body=body, has_body=True))
    assert meaning.refusal is not None
    assert why in meaning.refusal
    assert meaning.accesses == (Access("http-post", ResourceKind.ENDPOINT, ("volumes",)),)


def test_no_body_is_nothing_to_refuse() -> None:
    for body in (None, b""):
        asked = request("DELETE", "/volumes/1", content_type="application/octet-stream", body=body, has_body=False)
        assert _meaning(asked).refusal is None


def test_a_declared_but_empty_json_body_is_no_json() -> None:
    asked = request("POST", "/volumes", content_type="application/json", body=b"")
    assert _meaning(asked).refusal is None


def test_text_that_only_begins_like_json_is_text() -> None:
    meaning = _meaning(request("POST", "/volumes", content_type="text/plain", body=b"[draft] hello"))
    assert (meaning.refusal, _http(meaning)["fields"]) == (None, ())


@pytest.mark.parametrize(
    "name", ["_method", "_METHOD", " _method", "[method", ".method", "_method\0x", "X-HTTP-Method"]
)
def test_a_method_in_the_query_is_refused(name: str) -> None:
    meaning = _meaning(request("POST", "/volumes", query=((name, "DELETE"),)))
    assert meaning.refusal is not None
    assert "would change the method" in meaning.refusal


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"a=1&%5Fmethod=DELETE"),
        ("application/json", b'{"_method": "DELETE"}'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="_method"\r\n\r\na\r\n--b--'),
    ],
)
def test_a_method_in_the_body_is_refused(content_type: str, body: bytes) -> None:
    meaning = _meaning(request("POST", "/volumes", content_type=content_type, body=body))
    assert meaning.refusal is not None
    assert "would change the method" in meaning.refusal


def test_a_field_that_only_looks_like_a_method_is_none() -> None:
    asked = request("POST", "/volumes", content_type="application/json", body=b'{"payment": {"_method": "card"}}')
    assert _meaning(asked).refusal is None


def test_equal_requests_have_the_identical_meaning() -> None:
    dialect = _dialect()
    first = request(
        "POST", "/volumes", content_type="application/json", body=b'{"a": 1}', headers=((b"traceparent", b"1"),)
    )
    again = request(
        "POST", "/volumes", content_type="application/json", body=b'{"a": 1}', headers=((b"traceparent", b"2"),)
    )
    other = request("POST", "/volumes", content_type="application/json", body=b'{"a": 2}')
    assert _of(dialect, first) is _of(dialect, again)
    assert _of(dialect, first) is not _of(dialect, other)


def test_of_meanings_only_so_many_are_kept() -> None:
    dialect = _dialect()
    first = _of(dialect, request("GET", "/volumes/0"))
    for number in range(1, MAX_KEPT + 1):
        _of(dialect, request("GET", f"/volumes/{number}"))
    assert _of(dialect, request("GET", "/volumes/0")) is not first


def test_endpoints_that_contradict_one_another_are_an_error() -> None:
    with pytest.raises(ValueError, match="same paths"):
        _dialect({"a": "/x/{a}", "b": "/x/{b}"})


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        ("application/json", None, "longer than what is read"),
        ("application/x-www-form-urlencoded", None, "longer than what is read"),
        ("multipart/form-data; boundary=b", None, "longer than what is read"),
        ("text/plain", None, "longer than what is read"),
        ("application/json", json.dumps(list(range(2000))).encode(), "more than 1000 different values"),
        ("application/json", b"[" + b" " * (1 << 20) + b"]", "longer than"),
        ("application/json", b"[" * 100 + b"]" * 100, "levels deep"),
        ("text/plain", b'{"a": 1, "a": 2}', "not declared to be JSON"),
        ("text/plain", b'\xef\xbb\xbf{"a": 1}', "not declared to be JSON"),
    ],
)
def test_what_is_too_much_to_be_read_is_for_policy_to_refuse(content_type: str, body: bytes | None, why: str) -> None:
    meaning = _meaning(request("POST", "/volumes", content_type=content_type, body=body, has_body=True))
    assert meaning.refusal is None
    assert why in str(meaning.facts["unread"])


def test_what_policy_knows_of_has_been_read() -> None:
    for content_type, body in (("image/png", None), ("application/json", b"{}"), ("text/plain", b"hello")):
        meaning = _meaning(request("POST", "/volumes", content_type=content_type, body=body, has_body=True))
        assert "unread" not in meaning.facts


def test_a_coded_body_is_read_without_its_coding() -> None:
    def coded(body: bytes, coding: bytes = b"gzip") -> Request:
        headers = ((b"content-encoding", coding),)
        return request("POST", "/volumes", content_type="application/json", body=body, headers=headers)

    assert _http(_meaning(coded(gzip.compress(b'{"a": 1}'))))["body"] == ("/a=1",)
    for asked in (coded(b"no gzip"), coded(b"{}", b"compress"), coded(gzip.compress(b"{}")[:-1])):
        refusal = _meaning(asked).refusal
        assert refusal is not None
        assert "cannot be decoded" in refusal
    assert "unread" in _meaning(coded(gzip.compress(b" " * (8 << 20)))).facts
    first = _dialect()
    assert first.read(coded(b"{}", b"identity"), None).meaning is not first.read(coded(b"{}", b"br"), None).meaning
