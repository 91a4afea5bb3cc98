"""urllib of the standard library."""

import json
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from tests.clients.http_scenarios.materials import DOCUMENT, FIELDS, FILE, PATH, summary


def visit(base: str, headers: dict[str, str]) -> list[object]:
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    opener = urllib.request.build_opener(*handlers)

    def ask(path: str, method: str = "GET", body: bytes | None = None, **fields: str) -> tuple[object, ...]:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        request = urllib.request.Request(base + path, body, headers | named, method=method)
        try:
            with opener.open(request, timeout=60) as answer:
                return summary(answer.status, answer.headers.items(), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return summary(error.code, error.headers.items(), error.read())

    query = urllib.parse.urlencode(FIELDS)
    seen: list[object] = [ask(f"{PATH}?{query}", method, X_One="1") for method in ("GET", "PUT", "DELETE", "HEAD")]
    seen.append(ask("/echo", "POST", json.dumps(DOCUMENT).encode(), Content_Type="application/json"))
    seen.append(ask("/form", "POST", query.encode()))
    seen.append(ask("/upload", "PUT", FILE * 1000, Content_Type="application/octet-stream"))
    seen += [ask(path) for path in ("/stream", "/events", "/compressed", "/large", "/login", "/echo/x")]
    seen += [ask(f"/redirect?to={urllib.parse.quote(to)}") for to in ("/echo", "echo?a=1", "/status/404")]
    seen += [ask(f"/status/{status}") for status in (204, 404, 500)]
    return seen
