"""How clients reach a connection: what whoever may use it is told. No credential is in here."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Route


class ConnectionAccess(msgspec.Struct, frozen=True):
    """Where clients reach a connection through the gateway, and how they know that it is the gateway.

    ``host`` is empty when the gateway has no name of its own there: it is the host that its API is reached at.
    ``speaks`` is the protocol or, over HTTP, what the target's API is. ``tls`` says whether HTTP clients begin with
    TLS; PostgreSQL clients always do, SSH clients never. ``path`` is what stands before each path of an HTTP target.
    ``user`` is the name to log in with, ``databases`` and ``logins`` are what the target offers, the usual one first.
    ``authority_pem`` vouches for the listener's certificate, empty where the system's authorities do.
    ``known_hosts`` are the lines for SSH clients.
    """

    name: str
    protocol: str
    speaks: str
    host: str
    port: int
    user: str
    tls: bool = True
    path: str = ""
    databases: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    authority_pem: str = ""
    known_hosts: str = ""


class ShowAccess(Command[ConnectionAccess], frozen=True, tag="connections.access"):
    """How clients reach a connection that one may use oneself; any other is one that does not exist."""

    route: ClassVar = Route("GET", "/v1/connections/{name}/access", ())

    name: Annotated[str, Meta(min_length=1, max_length=63)]
