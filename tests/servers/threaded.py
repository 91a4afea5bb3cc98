"""HTTP servers of aiohttp in a thread of the test's own process, on a free port of the loopback."""

import abc
import asyncio
import ssl
import threading
from typing import Self

from aiohttp import web


class ThreadedServer(abc.ABC):
    """A context manager; with a context it speaks TLS. ``port`` is there once it runs, ``loop`` is its thread's own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    @abc.abstractmethod
    def new_runner(self) -> web.BaseRunner:
        """What answers."""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _start(self) -> None:
        self._runner = self.new_runner()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
