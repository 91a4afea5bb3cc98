"""httpx."""

import httpx

from tests.clients.http_scenarios.httpx_kin import visit_with


def visit(base: str, headers: dict[str, str]) -> list[object]:
    return visit_with(httpx, base, headers)
