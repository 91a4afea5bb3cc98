"""The Unix socket by which commands reach a running gateway: one JSON command a line, one JSON answer a line.

The file has mode 0600, and the kernel's word on who connects is checked besides: only the gateway's own user and root
are served. What is asked and answered is never logged: it can hold a secret.
"""

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from interlock.core.administration import SOCKET_FILE, AnswerT, AnyCommand, Command
from interlock.core.errors import ConfigurationError, InterlockError
from interlock.core.identity import Actor, local_actor

MAX_LINE_BYTES: Final = 1 << 20
READ_TIMEOUT_S: Final = 30.0
_MAX_PATH_BYTES: Final = 107  # sun_path of unix(7), without the final NUL
_PEER_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid

log = structlog.get_logger(__name__)


class Executor(Protocol):
    """``services.administration.Administration``."""

    def execute(self, command: Command[AnswerT], actor: Actor) -> Awaitable[AnswerT]:
        """Do what the command says. Raises InterlockError."""


class AdminSocket:
    """The listener. ``start`` takes over a socket file that a dead gateway left behind."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        """``directory`` is the data directory, which the caller holds the lock of."""
        self._file = directory / SOCKET_FILE
        self._executor = executor
        self._server: asyncio.Server | None = None
        self._commands = msgspec.json.Decoder(AnyCommand)

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the path is too long, OSError when it cannot be had."""
        if len(os.fsencode(self._file)) > _MAX_PATH_BYTES:
            raise ConfigurationError(f"{self._file}: too long for a socket; choose a shorter gateway.data_dir")
        self._server = await asyncio.start_unix_server(self._serve, sock=_bind(self._file), limit=MAX_LINE_BYTES)

    async def stop(self) -> None:
        """Stop listening and remove the socket file."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._file.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid in (0, os.geteuid()):
                await self._answer_all(reader, writer, local_actor(user_name(uid)))
            else:
                log.warning("administration refused", uid=uid)
        except (OSError, TimeoutError, ValueError):
            pass  # the peer went away, stalled, or sent a line without an end
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor) -> None:
        while line := await asyncio.wait_for(reader.readline(), READ_TIMEOUT_S):
            writer.write(msgspec.json.encode(await self._answer(line, actor)) + b"\n")
            await writer.drain()

    async def _answer(self, line: bytes, actor: Actor) -> dict[str, Any]:
        try:
            command = self._commands.decode(line)
        except msgspec.MsgspecError as error:
            return {"error": f"this gateway does not take the command: {error}"}
        try:
            return {"answer": await self._executor.execute(command, actor)}
        except InterlockError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - one command must not end the gateway; its text may hold a secret
            log.error("administration failed", error=type(error).__name__)
            return {"error": "the gateway failed to do this; its log says more"}


def _bind(file: Path) -> socket.socket:
    """A listening-ready socket whose file nobody else could open, not even for a moment."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file.unlink(missing_ok=True)
    previous = os.umask(0o177)
    try:
        listener.bind(str(file))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(previous)
    listener.setblocking(False)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel noted it when the connection was made."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    _, uid, _ = _PEER_CREDENTIALS.unpack(credentials)
    return int(uid)


def user_name(uid: int) -> str:
    """The account's name, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
