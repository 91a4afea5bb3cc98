"""Masks CSV (RFC 4180) and its kin, by the names in the first record.

Cells may be apart by commas, semicolons, tabs or bars, and records by any line end. Where a reader could see other
cells than are seen here, the body is refused: for a stray quote, and for a record that is wider than the first.
"""

import re
from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.fields import FieldState
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.bodies.texts import masked_field

MAX_RECORD_BYTES: Final = 1 << 20
MAX_CELLS: Final = 4096
"""Of a record."""
DELIMITERS: Final = (b",", b";", b"\t", b"|")

_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_SEPARATED_BY: Final = re.compile(rb"sep=(.)")


class CsvMasker:
    """One table. ``delimiter`` is empty where the first record tells it."""

    def __init__(self, plan: Plan, tally: Tally, delimiter: bytes = b"") -> None:
        self._plan = plan
        self._tally = tally
        self._delimiter = delimiter
        self._names: list[str] | None = None
        self._places: list[FieldState] = []
        self._held = bytearray()
        self._scanned = 0
        self._quotes = 0
        """In what was scanned."""

    def feed(self, data: bytes) -> bytes:
        """The records that are whole by now. Raises ``BodyRefused``."""
        if b"\0" in data:
            raise Malformed("it has a NUL character")
        self._held += data
        parts: list[bytes] = []
        start = 0
        for line_end in _LINE_END.finditer(self._held, self._scanned):
            self._count_quotes(line_end.start())
            self._scanned = line_end.end()
            if self._quotes % 2 == 0:
                parts += (self._record(bytes(self._held[start : line_end.start()])), line_end[0])
                start = line_end.end()
        self._count_quotes(len(self._held) - 1)
        del self._held[:start]
        self._scanned -= start
        if len(self._held) > MAX_RECORD_BYTES:
            raise BodyRefused(f"it has a record of more than {MAX_RECORD_BYTES} bytes")
        return b"".join(parts)

    def finish(self) -> bytes:
        """The last record. Raises ``BodyRefused``."""
        line_end = b"\r" if self._held.endswith(b"\r") else b""
        record = bytes(self._held).removesuffix(line_end)
        if record.count(b'"') % 2:
            raise Malformed("it ends within a quoted cell")
        return self._record(record) + line_end

    def _count_quotes(self, end: int) -> None:
        """Up to ``end``, or not at all when that has been done."""
        if end > self._scanned:
            self._quotes += self._held.count(b'"', self._scanned, end)
            self._scanned = end

    def _record(self, record: bytes) -> bytes:
        if not record.strip():
            return record
        if self._names is None:
            return self._first_record(record)
        cells = self._cells(record)
        if len(cells) > len(self._names) and any(cells[len(self._names) :]):
            raise Malformed("it has a record with more cells than the first one")
        for index, name in enumerate(self._names[: len(cells)]):
            cell = _read(cells[index])
            masked = masked_field(cell, self._plan, self._tally, self._places[index], name)
            if masked != cell:
                cells[index] = _written(masked, self._delimiter)
        return self._delimiter.join(cells)

    def _first_record(self, record: bytes) -> bytes:
        told = _SEPARATED_BY.fullmatch(record)
        if told is not None:
            self._delimiter = told[1]
            return record
        self._delimiter = self._delimiter or likely_delimiter(record, self._plan)
        cells = self._cells(record)
        self._names = [_read(cell) for cell in cells]
        row = self._plan.fields.root.element()
        self._places = [row.member(name.encode()) for name in self._names]
        return self._delimiter.join([self._title(cell) for cell in cells])

    def _title(self, cell: bytes) -> bytes:
        name = _read(cell).encode()
        clean = self._plan.clean(name, self._tally)
        return cell if clean == name else _written(clean.decode(), self._delimiter)

    def _cells(self, record: bytes) -> list[bytes]:
        parts = _parted(record, self._delimiter)
        if b'"' not in record:
            return parts
        cells: list[bytes] = []
        for part in parts:
            if cells and cells[-1].count(b'"') % 2:
                cells[-1] += self._delimiter + part
            else:
                cells.append(part)
        if any(b'"' in cell and not _is_quoted(cell) for cell in cells):
            raise Malformed("it has a quote in a cell that is not in quotes")
        return cells


def likely_delimiter(record: bytes, plan: Plan) -> bytes:
    """What the cells of a first record are apart by: what makes a masked name a cell, else what is there most often.

    Raises ``Malformed`` when that is uncertain.
    """
    telling = [delimiter for delimiter in DELIMITERS if names_masked_column(record, delimiter, plan)]
    if len(telling) > 1:
        raise Malformed("what its cells are apart by is uncertain")
    return telling[0] if telling else max(DELIMITERS, key=record.count)


def names_masked_column(record: bytes, delimiter: bytes, plan: Plan) -> bool:
    """Whether one of several cells in a first record is the name of a masked column."""
    cells = _parted(record, delimiter)
    row = plan.fields.root.element()
    return len(cells) > 1 and any(row.member(_read(cell).encode()).mask is not None for cell in cells)


def _parted(record: bytes, delimiter: bytes) -> list[bytes]:
    parts = record.split(delimiter, MAX_CELLS)
    if len(parts) > MAX_CELLS:
        raise BodyRefused(f"it has a record of more than {MAX_CELLS} cells")
    return parts


def _is_quoted(cell: bytes) -> bool:
    bare = cell.strip(b" ")
    inner = bare[1:-1].replace(b'""', b"")
    return len(bare) >= 2 and bare[:1] == b'"' == bare[-1:] and b'"' not in inner


def _read(cell: bytes) -> str:
    bare = cell.strip(b" ")
    if bare[:1] == b'"':
        bare = bare[1:-1].replace(b'""', b'"')
        return bare.decode(errors="replace")
    return cell.decode(errors="replace")


def _written(text: str, delimiter: bytes) -> bytes:
    data = text.encode(errors="surrogatepass")
    if any(byte in b'"\r\n' or byte in delimiter for byte in data):
        return b'"%b"' % data.replace(b'"', b'""')
    return data
