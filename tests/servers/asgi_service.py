"""An ASGI application under uvicorn, in a thread: what a client of any kind can ask of an HTTP server."""

import asyncio
import gzip
import hashlib
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any, Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

LARGE: Final = bytes(range(256)) * 8192
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SHOWN: Final = ("accept", "content-type", "cookie", "x-one", "x-two")


async def _echo(request: Request) -> Response:
    body = await request.body()
    shown = {name: request.headers.getlist(name) for name in _SHOWN if name in request.headers}
    told: dict[str, Any] = {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.query_params.multi_items(),
        "headers": shown,
        "bytes": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
    }
    return JSONResponse(told, headers={"X-Told": "yes"})


async def _form(request: Request) -> Response:
    async with request.form() as form:
        return JSONResponse([[name, *await _told_of(value)] for name, value in form.multi_items()])


async def _told_of(value: UploadFile | str) -> list[str | None]:
    if isinstance(value, str):
        return [value]
    return [value.filename, value.content_type, hashlib.sha256(await value.read()).hexdigest()]


async def _upload(request: Request) -> Response:
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return JSONResponse({"bytes": size, "digest": digest.hexdigest()}, status_code=201)


async def _stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"line %d\n" % number

    return StreamingResponse(lines(), media_type="text/plain")


async def _events(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"id: %d\nevent: tick\ndata: first %d\ndata: second\n\n" % (number, number)
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], int(request.query_params.get("status", "302")))


async def _login(request: Request) -> Response:
    answer = Response(status_code=204)
    answer.set_cookie("session", "s-1", path="/", httponly=True)
    answer.set_cookie("theme", "dark", path="/echo")
    return answer


async def _compressed(request: Request) -> Response:
    body = b"compressed " * 1000
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzip.compress(body), headers={"Content-Encoding": "gzip"}, media_type="text/plain")
    return Response(body, media_type="text/plain")


async def _large(request: Request) -> Response:
    return Response(LARGE, media_type="application/octet-stream", headers={"ETag": '"large"'})


async def _status(request: Request) -> Response:
    status = int(request.path_params["status"])
    return Response(b"" if status in (204, 304) else b"status", status, {"ETag": '"x"'})


APPLICATION: Final = Starlette(
    routes=[
        Route("/form", _form, methods=["POST"]),
        Route("/upload", _upload, methods=["POST", "PUT"]),
        Route("/stream", _stream),
        Route("/events", _events),
        Route("/redirect", _redirect, methods=["GET", "POST"]),
        Route("/login", _login),
        Route("/compressed", _compressed),
        Route("/large", _large),
        Route("/status/{status:int}", _status),
        Route("/{rest:path}", _echo, methods=list(_METHODS)),
    ]
)


class AsgiService:
    """A context manager: the application on a free port of the loopback."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(APPLICATION, log_level="error", lifespan="off", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
