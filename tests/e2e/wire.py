"""A client that sends exactly the bytes it is told to, in order or out of it. For what no proper client would do."""

import socket
import ssl
import struct
from pathlib import Path
from typing import Self

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)
_TIMEOUT_S = 30
_STUCK_S = 1.0


class WireError(Exception):
    """The server's ErrorResponse: ``fields`` by their letters, as in the manual's "Error and Notice Message Fields"."""

    def __init__(self, body: bytes) -> None:
        parts = [part.decode() for part in body.split(b"\0") if part]
        self.fields = {part[0]: part[1:] for part in parts}
        super().__init__(f"{self.fields.get('C')}: {self.fields.get('M')}")

    @property
    def code(self) -> str:
        return self.fields["C"]


def startup(user: str = "agent", database: str = "shop", **parameters: str) -> bytes:
    """A StartupMessage of protocol 3.0."""
    words = {"user": user, "database": database} | parameters
    body = struct.pack("!I", 196608) + b"".join(
        f"{name}\0{value}\0".encode("utf-8", "surrogateescape") for name, value in words.items()
    )
    return struct.pack("!I", len(body) + 5) + body + b"\0"


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A frontend message with the right length."""
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


class WireClient:
    """One connection. With ``certificate_file``, TLS is asked for and verified at once."""

    def __init__(self, port: int, certificate_file: Path | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._buffer = b""
        if certificate_file is not None:
            self.start_tls(certificate_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def start_tls(self, certificate_file: Path) -> None:
        self.send(SSL_REQUEST)
        assert self._socket.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(certificate_file))
        self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end_input(self) -> None:
        """Half-close: nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self) -> tuple[bytes, bytes]:
        """The next message: its type and body. Raises ``EOFError`` at the end, ``WireError`` for an ErrorResponse."""
        head = self._read(5)
        body = self._read(int.from_bytes(head[1:5], "big") - 4)
        if head[:1] == b"E":
            raise WireError(body)
        return head[:1], body

    def receive_some(self) -> bytes:
        """What has arrived, unread. Raises ``EOFError`` at the end."""
        data, self._buffer = self._buffer or self._socket.recv(1 << 20), b""
        if not data:
            raise EOFError
        return data

    def send_until_stuck(self, data: bytes, limit_bytes: int) -> int:
        """Send ``data`` again and again until nothing more is taken for a while; the number of bytes taken."""
        sent = 0
        self._socket.settimeout(_STUCK_S)
        try:
            while sent < limit_bytes:
                self._socket.sendall(data)
                sent += len(data)
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(_TIMEOUT_S)
        return sent

    def receive_until(self, kind: bytes) -> list[tuple[bytes, bytes]]:
        """All messages up to and with the first of ``kind``."""
        found = [self.receive()]
        while found[-1][0] != kind:
            found.append(self.receive())
        return found

    def log_in(self, token: str, database: str = "shop", **parameters: str) -> None:
        """Log in with a token; returns when the session is ready."""
        self.send(startup(database=database, **parameters))
        assert self.receive() == (b"R", struct.pack("!I", 3))
        self.send(message(b"p", token.encode("utf-8", "surrogateescape") + b"\0"))
        self.receive_until(b"Z")

    def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        data, self._buffer = self._buffer, b""
        try:
            while chunk := self._socket.recv(65536):
                data += chunk
        except (ConnectionError, ssl.SSLError):
            pass
        return data

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data
