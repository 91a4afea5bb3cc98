"""The protocols' parsers and readers of recordings, for services that do not know the protocols."""

from interlock.core.errors import ConfigurationError, EvidenceError
from interlock.core.operation import Meaning
from interlock.protocols.registry import PROTOCOLS
from interlock.services.evidence.archive import SessionTranscriber


class Interpreter:
    """Implements ``services.policy.interpreter.Interpreter`` with the protocols' parsers."""

    def interpret(self, protocol: str, text: str) -> Meaning:
        if protocol not in PROTOCOLS:
            raise ConfigurationError(f"there is no protocol {protocol!r}; there are: {', '.join(PROTOCOLS)}")
        return PROTOCOLS[protocol].interpret(text, ("public",))


def new_transcript(protocol: str) -> SessionTranscriber:
    if protocol not in PROTOCOLS:
        raise EvidenceError(f"recorded with the protocol {protocol!r}, which this version does not know")
    return PROTOCOLS[protocol].new_transcript()
