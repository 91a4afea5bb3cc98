"""One entry of the ledger: a record with its place, its time and the hash of the entry before it.

An entry is stored as MessagePack, an array of five: format (1), sequence, time, previous leaf hash, record (a map whose
``kind`` names it). The *leaf hash* of those bytes is both the link of the chain and the leaf of the Merkle tree, so one
hash serves both. Entries count from 0; the first one links to 32 zero bytes.
"""

import msgspec

from interlock.core.errors import EvidenceError
from interlock.core.ledger import AnyRecord
from interlock.core.merkle import HASH_BYTES, leaf_hash

GENESIS = bytes(HASH_BYTES)


class Entry(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The envelope around a record. ``time_ns`` is Unix time, ``prev`` the leaf hash of entry ``sequence - 1``."""

    sequence: int
    time_ns: int
    prev: bytes
    record: AnyRecord


class Head(msgspec.Struct, frozen=True):
    """Where a chain ends: the sequence number the next entry gets, and the leaf hash it links to."""

    sequence: int = 0
    prev: bytes = GENESIS


class SealedEntry(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """An ``Entry`` whose record is encoded already; its bytes are the same."""

    sequence: int
    time_ns: int
    prev: bytes
    record: msgspec.Raw


encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_record(record: AnyRecord) -> msgspec.Raw:
    """A record's bytes, to go into a ``SealedEntry``. Raises ``EvidenceError`` when it holds what cannot be encoded."""
    try:
        return msgspec.Raw(encode(record))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EvidenceError(f"a record cannot be encoded: {type(error).__name__}") from None


def decode_entry(data: bytes | memoryview) -> Entry:
    """The entry in stored bytes. Raises ``EvidenceError`` when they are not one."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"not a ledger entry: {error}") from None


def link(head: Head, entry: Entry, data: bytes) -> Head:
    """The head after ``entry`` (stored as ``data``). Raises ``EvidenceError`` when it does not follow ``head``."""
    if entry.sequence != head.sequence:
        raise EvidenceError(f"entry {head.sequence} is missing: entry {entry.sequence} stands in its place")
    if entry.prev != head.prev:
        raise EvidenceError(f"entry {entry.sequence} does not link to the entry before it")
    return Head(entry.sequence + 1, leaf_hash(data))
