"""The port to the protocols' parsers, for tools that start from a text instead of a session."""

from typing import Protocol

from interlock.core.operation import Meaning


class Interpreter(Protocol):
    """Says what a text means in a protocol."""

    def interpret(self, protocol: str, text: str) -> Meaning:
        """The meaning of one request, with unqualified names in the schemas that a new session would find them in.

        A text that cannot be parsed has the access ``unclassified``. Raises ``ConfigurationError`` for a protocol that
        does not exist.
        """
