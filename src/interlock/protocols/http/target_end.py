"""The target's end of a session: whether a stream to it is open, and the answers that are read from it.

It decides nothing and writes nothing. The module is plain typed Python that mypyc compiles where a C compiler is at
hand.
"""

from typing import Final

from interlock.core.settings import ConnectionSettings
from interlock.protocols import base
from interlock.protocols.base import Effect
from interlock.protocols.http.echo import repeatable
from interlock.protocols.http.values import Route
from interlock.protocols.http.wire.responses import ResponseParser


class TargetEnd:
    """``used``: an answer has come over the stream that is open."""

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes: Final = max_head_bytes
        self.answers = ResponseParser(max_head_bytes)
        self.open = False
        self.used = False
        self.credential = base.CredentialRevealed()
        self.secrets: tuple[bytes, ...] = ()
        """What of it the target could repeat."""

    def show(self, credential: base.CredentialRevealed) -> None:
        """What goes with the next request."""
        if credential != self.credential:
            self.secrets = repeatable(credential)
        self.credential = credential

    def begin_anew(self) -> None:
        """Another stream: nothing of the last one counts."""
        self.answers = ResponseParser(self._max_head_bytes)
        self.open = self.used = False

    def lose(self, effects: list[Effect]) -> None:
        """Close the stream."""
        self.open = False
        effects.append(base.DisconnectTarget())


def connect_effect(route: Route, settings: ConnectionSettings) -> base.ConnectTarget:
    """The stream that a request needs: to the target's own address, or to another of its hosts."""
    authority = route.authority
    if not route.by_proxy or (authority.host == settings.host.lower() and not settings.http.tunnel):
        return base.ConnectTarget()
    return base.ConnectTarget(authority.host, authority.port or settings.port)
