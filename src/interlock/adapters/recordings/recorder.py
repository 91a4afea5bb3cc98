"""The recorder of one session: seals requests, collects frames, counts and digests what is over the limits.

All methods run on the event loop's thread and do no I/O: full chunks go to the writer (see ``writer``).
"""

from typing import TYPE_CHECKING

import msgspec

from interlock.adapters.recordings.gaps import Gap
from interlock.adapters.recordings.sealing import SessionCipher
from interlock.core.errors import LedgerUnavailable
from interlock.core.operation import Operation
from interlock.core.recording import Direction, Frame, SealedRequest

if TYPE_CHECKING:
    from interlock.adapters.recordings.recordings import FileRecordings
    from interlock.adapters.recordings.writer import Reel

FRAME_OVERHEAD_BYTES = 64
MAX_METERS = 256
"""Operations of a session that are metered at a time, in each direction; the one that is used least counts as over."""


class RecordingLimits(msgspec.Struct, frozen=True):
    """What is kept. Beyond a limit, data is counted and digested only."""

    max_request_bytes: int = 64 << 10
    max_operation_bytes: int = 1 << 20
    max_session_bytes: int = 64 << 20
    chunk_bytes: int = 64 << 10


class Meter:
    """How much of one operation may still be kept, in one direction."""

    __slots__ = ("direction", "gap", "number", "room")

    def __init__(self, direction: Direction, number: int, room: int) -> None:
        self.direction = direction
        self.number = number
        self.room = room
        self.gap: Gap | None = None


class FileSessionRecorder:
    """Implements ``services.ports.SessionRecorder``."""

    def __init__(
        self, session: str, cipher: SessionCipher, wrapped_key: bytes, reel: "Reel", owner: "FileRecordings"
    ) -> None:
        self._session = session
        self._cipher = cipher
        self._wrapped_key = wrapped_key
        self._reel = reel
        self._owner = owner
        self._limits = limits = owner.limits
        self._monotonic_s = owner.clock.monotonic_s
        self._started_s = self._monotonic_s()
        self._requests_sealed = 0
        self._frames: list[Frame] = []
        self._pending_bytes = 0
        self._room = limits.max_session_bytes
        self._session_gap: Gap | None = None
        self._answers: dict[int, Meter] = {}
        self._inputs: dict[int, Meter] = {}
        self._lasting: set[int] = set()
        """Operations of which as much is kept as of the session."""
        self._unowned = Meter(Direction.ANSWER, 0, limits.max_session_bytes)
        self._closed = False

    @property
    def wrapped_key(self) -> bytes:
        return self._wrapped_key

    def seal(self, operation: Operation) -> bytes:
        """Raises ``LedgerUnavailable`` while recordings cannot be written: then the operation must be refused."""
        if self._owner.fault:
            raise LedgerUnavailable(self._owner.fault)
        limit = self._limits.max_request_bytes
        text, parameters = operation.text, operation.parameters
        forwarded = operation.forwarded[:limit]
        request = SealedRequest(
            text[:limit],
            parameters[:limit],
            len(text),
            operation.parameter_bytes or len(parameters),
            forwarded,
            operation.parameter_types[:limit],
        )
        self._requests_sealed += 1
        if operation.lasting:
            self._lasting.add(operation.number)
        return self._cipher.seal_request(self._requests_sealed, operation.number, request)

    def answer(self, number: int, data: bytes) -> None:
        meter = self._meter(self._answers, Direction.ANSWER, number) if number else self._unowned
        self._take(meter, number, data)

    def request(self, number: int, data: bytes) -> None:
        self._take(self._meter(self._inputs, Direction.REQUEST, number), number, data)

    def ended(self, number: int) -> None:
        self._lasting.discard(number)
        for meters in (self._answers, self._inputs):
            if number in meters:
                self._end(meters.pop(number))

    def close(self) -> None:
        """Hand over what is left and note what was left out. Raises ``LedgerUnavailable`` when that cannot be noted."""
        if self._closed:
            return
        self._closed = True
        self.cut()
        for meter in (*self._answers.values(), *self._inputs.values(), self._unowned):
            self._end(meter)
        if self._session_gap:
            self._owner.ledger.note(self._session_gap.record(self._session))

    def cut(self) -> None:
        """Hand the frames so far to the writer as one chunk."""
        if self._frames:
            frames, self._frames, self._pending_bytes = self._frames, [], 0
            self._owner.pending.discard(self)
            self._owner.write(self._reel, frames)

    def _meter(self, meters: dict[int, Meter], direction: Direction, number: int) -> Meter:
        """The operation's meter; the last one of ``meters`` is the one that was used last."""
        meter = meters.pop(number, None)
        if meter is None:
            if len(meters) >= MAX_METERS:
                self._end(meters.pop(next(iter(meters))))
            meter = Meter(direction, number, self._most(number))
        meters[number] = meter
        return meter

    def _most(self, number: int) -> int:
        lasting = number in self._lasting
        return self._limits.max_session_bytes if lasting else self._limits.max_operation_bytes

    def _take(self, meter: Meter, number: int, data: bytes) -> None:
        size = len(data)
        if size > meter.room or size > self._room:
            data = self._leave_out(meter, data)
            size = len(data)
            if not size:
                return
        meter.room -= size
        self._room -= size
        if not self._frames:
            self._owner.pending.add(self)
        at_us = int((self._monotonic_s() - self._started_s) * 1e6)
        self._frames.append(Frame(at_us, meter.direction, number, data))
        self._pending_bytes += size + FRAME_OVERHEAD_BYTES
        if self._pending_bytes >= self._limits.chunk_bytes:
            self.cut()

    def _leave_out(self, meter: Meter, data: bytes) -> bytes:
        """Count and digest what is over the limit; return the part that is still kept."""
        kept = max(0, min(meter.room, self._room))
        if self._room <= meter.room:
            gap = self._session_gap = self._session_gap or self._new_gap("the session", self._limits.max_session_bytes)
        else:
            about = f"operation {meter.number} ({meter.direction.value})"
            gap = meter.gap = meter.gap or self._new_gap(about, self._most(meter.number))
        gap.add(data[kept:])
        return data[:kept]

    def _new_gap(self, about: str, limit: int) -> Gap:
        return Gap(f"{about} is over the limit of {limit} bytes", self._cipher.gap_digest())

    def _end(self, meter: Meter) -> None:
        """The operation that a meter was for has ended."""
        if meter.gap:
            self._owner.ledger.note(meter.gap.record(self._session))
            meter.gap = None
