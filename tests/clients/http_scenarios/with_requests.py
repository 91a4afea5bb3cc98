"""requests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.clients.http_scenarios.materials import DOCUMENT, FIELDS, FILE, LINES, PATH, summary


def _pieces() -> Iterator[bytes]:
    for number in range(50):
        yield b"piece %d;" % number * 100


def visit(base: str, headers: dict[str, str]) -> list[object]:
    seen: list[object] = []
    with requests.Session() as client:
        client.headers.update(headers)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = client.request(method, base + PATH, params=FIELDS, headers={"X-One": "1"})
            seen.append(summary(answer.status_code, answer.headers.items(), answer.content))
        seen.append(client.post(f"{base}/echo", json=DOCUMENT).json())
        seen.append(client.post(f"{base}/form", data=FIELDS).json())
        seen.append(client.post(f"{base}/form", data=FIELDS, files={"file": ("ä.txt", FILE, "text/plain")}).json())
        seen.append(client.post(f"{base}/upload", data=_pieces()).json())
        seen.append(client.put(f"{base}/upload", data=FILE * 100_000).json())
        head = client.head(f"{base}/large")
        seen.append(summary(head.status_code, head.headers.items(), head.content))
        with client.get(f"{base}/stream", stream=True) as answer:
            seen.append(list(answer.iter_lines()) == LINES)
        with client.get(f"{base}/events", stream=True) as answer:
            seen.append(list(answer.iter_lines()))
        seen.append(client.get(f"{base}/compressed").text)
        for to in ("/echo", "echo?a=1", "./echo", "../echo", "/status/404"):
            for status in ("302", "307"):
                answer = client.post(f"{base}/redirect", params={"to": to, "status": status}, data=b"x")
                seen.append((answer.status_code, answer.text, len(answer.history)))
        client.get(f"{base}/login")
        seen.append(client.get(f"{base}/echo/x").json())
        seen += [client.get(f"{base}/status/{status}").status_code for status in (204, 304, 404, 500, 503)]
        with ThreadPoolExecutor(8) as pool:
            urls = [f"{base}/n/{number}" for number in range(40)]
            seen.append([answer.json()["path"] for answer in pool.map(client.get, urls)])
    return seen
