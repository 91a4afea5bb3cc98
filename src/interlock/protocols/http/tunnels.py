"""What a tunnel means that the gateway does not look into: a host, and the port when it is not that of HTTPS."""

from typing import Final

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.http.wire.messages import Authority

_USUAL_PORT: Final = 443


def tunnel_meaning(authority: Authority) -> Meaning:
    """The meaning of ``CONNECT`` (RFC 9110, section 9.3.6)."""
    shown = authority.host if authority.port in (None, _USUAL_PORT) else f"{authority.host}:{authority.port}"
    access = Access("http-tunnel", ResourceKind.HOST, (authority.host,))
    return Meaning("CONNECT", (access,), {"http": {"method": "CONNECT", "host": shown}})
