"""The forward proxy on the wire: where it lets go, where it does not, and what reaches a target."""

import base64
import contextlib
import json
import ssl
from collections.abc import Iterator

import aiohttp
import pytest

from interlock.core.ledger import ConnectionRefused
from tests.e2e.forward import Forward, running_forward
from tests.e2e.ledger_files import records_of
from tests.e2e.proxy_wire import basic
from tests.servers.certificates import CertificateAuthority


@pytest.fixture(scope="module")
def forward(certificate_authority: CertificateAuthority) -> Iterator[Forward]:
    with running_forward(certificate_authority) as running:
        yield running


def test_a_registered_host_is_looked_into(forward: Forward) -> None:
    token = forward.gateway.token()
    with forward.inside(token) as wire:
        assert wire.get("/hello?a=1", forward.secure_authority).json["path"] == "/hello?a=1"
        assert wire.get("/again", forward.secure_authority).status == 200
        wire.send(f"DELETE /volumes/1 HTTP/1.1\nHost: {forward.secure_authority}\n\n")
        denied = wire.answer()
        assert (denied.status, denied.json["rules"]) == (403, ["no-delete"])
        assert wire.get("/still-open", forward.secure_authority).status == 200
    paths = [received.path for received in forward.secure.received]
    assert paths[-3:] == ["/hello?a=1", "/again", "/still-open"]
    everything = str([received.headers for received in forward.secure.received])
    assert token not in everything
    assert "proxy-" not in everything


def test_only_http_1_1_is_spoken_inside(forward: Forward) -> None:
    with forward.wire() as wire:
        wire.connect(forward.secure_authority)
        assert wire.start_tls(forward.trusting(), "localhost") == "http/1.1"
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert wire.answer().status in (400, 505)
        assert wire.is_closed()


def test_its_certificate_is_for_that_host_only(forward: Forward) -> None:
    with forward.wire() as wire:
        wire.connect(forward.secure_authority)
        with pytest.raises(ssl.SSLCertVerificationError):
            wire.start_tls(ssl.create_default_context(), "localhost")


@pytest.mark.parametrize("name", ["other.example", "127.0.0.1.example"])
def test_tls_that_names_another_host(forward: Forward, name: str) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    before = len(forward.secure.received)
    with forward.wire() as wire:
        wire.connect(forward.secure_authority)
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            wire.start_tls(careless, name)
    assert len(forward.secure.received) == before


def test_tls_that_names_no_host(forward: Forward) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    with forward.wire() as wire:
        wire.connect(forward.secure_authority)
        wire.start_tls(careless, None)
        assert wire.get("/hello", forward.secure_authority).status == 200


@pytest.mark.parametrize("host", ["other.example", "localhost", "localhost:1", "127.0.0.1:{port}", "localhost.:{port}"])
def test_a_request_for_another_host(forward: Forward, host: str) -> None:
    before = len(forward.secure.received)
    with forward.inside() as wire:
        answer = wire.get("/hello", host.format(port=forward.secure.port))
        assert answer.status in (400, 421)
        assert answer.status == 421 or "localhost." in host
        assert wire.is_closed()
    assert len(forward.secure.received) == before


def test_a_request_with_a_whole_uri_inside(forward: Forward) -> None:
    before = len(forward.secure.received)
    with forward.inside() as wire:
        answer = wire.get("http://other.example/hello", forward.secure_authority)
        assert answer.status == 400
        assert wire.is_closed()
    assert len(forward.secure.received) == before


def test_a_connect_inside(forward: Forward) -> None:
    with forward.inside() as wire:
        assert wire.connect("other.example:443").status == 400
        assert wire.is_closed()


