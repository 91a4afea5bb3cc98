"""A plain HTTP client of a gateway's API, for tests: it sends what it is told, and reads events as a browser would.

It speaks TLS, or plain HTTP on a gateway's Unix socket.
"""

import functools
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Event:
    """One server-sent event. ``id`` is the last id that there was."""

    name: str
    id: str
    data: Any = None


@dataclass
class ApiClient:
    """``token`` is sent with each request, if there is one. ``source`` is the address to come from."""

    url: str = ""
    ca_file: Path | None = None
    token: str | None = None
    timeout_s: float = 30
    headers: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    socket_file: Path | None = None
    """Where to connect in the place of ``url``."""

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; ``body`` is sent as JSON, bytes as they are. Underscores in header names are hyphens."""
        connection = self.connect()
        try:
            self.send(connection, method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, **headers)

    @contextmanager
    def events(self, path: str = "/v1/events", **headers: str) -> Iterator[Iterator[Event]]:
        """The event stream: events as they come, until it ends."""
        connection = self.connect()
        try:
            self.send(connection, "GET", path, None, headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield read_events(response)
        finally:
            connection.close()

    def status(self, path: str, **headers: str) -> int:
        """Of a GET, without waiting for all of the answer."""
        connection = self.connect()
        try:
            self.send(connection, "GET", path, None, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own, for whoever closes it."""
        if self.socket_file is not None:
            return _SocketConnection(self.socket_file, self.timeout_s)
        place = urlsplit(self.url)
        return http.client.HTTPSConnection(
            str(place.hostname),
            place.port,
            timeout=self.timeout_s,
            context=_context(self.ca_file),
            source_address=(self.source, 0) if self.source else None,
        )

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Send one request on it."""
        sent = dict(self.headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)


@functools.cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, file: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._file))


def read_events(lines: Any) -> Iterator[Event]:
    """Events of a stream, by the rules of the HTML standard as far as the gateway uses them."""
    last_id, name = "", ""
    data: list[str] = []
    try:
        for raw in lines:
            line = raw.decode().rstrip("\r\n")
            if not line:
                if data:
                    yield Event(name or "message", last_id, json.loads("\n".join(data)))
                name, data = "", []
                continue
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "id":
                last_id = value
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
    except (OSError, http.client.HTTPException):
        return
