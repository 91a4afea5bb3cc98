"""A session that goes on, told as it happens: ledger and recording are read from disk behind whoever writes them.

Changes nothing and holds nobody up. What is recorded reaches the disk a moment later than the decisions, so what is
told lags behind by ``LAG_S``, to be in order.
"""

import heapq
from collections import deque
from typing import Final, Generic, TypeVar

from interlock.core.chain import Entry, decode_entry
from interlock.core.errors import EvidenceError
from interlock.core.ledger import OperationDecided, RecordingGap, RecordingStored, SessionClosed
from interlock.core.session import SessionStatus
from interlock.services.events import LedgerNews
from interlock.services.evidence.service import EvidenceService
from interlock.services.evidence.sessions import session_of
from interlock.services.evidence.telling import OperationView, Said, Teller

LAG_S: Final = 1.5
MAX_ENTRIES: Final = 64
"""Entries that are read at a time: each can stand for a chunk of the recording."""
MAX_BYTES: Final = 1 << 20

ToldT = TypeVar("ToldT")


class SessionFollowing(Generic[ToldT]):
    """One session from its beginning on. It waits for files: read it in a worker thread, one at a time.

    ``over``: the session has ended and all was told. ``behind``: there is more to read at once.
    """

    def __init__(self, evidence: EvidenceService, news: LedgerNews, session: str, teller: Teller[ToldT]) -> None:
        """Raises ``EvidenceError`` for an unknown session, ``InterlockError`` when its key cannot be had."""
        opened = evidence.opened(session)
        self.status = SessionStatus.OPEN.value
        self.over = False
        self.behind = True
        self._session = session
        self._began_ns = opened.time_ns
        self._ended_ns: int | None = None
        self._opener = evidence.opener(session)
        self._chunks = evidence.archive
        self._news = news
        self._follower = news.follow(opened.sequence)
        self._teller = teller
        self._offset = 0
        self._taken = 0
        self._waiting: list[tuple[int, int, int, Said]] = []
        self._told: deque[ToldT] = deque()

    def read(self, now_ns: int, limit: int) -> list[ToldT]:
        """What is new, ``limit`` things at most. Raises ``EvidenceError`` or ``OSError`` for damage."""
        if len(self._told) < limit and not self.over:
            self._read_entries()
            self._tell(now_ns)
        return [self._told.popleft() for _ in range(min(limit, len(self._told)))]

    @property
    def done(self) -> bool:
        """Whether there is nothing to come."""
        return self.over and not self._told

    def _read_entries(self) -> None:
        size = self._news.size
        if self._follower.position < size:
            session = self._session.encode()
            for data in self._follower.read(size, MAX_ENTRIES, MAX_BYTES):
                if session in data and session_of(entry := decode_entry(data)) == self._session:
                    self._take(entry)
        self.behind = self._follower.position < size

    def _take(self, entry: Entry) -> None:
        at_us = max(0, entry.time_ns - self._began_ns) // 1000
        match entry.record:
            case OperationDecided() as record:
                request = self._opener.unseal_request(record.number, record.sealed)
                self._wait(at_us, 0, OperationView(entry.time_ns, entry.sequence, record, request))
            case RecordingStored() as record:
                self._take_chunk(record)
            case RecordingGap() as record:
                self._wait(at_us, 2, record)
            case SessionClosed() as record:
                self.status, self._ended_ns = record.status, entry.time_ns
            case _:
                pass

    def _take_chunk(self, record: RecordingStored) -> None:
        chunk = self._chunks.chunk_at(self._session, self._offset)
        if chunk is None or chunk.sha256 != record.sha256:
            raise EvidenceError(f"chunk {record.index} of the recording is missing or was changed")
        self._offset = chunk.end
        for frame in self._opener.unseal_frames(chunk.counter, chunk.ciphertext):
            self._wait(frame.at_us, 1, frame)

    def _wait(self, at_us: int, rank: int, item: Said) -> None:
        self._taken += 1
        heapq.heappush(self._waiting, (at_us, rank, self._taken, item))

    def _tell(self, now_ns: int) -> None:
        """Tell what nothing can come before any more; the last chunks can come behind the session's end."""
        lag_ns = int(LAG_S * 1e9)
        ended = self._ended_ns is not None and now_ns - self._ended_ns >= lag_ns and not self.behind
        until_us = (now_ns - self._began_ns - lag_ns) // 1000
        while self._waiting and (ended or self._waiting[0][0] <= until_us):
            at_us, _, _, item = heapq.heappop(self._waiting)
            self._told += self._teller.take(at_us, item)
        if ended:
            self._told += self._teller.finish()
            self.over = True
