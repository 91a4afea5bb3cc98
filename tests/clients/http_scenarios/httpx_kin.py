"""httpx and its kin: synchronous, and then asynchronous with many at a time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.clients.http_scenarios.materials import DOCUMENT, FIELDS, FILE, LINES, PATH, summary


async def _pieces() -> AsyncIterator[bytes]:
    for number in range(50):
        yield b"piece %d;" % number * 100


def visit_with(library: Any, base: str, headers: dict[str, str], **options: Any) -> list[object]:
    """``library`` is the module, ``options`` are for its clients."""
    seen: list[object] = []
    with library.Client(headers=headers, follow_redirects=True, trust_env=False, **options) as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            answer = client.request(method, base + PATH, params=FIELDS, headers={"X-One": "1"})
            seen.append(summary(answer.status_code, answer.headers.items(), answer.content))
        seen.append(client.post(f"{base}/echo", json=DOCUMENT).json())
        seen.append(client.post(f"{base}/form", data=FIELDS).json())
        seen.append(client.post(f"{base}/form", data=FIELDS, files={"file": ("ä.txt", FILE, "text/plain")}).json())
        seen.append(client.get(f"{base}/compressed").text)
        with client.stream("GET", f"{base}/stream") as answer:
            seen.append([line.encode() for line in answer.iter_lines()] == LINES)
        for to in ("/echo", "echo?a=1", "./echo", "../echo", "/status/404"):
            answer = client.get(f"{base}/redirect", params={"to": to})
            seen.append((answer.status_code, answer.text, len(answer.history)))
        client.get(f"{base}/login")
        seen.append(client.get(f"{base}/echo/x").json())
    return seen + asyncio.run(_asynchronous(library, base, headers, options))


async def _asynchronous(library: Any, base: str, headers: dict[str, str], options: dict[str, Any]) -> list[object]:
    async with library.AsyncClient(headers=headers, trust_env=False, timeout=60, **options) as client:
        uploaded = await client.post(f"{base}/upload", content=_pieces())
        async with client.stream("GET", f"{base}/events") as answer:
            events = [line async for line in answer.aiter_lines()]
        many = await asyncio.gather(*(client.get(f"{base}/n/{number}") for number in range(60)))
        return [uploaded.json(), events, [answer.json()["path"] for answer in many]]
