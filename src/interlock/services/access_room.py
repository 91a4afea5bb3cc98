"""Tells whoever may use a connection how clients reach it. To everybody else it does not exist."""

from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.core.administration import Command, ConnectionAccess, ShowAccess
from interlock.core.errors import AdministrationRefused, NotFound
from interlock.core.identity import Actor
from interlock.services.administration import Handler
from interlock.services.self_service.knowledge import Knowledge, UsableConnection
from interlock.services.state import IdentityStore

_ANY_USER = "token"
"""What clients log in to PostgreSQL as whose own name stands for a generated secret."""


class ListenerPlace(msgspec.Struct, frozen=True):
    """Where clients of a protocol reach the gateway; see ``ConnectionAccess``."""

    host: str
    port: int
    tls: bool = True
    path: str = ""
    authority_pem: str = ""
    known_hosts: str = ""


class AccessRoom:
    """Implements ``services.administration.Room``. ``places`` are by protocol, as far as it is listened for."""

    def __init__(self, knowledge: Knowledge, identities: IdentityStore, places: Mapping[str, ListenerPlace]) -> None:
        self._knowledge = knowledge
        self._identities = identities
        self._places = places

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {ShowAccess: self._show}

    async def _show(self, command: ShowAccess, actor: Actor) -> ConnectionAccess:
        usable = self._usable(command.name, actor)
        place = self._places.get(usable.protocol)
        if place is None:
            raise AdministrationRefused(f"the gateway does not listen for clients of {usable.protocol}")
        return ConnectionAccess(
            name=usable.name,
            protocol=usable.protocol,
            speaks=usable.speaks,
            host=place.host,
            port=place.port,
            user=self._user(actor.name),
            tls=place.tls,
            path=f"{place.path}/c/{usable.name}" if usable.protocol == "http" else "",
            databases=usable.databases,
            logins=usable.logins,
            authority_pem=place.authority_pem,
            known_hosts=place.known_hosts,
        )

    def _usable(self, name: str, actor: Actor) -> UsableConnection:
        try:
            return self._knowledge.usable(actor.principal, name)
        except NotFound:
            raise NotFound(f"there is no connection {name!r} that {actor.name} may use") from None

    def _user(self, name: str) -> str:
        """A user name for which the gateway asks for a token."""
        registered = self._identities.find(name)
        return name if registered is None or registered.scram_verifier is None else _ANY_USER
