"""COPY data on its way into masked columns: what stands for a masked value is found however the data are cut."""

import random

import pytest

from interlock.protocols.postgres.copy_guard import CopyGuard
from tests.protocols.postgres import wire

HASHED = b"hash:" + b"a1" * 12
MASKS = [b"***", b"a***b", b"***@example.com", HASHED]


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_in_one_message(mask: bytes) -> None:
    assert not CopyGuard().passes(1, wire.copy_data(b"1\tx" + mask + b"\n"))


@pytest.mark.parametrize(
    "data", [b"1\talice@example.com\n", b"**\t*\n", b"hash:short\n", b"", b"\\.\n", bytes(range(256))]
)
def test_other_data_pass(data: bytes) -> None:
    guard = CopyGuard()
    assert all(guard.passes(1, wire.copy_data(data)) for _ in range(50))


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_that_is_cut_anywhere(mask: bytes) -> None:
    for cut in range(1, len(mask)):
        guard = CopyGuard()
        assert guard.passes(1, wire.copy_data(b"text " + mask[:cut])) == (b"***" not in mask[:cut])
        assert not guard.passes(1, wire.copy_data(mask[cut:] + b" text"))


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_in_random_pieces(seed: int) -> None:
    source = random.Random(seed)
    data = source.randbytes(40).replace(b"*", b"x") + source.choice(MASKS) + source.randbytes(40).replace(b"*", b"x")
    guard, passed, at = CopyGuard(), True, 0
    while at < len(data):
        size = source.randint(1, 3)
        passed = guard.passes(1, wire.copy_data(data[at : at + size])) and passed
        at += size
    assert not passed


def test_a_message_that_comes_in_parts() -> None:
    """Only its first part has a head."""
    guard = CopyGuard()
    message = wire.copy_data(b"x" * 10 + b"***")
    assert guard.passes(1, message[:16])
    assert not guard.passes(1, message[16:])


def test_a_head_hides_nothing_of_the_data_around_it() -> None:
    """The length's bytes may be anything, and stand between two pieces of one value."""
    guard = CopyGuard()
    assert guard.passes(1, wire.copy_data(b"**"))
    assert not guard.passes(1, wire.copy_data(b"*" + b"x" * 0x2A2A))


def test_each_copy_begins_anew() -> None:
    guard = CopyGuard()
    assert guard.passes(1, wire.copy_data(b"**"))
    assert guard.passes(2, wire.copy_data(b"*"))
    assert not guard.passes(2, wire.copy_data(b"**"))
