"""What a request shows before anybody is asked about it: its way, its token, and what it says of its run.

Pure, and without a look at who it is: that is found out with what comes out of here. The module is plain typed
Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.protocols.http import problems
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.presented import presented_to_gateway, presented_to_proxy, said_of_run
from interlock.protocols.http.protected_resource import base_url_of, challenge, metadata_reply
from interlock.protocols.http.routing import route_forward, route_inside, route_reverse
from interlock.protocols.http.values import Admission, Inside, Misrouted, Mode, Presented, Route
from interlock.protocols.http.wire.messages import RequestHead

_OF_PAGES: Final = frozenset((b"origin", b"referer", b"sec-fetch-site"))
_WELL_KNOWN: Final = b"/.well-known/"
LAST_STATUSES: Final = frozenset((400, 405, 421))
"""Of answers behind which nothing more is read."""


def admission_of(
    head: RequestHead, mode: Mode, inside: Inside | None, limits: HttpLimits, *, tls: bool, certificate: bool = False
) -> Admission | Reply:
    """The request's way and proof, or what it is answered with when nobody is asked.

    A ``certificate`` that the client's connection has shown is the proof of requests without a token.
    """
    if mode is Mode.REVERSE and head.target.startswith(_WELL_KNOWN):
        found = metadata_reply(head, limits.public_url or base_url_of(head, tls=tls), limits.issuers)
        if found is not None:
            return found
    if head.method == b"TRACE":
        return problems.reply(405, "TRACE would show the gateway's own credential")
    route = _route(head, mode, inside, tls=tls)
    if isinstance(route, Misrouted):
        return problems.misrouted(route)
    presented = _presented(head, route, inside, certificate=certificate)
    if isinstance(presented, str):
        return problems.reply(400, presented)
    if not presented.token and not presented.by_certificate:
        return problems.needs_token(
            "the request shows no token", by_proxy=route.by_proxy, challenge=challenge_to(head, route, limits, tls=tls)
        )
    if presented.token and presented.token.encode() in head.target:
        return problems.reply(400, "the token is in the URL, where others can read it", "Send it in a field.")
    said = said_of_run(head.headers)
    return Admission(route, presented.token, presented.own_authorization, said, presented.by_certificate)


def challenge_to(head: RequestHead, route: Route, limits: HttpLimits, *, tls: bool) -> bytes:
    """Where a client of the reverse listener gets tokens for what it asks for; nothing for the proxy's."""
    if route.by_proxy:
        return b""
    base_url = limits.public_url or base_url_of(head, tls=tls)
    return challenge(base_url, route.prefix + route.target.path)


def _route(head: RequestHead, mode: Mode, inside: Inside | None, *, tls: bool) -> Route | Misrouted:
    if inside is not None:
        return route_inside(head, inside.route, tls=tls)
    return route_reverse(head) if mode is Mode.REVERSE else route_forward(head)


def _presented(head: RequestHead, route: Route, inside: Inside | None, *, certificate: bool) -> Presented | str:
    if inside is not None:
        return Presented(inside.token, own_authorization=True, by_certificate=inside.by_certificate)
    found = presented_to_proxy(head.headers) if route.by_proxy else presented_to_gateway(head.headers)
    if not certificate or isinstance(found, str) or found.token or (not route.by_proxy and _comes_from_a_page(head)):
        return found
    return Presented("", own_authorization=route.by_proxy, by_certificate=True)


def _comes_from_a_page(head: RequestHead) -> bool:
    """Whether a browser sends it for a page: it would show a person's certificate whatever page wants that."""
    return any(name in _OF_PAGES for name, _ in head.headers)
