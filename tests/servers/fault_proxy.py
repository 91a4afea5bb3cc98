"""A TCP proxy that behaves badly on request: slow, cut, split, reset, half-closed or stalled connections.

It knows no protocol. Faults apply to connections made after they were set; ``Faults()`` is a faithful relay.
"""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

_CHUNK_BYTES = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Ending(Enum):
    """What happens when a direction has carried its last byte (see ``Flow.end_after_bytes``)."""

    CLOSE = "close"
    """The whole connection ends in an orderly way (a side whose own bytes were not all read may see a reset)."""
    RESET = "reset"
    """Both sides see the connection reset."""
    HALF_CLOSE = "half close"
    """The receiver sees the end of input; the other direction goes on."""
    STALL = "stall"
    """Nothing more passes and nothing is closed; the sender is not read any more."""


@dataclass(frozen=True)
class Flow:
    """How the bytes of one direction are carried."""

    delay_s: float = 0.0
    """Wait before every chunk."""
    single_bytes: bool = False
    """Hand over every byte by itself."""
    end_after_bytes: int | None = None
    """Carry so many bytes and then do ``ending``."""
    ending: Ending = Ending.CLOSE


@dataclass(frozen=True)
class Faults:
    """The behaviour of a connection, by direction."""

    to_target: Flow = field(default_factory=Flow)
    to_client: Flow = field(default_factory=Flow)


class FaultProxy:
    """Listens on a loopback port (``port``) and relays to ``target_port``. An asynchronous context manager."""

    def __init__(self, target_port: int, faults: Faults | None = None) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.faults = faults or Faults()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """End all present connections, those that stall too."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._relay(reader, writer, self.faults)
        except asyncio.CancelledError:
            pass  # asyncio's streams report a cancelled handler as an error; here it is the regular end
        finally:
            self._connections.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults) -> None:
        target_writer: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                await _carry_both(
                    _carry(reader, target_writer, faults.to_target), _carry(target_reader, writer, faults.to_client)
                )
        except _Cut as cut:
            if cut.reset:
                _reset_on_close(writer, target_writer)
        except asyncio.CancelledError:
            _abort(writer, target_writer)
            raise
        finally:
            _close(writer, target_writer)


class _Cut(Exception):
    def __init__(self, *, reset: bool) -> None:
        self.reset = reset


async def _carry_both(*directions: Coroutine[Any, Any, None]) -> None:
    """Run both directions; the first that raises ends the other."""
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: Flow) -> None:
    left = flow.end_after_bytes
    while left != 0:
        chunk = await reader.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not chunk:
            writer.write_eof()
            return
        if left is not None:
            left -= len(chunk)
        await asyncio.sleep(flow.delay_s)
        await _deliver(writer, chunk, single_bytes=flow.single_bytes)
    await _end(writer, flow.ending)


async def _deliver(writer: asyncio.StreamWriter, chunk: bytes, *, single_bytes: bool) -> None:
    if not single_bytes:
        writer.write(chunk)
        await writer.drain()
        return
    for position in range(len(chunk)):
        writer.write(chunk[position : position + 1])
        await writer.drain()
        await asyncio.sleep(0)  # let the receiver read this byte before the next one comes


async def _end(writer: asyncio.StreamWriter, ending: Ending) -> None:
    match ending:
        case Ending.CLOSE | Ending.RESET:
            raise _Cut(reset=ending is Ending.RESET)
        case Ending.HALF_CLOSE:
            writer.write_eof()
        case Ending.STALL:
            await asyncio.Event().wait()


def _reset_on_close(*writers: asyncio.StreamWriter | None) -> None:
    for writer in writers:
        if writer is not None:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _abort(*writers: asyncio.StreamWriter | None) -> None:
    """Give up what a peer does not read: an orderly close would wait for it."""
    for writer in writers:
        if writer is not None:
            writer.transport.abort()


def _close(*writers: asyncio.StreamWriter | None) -> None:
    for writer in writers:
        if writer is not None:
            writer.close()
