"""Connections of the API: accepted within bounds, spoken to by uvicorn's HTTP/1.1, ended in good order.

There is no access log: what is asked and answered can hold a secret. uvicorn installs no signal handler, and only
writes down what it cannot handle.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import h11
import structlog
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from interlock.surfaces.api.local_socket import is_operator, peer_uid, user_name
from interlock.surfaces.api.problems import MEDIA_TYPE, body_of

MAX_CONNECTIONS: Final = 512
"""Over the network, and as many on the gateway's own machine: whoever takes all of the former keeps no operator out."""
MAX_HEADER_BYTES: Final = 64 << 10
HANDSHAKE_TIMEOUT_S: Final = 10.0
SHUTDOWN_TIMEOUT_S: Final = 1.0
"""How long an end of TLS waits for the other side to agree: an idle client does not look."""
HEADER_TIMEOUT_S: Final = 10
KEEP_ALIVE_S: Final = 30
_DRAIN_S: Final = 5.0

Spawn = Callable[[Coroutine[Any, Any, object], str], "asyncio.Task[Any]"]

log = structlog.get_logger(__name__)


class ApiServer:
    """Serves one application on any number of listening sockets, which it takes over."""

    def __init__(self, app: ASGIApp, spawn: Spawn) -> None:
        self._config = Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._spawn = spawn
        self._state = ServerState()
        self._taken: Counter[bool] = Counter()
        self._closing = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._listening: list[tuple[socket.socket, asyncio.Task[Any]]] = []

    def listen(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept. A Unix socket serves the gateway's operators; everything else is given ``tls``."""
        listener.setblocking(False)
        task = self._spawn(self._accept(listener, tls), "api listener")
        self._listening.append((listener, task))

    async def close(self) -> None:
        """Stop accepting, let answers that are under way go out, then end what is left."""
        self._closing.set()
        for listener, task in self._listening:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            listener.close()
        self._listening.clear()
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._emptied.wait()
        for connection in list(self._state.connections):
            connection.transport.abort()
        for request in list(self._state.tasks):
            request.cancel()

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("api cannot accept", error=error.strerror)
                await asyncio.sleep(0.1)
                continue
            local = listener.family == socket.AF_UNIX
            if self._taken[local] < MAX_CONNECTIONS and (peer := _peer(connection, listener.family)):
                peer["closing"] = self._closing
                self._spawn(self._open(connection, tls, peer, self._take(local)), "api connection")
            else:
                connection.close()

    async def _open(
        self, connection: socket.socket, tls: ssl.SSLContext | None, peer: dict[str, Any], release: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        opened = False
        try:
            await loop.connect_accepted_socket(
                lambda: _Connection(self._config, self._state, peer, release),
                connection,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if tls else None,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S if tls else None,
            )
            opened = True
        except (OSError, ssl.SSLError):  # what speaks no TLS, or goes away
            connection.close()
        finally:
            if not opened:
                release()

    def _take(self, local: bool) -> Callable[[], None]:
        """Count a connection; what is returned counts it off again, once."""
        self._taken[local] += 1
        self._emptied.clear()
        held = [local]

        def release() -> None:
            if held:
                self._taken[held.pop()] -= 1
                if not self._taken.total():
                    self._emptied.set()

        return release


def _peer(connection: socket.socket, family: int) -> dict[str, Any] | None:
    """What requests are told of who connects; None when it is not served."""
    if family != socket.AF_UNIX:
        return {"account": None}
    uid = peer_uid(connection)
    if is_operator(uid):
        return {"account": user_name(uid)}
    log.warning("administration refused", uid=uid)
    return None


class _Connection(H11Protocol):
    """One connection: as uvicorn has it, with a time for the head of each request, and problems for its own errors."""

    def __init__(self, config: Config, state: ServerState, peer: dict[str, Any], lost: Callable[[], None]) -> None:
        super().__init__(config, state, {**peer, "abort": self._abort})
        self._lost = lost
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            self._time_head()
        else:
            self._stop_timer()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP as it should be."""
        body = body_of(400, "this is not an HTTP request that can be understood, or its head is too large")
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        try:
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer is under way already
            pass
        self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; one whose client has not taken its last answer by now, at once."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _time_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _abort(self) -> None:
        self.transport.abort()
