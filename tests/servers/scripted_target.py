"""A target that says exactly the bytes a test wants, and keeps what it was sent.

It runs in a thread, on a free port of the loopback. ``answers`` has, by path, what is written when a request's head and
body are there: bytes are sent, a ``Step`` waits for the test, ``CUT`` ends the connection.
"""

import socket
import threading
from collections.abc import Sequence
from typing import Final, Self

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, RequestHead
from interlock.protocols.http.wire.requests import RequestParser

TIMEOUT_S: Final = 20
CUT: Final = "cut"


class Step:
    """The target waits here until the test says ``go``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def go(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(TIMEOUT_S)


Script = Sequence[bytes | str | Step]


class Got:
    """One request as it came."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.fields = dict(head.headers)
        self.body = b""
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()


class ScriptedTarget:
    """A context manager. ``got`` are the requests, ``connections`` how many connections there were, ``streams`` all
    bytes that came over each. What has no answer of its own gets ``otherwise``.
    """

    def __init__(self, answers: dict[bytes, Script], otherwise: Script | None = None) -> None:
        self.answers = answers
        self.otherwise = otherwise
        self.got: list[Got] = []
        self.streams: list[bytearray] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        parser = RequestParser()
        stream = bytearray()
        self.streams.append(stream)
        with connection:
            connection.settimeout(TIMEOUT_S)
            while data := _received(connection):
                stream += data
                parser.feed(data)
                while (found := parser.next()) is not None:
                    if isinstance(found, RequestHead):
                        self.got.append(Got(found))
                    elif isinstance(found, BodyData):
                        self.got[-1].body += found.data
                    elif isinstance(found, BodyEnd):
                        self.got[-1].trailers = found.trailers
                        if not self._answer(connection, self.got[-1]):
                            return
                    else:
                        assert isinstance(found, BadMessage)
                        raise AssertionError(found.reason)

    def _answer(self, connection: socket.socket, got: Got) -> bool:
        """Whether the connection stays."""
        script = self.answers.get(got.head.target.partition(b"?")[0], self.otherwise)
        assert script is not None, got.head.target
        for part in script:
            if isinstance(part, Step):
                part.wait()
            elif isinstance(part, str):
                return False
            else:
                connection.sendall(part)
        return True


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""