@pytest.mark.parametrize(
    "authority",
    [
        "other.example:443",
        "localhost:{unknown}",
        "127.0.0.1:{secure}",
        "[::1]:{secure}",
        "[::ffff:127.0.0.1]:{secure}",
        "169.254.169.254:80",
        "10.0.0.1:443",
        "metadata.google.internal:80",
    ],
)
def test_other_hosts_are_refused(forward: Forward, authority: str) -> None:
    authority = authority.format(unknown=forward.unknown.port, secure=forward.secure.port)
    with forward.wire() as wire:
        answer = wire.connect(authority)
        assert answer.status == 403, answer.body
        assert answer.headers["content-type"] == "application/problem+json"
        assert "The proxy reaches the hosts of connections only" in answer.json["hint"]
    assert forward.unknown.received == []
    refused = records_of(forward.gateway, ConnectionRefused)[-1]
    assert refused.connection.rpartition(":")[2] == authority.rpartition(":")[2]
    assert f'"{refused.connection}"' in answer.json["detail"]
    assert refused.principal == "agent"


@pytest.mark.parametrize(
    "authority",
    [
        "2130706433:{secure}",
        "0x7f.0.0.1:{secure}",
        "127.1:{secure}",
        "0177.0.0.1:{secure}",
        "localhost.:{secure}",
        "LOCALHOST%00:{secure}",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:99999",
        "localhost:{secure}/",
        "agent@localhost:{secure}",
        "localhost:{secure}:1",
        "[::1%25lo]:{secure}",
        "*",
    ],
)
def test_what_is_no_host_and_port(forward: Forward, authority: str) -> None:
    with forward.wire() as wire:
        answer = wire.connect(authority.format(secure=forward.secure.port))
        assert answer.status in (400, 403), answer
        assert answer.json["detail"]


def test_a_host_in_capitals_is_the_same_host(forward: Forward) -> None:
    with forward.wire() as wire:
        assert wire.connect(f"LocalHost:{forward.secure.port}").status == 200
        wire.start_tls(forward.trusting(), "localhost")
        assert wire.get("/hello", f"LOCALHOST:{forward.secure.port}").status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_further_hosts_of_a_connection(forward: Forward, host: str) -> None:
    """Each is dialled and verified by its own name, and the target is told that name."""
    with forward.wire() as wire:
        assert wire.connect(f"{host}:{forward.wide.port}").status == 200
        wire.start_tls(forward.trusting(), host)
        assert wire.get("/hello", f"{host}:{forward.wide.port}").status == 200
    assert forward.wide.received[-1].headers["host"] == f"{host}:{forward.wide.port}"


def test_a_further_host_that_is_not_public(forward: Forward) -> None:
    with forward.wire() as wire:
        assert wire.connect(f"127.0.0.1:{forward.fenced.port}").status == 200
        wire.start_tls(forward.trusting(), "127.0.0.1")
        answer = wire.get("/hello", f"127.0.0.1:{forward.fenced.port}")
        assert (answer.status, "address" in answer.json["detail"]) == (403, True)
    assert forward.fenced.received == []


def test_a_further_host_that_is_nowhere(forward: Forward) -> None:
    with forward.wire() as wire:
        assert wire.connect(f"nowhere.internal:{forward.wide.port}").status == 200
        wire.start_tls(forward.trusting(), "nowhere.internal")
        assert wire.get("/hello", f"nowhere.internal:{forward.wide.port}").status == 502


def test_without_a_token(forward: Forward) -> None:
    with forward.wire(None) as wire:
        answer = wire.connect(forward.secure_authority)
        assert answer.status == 407
        assert answer.headers["proxy-authenticate"]
        assert (
            wire.connect(forward.secure_authority, f"Proxy-Authorization: {basic(forward.gateway.token())}").status
            == 200
        )


