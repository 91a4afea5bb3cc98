"""A PostgreSQL session as people see it: recorded bytes turned into transcript lines.

Frames hold whole backend messages as they were sent to the client (and CopyData payload messages towards the target),
cut anywhere. Everything that reaches a line is made printable first: a replay must not be able to drive the reader's
terminal. Nothing in here raises for what was recorded; what cannot be understood is said to be so.

A client that has prepared a statement does not ask for its RowDescription again: then the one that the same text had
before is used, with the formats of the Bind. When there is none, values stand without names, and binary ones show as
hexadecimal.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from interlock.core.printable import printable
from interlock.core.recording import Direction, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.postgres.values import decode_binary

MAX_MESSAGE_BYTES = 64 << 20
MAX_REMEMBERED = 1000
_HEADER = struct.Struct(">cI")
_TEXT, _BINARY = 0, 1


class _Column(msgspec.Struct, frozen=True):
    name: str
    type_oid: int
    binary: bool
    stored: bool = False


_Columns = tuple[_Column, ...]


class _Asked(msgspec.Struct, frozen=True):
    """What is kept of a request to read its answer: its text, and the formats it wants its columns in."""

    text: bytes
    formats: tuple[int, ...]


class _Reading:
    """What is known while the answer to one operation is read."""

    def __init__(self, number: int, columns: "_Columns" = ()) -> None:
        self.number = number
        self.columns = columns
        self.buffer = bytearray()
        self.lost = False


class PostgresTranscriber:
    """Implements ``services.evidence.archive.SessionTranscriber`` for one session.

    Messages never span operations, so what is left of an answer when the next one begins is a gap.
    """

    def __init__(self) -> None:
        self._readings: dict[tuple[Direction, bool], _Reading] = {}
        self._asked: dict[int, _Asked] = {}
        self._described: dict[bytes, _Columns] = {}

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TranscriptLine]:
        """The statement with its parameters, and what was too long to be kept."""
        text = printable(request.text.decode(errors="replace"))
        values = tuple(read_parameters(request.parameters, request.parameter_types)) if request.parameters else ()
        _remember(self._asked, number, _Asked(request.text, tuple(read_result_formats(request.parameters))))
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, text, values)
        if request.forwarded:
            forwarded = printable(request.forwarded.decode(errors="replace"))
            yield TranscriptLine(at_us, number, TranscriptKind.NOTICE, f"masked on its way to the target: {forwarded}")
        cut = request.text_bytes - len(request.text) + request.parameter_bytes - len(request.parameters)
        if cut > 0:
            yield TranscriptLine(at_us, number, TranscriptKind.GAP, f"{cut} bytes of the request were not kept")

    def frame(self, frame: Frame) -> Iterator[TranscriptLine]:
        """The lines that the messages completed by this frame make."""
        place = (frame.direction, frame.number == 0)
        reading = self._readings.get(place)
        if reading is None or reading.number != frame.number:
            if reading is not None:
                yield from _leftover(frame.at_us, reading)
            reading = self._readings[place] = _Reading(frame.number, self._expected_columns(frame.number))
        reading.buffer += frame.data
        for kind, body in _messages(reading, _KINDS[frame.direction]):
            yield from self._lines(frame, reading, kind, body)
        if reading.lost:
            reading.buffer.clear()

    def _lines(self, frame: Frame, reading: _Reading, kind: bytes, body: bytes) -> Iterable[TranscriptLine]:
        describe = _LINES.get((frame.direction, kind))
        lines = describe(frame, reading, body) if describe is not None else ()
        if kind == b"T" and frame.number in self._asked:
            lines = list(lines)
            _remember(self._described, self._asked[frame.number].text, reading.columns)
        return lines

    def _expected_columns(self, number: int) -> _Columns:
        """The columns that the same text had before, in the formats asked for now."""
        asked = self._asked.get(number)
        columns = self._described.get(asked.text, ()) if asked else ()
        if not asked or len(asked.formats) not in (0, 1, len(columns)):
            return ()
        formats = asked.formats if len(asked.formats) > 1 else (*asked.formats, _TEXT)[:1] * len(columns)
        return tuple(
            _Column(column.name, column.type_oid, form == _BINARY, column.stored)
            for column, form in zip(columns, formats, strict=True)
        )

    def finish(self) -> Iterator[TranscriptLine]:
        """What never became a whole message."""
        for reading in self._readings.values():
            yield from _leftover(0, reading)
        self._readings.clear()


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Keep a value, and not more than the newest thousand."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > MAX_REMEMBERED:
        del memory[next(iter(memory))]


def _leftover(at_us: int, reading: _Reading) -> Iterator[TranscriptLine]:
    if reading.buffer or reading.lost:
        text = "the rest of this answer was not kept or is no PostgreSQL message"
        yield TranscriptLine(at_us, reading.number, TranscriptKind.GAP, text)


def _messages(reading: _Reading, kinds: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The whole messages in the buffer, which they leave. A kind or length that cannot be ends the reading."""
    buffer, position = reading.buffer, 0
    while len(buffer) - position >= _HEADER.size and not reading.lost:
        kind, length = _HEADER.unpack_from(buffer, position)
        if kind not in kinds or not 4 <= length <= MAX_MESSAGE_BYTES:
            reading.lost = True
            break
        end = position + 1 + length
        if len(buffer) < end:
            break
        yield kind, bytes(buffer[position + _HEADER.size : end])
        position = end
    del buffer[:position]


