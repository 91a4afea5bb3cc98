"""A PostgreSQL session that keeps every byte it receives, and speaks each form of the protocol.

It sends what it is told without looking at it; what it receives it does not interpret beyond its framing.
"""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.e2e.wire import WireClient, message, query, startup

Message = tuple[bytes, bytes]

_SYNC = message(b"S")
_EVERY_ROW = 0


class Way(enum.Enum):
    """How a statement is sent."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    BINARY = "binary"
    PREPARED = "prepared"
    PORTAL = "portal"
    FLUSHED = "flushed"


@dataclass(frozen=True)
class Answer:
    """Everything that came back for one statement, up to and with its last ReadyForQuery."""

    messages: tuple[Message, ...]

    @property
    def output(self) -> bytes:
        """All bodies."""
        return b"".join(body for _, body in self.messages)

    @property
    def joined_cells(self) -> bytes:
        """The cells of all rows without anything between them, so that what came in pieces is whole again."""
        return b"".join(cell or b"" for row in self.rows for cell in row)

    @property
    def rows(self) -> list[tuple[bytes | None, ...]]:
        return [cells(body) for kind, body in self.messages if kind == b"D"]

    @property
    def columns(self) -> list[tuple[str, int]]:
        """Name and type oid of each column, as the last RowDescription has them."""
        described = [body for kind, body in self.messages if kind == b"T"]
        return columns(described[-1]) if described else []

    @property
    def tags(self) -> list[str]:
        return [body[:-1].decode() for kind, body in self.messages if kind == b"C"]

    @property
    def errors(self) -> list[dict[str, str]]:
        return [_fields(body) for kind, body in self.messages if kind == b"E"]

    @property
    def status(self) -> str:
        """The transaction's state at the end: ``I``, ``T`` or ``E``; empty when nothing was sent."""
        return self.messages[-1][1].decode() if self.messages else ""


class RecordingSession:
    """One session. ``send`` returns what came back; ``ended`` says that the server closed the connection."""

    def __init__(self, port: int, user: str, database: str, token: str = "", certificate: Path | None = None) -> None:
        self._wire = WireClient(port, certificate)
        self._buffer = bytearray()
        self._position = 0
        self.ended = False
        self._wire.send(startup(user, database))
        if token:
            self._take()
            self._wire.send(message(b"p", token.encode() + b"\0"))
        self.greeting = self._receive(1, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._wire.__exit__()

    def simple(self, text: str, copied: str = "") -> Answer:
        """Run a text by the simple protocol. ``copied`` is sent when it copies in."""
        self._wire.send(query(text))
        return self._receive(1, copied.encode())

    def send(self, text: str, way: Way, parameters: Sequence[str | None] = (), copied: str = "") -> Answer:
        """Run a statement in one of the ways; all but the simple one take parameters, in text format."""
        if way is Way.SIMPLE:
            return self.simple(text, copied)
        data, syncs = _requests(text, way, parameters)
        self._wire.send(data)
        return self._receive(syncs, copied.encode())

    def pipeline(self, texts: Sequence[str]) -> Answer:
        """Run statements with one Sync behind all of them."""
        requests = (_parse(text) + _bind((), 0) + _describe() + _execute() for text in texts)
        self._wire.send(b"".join(requests) + _SYNC)
        return self._receive(1, b"")

    def _receive(self, ready: int, copied: bytes) -> Answer:
        messages: list[Message] = []
        while ready:
            try:
                kind, body = self._take()
            except (EOFError, ConnectionError):
                self.ended = True
                messages.append((b"Z", b"ended"))
                break
            messages.append((kind, body))
            if kind == b"G":
                self._wire.send(message(b"d", copied) + message(b"c"))
            ready -= kind == b"Z"
        return Answer(tuple(messages))

    def _take(self) -> Message:
        head = self._read(5)
        return head[:1], self._read(int.from_bytes(head[1:], "big") - 4)

    def _read(self, size: int) -> bytes:
        while len(self._buffer) - self._position < size:
            del self._buffer[: self._position]
            self._position = 0
            self._buffer += self._wire.receive_some()
        self._position += size
        return bytes(self._buffer[self._position - size : self._position])


def cells(row: bytes) -> tuple[bytes | None, ...]:
    """The values of a DataRow."""
    found: list[bytes | None] = []
    position = 2
    for _ in range(int.from_bytes(row[:2], "big")):
        size = int.from_bytes(row[position : position + 4], "big", signed=True)
        position += 4
        found.append(None if size < 0 else row[position : position + size])
        position += max(size, 0)
    return tuple(found)


def columns(body: bytes) -> list[tuple[str, int]]:
    """Name and type oid of each column of a RowDescription."""
    found = []
    position = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(b"\0", position)
        found.append((body[position:end].decode(), int.from_bytes(body[end + 7 : end + 11], "big")))
        position = end + 19
    return found


def _fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def _requests(text: str, way: Way, parameters: Sequence[str | None]) -> tuple[bytes, int]:
    """The messages of a way, and how often they sync."""
    if way is Way.PREPARED:
        twice = (_bind(parameters, 0, "again") + _execute() + _SYNC) * 2
        return _close("again") + _parse(text, "again") + _SYNC + twice, 3
    bound = _parse(text) + _bind(parameters, 1 if way is Way.BINARY else 0)
    if way is Way.PORTAL:
        return bound + _execute(1) * 3 + _execute() + _SYNC, 1
    if way is Way.FLUSHED:
        return bound + _describe() + message(b"H") + _execute() + message(b"H") + _SYNC, 1
    return bound + _describe() + _execute() + _SYNC, 1


def _parse(text: str, name: str = "") -> bytes:
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0" + bytes(2))


def _bind(parameters: Sequence[str | None], result_format: int, statement: str = "") -> bytes:
    body = b"\0" + statement.encode() + b"\0" + struct.pack(">HH", 0, len(parameters))
    for parameter in parameters:
        value = None if parameter is None else parameter.encode()
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return message(b"B", body + struct.pack(">HH", 1, result_format))


def _describe() -> bytes:
    return message(b"D", b"P\0")


def _execute(rows: int = _EVERY_ROW) -> bytes:
    return message(b"E", b"\0" + struct.pack(">i", rows))


def _close(statement: str) -> bytes:
    return message(b"C", b"S" + statement.encode() + b"\0")
