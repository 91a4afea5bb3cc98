"""A client of the forward proxy that says exactly what a test wants it to say, and reads the answer by itself."""

import base64
import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Self

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Answer:
    """One answer. Names of fields are in lower case; a field that is there twice has its last value."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def basic(token: str, user: str = "agent") -> str:
    """The value of a field with a token as the password of Basic."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


class ProxyWire:
    """One connection to the proxy. Use it as a context manager."""

    def __init__(self, port: int, token: str | None) -> None:
        self._token = token
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, text: str | bytes) -> None:
        """These bytes; line ends are written ``\\n`` in text."""
        self._socket.sendall(text.replace("\n", "\r\n").encode("latin-1") if isinstance(text, str) else text)

    def connect(self, authority: str, *fields: str) -> Answer:
        """CONNECT with the token, if there is one, and further fields."""
        own = [f"Proxy-Authorization: {basic(self._token)}"] if self._token is not None else []
        self.send("\n".join([f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *own, *fields, "", ""]))
        return self.answer(tunnel=True)

    def start_tls(self, context: ssl.SSLContext, name: str | None) -> str | None:
        """TLS to whoever is at the other end, naming this host; the protocol agreed upon. Raises ``ssl.SSLError``."""
        context.set_alpn_protocols(["h2", "http/1.1"])
        wrapped = context.wrap_socket(self._socket, server_hostname=name)
        self._socket = wrapped
        return wrapped.selected_alpn_protocol()

    def get(self, target: str, host: str, *fields: str) -> Answer:
        """GET, and the answer."""
        self.send("\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]))
        return self.answer()

    def answer(self, *, tunnel: bool = False) -> Answer:
        """The next answer; of a tunnel that was opened there is no body."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b"" if tunnel and status == 200 else self._body(headers)
        return Answer(status, headers, body)

    def read(self, count: int) -> bytes:
        """So many bytes, as they come."""
        while len(self._received) < count:
            self._receive()
        data, self._received = self._received[:count], self._received[count:]
        return data

    def some(self) -> bytes:
        """What has come, at least one byte."""
        if not self._received:
            self._receive()
        data, self._received = self._received, b""
        return data

    def is_closed(self) -> bool:
        """Whether the other end closes without saying anything more."""
        try:
            return self._received + self._socket.recv(65_536) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.read(int(headers.get("content-length", "0")))
        parts = []
        while size := int(self._line(), 16):
            parts.append(self.read(size))
            self.read(2)
        while self._line():
            pass
        return b"".join(parts)

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\r\n")
        return line

    def _receive(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise EOFError(f"the proxy closed after {self._received!r}")
        self._received += data