# ---------------------------------------------------------------- messages to lines


def _row_description(frame: Frame, reading: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    reading.columns = tuple(_read_columns(body))
    line = _line(frame, TranscriptKind.COLUMNS, values=tuple(column.name for column in reading.columns))
    yield msgspec.structs.replace(line, stored=tuple(column.stored for column in reading.columns))


def _read_columns(body: bytes) -> Iterator[_Column]:
    position = 2
    while position < len(body):
        end = body.find(b"\0", position)
        if end < 0 or len(body) < end + 19:
            return
        relation, _, type_oid, _, _, form = struct.unpack_from(">IhIhih", body, end + 1)
        name = printable(body[position:end].decode(errors="replace"))
        yield _Column(name, type_oid, form == _BINARY, relation != 0)
        position = end + 19


def _data_row(frame: Frame, reading: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    cells = list(_read_values(body, 0))
    columns = reading.columns if len(reading.columns) == len(cells) else (None,) * len(cells)
    values = tuple(_cell(cell, column) for cell, column in zip(cells, columns, strict=True))
    yield _line(frame, TranscriptKind.ROW, values=values)


def _cell(value: bytes | None, column: _Column | None) -> str | None:
    if value is None:
        return None
    if column is not None and column.binary:
        return printable(decode_binary(column.type_oid, value))
    return readable(value)


def readable(value: bytes) -> str:
    """Bytes of unknown type as text when they are text, else as hexadecimal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "\\x" + value.hex()
    return "\\x" + value.hex() if "\0" in text else printable(text)


def _read_values(body: bytes, position: int) -> Iterator[bytes | None]:
    """Values as DataRow and Bind hold them: a count, then a length (-1 is NULL) and bytes for each."""
    if len(body) < position + 2:
        return
    (count,) = struct.unpack_from(">H", body, position)
    position += 2
    for _ in range(count):
        if len(body) < position + 4:
            return
        (length,) = struct.unpack_from(">i", body, position)
        position += 4
        yield body[position : position + length] if length >= 0 else None
        position += max(0, length)


def read_parameters(bind: bytes, types: bytes = b"") -> Iterator[str | None]:
    """The values in a Bind message from its format codes on; binary of unknown type shows as hexadecimal.

    ``types`` are a count and oids, as in ParameterDescription.
    """
    forms = _read_codes(bind, 0)
    oids = struct.unpack_from(f">{(len(types) - 2) // 4}I", types, 2) if len(types) > 2 else ()
    for place, value in enumerate(_read_values(bind, 2 + 2 * len(forms))):
        form = _TEXT if not forms else forms[0] if len(forms) == 1 else forms[place] if place < len(forms) else _BINARY
        if value is None:
            yield None
        else:
            oid = oids[place] if place < len(oids) else 0
            yield readable(value) if form == _TEXT else printable(decode_binary(oid, value))


def read_result_formats(bind: bytes) -> tuple[int, ...]:
    """The format codes that a Bind message asks its columns in, as far as they were kept."""
    position = 2 + 2 * len(_read_codes(bind, 0))
    values = list(_read_values(bind, position))
    return _read_codes(bind, position + 2 + sum(4 + len(value or b"") for value in values))


def _read_codes(bind: bytes, position: int) -> tuple[int, ...]:
    if len(bind) < position + 2:
        return ()
    (count,) = struct.unpack_from(">H", bind, position)
    if len(bind) < position + 2 + 2 * count:
        return ()
    return struct.unpack_from(f">{count}H", bind, position + 2)


def _command_complete(frame: Frame, reading: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    reading.columns = ()
    yield _line(frame, TranscriptKind.DONE, _cstring(body))


def _error(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    yield _line(frame, TranscriptKind.ERROR, _report(body))


def _notice(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    yield _line(frame, TranscriptKind.NOTICE, _report(body))


def _report(body: bytes) -> str:
    """An ErrorResponse or NoticeResponse as psql shows it (manual, "Error and Notice Message Fields")."""
    fields = {part[:1]: printable(part[1:].decode(errors="replace")) for part in body.split(b"\0") if part}
    text = f"{fields.get(b'S', '')} {fields.get(b'C', '')}: {fields.get(b'M', '')}".strip()
    for code, name in ((b"D", "DETAIL"), (b"H", "HINT")):
        if code in fields:
            text += f"\n{name}: {fields[code]}"
    return text


def _copy_data(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    yield _line(frame, TranscriptKind.DATA, readable(body).removesuffix("\n"))


def _fixed(kind: TranscriptKind, text: str) -> "_Describe":
    def describe(frame: Frame, _: _Reading, __: bytes) -> Iterator[TranscriptLine]:
        yield _line(frame, kind, text)

    return describe


def _copy_fail(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    yield _line(frame, TranscriptKind.NOTICE, f"COPY given up: {_cstring(body)}")


def _parameter_status(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    name, value = body.split(b"\0", 1) if b"\0" in body else (body, b"")
    text = f"{name.decode(errors='replace')} = {_cstring(value)}"
    yield _line(frame, TranscriptKind.NOTICE, printable(text))


def _notification(frame: Frame, _: _Reading, body: bytes) -> Iterator[TranscriptLine]:
    channel, payload = body[4:].split(b"\0", 1) if b"\0" in body[4:] else (body[4:], b"")
    text = f"NOTIFY {channel.decode(errors='replace')}: {_cstring(payload)}"
    yield _line(frame, TranscriptKind.NOTICE, printable(text))


def _cstring(body: bytes) -> str:
    return printable(body.partition(b"\0")[0].decode(errors="replace"))


def _line(frame: Frame, kind: TranscriptKind, text: str = "", values: tuple[str | None, ...] = ()) -> TranscriptLine:
    return TranscriptLine(frame.at_us, frame.number, kind, text, values)


_Describe = Callable[[Frame, _Reading, bytes], Iterable[TranscriptLine]]

_KINDS = {Direction.ANSWER: b"12345ACDEGHIKNRSTVWZcdnstv", Direction.REQUEST: b"BdcfHSX"}

# Messages that a person need not see (1 2 3 n t K R Z G H W c) have no entry.
_LINES: dict[tuple[Direction, bytes], _Describe] = {
    (Direction.ANSWER, b"T"): _row_description,
    (Direction.ANSWER, b"D"): _data_row,
    (Direction.ANSWER, b"C"): _command_complete,
    (Direction.ANSWER, b"E"): _error,
    (Direction.ANSWER, b"N"): _notice,
    (Direction.ANSWER, b"I"): _fixed(TranscriptKind.DONE, "empty query"),
    (Direction.ANSWER, b"s"): _fixed(TranscriptKind.DONE, "portal suspended"),
    (Direction.ANSWER, b"d"): _copy_data,
    (Direction.ANSWER, b"S"): _parameter_status,
    (Direction.ANSWER, b"A"): _notification,
    (Direction.REQUEST, b"d"): _copy_data,
    (Direction.REQUEST, b"f"): _copy_fail,
}
