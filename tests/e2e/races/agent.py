"""An agent's connection, down to the messages, so that it can do what proper clients would not, and many at once."""

import asyncio
import contextlib
import re
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.wire import message, query, startup

_REQUEST: Final = re.compile(rb"Request ([0-9a-z]{26})")
LOGIN_S: Final = 3.0
"""A frozen agent would wait until it is thawed."""


class Gone(Exception):
    """The connection has ended, or there never was one."""


class Reply:
    """What came back up to ReadyForQuery: completions, the first error's code and text, transaction status."""

    def __init__(self) -> None:
        self.completed: list[str] = []
        self.code = ""
        self.text = ""
        self.rows: list[list[str]] = []
        self.status = ""


@dataclass(frozen=True)
class Place:
    """Where the gateway listens. ``context`` begins TLS with the first byte, as PostgreSQL 17 has it."""

    port: int
    context: ssl.SSLContext

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises ``Gone``."""
        try:
            return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        except OSError as error:
            raise Gone(str(error)) from error


class AgentConnection:
    """One session. ``held`` is called with the id of each request that the gateway tells of."""

    def __init__(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: Callable[[str], None]
    ) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer
        self._held = held
        self._cancel_key = b""
        self.backend = 0
        """The target's process."""

    async def log_in(self, name: str, token: str) -> None:
        """Raises ``Gone``."""
        await self.ask(startup(user=name) + message(b"p", token.encode() + b"\0"))
        reply = await self.ask(query("SELECT pg_backend_pid()"))
        if not reply.rows:
            raise Gone(reply.text)
        self.backend = int(reply.rows[0][0])

    async def ask(self, data: bytes) -> Reply:
        """Send messages and read up to ReadyForQuery. Raises ``Gone``."""
        self._writer.write(data)
        return await self._until_ready()

    async def cancel(self) -> None:
        """Send a cancel request, on a connection of its own."""
        with contextlib.suppress(Gone, OSError):
            _, writer = await self._place.connect()
            writer.write(struct.pack("!II", 8 + len(self._cancel_key), 80877102) + self._cancel_key)
            await writer.drain()
            writer.close()

    def drop(self) -> None:
        """Leave without a word."""
        self._writer.transport.abort()

    async def _until_ready(self) -> Reply:
        reply = Reply()
        try:
            while True:
                head = await self._reader.readexactly(5)
                body = await self._reader.readexactly(int.from_bytes(head[1:5], "big") - 4)
                if self._take(reply, head[:1], body):
                    return reply
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Gone(reply.text or str(error)) from error

    def _take(self, reply: Reply, kind: bytes, body: bytes) -> bool:
        if kind == b"E" and not reply.code:
            fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
            reply.code, reply.text = fields[b"C"].decode(), fields[b"M"].decode()
        elif kind == b"N" and (found := _REQUEST.search(body)):
            self._held(found[1].decode())
        elif kind == b"C":
            reply.completed.append(body[:-1].decode())
        elif kind == b"D":
            (size,) = struct.unpack_from("!i", body, 2)
            reply.rows.append([body[6 : 6 + size].decode()])
        elif kind == b"K":
            self._cancel_key = body
        reply.status = body.decode() if kind == b"Z" else ""
        return kind == b"Z"


async def open_agent(place: Place, name: str, token: str, held: Callable[[str], None]) -> AgentConnection:
    """A session that is ready. Raises ``Gone``."""
    try:
        async with asyncio.timeout(LOGIN_S):
            connection = AgentConnection(place, *await place.connect(), held)
            try:
                await connection.log_in(name, token)
            except BaseException:
                connection.drop()
                raise
    except TimeoutError:
        raise Gone("it takes too long") from None
    return connection


def place_of(port: int, certificate_file: Path) -> Place:
    context = ssl.create_default_context(cafile=certificate_file)
    context.set_alpn_protocols(["postgresql"])
    return Place(port, context)


def parse(name: str, text: str) -> bytes:
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0\0\0")


def bind(statement: str, *values: str) -> bytes:
    body = b"\0" + statement.encode() + b"\0\0\0" + struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", len(value.encode())) + value.encode()
    return message(b"B", body + b"\0\0")


def execute() -> bytes:
    return message(b"E", b"\0" + struct.pack("!I", 0))


def close(statement: str) -> bytes:
    return message(b"C", b"S" + statement.encode() + b"\0")


SYNC: Final = message(b"S")
