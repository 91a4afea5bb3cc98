"""aiohttp."""

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp

from tests.clients.http_scenarios.materials import DOCUMENT, FIELDS, FILE, LINES, PATH, summary


async def _pieces() -> AsyncIterator[bytes]:
    for number in range(50):
        yield b"piece %d;" % number * 100


def visit(base: str, headers: dict[str, str]) -> list[object]:
    return asyncio.run(_visit(base, headers))


async def _visit(base: str, headers: dict[str, str]) -> list[object]:
    seen: list[object] = []
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(headers=headers, cookie_jar=jar) as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            async with client.request(method, base + PATH, params=FIELDS, headers={"X-One": "1"}) as answer:
                seen.append(summary(answer.status, answer.headers.items(), await answer.read()))
        form = aiohttp.FormData(FIELDS)
        form.add_field("file", FILE, filename="file.txt", content_type="text/plain")
        for path, arguments in (
            ("/echo", {"json": DOCUMENT}),
            ("/form", {"data": FIELDS}),
            ("/form", {"data": form}),
            ("/upload", {"data": _pieces()}),
            ("/upload", {"data": io.BytesIO(FILE * 100_000), "expect100": True}),
        ):
            async with client.post(base + path, **arguments) as answer:
                seen.append(await answer.json())
        async with client.get(f"{base}/stream") as answer:
            seen.append([line.strip() async for line in answer.content] == LINES)
        async with client.get(f"{base}/events") as answer:
            seen.append([line async for line in answer.content])
        async with client.get(f"{base}/compressed") as answer:
            seen.append(await answer.text())
        for to in ("/echo", "echo?a=1", "../echo", "/status/404"):
            async with client.get(f"{base}/redirect", params={"to": to}) as answer:
                seen.append((answer.status, await answer.text(), len(answer.history)))
        async with client.get(f"{base}/login"), client.get(f"{base}/echo/x") as answer:
            seen.append(await answer.json())
        seen.append(await asyncio.gather(*(_path(client, f"{base}/n/{number}") for number in range(60))))
    return seen


async def _path(client: aiohttp.ClientSession, url: str) -> str:
    async with client.get(url) as answer:
        path: str = (await answer.json())["path"]
        return path
