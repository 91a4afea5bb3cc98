"""MCP requests, servers' answers and dialects for tests."""

import json

from interlock.core.denial import Denial
from interlock.core.settings import HttpApi, HttpTarget, ServerRequest
from interlock.protocols.http.dialects.base import Reading, Reply, Request
from interlock.protocols.http.dialects.mcp import McpDialect
from interlock.protocols.http.dialects.mcp_answers import McpAnswers
from interlock.protocols.http.wire.messages import BodyKind, ResponseHead
from tests.protocols.http.dialects.requests import request

MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
ACCEPT = (b"accept", b"application/json, text/event-stream")
LOOKUP = {"name": "lookup", "description": "Looks a customer up.", "inputSchema": {"type": "object"}}
DELETE = {"name": "delete", "description": "Deletes a customer.", "inputSchema": {"type": "object"}}


def dialect(*server_requests: ServerRequest, max_held_bytes: int = 1 << 20) -> McpDialect:
    return McpDialect(HttpTarget(api=HttpApi.MCP, server_requests=server_requests, max_held_bytes=max_held_bytes))


def post(
    message: object, *headers: tuple[bytes, bytes], path: str = "/mcp", query: tuple[tuple[str, str], ...] = ()
) -> Request:
    """A POST of a message, or of bytes as they are."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return request("POST", path, content_type="application/json", body=body, headers=(ACCEPT, *headers), query=query)


def rpc(method: str, identity: object = 1, **params: object) -> dict[str, object]:
    """A request of the versions with sessions; a notification with the id None."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if identity is None else {**message, "id": identity}


def call(tool: str = "lookup", identity: object = 1, **arguments: object) -> Request:
    """A call as of the versions with sessions."""
    return post(rpc("tools/call", identity, name=tool, arguments=arguments), (b"mcp-protocol-version", b"2025-11-25"))


def modern(method: str, said: str | None = None, **params: object) -> Request:
    """A request of 2026-07-28; ``said`` is the method that its header says, in place of its own."""
    headers = [(b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", (said or method).encode())]
    named = params.get("name", params.get("uri"))
    if named is not None:
        headers.append((b"mcp-name", str(named).encode()))
    return post(rpc(method, **params, _meta=META), *headers)


def refusal(asked: Request, denial: Denial, link: str = "", on: McpDialect | None = None) -> Reply | None:
    """How a request is refused."""
    language = on or dialect()
    return language.refuse(asked, language.read(asked, None), denial, link)


def answer_of(asked: Request, content_type: str, on: McpDialect | None = None, status: int = 200) -> McpAnswers:
    """What looks at the answer to a request."""
    language = on or dialect()
    found = language.answer(asked, language.read(asked, None), head(content_type, status), None)
    assert isinstance(found, McpAnswers)
    return found


def head(content_type: str, status: int = 200) -> ResponseHead:
    return ResponseHead(status, b"", 1, ((b"content-type", content_type.encode()),), BodyKind.CHUNKED, 0, True)


def through(answers: McpAnswers, body: bytes, shown: frozenset[str] | None = None, size: int = 1 << 20) -> bytes:
    """What comes out of a body that is fed in pieces; tools that are not in ``shown`` are hidden (None: all shown)."""
    out = b""
    for start in range(0, len(body), size):
        out += answers.feed(body[start : start + size])
        out += _reviewed(answers, shown)
    return out + answers.finish() + _reviewed(answers, shown)


def _reviewed(answers: McpAnswers, shown: frozenset[str] | None) -> bytes:
    out = b""
    while tools := answers.listed:
        out += answers.reviewed([shown is None or tool.name in shown for tool in tools])
    return out


def event(message: object, kind: str = "message", identity: str = "") -> bytes:
    """A server-sent event with a message in it."""
    lines = [f"event: {kind}"] + ([f"id: {identity}"] if identity else []) + [f"data: {json.dumps(message)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def refused_with(reading: Reading) -> str:
    assert reading.meaning.refusal is not None
    return reading.meaning.refusal
