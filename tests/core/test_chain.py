"""The entry's envelope."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.chain import (
    GENESIS,
    Entry,
    Head,
    SealedEntry,
    decode_entry,
    encode,
    encode_record,
    link,
)
from interlock.core.errors import EvidenceError
from interlock.core.ledger import GatewayStarted, SessionClosed
from interlock.core.merkle import leaf_hash

RECORD = GatewayStarted("node-1", "0.1", "strict")


def test_an_entry_is_an_array_of_five_with_a_named_record() -> None:
    data = encode(Entry(3, 17, GENESIS, RECORD))
    fields = {"kind": "gateway.started", "node": "node-1", "version": "0.1", "durability": "strict"}
    assert msgspec.msgpack.decode(data) == [1, 3, 17, GENESIS, fields]


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.binary(min_size=32, max_size=32), st.text(max_size=50))
def test_an_encoded_record_gives_the_same_bytes_and_comes_back(seq: int, at: int, prev: bytes, text: str) -> None:
    record = GatewayStarted(text, "0.1", "strict")
    data = encode(Entry(seq, at, prev, record))
    assert encode(SealedEntry(seq, at, prev, encode_record(record))) == data
    assert decode_entry(data) == Entry(seq, at, prev, record)


def test_what_cannot_be_encoded_is_refused_without_its_value() -> None:
    with pytest.raises(EvidenceError) as caught:
        encode_record(GatewayStarted("secret\ud800", "0.1", "strict"))
    assert "secret" not in str(caught.value)
    with pytest.raises(EvidenceError):
        encode_record(SessionClosed("s", "closed", "", 1, 0, 2**70, 0, 0))


@given(st.binary(max_size=100))
def test_garbage_is_no_entry(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        decode_entry(data)


def test_entries_link() -> None:
    first = Entry(0, 1, GENESIS, RECORD)
    head = link(Head(), first, encode(first))
    assert head == Head(1, leaf_hash(encode(first)))
    with pytest.raises(EvidenceError, match="entry 1 is missing"):
        link(head, Entry(2, 1, head.prev, RECORD), b"")
    with pytest.raises(EvidenceError, match="does not link"):
        link(head, Entry(1, 1, GENESIS, RECORD), b"")
