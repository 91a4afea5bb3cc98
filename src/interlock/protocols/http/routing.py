"""Where a request is to go: which connection, and which path of it. Looks at the request only, decides nothing.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import re
from typing import Final

from interlock.protocols.http.values import Misrouted, Route
from interlock.protocols.http.wire.messages import Authority, RequestHead, Target
from interlock.protocols.http.wire.targets import (
    absolute_form,
    authority_form,
    canonical_authority,
    canonical_target,
)

_BY_PATH: Final = re.compile(r"/c/([A-Za-z0-9][A-Za-z0-9_.-]{0,62})(/.*)?")
_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443


_NOWHERE: Final = Target("/", "", ())


def host_of(head: RequestHead) -> bytes:
    """The Host field, empty without one. There is at most one."""
    for name, value in head.headers:
        if name == b"host":
            return value
    return b""


def route_reverse(head: RequestHead) -> Route | Misrouted:
    """The way of a request to the gateway itself: ``/c/CONNECTION/…``, or by its host name."""
    if head.method == b"CONNECT":
        return Misrouted(405, "this is not a proxy", "Set the proxy's own address in HTTPS_PROXY.", closes=True)
    if head.target[:1] != b"/":
        return Misrouted(400, "the request-target must be a path", closes=True)
    target = canonical_target(head.target)
    if isinstance(target, str):
        return Misrouted(400, target, "Send the path in its plain form.")
    authority = canonical_authority(host_of(head)) if host_of(head) else Authority("")
    if isinstance(authority, str):
        return Misrouted(400, authority, closes=True)
    by_path = _BY_PATH.fullmatch(target.path)
    if by_path is not None:
        inner = Target(by_path[2] or "/", target.query, target.query_keys)
        return Route(by_path[1], "", f"/c/{by_path[1]}", inner, authority)
    if not authority.host:
        return Misrouted(404, "no connection is named", "Write /c/CONNECTION before the path.")
    return Route("", f"{authority.host}:{authority.port or 0}", "", target, authority)


def route_forward(head: RequestHead) -> Route | Misrouted:
    """The way of a request to the forward proxy: CONNECT, or a whole URI (RFC 9112, section 3.2)."""
    if head.method == b"CONNECT":
        authority = authority_form(head.target)
        if isinstance(authority, str):
            return Misrouted(400, authority, closes=True)
        host = f"{authority.host}:{authority.port}"
        return Route("", host, "", _NOWHERE, authority, by_proxy=True, opens_tunnel=True)
    found = absolute_form(head.target, host_of(head))
    if isinstance(found, str):
        hint = "This is a forward proxy: set its address as proxy, not as base URL."
        return Misrouted(400, found, hint, closes=True)
    if found.scheme != "http":
        return Misrouted(400, "https is reached through CONNECT", closes=True)
    return Route("", f"{found.host}:{found.port}", "", found.target, Authority(found.host, found.port), by_proxy=True)


def route_inside(head: RequestHead, tunnel: Route, *, tls: bool) -> Route | Misrouted:
    """The way of a request inside a CONNECT that the gateway looks into: to the host of the CONNECT, nowhere else."""
    if head.method == b"CONNECT" or head.target[:1] != b"/":
        return Misrouted(400, "the request-target must be a path", closes=True)
    target = canonical_target(head.target)
    if isinstance(target, str):
        return Misrouted(400, target, "Send the path in its plain form.")
    named = canonical_authority(host_of(head))
    usual = _HTTPS_PORT if tls else _HTTP_PORT
    if isinstance(named, str) or (named.host, named.port or usual) != (tunnel.authority.host, tunnel.authority.port):
        return Misrouted(421, "Host is not the host of the CONNECT", "Open a connection of its own.", closes=True)
    return Route("", tunnel.host, "", target, tunnel.authority, by_proxy=True)
