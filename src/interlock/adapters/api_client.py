"""Gives commands to a running gateway through its API: on its Unix socket, or over TLS with a token.

On the socket a secret in a command goes to no one but the owner of the data directory: the kernel says who listens. The
token is in no error and no ``repr``.
"""

import http.client
import os
import socket
import ssl
import struct
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from interlock.core.administration import SOCKET_FILE, AnswerT, Command, answer_type
from interlock.core.administration.remote import RemoteGateway
from interlock.core.administration.requests import CommandRequest, request_of
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused, ConfigurationError, InvalidCommand, NotAllowed, NotFound

_MAX_ANSWER_BYTES: Final = 64 << 20
_CONNECT_TIMEOUT_S: Final = 10.0
_ERRORS: Final = {403: NotAllowed, 404: NotFound, 422: InvalidCommand}


class GatewayNotRunning(Exception):
    """Nobody listens on the socket."""


class _Problem(msgspec.Struct, frozen=True):
    """What an API answers when it does not do something."""

    title: str = ""
    detail: str = ""


def send_command(directory: Path, command: Command[AnswerT], token: str = "") -> AnswerT:
    """The answer of the gateway that runs with this data directory, to the token's holder or else to this account.

    Raises GatewayNotRunning when there is none, AdministrationRefused when it says no or breaks off.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return _exchange(_SocketConnection(directory, command.answer_timeout_s), command, headers)


def send_remote_command(gateway: RemoteGateway, command: Command[AnswerT]) -> AnswerT:
    """The answer of a gateway elsewhere.

    Raises ConfigurationError when its address is none, AdministrationRefused when it says no, breaks off, cannot be
    reached, or is not who it should be.
    """
    address = GatewayAddress(gateway.url, gateway.ca_file)
    connection, base = open_connection(address, command.answer_timeout_s)
    return _exchange(connection, command, {"Authorization": f"Bearer {gateway.token}"}, base)


def open_connection(address: GatewayAddress, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection to a gateway's API, and what stands before each path there.

    Raises ConfigurationError when the address is none, AdministrationRefused when the gateway cannot be reached, does
    not run, or is not who it should be.
    """
    connection, base = _connection(address, timeout_s)
    try:
        connection.connect()
    except GatewayNotRunning:
        connection.close()
        raise AdministrationRefused(f"no gateway is running in {address.data_dir}") from None
    except ssl.SSLError as error:
        raise AdministrationRefused(f"{address.url}: {error.reason or error}; name the CA with --api-ca") from None
    except OSError as error:
        raise AdministrationRefused(f"{address.url} cannot be reached: {error.strerror or error}") from None
    connection.sock.settimeout(timeout_s)
    return connection, base


def _connection(address: GatewayAddress, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    if not address.url:
        return _SocketConnection(Path(address.data_dir), timeout_s), ""
    place = urlsplit(address.url)
    try:
        port = place.port
    except ValueError:
        port = -1
    if place.scheme != "https" or not place.hostname or place.query or place.fragment or port == -1:
        raise ConfigurationError(f"{address.url!r} is not the address of an API: write https://host:port")
    context = _tls_context(address.ca_file)
    connection = http.client.HTTPSConnection(place.hostname, port, timeout=_CONNECT_TIMEOUT_S, context=context)
    return connection, place.path.rstrip("/")


def _exchange(
    connection: http.client.HTTPConnection, command: Command[AnswerT], headers: dict[str, str], base: str = ""
) -> AnswerT:
    request = request_of(command)
    try:
        status, body = _round_trip(connection, request, headers, base)
    except (OSError, http.client.HTTPException, ValueError):
        raise AdministrationRefused("the gateway broke off; whether it was done is on the ledger") from None
    finally:
        connection.close()
    try:
        if status == http.HTTPStatus.OK:
            return msgspec.json.decode(body, type=answer_type(command))
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AdministrationRefused(f"what answers is not this gateway's API (status {status})") from None
    raise _ERRORS.get(status, AdministrationRefused)(problem.detail or problem.title or f"status {status}")


def _round_trip(
    connection: http.client.HTTPConnection, request: CommandRequest, headers: dict[str, str], base: str
) -> tuple[int, bytes]:
    if request.body:
        headers = {**headers, "Content-Type": "application/json"}
    connection.request(request.method, base + request.target, request.body or None, headers)
    response = connection.getresponse()
    body = response.read(_MAX_ANSWER_BYTES + 1)
    if len(body) > _MAX_ANSWER_BYTES:
        raise ValueError("too long an answer")
    return response.status, body


def _tls_context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca_file}: cannot be used as CA: {error}") from None


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket in a data directory."""

    def __init__(self, directory: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._directory = directory

    def connect(self) -> None:
        file = self._directory / SOCKET_FILE
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(file))
        except (FileNotFoundError, ConnectionRefusedError):
            raise GatewayNotRunning from None
        except OSError as error:
            raise AdministrationRefused(f"{file}: {error.strerror or error}") from None
        uid = listener_uid(self.sock)
        if uid not in (0, os.geteuid(), self._directory.stat().st_uid):
            raise AdministrationRefused(f"the socket in {self._directory} belongs to somebody else (user id {uid})")


def listener_uid(connection: socket.socket) -> int:
    """The user id of the process that listens, as the kernel noted it (struct ucred of unix(7): pid, uid, gid)."""
    credentials = struct.Struct("3i")
    _, uid, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return int(uid)
