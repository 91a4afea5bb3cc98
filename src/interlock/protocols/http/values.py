"""What is said of a request before anybody is asked about it: its way, and what it shows.

These are not in the modules that use them because those are compiled.
"""

import enum

import msgspec

from interlock.protocols.http.wire.messages import Authority, Target


class Mode(enum.Enum):
    """How clients address targets on a listener."""

    REVERSE = "http"
    FORWARD = "proxy"


class Route(msgspec.Struct, frozen=True):
    """A request's way. ``connection`` is its name, or empty: then ``host``, as ``name:port``, stands for it.

    ``target`` is relative to the connection; ``prefix`` is what stood before it in the client's path. ``authority`` is
    what the client addressed. ``opens_tunnel``: it is a CONNECT, and the client wants a byte stream to ``host``.
    """

    connection: str
    host: str
    prefix: str
    target: Target
    authority: Authority
    by_proxy: bool = False
    opens_tunnel: bool = False


class Misrouted(msgspec.Struct, frozen=True):
    """A request that has no way, and what to do about it. ``closes``: nothing more is read from its client."""

    status: int
    detail: str
    hint: str = ""
    closes: bool = False


class Presented(msgspec.Struct, frozen=True):
    """A caller's token. ``own_authorization``: Authorization is not the gateway's but meant for the target.

    ``by_certificate``: there is no token, but the connection's certificate.
    """

    token: str
    own_authorization: bool = False
    by_certificate: bool = False

    def __repr__(self) -> str:
        return "Presented()"


class Inside(msgspec.Struct, frozen=True):
    """The CONNECT that a client's connection is inside of, and its proof, a token or else a certificate."""

    route: Route
    token: str
    by_certificate: bool = False

    def __repr__(self) -> str:
        return f"Inside(route={self.route!r})"


class Admission(msgspec.Struct, frozen=True):
    """A request that somebody can be asked about. ``own_authorization``: Authorization is meant for the target.

    ``by_certificate``: there is no token, but the connection's certificate.
    """

    route: Route
    token: str
    own_authorization: bool
    said: str
    by_certificate: bool = False

    def __repr__(self) -> str:
        return f"Admission(route={self.route!r})"
