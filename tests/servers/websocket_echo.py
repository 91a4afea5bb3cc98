"""A WebSocket server of an independent implementation behind the gateway: says back what it is told, or as asked.

It runs in a thread, on a free port of the loopback. Its paths:

* ``/echo``: every message comes back as it is.
* ``/secrets``: every message is answered with a document that has a secret in it; ``bytes`` with a binary message.
* ``/fragments``: every message comes back in fragments of ten.
* ``/leave``: the connection is cut at the first message, without a close. ``/close``: it is closed with 4001.
* ``/no``: the handshake is refused with 418.
"""

import contextlib
import http
import json
import queue
import socket
import threading
from collections.abc import Sequence
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol


class WebSocketEcho:
    """A context manager. ``requests`` are the handshakes that came, ``received`` all messages, ``closes`` what clients
    said at the end."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.received: list[str | bytes] = []
        self.closes: queue.Queue[tuple[int, str] | None] = queue.Queue()
        self.port = 0
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = serve(
            self._talk, sock=listener, process_request=self._look, select_subprotocol=_first, max_size=None
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join(10)

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if request.path == "/no":
            return connection.respond(http.HTTPStatus.IM_A_TEAPOT, "no sockets here\n")
        return None

    def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        answer: Any = _ANSWERS[connection.request.path]
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                self.received.append(message)
                answer(connection, message)
        close = connection.protocol.close_rcvd
        self.closes.put(None if close is None else (int(close.code), close.reason))


def _first(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


def _echo(connection: ServerConnection, message: str | bytes) -> None:
    connection.send(message)


def _secrets(connection: ServerConnection, message: str | bytes) -> None:
    document = json.dumps({"said": str(message), "email": "ada@example.com"})
    connection.send(document.encode() if message == "bytes" else document)


def _fragments(connection: ServerConnection, message: str | bytes) -> None:
    connection.send(message[at : at + 10] for at in range(0, len(message), 10))


def _leave(connection: ServerConnection, message: str | bytes) -> None:
    connection.socket.shutdown(socket.SHUT_RDWR)


def _close(connection: ServerConnection, message: str | bytes) -> None:
    connection.close(4001, "enough")


_ANSWERS = {"/echo": _echo, "/secrets": _secrets, "/fragments": _fragments, "/leave": _leave, "/close": _close}
