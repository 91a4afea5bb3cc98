"""The relay between a client and a server of an independent implementation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.base import Side
from interlock.protocols.http.websocket.values import Filtered, Kind, Limits
from tests.protocols.http.websocket.parties import Parties, told

BOTH = [(True, True), (True, False), (False, True), (False, False)]


def starred(text: bytes) -> Filtered | str:
    """A filter: a secret becomes stars; what is no JSON cannot be looked into."""
    try:
        json.loads(text)
    except ValueError:
        return "this text cannot be looked into"
    return Filtered(text.replace(b"secret", b"***"), text.count(b"secret"))


def is_operation(text: bytes) -> bool:
    return text.startswith(b"do")


@pytest.mark.parametrize(("client_deflates", "server_deflates"), BOTH)
@pytest.mark.parametrize("cut", [1, 7, 1 << 16])
def test_messages_arrive_as_they_were_sent(client_deflates: bool, server_deflates: bool, cut: int) -> None:
    parties = Parties(client_deflates=client_deflates, server_deflates=server_deflates, cut=cut)
    sent: list[str | bytes] = ["", "hello", "höhe" * 500, b"", bytes(range(256)) * 3, "x" * 126, "y" * 65_536]
    for turn in sent * 2:
        send(parties, Side.CLIENT, turn)
        send(parties, Side.TARGET, turn)
        parties.pump()
    assert parties.at_server() == sent * 2
    assert parties.at_client() == sent * 2


def send(parties: Parties, side: Side, message: str | bytes) -> None:
    party = parties.client if side is Side.CLIENT else parties.server
    if isinstance(message, str):
        party.send_text(message.encode())
    else:
        party.send_binary(message)


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.one_of(st.text(max_size=300), st.binary(max_size=300))), max_size=12),
    st.integers(1, 50),
    st.sampled_from(BOTH),
)
def test_every_message_is_recorded_as_it_goes(
    sent: list[tuple[Side, str | bytes]], cut: int, deflates: tuple[bool, bool]
) -> None:
    parties = Parties(client_deflates=deflates[0], server_deflates=deflates[1], cut=cut)
    for side, message in sent:
        send(parties, side, message)
    parties.pump()
    for side, received in ((Side.CLIENT, parties.at_server()), (Side.TARGET, parties.at_client())):
        assert received == [message for from_side, message in sent if from_side is side]
        recorded = [one for one in parties.recorded if one.to is not side]
        assert [one.payload for one in recorded] == [one.encode() if isinstance(one, str) else one for one in received]
        assert all(one.final and one.kind in (Kind.TEXT, Kind.BINARY) for one in recorded)


def test_fragments_become_one_message() -> None:
    parties = Parties(cut=3)
    parties.client.send_text("hö".encode()[:2], fin=False)
    parties.client.send_ping(b"between")
    parties.client.send_continuation("hö".encode()[2:], fin=True)
    parties.pump()
    assert parties.at_server() == ["hö"]
    assert [one.kind for one in parties.recorded if one.to is Side.TARGET] == [Kind.PING, Kind.TEXT]


@pytest.mark.parametrize("size", [150_000, 3 << 20])
def test_long_messages_that_nobody_looks_into_go_on_in_parts(size: int) -> None:
    parties = Parties(client_deflates=False, server_deflates=False)
    message = ("ä" * (size // 2))[: size // 2]
    parties.client.send_text(message.encode())
    parties.server.send_binary(message.encode())
    parties.pump()
    assert parties.at_server() == [message]
    assert parties.at_client() == [message.encode()]
    parts = [one for one in parties.recorded if one.to is Side.TARGET]
    assert b"".join(one.payload for one in parts).decode() == message
    assert [one.final for one in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 1


def test_a_bomb_is_not_held() -> None:
    parties = Parties(server_deflates=False)
    parties.client.send_text(b"a" * (20 << 20))
    parties.pump()
    assert max(len(one.payload) for one in parties.recorded) <= 1 << 17
    assert parties.at_server() == ["a" * (20 << 20)]


def test_a_bomb_that_would_have_to_be_held_is_refused() -> None:
    parties = Parties(filter_answers=starred)
    parties.server.send_text(b'"' + b"a" * (20 << 20) + b'"')
    parties.pump()
    assert parties.ended is not None
    assert parties.ended.code == 1009
    assert parties.at_client() == []
    assert told(parties.client) == told(parties.server) == (1009, parties.ended.reason)


def test_answers_are_filtered_and_counted() -> None:
    parties = Parties(filter_answers=starred)
    parties.server.send_text(b'{"key": "secret, secret"}')
    parties.client.send_text(b'{"key": "secret"}')
    parties.pump()
    assert parties.at_client() == ['{"key": "***, ***"}']
    assert parties.at_server() == ['{"key": "secret"}']
    (answer,) = [one for one in parties.recorded if one.to is Side.CLIENT]
    assert (answer.payload, answer.masked_values) == (b'{"key": "***, ***"}', 2)


def test_requests_are_filtered_before_they_are_decided() -> None:
    parties = Parties(filter_requests=lambda text: Filtered(text.replace(b"secret", b"***")), asks=is_operation)
    parties.client.send_text(b"do secret")
    parties.pump()
    assert parties.asked == [b"do ***"]


def test_a_text_that_cannot_be_looked_into_ends_the_connection() -> None:
    parties = Parties(filter_answers=starred)
    parties.server.send_text(b"{secret")
    parties.pump()
    assert parties.at_client() == []
    assert told(parties.client) == (1008, "this text cannot be looked into")
    assert not [one for one in parties.recorded if b"secret" in one.payload]


def test_binary_messages_under_a_filter_are_refused_unless_they_pass() -> None:
    refusing = Parties(filter_answers=starred)
    refusing.server.send_binary(b"secret")
    refusing.client.send_binary(b"this way nobody looks")
    refusing.pump()
    assert refusing.at_client() == []
    assert refusing.ended is not None
    assert told(refusing.client) == (1008, refusing.ended.reason)
    passing = Parties(filter_answers=starred, pass_binary=True)
    passing.server.send_binary(b"secret")
    passing.pump()
    assert passing.at_client() == [b"secret"]


def test_control_frames_carry_nothing_round_a_filter() -> None:
    parties = Parties(filter_answers=starred)
    parties.server.send_ping(b"secret")
    parties.server.send_pong(b"secret too")
    parties.server.send_close(1000, "secret")
    parties.pump()
    assert not [one for one in parties.recorded if one.to is Side.CLIENT and b"secret" in one.payload]
    assert told(parties.client) == (1000, "")
    answered = [one.payload for one in parties.recorded if one.kind is Kind.PONG and one.to is Side.TARGET]
    assert answered == [b"secret"]


def test_a_ping_of_the_client_reaches_the_server_also_under_a_filter() -> None:
    parties = Parties(filter_answers=starred)
    parties.client.send_ping(b"there?")
    parties.pump()
    controls = [(one.to, one.kind, one.payload) for one in parties.recorded]
    assert controls == [(Side.TARGET, Kind.PING, b"there?"), (Side.CLIENT, Kind.PONG, b"there?")]


def test_an_operation_waits_for_its_decision_and_so_does_what_follows() -> None:
    parties = Parties(asks=is_operation)
    for text in (b"chat", b"do one", b"more", b"do two", b"rest"):
        parties.client.send_text(text)
    parties.client.send_ping(b"alive?")
    parties.server.send_text(b"news")
    parties.pump()
    assert parties.asked == [b"do one"]
    assert parties.at_server() == ["chat"]
    assert parties.at_client() == ["news"]
    assert [one.kind for one in parties.recorded if one.payload == b"alive?"] == [Kind.PING, Kind.PONG]
    parties.carry_out(parties.relay.permit(b"do one, rewritten"))
    assert parties.at_server() == ["do one, rewritten", "more"]
    assert parties.asked == [b"do one", b"do two"]
    parties.carry_out(parties.relay.refuse(b"you may not"))
    assert parties.at_server() == ["rest"]
    assert parties.at_client() == ["you may not"]
    assert not parties.relay.deciding


def test_what_waits_is_bounded() -> None:
    parties = Parties(asks=is_operation, limits=Limits(max_waiting_bytes=10_000), client_deflates=False)
    parties.client.send_text(b"do")
    parties.pump()
    for _ in range(100):
        parties.client.send_text(b"x" * 1000)
    parties.pump()
    assert parties.paused
    parties.carry_out(parties.relay.permit(b"do"))
    assert not parties.paused
    assert parties.at_server() == ["do", *["x" * 1000] * 100]


def test_binary_messages_among_operations_are_refused() -> None:
    parties = Parties(asks=is_operation)
    parties.client.send_binary(b"do")
    parties.pump()
    assert parties.ended is not None
    assert told(parties.server) == (1008, parties.ended.reason)
    assert parties.at_server() == []


def test_a_close_behind_an_operation_comes_after_it() -> None:
    parties = Parties(asks=is_operation)
    parties.client.send_text(b"do")
    parties.client.send_close(1000, "done")
    parties.pump()
    assert told(parties.server) is None
    parties.carry_out(parties.relay.permit(b"do"))
    parties.pump()
    assert parties.at_server() == ["do"]
    assert parties.server.close_rcvd is not None
    assert parties.ended is not None
    assert (parties.ended.code, parties.ended.reason) == (1000, "done")


@pytest.mark.parametrize("side", list(Side))
def test_a_close_is_passed_on_and_answered(side: Side) -> None:
    parties = Parties()
    first, second = (parties.client, parties.server) if side is Side.CLIENT else (parties.server, parties.client)
    first.send_close(4001, "enough")
    parties.pump()
    assert second.close_rcvd is not None
    assert (second.close_rcvd.code, second.close_rcvd.reason) == (4001, "enough")
    assert first.close_rcvd is not None
    assert first.close_rcvd.code == 4001
    assert parties.ended is not None
    assert parties.ended.code == 4001
    assert parties.relay.receive(Side.CLIENT, b"more") == []


def test_the_gateway_ends_it() -> None:
    parties = Parties()
    parties.carry_out(parties.relay.close(1008, "locked " + "ü" * 100))
    assert parties.client.close_rcvd is not None
    assert parties.server.close_rcvd is not None
    assert parties.client.close_rcvd.reason.startswith("locked ü")
    assert parties.relay.ended
    assert parties.relay.permit(b"x") == parties.relay.close(1008, "") == []


@pytest.mark.parametrize(("side", "told"), [(Side.CLIENT, 1001), (Side.TARGET, 1011)])
def test_a_side_that_leaves_is_told_to_the_other(side: Side, told: int) -> None:
    parties = Parties()
    parties.carry_out(parties.relay.side_left(side))
    other = parties.server if side is Side.CLIENT else parties.client
    assert other.close_rcvd is not None
    assert other.close_rcvd.code == told
    assert parties.ended is not None
    assert parties.ended.code == 1006
    assert parties.relay.side_left(side) == []
