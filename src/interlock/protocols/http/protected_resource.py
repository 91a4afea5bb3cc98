"""Where clients of the HTTP listener get tokens: OAuth 2.0 protected-resource metadata (RFC 9728).

MCP clients ask for it after a 401. It says the same of every path, also of those that no connection is at, so that it
tells nobody which connections there are.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.wire.messages import Headers, RequestHead

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_HEADERS: Final[Headers] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


def metadata_reply(head: RequestHead, base_url: str, issuers: Iterable[str]) -> Reply | None:
    """The answer to a request for metadata; None when it is for something else (3.1)."""
    path = resource_path(head.target.decode("ascii", "replace"))
    if path is None or head.method not in (b"GET", b"HEAD"):
        return None
    fields = {
        "resource": f"{base_url}{path}",
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": "Interlock",
    }
    return Reply(200, _HEADERS, msgspec.json.encode(fields))


def resource_path(target: str) -> str | None:
    """The path of the resource whose metadata is asked for; None when that is not asked for."""
    rest = target.removeprefix(WELL_KNOWN)
    if rest == target or not (rest == "" or rest.startswith("/")):
        return None
    return "" if rest == "/" else rest


def base_url_of(head: RequestHead, *, tls: bool) -> str:
    """Where the client says that it reaches the gateway, without a path."""
    host = next((value for name, value in head.headers if name == b"host"), b"")
    return f"{'https' if tls else 'http'}://{host.decode('ascii', 'replace')}"


def challenge(base_url: str, path: str) -> bytes:
    """What ``WWW-Authenticate: Bearer`` says besides, of a resource (5.1): where its metadata are."""
    return f', resource_metadata="{_quoted(base_url + WELL_KNOWN + path)}"'.encode()


def _quoted(text: str) -> str:
    """Text inside of a quoted string (RFC 9110, 5.6.4), without what it cannot hold."""
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
