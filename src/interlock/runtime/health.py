"""``/healthz``, ``/readyz`` and ``/metrics`` for the machines that watch the gateway.

Answers GET of these three paths and nothing else; tells no names and no addresses.
"""

from collections.abc import Callable

from aiohttp import web

from interlock.runtime.metrics import Metrics


class HealthServer:
    """A small HTTP server. ``ready`` gives the reasons why the gateway cannot work now; none means ready."""

    def __init__(self, metrics: Metrics, ready: Callable[[], list[str]]) -> None:
        self._metrics = metrics
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start answering; the address taken. Raises ``OSError``."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics_text),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        taken = self._runner.addresses[0]
        return str(taken[0]), int(taken[1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = self._ready()
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons or ["ready"]) + "\n")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})
