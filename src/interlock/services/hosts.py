"""Which connection a host name stands for: the target's own names through the proxy, the gateway's names otherwise.

Looks settings up as they are now. It resolves no name and says nothing about who may use the connection.
"""

from collections.abc import Callable, Iterable

from interlock.core.settings import ConnectionSettings

ListConnections = Callable[[], Iterable[tuple[str, ConnectionSettings]]]


class Hosts:
    """Finds HTTP connections by host."""

    def __init__(self, connections: ListConnections) -> None:
        self._connections = connections

    def find(self, host: str, by_proxy: bool) -> str | None:
        """The name of the connection that ``name:port`` stands for, None for none.

        Its own host comes before patterns, exact names before those with a ``*``, the longest of these first.
        """
        name, _, port = host.rpartition(":")
        ranked = (
            (rank, connection)
            for connection, settings in self._connections()
            if settings.protocol == "http" and (rank := _rank(settings, name, int(port), by_proxy))
        )
        return max(ranked, default=(0, None))[1]


def _rank(settings: ConnectionSettings, name: str, port: int, by_proxy: bool) -> int:
    """How well a host fits a connection; 0 for not at all."""
    if not by_proxy:
        return max((_fit(pattern, name) for pattern in settings.http.server_names), default=0)
    if port != settings.port:
        return 0
    own = 1 << 16 if settings.host.lower() == name and not settings.http.tunnel else 0
    return max(own, max((_fit(pattern, name) for pattern in settings.http.hosts), default=0))


def _fit(pattern: str, name: str) -> int:
    pattern = pattern.lower()
    if pattern == name:
        return 1 << 15
    return len(pattern) if pattern.startswith("*.") and name.endswith(pattern[1:]) else 0
