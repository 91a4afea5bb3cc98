"""Requests that are wrong in every way: a problem that says what is wrong, nothing done, nobody else is hurt."""

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPResponse

import pytest

from tests.e2e.api_callers import POLICY, ROLES, person
from tests.servers.api import Answer, ApiClient
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

OPTIONS = GatewayOptions(policy=POLICY, api_extra="requests_per_minute = 100000")
MIB = 1 << 20
JSON = "application/json"


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


@pytest.fixture
def client(gateway: GatewayServer) -> Iterator[ApiClient]:
    """Somebody who may do everything; afterwards the gateway is as well as before."""
    everybody = person(gateway, *ROLES)
    yield everybody
    assert everybody.get("/v1/whoami").status == 200
    assert everybody.get("/v1/identities").json == []


def assert_problem(answer: Answer, status: int, words: str = "") -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.body
    problem = answer.json
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert words in problem["detail"]


BODIES = {
    "no JSON": (b"nonsense", 400, "not JSON"),
    "half": (b'{"kind": "ag', 400, "not JSON"),
    "two": (b'{"kind": "agent"}{}', 400, "not JSON"),
    "a list": (b"[]", 400, "must be a JSON object"),
    "a text": (b'"agent"', 400, "must be a JSON object"),
    "no UTF-8": (b'{"kind": "\xff"}', 400, "not JSON"),
    "half a surrogate pair": (b'{"kind": "agent", "owner": "\\ud800"}', 400, "not JSON"),
    "not a number": (b'{"kind": NaN}', 400, "not JSON"),
    "a member twice": (b'{"kind": "agent", "kind": "user"}', 400, "twice"),
    "deep": (b'{"kind": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "not JSON"),
    "deep objects": (b'{"kind":' * 50_000 + b"1" + b"}" * 50_000, 400, "not JSON"),
    "endless digits": (b'{"kind": ' + b"9" * 100_000 + b"}", 400, "not JSON"),
    "nothing": (b"{}", 422, "kind"),
    "unknown": (b'{"kind": "agent", "color": "red"}', 422, "'color'"),
    "unknown with a long name": (b'{"kind": "agent", "' + b"x" * 1000 + b'": 1}', 422, "allowed: kind"),
    "the path's field": (b'{"kind": "agent", "name": "other"}', 422, "'name'"),
    "the tag": (b'{"kind": "agent", "command": "locks.add"}', 422, "'command'"),
    "wrong type": (b'{"kind": 7}', 422, "$.kind"),
    "wrong value": (b'{"kind": "robot"}', 422, "$.kind"),
    "null": (b'{"kind": "agent", "groups": null}', 422, "$.groups"),
    "number as text": (b'{"kind": "agent", "replace": "true"}', 422, "$.replace"),
    "too large": (b'{"kind": "agent", "owner": "' + b"x" * MIB + b'"}', 413, "1048576"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_wrong_is_refused(client: ApiClient, case: str) -> None:
    body, status, words = BODIES[case]
    assert_problem(client.request("PUT", "/v1/identities/bot", body), status, words)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""])
def test_a_body_that_is_no_json_by_name_is_refused(client: ApiClient, kind: str) -> None:
    answer = client.request("PUT", "/v1/identities/bot", b'{"kind": "agent"}', Content_Type=kind)
    assert_problem(answer, 415, JSON)


def test_a_content_type_may_have_parameters(client: ApiClient) -> None:
    body = b'{"kind": "agent"}'
    assert (
        client.request("PUT", "/v1/identities/bot", body, Content_Type="Application/JSON; charset=utf-8").status == 200
    )
    assert client.request("DELETE", "/v1/identities/bot").status == 200


PATHS = {
    "/": 404,
    "/v1": 404,
    "/v1/": 404,
    "/v2/whoami": 404,
    "/v1/whoami/": 404,
    "//v1/whoami": 404,
    "/v1//whoami": 404,
    "/V1/whoami": 404,
    "/v1/./whoami": 404,
    "/v1/identities/../whoami": 404,
    "/v1/identities/..%2fwhoami": 404,
    "/v1/identities/%2e%2e/whoami": 404,
    "/v1/%77hoami": 404,
    "/v1/identities/a/b": 404,
    "/v1/identities/a%2Fb": 404,
    "/v1/identities/%00": 404,
    "/v1/identities/%ff": 422,
    "/v1/identities/%c0%af": 422,
    "/v1/identities/%": 404,
    "/v1/identities/%zz": 404,
    "/v1/sessions/%2e%2e%2f%2e%2e%2fetc%2fpasswd": 404,
    "/v1/sessions/..%5c..": 404,
    "/v1/sessions/%0d%0aX-Evil:1": 404,
    "/v1/approvals/..%2f..": 404,
    "/v1/sessions/01q9gd6e2y1q9gd6e2y1q9gd6e": 404,
    "/v1/sessions/01q9gd6e2y1q9gd6e2y1q9gd6e/operations": 404,
    "/v1/sessions/01q9/transcript": 404,
    "/v1/sessions/" + "a" * 30_000: 404,
    "/v1/whoami?x": 422,
    "/v1/sessions?limit=0": 422,
    "/v1/sessions?limit=1001": 422,
    "/v1/sessions?limit=ten": 422,
    "/v1/sessions?limit=" + "9" * 5000: 422,
    "/v1/sessions?limit=1&limit=2": 422,
    "/v1/sessions?after=-1": 422,
    "/v1/sessions?since_s=nan": 422,
    "/v1/sessions?since_s=inf": 422,
    "/v1/sessions?since_s=-1": 422,
    "/v1/sessions?status=gone": 422,
    "/v1/sessions?principal=%ff": 400,
    "/v1/sessions?" + "&".join(["a=1"] * 101): 400,
    "/v1/approvals?status=perhaps": 422,
    "/v1/approvals?status=null": 422,
    "/v1/operations?text=" + "x" * 1001: 422,
    "/v1/ledger/entries?kind=" + "x" * 101: 422,
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path)[:60])
def test_a_path_or_query_that_is_wrong_is_refused(client: ApiClient, path: str) -> None:
    assert_problem(client.get(path), PATHS[path])


