"""A target that says exactly the bytes a test wants, and keeps what it was sent.

It runs in a thread, on a free port of the loopback. ``answers`` has, by path, what is written when a request's head and
body are there: bytes are sent, a ``Step`` waits for the test, ``CUT`` ends the connection, ``RESET`` resets it.
``Turns`` are the scripts of one request after the other, the last one for all that follow.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Final, Self

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, RequestHead
from interlock.protocols.http.wire.requests import RequestParser

TIMEOUT_S: Final = 20
CUT: Final = "cut"
RESET: Final = "reset"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Step:
    """The target waits here until the test says ``go``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def go(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(TIMEOUT_S)


Script = Sequence[bytes | str | Step]


class Turns:
    """What requests of one path get, in turn."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    def next(self) -> Script:
        return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]


class Got:
    """One request as it came."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.fields = dict(head.headers)
        self.body = b""
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()


class ScriptedTarget:
    """A context manager. ``got`` are the requests, ``connections`` how many connections there were, ``streams`` all
    bytes that came over each. What has no answer of its own gets ``otherwise``. ``early`` are said when
    only the head of a request is there.
    """

    def __init__(
        self,
        answers: Mapping[bytes, Script | Turns],
        otherwise: Script | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answers = dict(answers)
        self.otherwise = otherwise
        self.early: dict[bytes, Script] = {}
        self.got: list[Got] = []
        self.streams: list[bytearray] = []
        self.connections = 0
        self._tls = tls
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
        with connection:
            secured = self._secured(connection)
            if secured is not None:
                with secured:
                    self._converse(secured)

    def _secured(self, connection: socket.socket) -> socket.socket | None:
        try:
            return connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            return None

    def _converse(self, connection: socket.socket) -> None:
        parser = RequestParser()
        stream = bytearray()
        self.streams.append(stream)
        connection.settimeout(TIMEOUT_S)
        while data := _received(connection):
            stream += data
            parser.feed(data)
            while (found := parser.next()) is not None:
                if not self._take(found, connection):
                    return

    def _take(self, found: RequestHead | BodyData | BodyEnd | BadMessage, connection: socket.socket) -> bool:
        """Whether the connection stays."""
        if isinstance(found, RequestHead):
            self.got.append(Got(found))
            early = self.early.get(found.target)
            return early is None or _say(early, connection)
        if isinstance(found, BodyData):
            self.got[-1].body += found.data
            return True
        assert isinstance(found, BodyEnd), found
        got = self.got[-1]
        got.trailers = found.trailers
        script = self.answers.get(got.head.target.partition(b"?")[0], self.otherwise)
        assert script is not None, got.head.target
        return _say(script.next() if isinstance(script, Turns) else script, connection)


def _say(script: Script, connection: socket.socket) -> bool:
    """Whether the connection stays."""
    for part in script:
        if isinstance(part, Step):
            part.wait()
        elif isinstance(part, bytes):
            connection.sendall(part)
        else:
            if part == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            return False
    return True


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""
