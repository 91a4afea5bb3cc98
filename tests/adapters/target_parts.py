"""The gateway's own connections to a server of the tests."""

import ssl
from typing import Any

from interlock.adapters.credentials import RevealedCredential
from interlock.adapters.postgres_connection import PostgresConnections
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.services.ports import TargetCredential
from tests.servers.endpoint import Endpoint


class OneTarget:
    """A connection store and a vault that know one connection, ``shop``. ``endpoint`` may be changed."""

    def __init__(self, endpoint: Endpoint, **changes: Any) -> None:
        self.endpoint = endpoint
        self._changes = changes

    @property
    def settings(self) -> ConnectionSettings:
        end = self.endpoint
        options = {"protocol": "postgres", "host": end.host, "port": end.port, "databases": (end.database,)}
        if end.sslrootcert is not None:
            options |= {"tls": TlsMode.VERIFY_FULL, "ca_file": str(end.sslrootcert)}
        else:
            options |= {"tls": TlsMode.DISABLE}
        return ConnectionSettings(**{**options, "user": end.user, **self._changes})

    def find(self, name: str) -> ConnectionSettings | None:
        return self.settings if name == "shop" else None

    def all(self) -> dict[str, ConnectionSettings]:
        return {"shop": self.settings}

    def is_configured(self, name: str) -> bool:
        return name == "shop"

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        raise NotImplementedError

    async def reveal(self, connection: str) -> RevealedCredential:
        return RevealedCredential(self.endpoint.user, self.endpoint.password, None, None)


def tls_context(settings: ConnectionSettings, _credential: TargetCredential) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def target_connections(target: OneTarget, **options: Any) -> PostgresConnections:
    return PostgresConnections(target, target, tls_context, **options)
