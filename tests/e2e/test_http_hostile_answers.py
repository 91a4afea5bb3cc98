"""Answers that are to get a masked value past the gateway: no byte of it reaches the client, in no spelling."""

from collections.abc import Iterator

import pytest

from tests.e2e.hostile.answers import ANSWERS, CUT, PLANTED, REFUSED, Told, seen_in
from tests.e2e.hostile.talking import statuses, talk, written
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.scripted_target import ScriptedTarget

POLICY = """
@id("all") permit (principal, action, resource);
@id("hide-email") @mask("redact")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
PATHS = {name: f"/{number}".encode() for number, name in enumerate(ANSWERS)}
CANARY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\ncanary"


@pytest.fixture(scope="module")
def target() -> Iterator[ScriptedTarget]:
    scripts = {PATHS[name]: (told.answer,) for name, told in ANSWERS.items()}
    with ScriptedTarget(scripts, otherwise=(CANARY,)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: ScriptedTarget) -> Iterator[GatewayServer]:
    extra = http_target("masked", target.port, "fields = { email = ['pii'] }")
    with GatewayServer(NO_DATABASE, GatewayOptions(http=True, policy=POLICY, extra=extra)) as running:
        yield running


def ask(gateway: GatewayServer, path: bytes, *fields: bytes, method: bytes = b"GET") -> bytes:
    """What comes for a request, and for a harmless one behind it."""
    one = method + b" @P" + path + b" HTTP/1.1\r\n@T\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"
    last = b"GET @P/canary HTTP/1.1\r\n@T\r\nConnection: close\r\n\r\n"
    return talk(gateway, written(one + last, gateway, "masked"))


def assert_hidden(received: bytes) -> None:
    for seen in seen_in(received):
        assert PLANTED.encode() not in seen
        assert b"70077007700770077" not in seen


@pytest.mark.parametrize(("name", "told"), ANSWERS.items(), ids=ANSWERS)
def test_answers(gateway: GatewayServer, name: str, told: Told) -> None:
    received = ask(gateway, PATHS[name])
    assert_hidden(received)
    assert statuses(received)[0] in told.statuses
    if told.statuses == REFUSED:
        assert b"application/problem+json" in received
    assert received.endswith(b"canary\r\n0\r\n\r\n") is (told.statuses != CUT)
    assert statuses(received)[1:] == (() if told.statuses == CUT else (200,))


def test_an_answer_that_is_cut(gateway: GatewayServer, target: ScriptedTarget) -> None:
    """What is missing could have changed what came before."""
    for name in (
        "codings: gzip",
        "codings: br",
        "codings: zstd",
        "codings: deflate",
        "texts: lines",
        "tables: a form in parts",
    ):
        whole = ANSWERS[name].answer
        head, _, body = whole.partition(b"\r\n\r\n")
        for length in range(1, len(body)):
            fields = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
            fields.append(b"Content-Length: %d" % length)
            target.answers[b"/cut"] = (b"\r\n".join(fields) + b"\r\n\r\n" + body[:length],)
            assert_hidden(ask(gateway, b"/cut"))


@pytest.mark.parametrize(
    "fields",
    [
        (b"Range: bytes=0-10",),
        (b"Range: bytes=0-10", b'If-Range: "x"'),
        (b'If-None-Match: "x"',),
        (b"If-Modified-Since: Mon, 30 Nov 2026 19:59:24 GMT",),
        (b'If-Match: "x"',),
        (b"If-Unmodified-Since: Mon, 30 Nov 2026 19:59:24 GMT",),
        (b"Accept-Encoding: gzip, compress", b"TE: gzip"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_conditions_and_parts_are_no_oracle(
    gateway: GatewayServer, target: ScriptedTarget, fields: tuple[bytes, ...], method: bytes
) -> None:
    """The target is not asked for a part, nor whether a tag is right: what it says would tell of the value."""
    before = len(target.got)
    ask(gateway, b"/asked", *fields, method=method)
    asked = target.got[before].fields
    assert not asked.keys() & {b"range", b"if-range", b"if-none-match", b"if-match", b"te"}
    assert not asked.keys() & {b"if-modified-since", b"if-unmodified-since"}
    assert asked[b"accept-encoding"] == b"identity"


@pytest.mark.parametrize("method", [b"PUT", b"POST", b"PATCH", b"DELETE"])
@pytest.mark.parametrize("field", [b"If-Match", b"If-None-Match"])
def test_a_change_that_depends_on_a_tag_is_not_made_without_it(
    gateway: GatewayServer, target: ScriptedTarget, field: bytes, method: bytes
) -> None:
    before = len(target.got)
    assert statuses(ask(gateway, b"/changed", field + b': "x"', method=method)) == (403, 200)
    assert [got.head.target for got in target.got[before:]] == [b"/canary"]
    assert statuses(ask(gateway, b"/changed", field + b": *", method=method)) == (200, 200)
    assert target.got[-2].fields[field.lower()] == b"*"


@pytest.mark.parametrize("name", ["texts: a name twice", "heads: a tag", "heads: digests", "heads: not found"])
def test_a_head_says_nothing_of_the_body(gateway: GatewayServer, name: str) -> None:
    head = ANSWERS[name].answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    received = ask(gateway, PATHS[name], method=b"HEAD")
    assert_hidden(received)
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    first = received.partition(b"\r\n\r\n")[0].lower()
    assert length.lower() not in first
    assert b"etag" not in first


def test_nothing_of_it_was_an_error_of_the_gateway(gateway: GatewayServer) -> None:
    """Runs last."""
    assert '"level": "error"' not in gateway.log()
    assert PLANTED not in gateway.log()
