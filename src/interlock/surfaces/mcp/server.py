"""The gateway's own MCP server: JSON-RPC over HTTP without sessions, for all versions of the transport.

It answers the gateway only, which shows a secret that is new at each start and passes the caller's token on. What
comes was decided and recorded by then; who the caller is, is found out here again. A call ends when the gateway hangs
up.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec
import structlog

from interlock import __version__
from interlock.core.errors import InterlockError, LoginRefused
from interlock.core.identity import Principal
from interlock.surfaces.mcp.tools import TOOLS, Caller, Said, ToolDesk, definitions

SECRET_HEADER: Final = b"interlock-own-server"
MAX_BODY_BYTES: Final = 1 << 20
STATELESS: Final = "2026-07-28"
WITH_SESSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
_TTL_MS: Final = 60_000

_PARSE_ERROR: Final = -32700
_NO_SUCH_METHOD: Final = -32601
_INVALID_PARAMS: Final = -32602
_INSTRUCTIONS: Final = (
    "This is an access gateway. list_connections says what you may use; what_may_i_do, what you may do there. "
    "A denial is final unless it says otherwise: do not try to get around it."
)

Json = dict[str, Any]
Scope = Any
log = structlog.get_logger()


class Asked(msgspec.Struct, frozen=True):
    """A JSON-RPC request or notification, as far as it counts here."""

    method: str
    id: str | int | None = None
    params: Json = {}


class _Failed(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class McpServer:
    """An ASGI application. ``identify`` is the principal behind a token, and raises ``LoginRefused``."""

    def __init__(self, desk: ToolDesk, identify: Callable[[str], Awaitable[Principal]], secret: str) -> None:
        self._desk = desk
        self._identify = identify
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(SECRET_HEADER, b""), self._secret):
            await _send(send, 403, {"error": "this server answers its gateway only"})
        elif scope["method"] != "POST":
            await _send(send, 405, {"error": "this server takes POST only"})
        elif (body := await _body(receive)) is None:
            await _send(send, 413, {"error": "the message is too long"})
        else:
            await _while_connected(self._answer(headers, body, send), receive)

    async def _answer(self, headers: Mapping[bytes, bytes], body: bytes, send: Any) -> None:
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except msgspec.DecodeError:
            await _send(send, 400, _error(None, _PARSE_ERROR, "this is no JSON-RPC request"))
            return
        if asked.id is None:
            await _send(send, 202, None)
            return
        try:
            result = await self._result(headers, asked)
        except _Failed as failed:
            await _send(send, 200, _error(asked.id, failed.code, str(failed)))
        else:
            await _send(send, 200, {"jsonrpc": "2.0", "id": asked.id, "result": result})

    async def _result(self, headers: Mapping[bytes, bytes], asked: Asked) -> Json:
        stateless = headers.get(b"mcp-protocol-version", b"").decode("latin-1") == STATELESS
        match asked.method:
            case "initialize":
                return _initialized(asked.params)
            case "ping":
                return {}
            case "server/discover":
                supported = [STATELESS, *WITH_SESSIONS]
                return _cacheable({"supportedVersions": supported, **_about()}, stateless)
            case "tools/list":
                return _cacheable({"tools": definitions()}, stateless)
            case "tools/call":
                said = await self._call(headers, asked.params)
                result = {"content": [{"type": "text", "text": said.text}], "isError": said.failed}
                return result | ({"resultType": "complete"} if stateless else {})
        raise _Failed(_NO_SUCH_METHOD, "this server has tools only")

    async def _call(self, headers: Mapping[bytes, bytes], params: Json) -> Said:
        kind = TOOLS.get(str(params.get("name")))
        if kind is None:
            raise _Failed(_INVALID_PARAMS, f"there is no such tool; there are: {', '.join(TOOLS)}")
        try:
            arguments = msgspec.convert(params.get("arguments", {}), kind)
        except msgspec.ValidationError as error:
            return Said(f"The arguments are not those of this tool: {error}", failed=True)
        try:
            token = _token(headers)
            run = headers.get(b"traceparent", b"").decode("latin-1")
            return await self._desk.call(Caller(await self._identify(token), token, run), arguments)
        except (LoginRefused, InterlockError) as error:
            return Said(str(error), failed=True)
        except Exception as error:  # noqa: BLE001 - the boundary: what fails here fails for this call only
            log.error("own tool failed", tool=params.get("name"), error=type(error).__name__)
            return Said("The gateway could not do this now; its operator has been told.", failed=True)


def _initialized(params: Json) -> Json:
    wanted = params.get("protocolVersion")
    return {"protocolVersion": wanted if wanted in WITH_SESSIONS else WITH_SESSIONS[0], **_about()}


def _about() -> Json:
    return {
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "interlock", "version": __version__},
        "instructions": _INSTRUCTIONS,
    }


def _cacheable(result: Json, stateless: bool) -> Json:
    if not stateless:
        return result
    return result | {"resultType": "complete", "ttlMs": _TTL_MS, "cacheScope": "private"}


def _error(identity: str | int | None, code: int, text: str) -> Json:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": text}}


def _token(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")


async def _while_connected(work: Coroutine[Any, Any, None], receive: Any) -> None:
    """Do something until it is done or whoever asked is gone."""
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        doing.cancel()
        leaving.cancel()


async def _body(receive: Any) -> bytes | None:
    """The body; None when it is too long."""
    parts, size = [], 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES or message["type"] != "http.request":
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Any, status: int, body: Json | None) -> None:
    text = b"" if body is None else msgspec.json.encode(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
