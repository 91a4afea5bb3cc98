"""The handshake with each side: what is asked, what is agreed to, what is refused."""

import base64

import pytest

from interlock.protocols.http.websocket.handshake import (
    Agreement,
    Headers,
    Rejection,
    Upgrade,
    check_answer,
    client_headers,
    new_key,
    read_upgrade,
    target_headers,
)
from interlock.protocols.http.websocket.values import Deflate
from tests.protocols.http.websocket.parties import Parties

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD: Headers = ((b"sec-websocket-key", KEY), (b"sec-websocket-version", b"13"))


def answer(**changes: bytes) -> Headers:
    fields = {"connection": b"keep-alive, Upgrade", "upgrade": b"WebSocket", "sec-websocket-accept": ACCEPT}
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return tuple((name.encode(), value) for name, value in fields.items())


def offering(extensions: bytes) -> Headers:
    return (*GOOD, (b"sec-websocket-extensions", extensions))


@pytest.mark.parametrize(
    ("method", "minor", "headers", "status"),
    [
        (b"POST", 1, GOOD, 400),
        (b"GET", 0, GOOD, 400),
        (b"GET", 1, GOOD[:1], 426),
        (b"GET", 1, (*GOOD[:1], (b"sec-websocket-version", b"8")), 426),
        (b"GET", 1, (*GOOD, GOOD[1]), 426),
        (b"GET", 1, GOOD[1:], 400),
        (b"GET", 1, (*GOOD, GOOD[0]), 400),
        (b"GET", 1, (GOOD[1], (b"sec-websocket-key", b"short")), 400),
        (b"GET", 1, (GOOD[1], (b"sec-websocket-key", base64.b64encode(bytes(15)))), 400),
        (b"GET", 1, (*GOOD, (b"sec-websocket-protocol", b"a, a")), 400),
        (b"GET", 1, (*GOOD, (b"sec-websocket-protocol", b"a b")), 400),
    ],
)
def test_what_is_no_upgrade(method: bytes, minor: int, headers: Headers, status: int) -> None:
    rejection = read_upgrade(method, minor, headers)
    assert isinstance(rejection, Rejection)
    assert rejection.status == status
    assert (status == 426) == (rejection.headers == ((b"sec-websocket-version", b"13"),))


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        (b"permessage-deflate", Deflate()),
        (b"permessage-deflate; client_max_window_bits", Deflate()),
        (b'permessage-deflate; server_max_window_bits="10"', Deflate(window_bits=10)),
        (b"permessage-deflate; server_max_window_bits=8", None),
        (b"permessage-deflate; server_max_window_bits=8, permessage-deflate", Deflate()),
        (b"permessage-deflate; server_max_window_bits=016", None),
        (b"permessage-deflate; server_max_window_bits", None),
        (b"permessage-deflate; unknown", None),
        (b"permessage-deflate; server_no_context_takeover=1", None),
        (b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        (b"x-webkit-deflate-frame", None),
        (b"", None),
        (b";;=,", None),
    ],
)
def test_compression_with_the_client(offer: bytes, agreed: Deflate | None) -> None:
    upgrade = read_upgrade(b"GET", 1, offering(offer))
    assert isinstance(upgrade, Upgrade)
    assert upgrade.deflate == agreed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"connection": b"keep-alive"}, "Connection"),
        ({"upgrade": b"h2c"}, "upgrade to websocket"),
        ({"sec_websocket_accept": b"other"}, "Accept"),
        ({"sec_websocket_protocol": b"other"}, "subprotocol"),
        ({"sec_websocket_extensions": b"x"}, "not offered"),
        ({"sec_websocket_extensions": b"permessage-deflate, permessage-deflate"}, "not offered"),
        ({"sec_websocket_extensions": b"permessage-deflate; client_max_window_bits=10"}, "not possible"),
        ({"sec_websocket_extensions": b"permessage-deflate; server_max_window_bits=99"}, "not possible"),
    ],
)
def test_an_answer_that_does_not_fit(changes: dict[str, bytes], said: str) -> None:
    problem = check_answer(Upgrade(KEY, (b"chat",), Deflate()), KEY, answer(**changes))
    assert isinstance(problem, str)
    assert said in problem


def test_an_extension_that_nobody_offered() -> None:
    problem = check_answer(Upgrade(KEY), KEY, answer(sec_websocket_extensions=b"permessage-deflate"))
    assert isinstance(problem, str)


def test_what_the_target_agrees_to() -> None:
    upgrade = Upgrade(KEY, (b"chat", b"superchat"), Deflate())
    fields = answer(
        sec_websocket_protocol=b"superchat", sec_websocket_extensions=b"permessage-deflate; server_max_window_bits=9"
    )
    assert check_answer(upgrade, KEY, fields) == Agreement(b"superchat", Deflate(takeover=True))
    alone = answer(sec_websocket_extensions=b"permessage-deflate; server_no_context_takeover")
    assert check_answer(upgrade, KEY, alone) == Agreement(b"", Deflate())
    assert check_answer(upgrade, KEY, answer()) == Agreement()


def test_each_side_has_a_handshake_of_its_own() -> None:
    upgrade = read_upgrade(
        b"GET", 1, (*offering(b"permessage-deflate; client_max_window_bits"), (b"upgrade", b"x"), (b"cookie", b"a=b"))
    )
    assert isinstance(upgrade, Upgrade)
    key = new_key(bytes(16))
    sent = dict(target_headers(upgrade, (*offering(b"other"), (b"upgrade", b"x"), (b"cookie", b"a=b")), key))
    assert sent == {
        b"cookie": b"a=b",
        b"connection": b"Upgrade",
        b"upgrade": b"websocket",
        b"sec-websocket-version": b"13",
        b"sec-websocket-key": key,
        b"sec-websocket-extensions": b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    }
    told = dict(client_headers(upgrade, Agreement(b"chat"), answer(date=b"today")))
    assert told == {
        b"date": b"today",
        b"connection": b"Upgrade",
        b"upgrade": b"websocket",
        b"sec-websocket-accept": ACCEPT,
        b"sec-websocket-protocol": b"chat",
        b"sec-websocket-extensions": b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    }


def test_a_subprotocol_is_agreed_on_across_the_gateway() -> None:
    parties = Parties(subprotocols=["a", "b"])
    assert parties.client.subprotocol == parties.server.subprotocol == "a"