def test_a_name_with_a_slash_is_one_segment(client: ApiClient) -> None:
    assert client.request("PUT", "/v1/identities/team%2Fbot", {"kind": "agent"}).status == 200
    assert client.get("/v1/identities/team%2Fbot").json["name"] == "team/bot"
    assert client.request("DELETE", "/v1/identities/team%2fbot").status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE", "HEAD", "BREW"])
def test_a_method_that_a_path_does_not_take_is_refused(client: ApiClient, method: str) -> None:
    answer = client.request(method, "/v1/identities/bot")
    assert answer.status == 405
    assert answer.headers["Allow"] == "DELETE, GET, PUT"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/identities/bot/disable", None),
        ("/v1/connections/crm/test", None),
        ("/v1/sessions/01q9/kill", {"reason": "test"}),
        ("/v1/locks/01q9/remove", {"reason": "test"}),
        ("/v1/approvals/01q9/approve", {"reason": "test"}),
        ("/v1/approvals/01q9/deny", {"reason": "test"}),
        ("/v1/approvals/01q9/rehearse", None),
    ],
)
def test_what_is_not_there_is_not_found(client: ApiClient, path: str, body: object) -> None:
    assert_problem(client.request("POST", path, body), 404, "there is no")


def test_a_get_has_no_body(client: ApiClient) -> None:
    assert_problem(client.request("GET", "/v1/whoami", b"{}"), 400, "no body")


@pytest.mark.parametrize(
    "value", ["Basic YTpi", "Bearer", "Bearer ", "Token x", "Bearer " + "x" * 60_000, "Bearer a b", "Bearer \xff"]
)
def test_an_authorization_that_is_wrong_is_refused(client: ApiClient, value: str) -> None:
    stranger = replace(client, token=None, source="127.0.0.2")
    assert_problem(stranger.get("/v1/whoami", Authorization=value), 401)


def test_no_answer_lets_a_browser_read_it_elsewhere(client: ApiClient) -> None:
    for answer in (client.get("/v1/whoami", Origin="https://evil.example"), client.get("/nothing")):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] is None


@dataclass(frozen=True)
class Wire:
    """Sends bytes as they are over TLS."""

    client: ApiClient

    def say(self, content: bytes) -> Answer:
        """What is answered, until the other side is done."""
        connection = self.client.connect()
        connection.connect()
        try:
            connection.sock.sendall(content)
            response = HTTPResponse(connection.sock)
            response.begin()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()


HOST = b"Host: gateway\r\n"
GARBLED = {
    "not HTTP": b"\x16\x03\x01\x00\xff\r\n\r\n",
    "a word": b"HELLO\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3": b"GET /v1/whoami HTTP/3\r\n" + HOST + b"\r\n",
    "without a host": b"GET /v1/whoami HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "a header with a space": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n",
    "a folded header": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b" X: y\r\n\x00: a\r\n\r\n",
    "a NUL in a header": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b"X: \x00\r\n\r\n",
    "large head": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b"X: " + b"y" * (70 << 10) + b"\r\n\r\n",
    "many headers": b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000 + b"\r\n",
    "a long line": b"GET /" + b"x" * (70 << 10) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no length": b"POST /v1/locks HTTP/1.1\r\n" + HOST + b"Content-Length: many\r\n\r\n",
    "negative length": b"POST /v1/locks HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /v1/locks HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "strange coding": b"POST /v1/locks HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a strange chunk": b"POST /v1/locks HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("case", GARBLED)
def test_what_is_no_request_gets_a_problem_and_an_end(client: ApiClient, case: str) -> None:
    answer = Wire(client).say(GARBLED[case])
    assert 400 <= answer.status < 500, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == answer.status


def test_length_and_chunks_together_carry_no_second_request(client: ApiClient) -> None:
    """RFC 9112 section 6.1: this may be an attempt to smuggle a request; whatever is answered, the connection ends."""
    smuggled = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
    content = (
        b"POST /v1/locks HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + smuggled
    )
    connection = client.connect()
    connection.connect()
    connection.sock.sendall(content)
    received = receive_all(connection.sock)
    connection.close()
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1


def test_a_body_in_chunks_is_bounded(client: ApiClient) -> None:
    token = f"Authorization: Bearer {client.token}\r\n".encode()
    head = b"POST /v1/locks HTTP/1.1\r\n" + HOST + token + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    assert_problem(Wire(client).say(head + chunk * 17), 413)


def test_another_request_on_a_connection_is_answered(client: ApiClient) -> None:
    connection = client.connect()
    for path, status in (("/v1/whoami", 200), ("/nothing", 404), ("/v1/whoami", 200)):
        client.send(connection, "GET", path)
        response = connection.getresponse()
        assert response.status == status
        json.loads(response.read())
    connection.close()


def test_plain_http_is_not_spoken(gateway: GatewayServer) -> None:
    with socket.create_connection(("127.0.0.1", gateway.api_port), timeout=20) as connection:
        connection.sendall(b"GET /v1/whoami HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"HTTP/1.1 200" not in receive_all(connection)


def test_old_tls_is_not_spoken(gateway: GatewayServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(gateway.certificate_file)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", gateway.api_port), timeout=20) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def receive_all(connection: socket.socket) -> bytes:
    """What comes until the other side is done."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65_536):
            received += data
    return received
