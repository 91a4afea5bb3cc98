"""COPY data on its way into masked columns: what stands for a masked value is found however the data are cut."""

import random

import pytest

from interlock.protocols.postgres.copy_guard import CopyGuard

HASHED = b"hash:" + b"a1" * 12
MASKS = [b"***", b"a***b", b"***@example.com", HASHED]


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_in_one_message(mask: bytes) -> None:
    assert not CopyGuard().passes(1, b"1\tx" + mask + b"\n")


@pytest.mark.parametrize(
    "data", [b"1\talice@example.com\n", b"**\t*\n", b"hash:short\n", b"", b"\\.\n", bytes(range(256))]
)
def test_other_data_pass(data: bytes) -> None:
    guard = CopyGuard()
    assert all(guard.passes(1, data) for _ in range(50))


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_that_is_cut_anywhere(mask: bytes) -> None:
    for cut in range(1, len(mask)):
        guard = CopyGuard()
        assert guard.passes(1, b"text " + mask[:cut]) == (b"***" not in mask[:cut])
        assert not guard.passes(1, mask[cut:] + b" text")


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_in_random_pieces(seed: int) -> None:
    source = random.Random(seed)
    data = source.randbytes(40).replace(b"*", b"x") + source.choice(MASKS) + source.randbytes(40).replace(b"*", b"x")
    guard, passed, at = CopyGuard(), True, 0
    while at < len(data):
        size = source.randint(1, 3)
        passed = guard.passes(1, data[at : at + size]) and passed
        at += size
    assert not passed


def test_a_part_that_begins_like_a_message() -> None:
    """Only the first part of a message has a head, and data may begin with any byte."""
    guard = CopyGuard()
    assert guard.passes(1, b"x" * 10)
    assert not guard.passes(1, b"d***x" + b"x" * 100)


def test_each_copy_begins_anew() -> None:
    guard = CopyGuard()
    assert guard.passes(1, b"**")
    assert guard.passes(2, b"*")
    assert not guard.passes(2, b"**")
