"""Where clients of the HTTP listener get tokens: OAuth 2.0 protected-resource metadata (RFC 9728).

MCP clients ask for it after a 401. It says the same of every path, also of those that no connection is at, so that it
tells nobody which connections there are.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.protocols.http.wire.messages import Headers

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_HEADERS: Final[Headers] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class ResourceMetadata(msgspec.Struct, frozen=True):
    """The answer to a request for metadata: status 200 with these fields and this body."""

    headers: Headers
    body: bytes


def resource_path(path: str) -> str | None:
    """The path of the resource whose metadata is asked for at ``path``; None when it asks for no metadata (3.1)."""
    rest = path.removeprefix(WELL_KNOWN)
    if rest == path or not (rest == "" or rest.startswith("/")):
        return None
    return "" if rest == "/" else rest


def metadata(base_url: str, path: str, issuers: Iterable[str]) -> ResourceMetadata:
    """The metadata of the resource at ``path`` below ``base_url``, such as ``https://gateway:8443`` (2, 3.2)."""
    fields = {
        "resource": f"{base_url}{path}",
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": "Interlock",
    }
    return ResourceMetadata(_HEADERS, msgspec.json.encode(fields))


def challenge(base_url: str, path: str, error: str = "", description: str = "") -> bytes:
    """``WWW-Authenticate`` of a 401 for a resource (5.1). ``error`` is a code of RFC 6750, empty without a token."""
    parts = [f'Bearer resource_metadata="{_quoted(base_url + WELL_KNOWN + path)}"']
    if error:
        parts.append(f'error="{_quoted(error)}"')
    if description:
        parts.append(f'error_description="{_quoted(description)}"')
    return ", ".join(parts).encode("ascii", "replace")


def _quoted(text: str) -> str:
    """Text inside of a quoted string (RFC 9110, 5.6.4), without what it cannot hold."""
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
