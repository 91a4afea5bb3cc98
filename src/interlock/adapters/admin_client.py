"""Sends commands to a running gateway through its Unix socket.

A secret in a command goes to no one but the owner of the data directory: the kernel says who listens.
"""

import asyncio
import os
import socket
import struct
from pathlib import Path
from typing import Final

import msgspec

from interlock.core.administration import SOCKET_FILE, AnswerT, Command, answer_type
from interlock.core.errors import AdministrationRefused

_MAX_LINE_BYTES: Final = 16 << 20


class GatewayNotRunning(Exception):
    """Nobody listens on the socket."""


class _Reply(msgspec.Struct, frozen=True):
    """``answer`` when the command was executed, ``error`` when it was not."""

    answer: msgspec.Raw = msgspec.Raw()
    error: str | None = None


async def send_command(directory: Path, command: Command[AnswerT]) -> AnswerT:
    """The running gateway's answer to a command.

    Raises GatewayNotRunning when there is none, AdministrationRefused when it says no or breaks off.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(directory / SOCKET_FILE), limit=_MAX_LINE_BYTES)
    except (FileNotFoundError, ConnectionRefusedError):
        raise GatewayNotRunning from None
    except OSError as error:
        raise AdministrationRefused(f"{directory / SOCKET_FILE}: {error.strerror}") from None
    try:
        _check_listener(writer.get_extra_info("socket"), directory)
        writer.write(msgspec.json.encode(command) + b"\n")
        line = await asyncio.wait_for(reader.readline(), command.answer_timeout_s)
    except (OSError, TimeoutError, ValueError):
        line = b""
    finally:
        writer.close()
    return _read_reply(line, command)


def _read_reply(line: bytes, command: Command[AnswerT]) -> AnswerT:
    try:
        reply = msgspec.json.decode(line, type=_Reply)
        if reply.error is not None:
            raise AdministrationRefused(reply.error)
        return msgspec.json.decode(reply.answer, type=answer_type(command))
    except ValueError:
        raise AdministrationRefused("the gateway broke off; whether it was done is on the ledger") from None


def _check_listener(connection: socket.socket, directory: Path) -> None:
    uid = listener_uid(connection)
    if uid not in (0, os.geteuid(), directory.stat().st_uid):
        raise AdministrationRefused(f"the socket in {directory} belongs to somebody else (user id {uid})")


def listener_uid(connection: socket.socket) -> int:
    """The user id of the process that listens, as the kernel noted it (struct ucred of unix(7): pid, uid, gid)."""
    credentials = struct.Struct("3i")
    _, uid, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return int(uid)
