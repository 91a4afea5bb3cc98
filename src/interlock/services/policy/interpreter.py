"""The port to the protocols' parsers, for tools that start from a text instead of a session."""

from typing import Protocol

from interlock.core.operation import Meaning


class Interpreter(Protocol):
    """Says what a text means on a connection."""

    def interpret(self, connection: str, text: str, protocol: str = "") -> Meaning:
        """The meaning of one request as a new session on this connection would send it.

        ``protocol`` is that of the connection when it is not given, and ``postgres`` on one that has no settings. A
        text that cannot be parsed has the access ``unclassified``. Raises ``ConfigurationError`` for a protocol that
        does not exist, and for settings that cannot be used.
        """
