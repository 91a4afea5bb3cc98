"""Both cutters against a plain reading of the same stream, in every cut."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.frames import (
    HELD_MAX_BYTES,
    STREAM_HEAD_BYTES,
    BackendFrames,
    FramingError,
    FrontendFrames,
)
from tests.protocols.postgres import wire

KINDS = "RKS23C1WGHDITEvnNAtsZdcV"
WHOLE = "CEZSRKTv"
BACKEND = st.lists(
    st.builds(wire.message, st.sampled_from(KINDS), st.binary(max_size=30)).map(bytes), min_size=1, max_size=12
)
CUTS = st.lists(st.integers(1, 25), min_size=1, max_size=30)


def chunks(stream: bytes, sizes: list[int]) -> list[bytes]:
    """The stream in pieces of these sizes, over and over."""
    found, at, turn = [], 0, 0
    while at < len(stream):
        found.append(stream[at : at + sizes[turn % len(sizes)]])
        at += len(found[-1])
        turn += 1
    return found


@given(BACKEND, CUTS)
def test_backend_messages_rows_and_bytes(stream: list[bytes], cuts: list[int]) -> None:
    frames = BackendFrames()
    passed, kinds, rows = bytearray(), [], 0
    for chunk in chunks(b"".join(stream), cuts):
        for message in frames.scan(chunk):
            kinds.append(chr(message.kind))
            rows += message.rows
            if chr(message.kind) in WHOLE:
                assert message.whole
                assert frames.chunk[message.start : message.end] in stream
        rows += frames.rows_after
        passed += frames.chunk
        assert not frames.broken
    assert bytes(passed) == b"".join(stream)
    expected = [chr(message[0]) for message in stream]
    assert kinds == [kind for kind in expected if kind not in "Dd"]
    assert rows == sum(kind in "Dd" for kind in expected)
    assert not frames.mid_message


@given(BACKEND, CUTS)
def test_mid_message_says_whether_the_passed_bytes_end_a_message(stream: list[bytes], cuts: list[int]) -> None:
    frames = BackendFrames()
    ends, at = {0}, 0
    for message in stream:
        at += len(message)
        ends.add(at)
    passed = 0
    for chunk in chunks(b"".join(stream), cuts):
        frames.scan(chunk)
        passed += len(frames.chunk)
        assert frames.mid_message is (passed not in ends)


@pytest.mark.parametrize("bad", [b"z\0\0\0\4", b"\0\0\0\0\4", b"Z\0\0\0\3", b"D\0\0\0\0", b"D\xff\xff\xff\xff"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_backend_stream_that_breaks(bad: bytes, size: int) -> None:
    good = wire.row("x") + wire.complete("SELECT 1")
    frames = BackendFrames()
    passed, kinds = bytearray(), []
    for chunk in chunks(good + bad + b"more", [size]):
        kinds += [chr(message.kind) for message in frames.scan(chunk)]
        passed += frames.chunk
        if frames.broken:
            break
    assert frames.broken
    assert bytes(passed) == good
    assert kinds == ["C"]


def test_endless_messages_are_not_held() -> None:
    frames = BackendFrames()
    header = b"E" + (HELD_MAX_BYTES + 10).to_bytes(4, "big")
    (message,) = frames.scan(header + b"x" * 100)
    assert not message.whole
    frames.scan(b"x" * 5000)
    assert len(frames.chunk) == 5000


FRONTEND = st.lists(st.builds(wire.message, st.sampled_from("QPBDECSHXdcf"), st.binary(max_size=40)), max_size=12)


@given(FRONTEND, CUTS)
def test_frontend_messages(stream: list[bytes], cuts: list[int]) -> None:
    frames = FrontendFrames(STREAM_HEAD_BYTES * 2)
    found = []
    for chunk in chunks(b"".join(stream), cuts):
        frames.feed(chunk)
        while (message := frames.next_message()) is not None:
            found.append(message)
    assert found == stream
    assert frames.pending_bytes == 0


@pytest.mark.parametrize("size", [1000, 65_536, 10_000_000])
def test_long_messages_come_in_parts_of_which_the_first_is_always_the_same(size: int) -> None:
    frames = FrontendFrames(STREAM_HEAD_BYTES * 2)
    long_message, short = wire.message("d", random.Random(1).randbytes(2_000_000)), wire.message("c")
    heads: list[bytes] = []
    parts = bytearray()
    after: list[bytes] = []
    for chunk in chunks(long_message + short, [size]):
        frames.feed(chunk)
        while True:
            if frames.streaming:
                part = frames.next_part()
                if part is None:
                    break
                parts += part
                continue
            message = frames.next_message()
            if message is None:
                break
            (after if heads else heads).append(message)
        assert frames.pending_bytes <= STREAM_HEAD_BYTES * 2 + size
    assert heads == [long_message[:STREAM_HEAD_BYTES]]
    assert bytes(parts) == long_message[STREAM_HEAD_BYTES:]
    assert after == [short]


@pytest.mark.parametrize("length", [0, 3, 0x40000000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_impossible_lengths(length: int) -> None:
    frames = FrontendFrames(1 << 20)
    frames.feed(b"Q" + length.to_bytes(4, "big"))
    with pytest.raises(FramingError):
        frames.next_message()


def test_rest_is_what_was_not_read() -> None:
    frames = FrontendFrames(1 << 20)
    frames.feed(wire.SYNC + b"S\0\0")
    assert frames.next_message() == wire.SYNC
    frames.feed(b"\0\4")
    assert frames.rest() == wire.SYNC
    assert frames.pending_bytes == 0
