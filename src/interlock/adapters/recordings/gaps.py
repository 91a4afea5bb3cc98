"""What a recording does not hold: counted, digested with the session's key, and told to the ledger."""

import hmac

from interlock.adapters.recordings.sealing import SessionCipher
from interlock.core.ledger import RecordingGap
from interlock.core.recording import Frame


class Gap:
    """What was left out of one operation, in one direction, or of a session."""

    def __init__(self, reason: str, digest: hmac.HMAC) -> None:
        self._reason = reason
        self._digest = digest
        self._size = 0

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)

    def record(self, session: str) -> RecordingGap:
        return RecordingGap(session, self._reason, self._size, self._digest.digest())


def lost_chunk(session: str, cipher: SessionCipher, frames: list[Frame]) -> RecordingGap:
    """The record of frames that could not be written."""
    gap = Gap("the recording could not be written", cipher.gap_digest())
    for frame in frames:
        gap.add(frame.data)
    return gap.record(session)