@pytest.mark.parametrize(
    "field",
    [
        "Proxy-Authorization: Bearer x.y.z",
        "Proxy-Authorization: Basic " + base64.b64encode(b"agent:x.y.z").decode(),
        "Proxy-Authorization: Basic " + base64.b64encode(b"agent:").decode(),
        "Authorization: Bearer {token}",
        "Interlock-Token: {token}",
    ],
)
def test_with_a_bad_token_or_one_in_the_wrong_place(forward: Forward, field: str) -> None:
    with forward.wire(None) as wire:
        answer = wire.connect(forward.secure_authority, field.format(token=forward.gateway.token()))
        assert answer.status == 407, answer.body
        assert "x.y.z" not in str(answer.headers) + answer.body.decode()


@pytest.mark.parametrize("field", ["Proxy-Authorization: Basic ///", "Proxy-Authorization: Digest x=y"])
def test_with_something_that_is_no_token(forward: Forward, field: str) -> None:
    with forward.wire(None) as wire:
        assert wire.connect(forward.secure_authority, field).status in (400, 407)


def test_bearer_is_taken_as_well(forward: Forward) -> None:
    with forward.wire(None) as wire:
        field = f"Proxy-Authorization: Bearer {forward.gateway.token()}"
        assert wire.connect(forward.secure_authority, field).status == 200


def test_a_plain_request(forward: Forward) -> None:
    token = forward.gateway.token()
    plain = f"localhost:{forward.plain.port}"
    fields = (
        f"Proxy-Authorization: {basic(token)}",
        "X-Key: mine",
        "Proxy-Connection: keep-alive",
        f"X-T: {token[:9]}",
    )
    with forward.wire(None) as wire:
        answer = wire.get(f"http://{plain}/hello?b=2", plain, *fields)
        assert answer.json["path"] == "/hello?b=2"
        assert wire.get(f"http://{plain}/again", plain, *fields).status == 200
    received = forward.plain.received[-1]
    assert received.headers["x-key"] == "planted-key"
    assert token not in str(received.headers)
    assert not [name for name in received.headers if name.startswith("proxy-")]


def test_a_plain_request_to_another_host(forward: Forward) -> None:
    field = f"Proxy-Authorization: {basic(forward.gateway.token())}"
    unknown, plain = f"localhost:{forward.unknown.port}", f"localhost:{forward.plain.port}"
    for host in (unknown, plain):
        with forward.wire(None) as wire:
            answer = wire.get(f"http://{unknown}/hello", host, field)
            assert answer.status in (400, 403)
    with forward.wire(None) as wire:
        assert wire.get(f"https://{forward.secure_authority}/hello", forward.secure_authority, field).status == 400
    with forward.wire(None) as wire:
        assert wire.get("/hello", plain, field).status == 400
    assert forward.unknown.received == []


def test_each_plain_request_needs_its_token(forward: Forward) -> None:
    plain = f"localhost:{forward.plain.port}"
    with forward.wire(None) as wire:
        field = f"Proxy-Authorization: {basic(forward.gateway.token())}"
        assert wire.get(f"http://{plain}/hello", plain, field).status == 200
        assert wire.get(f"http://{plain}/hello", plain).status == 407


@pytest.mark.parametrize(
    "field", ["Authorization: Bearer {token}", "Authorization: {basic}", "X-Api-Key: {token}", "Cookie: a=1; t={token}"]
)
def test_the_callers_token_goes_to_no_target(forward: Forward, field: str) -> None:
    """Not even where a client shows it as the target's own."""
    token = forward.gateway.token()
    with forward.inside(token) as wire:
        shown = field.format(token=token, basic=basic(token))
        assert wire.get("/hello", forward.secure_authority, shown, "X-Other: stays").status == 200
    received = forward.secure.received[-1].headers
    assert received["x-other"] == "stays"
    assert token not in str(received)
    assert basic(token) not in str(received)


def test_a_token_in_the_url_is_refused(forward: Forward) -> None:
    token = forward.gateway.token()
    before = len(forward.secure.received)
    with forward.inside(token) as wire:
        answer = wire.get(f"/hello?key={token}", forward.secure_authority)
        assert answer.status == 400
        assert token not in answer.body.decode()
    assert len(forward.secure.received) == before


