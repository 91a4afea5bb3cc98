"""Reads what a gateway has put on record, straight from its segment files, while it runs or after its end."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from interlock.adapters.ledger.segments import SegmentReader, list_segments
from interlock.core.chain import decode_entry
from interlock.core.ledger import AnyRecord, ConnectionRefused, OperationDecided, SessionClosed, SessionOpened
from tests.servers.gateway import GatewayServer

RecordT = TypeVar("RecordT")
_DEADLINE_S = 20


def records(gateway: GatewayServer) -> list[AnyRecord]:
    """Everything on record, in order."""
    return list(_read(gateway.data_dir / "ledger" / "segments"))


def records_of(gateway: GatewayServer, kind: type[RecordT]) -> list[RecordT]:
    """All records of one kind, in order."""
    return [record for record in records(gateway) if isinstance(record, kind)]


def session_records(gateway: GatewayServer, application: str) -> list[AnyRecord]:
    """What is on record of the one session that called itself so, once it has ended."""

    def whole() -> list[AnyRecord] | None:
        found = records(gateway)
        ids = {r.session for r in found if isinstance(r, SessionOpened) and r.application == application}
        assert len(ids) <= 1, f"several sessions are called {application}"
        mine = [record for record in found if getattr(record, "session", None) in ids]
        return mine if any(isinstance(record, SessionClosed) for record in mine) else None

    return wait_for(whole, f"the end of session {application}")


def decisions(gateway: GatewayServer, application: str) -> list[tuple[str, str]]:
    """Verb and decision of each operation of a session that has ended."""
    found = session_records(gateway, application)
    return [(record.verb, record.decision) for record in found if isinstance(record, OperationDecided)]


def refusals(gateway: GatewayServer, count: int) -> list[ConnectionRefused]:
    """The connections that were refused, once there are at least ``count``."""

    def enough() -> list[ConnectionRefused] | None:
        found = records_of(gateway, ConnectionRefused)
        return found if len(found) >= count else None

    return wait_for(enough, f"{count} refusals on record")


def digest(text: str, parameters: bytes = b"") -> bytes:
    """The digest by which the ledger knows a request (see ``Operation.digest``), computed independently."""
    raw = text.encode()
    return hashlib.sha256(len(raw).to_bytes(8, "big") + raw + parameters).digest()


def wait_for(look: Callable[[], RecordT | None], what: str) -> RecordT:
    """The first answer of ``look`` that says something: not None, False or empty."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def _read(segments: Path) -> Iterator[AnyRecord]:
    for path in list_segments(segments):
        for stored in SegmentReader(path):
            yield decode_entry(stored.data).record
