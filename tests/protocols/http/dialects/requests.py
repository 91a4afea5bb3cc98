"""Parsed requests for tests of dialects."""

from interlock.protocols.http.dialects.base import Request


def request(
    method: str = "GET",
    path: str = "/",
    *,
    query: tuple[tuple[str, str], ...] = (),
    content_type: str = "",
    body: bytes | None = None,
    has_body: bool | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    host: str = "api.example",
) -> Request:
    """A request; ``content_type`` may have parameters, as in its header."""
    media = content_type.partition(";")[0].strip().lower()
    sent = ((b"content-type", content_type.encode()), *headers) if content_type else headers
    keys = tuple(name for name, _ in query)
    line = "&".join(f"{name}={value}" for name, value in query)
    return Request(
        method, path, line, keys, sent, host, media, body, body is not None if has_body is None else has_body
    )
