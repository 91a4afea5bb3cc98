"""Frames that peers may not send, and any cut of those that they may."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.base import Send, Side
from interlock.protocols.http.websocket.deflate import deflated
from interlock.protocols.http.websocket.frames import MaskingKeys, frame, masked
from interlock.protocols.http.websocket.messages import MessageReader
from interlock.protocols.http.websocket.relay import WebSocketRelay
from interlock.protocols.http.websocket.values import Control, Deflate, Ended, Fault, Kind, Part
from tests.protocols.http.websocket.parties import ENTROPY
from tests.protocols.http.websocket.peers import assert_read_alike

KEY = b"\x01\x02\x03\x04"
Found = list[Part | Control | Fault]


def read(stream: bytes, cut: int = 1 << 16, *, deflate: Deflate | None = None, from_client: bool = False) -> Found:
    reader = MessageReader(masked=from_client, deflate=deflate)
    found: Found = []
    for at in range(0, len(stream), cut):
        reader.feed(stream[at : at + cut])
        while (one := reader.next()) is not None:
            found.append(one)
            if isinstance(one, Fault):
                return found
    return found


def joined(found: Sequence[Part | Control | Fault]) -> list[tuple[Kind, bytes]]:
    """Whole messages, without regard to their cuts."""
    whole: list[tuple[Kind, bytes]] = []
    within = b""
    for one in found:
        assert not isinstance(one, Fault)
        if isinstance(one, Control):
            whole.append((one.kind, one.payload))
        else:
            within += one.data
            if one.final:
                whole.append((one.kind, within))
                within = b""
    return whole


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x90\x00", "reserved"),
        (b"\xa1\x00", "reserved"),
        (b"\xc1\x00", "reserved"),
        (b"\x83\x00", "opcode 3"),
        (b"\x8b\x00", "opcode 11"),
        (b"\x81\x80", "is masked"),
        (b"\x09\x00", "fragmented"),
        (b"\x89\x7e", "too long"),
        (b"\x80\x00", "having begun"),
        (b"\x01\x00\x81\x00", "within another"),
        (b"\x81\x7e\x00\x7d", "shortest"),
        (b"\x81\x7f" + (1 << 16).to_bytes(8, "big")[:-1] + b"", ""),
        (b"\x81\x7f" + (65_535).to_bytes(8, "big"), "shortest"),
        (b"\x81\x7f\x80" + bytes(7), "shortest"),
        (b"\x81\x02\xff\xff", "UTF-8"),
        (b"\x81\x02h\xc3", "UTF-8"),
        (b"\x01\x01\xc3\x80\x01h", "UTF-8"),
        (b"\x81\x03\xed\xa0\x80", "UTF-8"),
    ],
)
@pytest.mark.parametrize("cut", [1, 100])
def test_what_a_peer_may_not_send(stream: bytes, said: str, cut: int) -> None:
    found = read(stream, cut)
    if said:
        assert isinstance(found[-1], Fault)
        assert said in found[-1].reason
    else:
        assert found == []


def test_a_client_has_to_mask() -> None:
    (fault,) = read(b"\x81\x00", from_client=True)
    assert fault == Fault(1002, "a frame is not masked")


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x41\x00\xc0\x00", "after its first frame"),
        (b"\xc9\x00", "is compressed"),
        (frame(1, b"\xff\xff\xff", b"", compressed=True), "not compressed as it says"),
        (frame(1, deflated(b"\xff", 15), b"", compressed=True), "UTF-8"),
        (frame(1, b"\xf3\x48\xcd\xc9\xc9\x07\x00more", b"", compressed=True), "not compressed as it says"),
    ],
)
def test_what_a_peer_may_not_compress(stream: bytes, said: str) -> None:
    found = read(stream, deflate=Deflate())
    assert isinstance(found[-1], Fault)
    assert said in found[-1].reason


@pytest.mark.parametrize(
    "payload",
    [
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",  # RFC 7692, 7.2.3.1
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",  # 7.2.3.3
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",  # 7.2.3.4
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",  # 7.2.3.5
    ],
)
@pytest.mark.parametrize("cut", [1, 100])
def test_examples_of_the_standard_inflate(payload: bytes, cut: int) -> None:
    stream = frame(1, payload, b"", compressed=True) * 2
    assert joined(read(stream, cut, deflate=Deflate())) == [(Kind.TEXT, b"Hello")] * 2


def test_earlier_messages_can_be_referred_to_where_agreed() -> None:
    stream = frame(1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"", compressed=True)
    stream += frame(1, b"\xf2\x00\x11\x00\x00", b"", compressed=True)  # RFC 7692, 7.2.3.2
    assert joined(read(stream, deflate=Deflate(takeover=True))) == [(Kind.TEXT, b"Hello")] * 2
    assert isinstance(read(stream, deflate=Deflate())[-1], Fault)


@given(st.binary(max_size=400), st.integers(1, 60), st.booleans(), st.booleans())
def test_garbage_never_raises_and_cuts_do_not_matter(
    stream: bytes, cut: int, deflates: bool, from_client: bool
) -> None:
    deflate = Deflate() if deflates else None
    whole = read(stream, deflate=deflate, from_client=from_client)
    pieces = read(stream, cut, deflate=deflate, from_client=from_client)
    assert isinstance(whole[-1:], list)
    faults = [[one for one in found if isinstance(one, Fault)] for found in (whole, pieces)]
    assert faults[0] == faults[1]
    without = [[one for one in found if not isinstance(one, Fault)] for found in (whole, pieces)]
    assert joined(without[0]) == joined(without[1])


@given(st.integers(0), st.integers(1, 60), st.booleans(), st.booleans())
def test_frames_are_read_as_another_implementation_reads_them(
    seed: int, cut: int, from_client: bool, deflates: bool
) -> None:
    stream = mostly_frames(random.Random(seed), from_client, deflates)
    assert_read_alike(stream, cut, from_client=from_client, deflates=deflates)


def mostly_frames(chance: random.Random, masks: bool, deflates: bool) -> bytes:
    """Frames in any order, of which some have a wrong bit."""
    stream = b""
    for _ in range(chance.randint(1, 6)):
        payload = chance.choice([b"", "hö".encode(), b"\xff", b"\x03\xe8bye", chance.randbytes(130)])
        compressed = deflates and chance.random() < 0.4
        if compressed and chance.random() < 0.9:
            payload = deflated(payload, 15)
        key = chance.randbytes(4) if masks else b""
        kind = chance.choice([0, 1, 2, 1, 2, 8, 9, 10])
        one = bytearray(frame(kind, payload, key, final=chance.random() < 0.7, compressed=compressed))
        if chance.random() < 0.1:
            one[chance.randint(0, 1)] ^= 1 << chance.randint(0, 7)
        stream += one
    return stream


@given(st.lists(st.tuples(st.sampled_from(Side), st.binary(max_size=80)), max_size=10), st.booleans())
def test_the_relay_takes_garbage_of_either_side(turns: list[tuple[Side, bytes]], deflates: bool) -> None:
    deflate = Deflate() if deflates else None
    relay = WebSocketRelay(ENTROPY, client_deflate=deflate, target_deflate=deflate)
    ends = 0
    for side, data in turns:
        effects = relay.receive(side, data)
        assert ends == 0 or effects == []
        ends += sum(isinstance(one, Ended) for one in effects)
        assert sum(len(one.data) for one in effects if isinstance(one, Send)) <= 4096 + 80 * 1100
    assert ends == relay.ended


@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse(data: bytes, key: bytes) -> None:
    plain = bytes(byte ^ key[at % 4] for at, byte in enumerate(data))
    assert masked(data, key) == plain
    assert masked(plain, key) == data


def test_masking_keys_do_not_repeat() -> None:
    keys = MaskingKeys(ENTROPY)
    drawn = [keys.next() for _ in range(5000)]
    assert {len(key) for key in drawn} == {4}
    assert len(set(drawn)) > 4990
    assert MaskingKeys(ENTROPY + b"x").next() != drawn[0]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_lengths(size: int) -> None:
    stream = frame(2, bytes(size), KEY)
    assert joined(read(stream, from_client=True)) == [(Kind.BINARY, bytes(size))]
