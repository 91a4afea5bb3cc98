"""The protocols' parsers and readers of recordings, for services that do not know the protocols."""

from collections.abc import Callable

from interlock.core.errors import ConfigurationError, EvidenceError
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings
from interlock.protocols.registry import PROTOCOLS
from interlock.services.evidence.archive import SessionTranscriber

_USUAL = "postgres"


class Interpreter:
    """Implements ``services.policy.interpreter.Interpreter`` with the protocols' parsers."""

    def __init__(self, find: Callable[[str], ConnectionSettings | None]) -> None:
        """``find`` gives the settings of a connection. What it raises, ``interpret`` raises."""
        self._find = find

    def interpret(self, connection: str, text: str, protocol: str = "") -> Meaning:
        settings = self._find(connection)
        name = protocol or (settings.protocol if settings is not None else _USUAL)
        if name not in PROTOCOLS:
            raise ConfigurationError(f"there is no protocol {name!r}; there are: {', '.join(PROTOCOLS)}")
        try:
            of_its_own = settings if settings is not None and settings.protocol == name else None
            return PROTOCOLS[name].interpret(text, of_its_own)
        except ValueError as error:
            raise ConfigurationError(f"connection {connection!r} cannot be used: {error}") from error


def new_transcript(protocol: str) -> SessionTranscriber:
    if protocol not in PROTOCOLS:
        raise EvidenceError(f"recorded with the protocol {protocol!r}, which this version does not know")
    return PROTOCOLS[protocol].new_transcript()