@pytest.mark.parametrize("value", ["Bearer the-targets", "AWS4-HMAC-SHA256 Credential=x", "Basic dTpw", "Digest u=v"])
def test_what_a_client_shows_the_target_itself(forward: Forward, value: str) -> None:
    with forward.inside() as wire:
        assert wire.get("/hello", forward.secure_authority, f"Authorization: {value}").status == 200
        assert forward.secure.received[-1].headers["authorization"] == value


async def test_a_websocket_and_events_through_the_proxy(forward: Forward) -> None:
    url, proxy, trusting = f"https://{forward.secure_authority}", forward.gateway.proxy_url(), forward.trusting()
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{url}/socket", proxy=proxy, ssl=trusting) as socket:
            for text in ("hello", "again"):
                await socket.send_str(text)
                assert await socket.receive_str() == f"{text}!"
        async with client.get(f"{url}/events", proxy=proxy, ssl=trusting) as answer:
            assert await answer.text() == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_tls_that_comes_together_with_the_connect(forward: Forward) -> None:
    """Clients may begin before the CONNECT is answered: what came ahead belongs to the tunnel."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = forward.trusting().wrap_bio(received, sent, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    head = f"CONNECT {forward.secure_authority} HTTP/1.1\r\nHost: {forward.secure_authority}\r\n"
    head += f"Proxy-Authorization: {basic(forward.gateway.token())}\r\n\r\n"
    with forward.wire(None) as wire:
        wire.send(head.encode() + sent.read())
        assert wire.answer(tunnel=True).status == 200
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.send(sent.read())
                received.write(wire.some())
        tls.write(f"GET /ahead HTTP/1.1\r\nHost: {forward.secure_authority}\r\n\r\n".encode())
        wire.send(sent.read())
        clear = b""
        while b"/ahead" not in clear:
            received.write(wire.some())
            with contextlib.suppress(ssl.SSLWantReadError):
                clear += tls.read(65_536)


def test_what_follows_a_refused_connect_is_no_request(forward: Forward) -> None:
    plain = f"localhost:{forward.plain.port}"
    token = f"Proxy-Authorization: {basic(forward.gateway.token())}"
    before = len(forward.plain.received)
    with forward.wire(None) as wire:
        inner = f"GET http://{plain}/smuggled HTTP/1.1\nHost: {plain}\n{token}\n\n"
        wire.send(f"CONNECT other.example:443 HTTP/1.1\nHost: other.example:443\n{token}\n\n{inner}")
        assert wire.answer().status == 403
        assert wire.is_closed()
    assert len(forward.plain.received) == before


def test_a_token_is_written_nowhere(forward: Forward) -> None:
    token = forward.gateway.token()
    shown = (f"Proxy-Authorization: {basic(token)}", f"X-Api-Key: {token}", f"Cookie: t={token}")
    with forward.inside(token) as wire:
        wire.get("/hello", forward.secure_authority, f"Authorization: Bearer {token}", *shown)
        wire.get(f"/hello?key={token}", forward.secure_authority, *shown)
    with forward.wire(token) as wire:
        wire.connect("other.example:443", *shown[1:])
    with forward.wire(None) as wire:
        wire.connect(forward.secure_authority, f"Proxy-Authorization: Bearer {token}x")
    written = b"".join(file.read_bytes() for file in forward.gateway.data_dir.rglob("*") if file.is_file())
    written += forward.gateway.log().encode()
    assert token.encode() not in written
    assert basic(token).encode() not in written
    shown_again = replays(forward)
    assert "GET /hello" in shown_again
    assert token not in shown_again


def replays(forward: Forward) -> str:
    """What is in the last recordings, as people can read it."""
    listed = forward.gateway.command("sessions", "list", "--json").stdout.splitlines()
    ids = [json.loads(line)["session"] for line in listed]
    return "".join(forward.gateway.command("sessions", "replay", session).stdout for session in ids[-5:])
