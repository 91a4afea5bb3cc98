"""Segment files: the form in which entries lie on disk, and how to read them back.

A segment starts with eight magic bytes; then come frames: length (four bytes, big-endian), CRC-32 of the entry (four
bytes), entry. The file's name is the sequence number of its first entry in twenty digits. Only the last segment is
ever written to, and only at its end.

Reading never repairs: a frame that is not whole ends the reading with a ``Damage``, which says where it is and
whether it can be the torn tail of a crash.
"""

import enum
import re
import struct
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from interlock.core.chain import decode_entry
from interlock.core.errors import EvidenceError

MAGIC = b"ILKLEDG1"
MAX_ENTRY_BYTES = 16 << 20
_HEADER = struct.Struct(">II")
HEADER_BYTES = _HEADER.size
_READ_BYTES = 1 << 20
_SEGMENT_NAME = re.compile(r"\d{20}\.seg")
# An entry starts with the array header and the format number, and has its time and the previous hash at the front.
_ENTRY_START = re.compile(rb"\x95\x01(?:[\x00-\x7f]|\xcc.|\xcd..|\xce.{4}|\xcf.{8})\xcf.{8}\xc4\x20.{32}", re.DOTALL)

pack_header = _HEADER.pack


class Defect(enum.Enum):
    """What is wrong with the bytes at the end of what could be read."""

    TORN = "an entry that is not whole, and nothing behind it"
    DAMAGED = "a damaged entry with whole entries behind it"
    HEADER = "not a ledger segment"


class Damage(msgspec.Struct, frozen=True):
    """Where reading a segment had to stop: the bad frame begins at ``offset``, the file ends ``size_bytes`` later."""

    defect: Defect
    offset: int
    size_bytes: int


class StoredEntry(msgspec.Struct, frozen=True):
    """The bytes of one entry and where its frame begins."""

    data: bytes
    offset: int


def segment_path(directory: Path, first: int) -> Path:
    """The file of the segment that starts with entry ``first``."""
    return directory / f"{first:020d}.seg"


def first_sequence(path: Path) -> int:
    """The sequence number that a segment's name promises for its first entry."""
    return int(path.stem)


def list_segments(directory: Path) -> list[Path]:
    """The segments in order. Empty when there is no directory yet."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _SEGMENT_NAME.fullmatch(path.name))


def pack_frame(data: bytes) -> bytes:
    """An entry's bytes with the frame's header in front."""
    return _HEADER.pack(len(data), zlib.crc32(data)) + data


class SegmentReader:
    """Reads the entries of one segment in order, in bounded memory. ``damage`` is set when it ended too early.

    ``end`` is the offset behind the last whole entry.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self.end = offset
        self.damage: Damage | None = None

    def __iter__(self) -> Generator[StoredEntry, None, None]:
        with self._path.open("rb") as file:
            if self.end < len(MAGIC):
                if not self._starts_well(file):
                    return
                self.end = len(MAGIC)
            file.seek(self.end)
            yield from self._frames(file)

    def _starts_well(self, file: BinaryIO) -> bool:
        start = file.read(len(MAGIC))
        if start == MAGIC:
            return True
        size = self._path.stat().st_size
        torn = MAGIC.startswith(start)
        self.damage = Damage(Defect.TORN if torn else Defect.HEADER, 0, size)
        return False

    def _frames(self, file: BinaryIO) -> Iterator[StoredEntry]:
        """The entries from ``end`` on. A frame that looks bad is read once more: it may just have been written."""
        buffer, position, doubted = b"", 0, -1
        while True:
            data = _frame_at(buffer, position)
            if data is None:
                buffer, position = buffer[position:] + file.read(_READ_BYTES), 0
                data = _frame_at(buffer, position)
            if data is None and buffer and doubted != self.end:
                doubted = file.seek(self.end)
                buffer = file.read(_READ_BYTES + _needed(buffer))
                data = _frame_at(buffer, 0)
            if data is None:
                break
            yield StoredEntry(data, self.end)
            position += _HEADER.size + len(data)
            self.end += _HEADER.size + len(data)
        if buffer:
            self.damage = self._judge(file)

    def _judge(self, file: BinaryIO) -> Damage:
        """Tell a torn tail from damage: behind a torn tail there is no whole entry."""
        defect, size, start = Defect.TORN, file.seek(0, 2) - self.end, self.end
        overlap = MAX_ENTRY_BYTES + _HEADER.size
        while True:
            file.seek(start)
            window = file.read(4 * overlap)
            if _holds_entry(window, skip=start == self.end):
                defect = Defect.DAMAGED
                break
            if len(window) < 4 * overlap:
                break
            start += 3 * overlap
        return Damage(defect, self.end, size)


def _needed(buffer: bytes) -> int:
    """How long the frame at the start of ``buffer`` says it is, 0 when it says nothing sensible."""
    length = _HEADER.unpack_from(buffer)[0] if len(buffer) >= _HEADER.size else 0
    return length if length <= MAX_ENTRY_BYTES else 0


def _frame_at(buffer: bytes, position: int) -> bytes | None:
    """The entry whose frame begins at ``position``, None when it is not whole there or its checksum is wrong."""
    if len(buffer) - position < _HEADER.size:
        return None
    length, crc = _HEADER.unpack_from(buffer, position)
    start = position + _HEADER.size
    data = buffer[start : start + length]
    if not 0 < length <= MAX_ENTRY_BYTES or len(data) < length or zlib.crc32(data) != crc:
        return None
    return data


def _holds_entry(window: bytes, *, skip: bool) -> bool:
    """Whether a whole frame lies anywhere in ``window`` (behind its first byte when ``skip``)."""
    match = _ENTRY_START.search(window, _HEADER.size + skip)
    while match:
        begin = match.start()
        length, crc = _HEADER.unpack_from(window, begin - _HEADER.size)
        data = window[begin : begin + length]
        if 0 < length <= MAX_ENTRY_BYTES and len(data) == length and zlib.crc32(data) == crc and _is_entry(data):
            return True
        match = _ENTRY_START.search(window, begin + 1)
    return False


def _is_entry(data: bytes) -> bool:
    try:
        decode_entry(data)
    except EvidenceError:
        return False
    return True
