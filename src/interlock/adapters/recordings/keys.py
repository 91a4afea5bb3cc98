"""Session keys for reading: unwraps them with the gateway's key."""

from interlock.adapters.recordings.sealing import KEY_BYTES, Sealer, SessionCipher, key_context
from interlock.core.errors import EvidenceError


class WrappedSessionKeys:
    """Implements ``services.evidence.archive.SessionKeys``; without a sealer, for keys given in the clear only."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def reveal(self, session_id: str, wrapped_key: bytes) -> bytes:
        if self._sealer is None:
            raise EvidenceError("the gateway's sealing key is needed to read recordings")
        return self._sealer.unseal(wrapped_key, key_context(session_id))

    def opener(self, session_id: str, key: bytes) -> SessionCipher:
        if len(key) != KEY_BYTES:
            raise EvidenceError("not a session key")
        return SessionCipher(key, session_id)
