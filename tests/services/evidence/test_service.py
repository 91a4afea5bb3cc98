"""Reading evidence: lists, summaries, transcripts and searches."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.adapters.evidence import CRM, START_S, Gateway, PlainSealer, closed, decided, opened, operation, session_id

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.core.errors import EvidenceError
from interlock.core.recording import Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.services.evidence import AuditQuery, EvidenceService, SearchQuery, SessionFilter
from interlock.services.evidence.formats import session_json_lines, session_sql, timestamp
from interlock.services.evidence.search import kind_of


class Verbatim:
    """A transcriber that shows what it is given."""

    def __init__(self, protocol: str) -> None:
        assert protocol == "postgres"

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterator[TranscriptLine]:
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, request.text.decode())

    def frame(self, frame: Frame) -> Iterator[TranscriptLine]:
        yield TranscriptLine(frame.at_us, frame.number, TranscriptKind.DATA, frame.data.decode())

    def finish(self) -> Iterator[TranscriptLine]:
        return iter(())


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path, limits=RecordingLimits(max_operation_bytes=12))
    gateway.policy()
    gateway.session(1, [(b"select name from users", b"answer one"), (b"select 2", b"answer number two")])
    session = session_id(2)
    recorder = gateway.recordings.open(session, "postgres")
    gateway.ledger.append(opened(session, recorder.wrapped_key, principal="cleaner"))
    gateway.clock.at_s += 1
    drop = operation(1, b"drop table users;\n-- done")
    gateway.ledger.append(decided(session, 1, recorder.seal(drop), decision="denied", digest=drop.digest()))
    gateway.recordings.tick()
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    yield gateway
    recorder.close()
    gateway.ledger.note(closed(session))
    gateway.close()


@pytest.fixture
def service(gateway: Gateway) -> EvidenceService:
    store = FileEvidenceStore()
    return EvidenceService(store.archive(gateway.directory), WrappedSessionKeys(PlainSealer()), Verbatim, store)


def test_sessions_are_summed_up(service: EvidenceService) -> None:
    first, second = service.sessions()
    assert (first.session, first.status, first.operations, first.denied, first.rows) == (
        session_id(1),
        "closed",
        2,
        0,
        4,
    )
    assert (first.chunks, first.gap_bytes) == (1, 5)
    assert (second.status, second.denied, second.ended_ns) == ("open", 1, None)
    assert service.summary(session_id(2)) == second


def test_sessions_are_filtered_and_limited(service: EvidenceService) -> None:
    def found(wanted: SessionFilter, limit: int = 50) -> list[str]:
        return [summary.session for summary in service.sessions(wanted, limit)]

    assert found(SessionFilter(principal="cleaner")) == [session_id(2)]
    assert found(SessionFilter(connection="other")) == []
    assert found(SessionFilter(status="closed")) == [session_id(1)]
    assert found(SessionFilter(since_ns=int((START_S + 0.5) * 1e9))) == [session_id(2)]
    assert found(SessionFilter(until_ns=int((START_S + 0.5) * 1e9))) == [session_id(1)]
    assert found(SessionFilter(), 1) == [session_id(2)]
    assert found(SessionFilter(run="f" * 32)) == []


def test_a_session_is_named_by_enough_of_its_id(service: EvidenceService) -> None:
    assert service.resolve(session_id(1)[:14].upper()) == session_id(1)
    for prefix in ("", "zz", session_id(1)[:4]):
        with pytest.raises(EvidenceError):
            service.resolve(prefix)
    with pytest.raises(EvidenceError, match="no session"):
        service.summary(session_id(9))


def test_operations_have_their_request_and_outcome(service: EvidenceService) -> None:
    first, second = service.operations(session_id(1))
    assert (first.request.text, second.request.text) == (b"select name from users", b"select 2")
    assert first.completed is not None
    assert first.completed.tag == "SELECT 2"
    (denied,) = service.operations(session_id(2))
    assert denied.completed is None


def test_a_transcript_is_in_the_order_of_time(service: EvidenceService) -> None:
    lines = [(line.at_us, line.kind.value, line.text) for line in service.transcript(session_id(1))]
    assert lines == [
        (250_000, "request", "select name from users"),
        (500_000, "data", "answer one"),
        (750_000, "request", "select 2"),
        (1_000_000, "data", "answer numbe"),
        (1_000_000, "gap", "5 bytes were not kept: operation 2 (answer) is over the limit of 12 bytes"),
    ]
    assert [line.text for line in service.transcript(session_id(2))] == [
        "drop table users;\n-- done",
        "denied: no rule permits it",
    ]


def test_a_changed_recording_is_not_shown(service: EvidenceService, gateway: Gateway) -> None:
    (tape,) = gateway.directory.rglob(f"{session_id(1)}.rec")
    data = bytearray(tape.read_bytes())
    data[-1] ^= 1
    tape.write_bytes(data)
    with pytest.raises(EvidenceError, match="missing or was changed"):
        list(service.transcript(session_id(1)))


def test_operations_are_found(service: EvidenceService) -> None:
    def found(**wanted: object) -> list[tuple[str, int]]:
        return [(hit.session, hit.number) for hit in service.search(SearchQuery(**wanted))]  # type: ignore[arg-type]

    assert found(text="USERS") == [(session_id(1), 1), (session_id(2), 1)]
    assert found(text="users", decision="denied") == [(session_id(2), 1)]
    assert found(principal="reporter") == [(session_id(1), 1), (session_id(1), 2)]
    assert found(session=session_id(2)) == [(session_id(2), 1)]
    assert found(verb="select", connection="orders", since_ns=int((START_S + 0.5) * 1e9)) == [
        (session_id(1), 2),
        (session_id(2), 1),
    ]
    assert found(text="ANSWER ONE") == []
    assert found(text="ANSWER ONE", answers=True) == [(session_id(1), 1)]
    assert found(text="answer one", answers=True, decision="denied") == []
    assert (
        found(text="nowhere", answers=True)
        == found(text="nowhere")
        == found(connection="other")
        == found(run="f" * 32)
        == []
    )


def test_entries_are_found_without_opening_requests(service: EvidenceService) -> None:
    def found(**wanted: object) -> list[str]:
        return [kind_of(entry) for entry in service.audit(AuditQuery(**wanted))]  # type: ignore[arg-type]

    assert found(kind="policy") == ["policy.activated"]
    assert found(kind="session.opened") == ["session.opened"] * 2
    assert found(kind="sess") == []
    assert found(text="CLEANER") == ["session.opened"]
    assert found(text="drop table") == []
    assert found(kind="operation", since_ns=int((START_S + 1.5) * 1e9)) == ["operation.decided"]


def test_requests_stay_sealed_without_the_key(gateway: Gateway) -> None:
    store = FileEvidenceStore()
    service = EvidenceService(store.archive(gateway.directory), WrappedSessionKeys(None), Verbatim, store)
    assert len(service.sessions()) == 2
    with pytest.raises(EvidenceError, match="sealing key is needed"):
        list(service.operations(session_id(1)))
    with pytest.raises(EvidenceError, match="sealing key is needed"):
        list(service.search(SearchQuery("users")))


def test_json_lines_hold_everything(service: EvidenceService) -> None:
    lines = [msgspec.json.decode(line) for line in session_json_lines(service, session_id(1))]
    assert [line["kind"] for line in lines] == ["session", "operation", "operation", *["transcript"] * 5]
    assert lines[1]["text"] == "select name from users"
    assert lines[4] == {
        "kind": "transcript", "is": "data", "at_us": 500_000, "number": 1, "text": "answer one", "values": [],
        "stored": [],
    }  # fmt: skip


def test_an_sql_script_runs_only_what_was_allowed(service: EvidenceService) -> None:
    allowed = "".join(session_sql(service, session_id(1)))
    assert "\nselect name from users\n;\n" in allowed
    refused = "".join(session_sql(service, session_id(2)))
    assert "-- drop table users;\n-- -- done\n" in refused
    assert all(line.startswith("--") or not line for line in refused.splitlines())


def test_times_are_rfc_3339() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(1_900_000_000_250_000_999) == "2030-03-17T17:46:40.250000Z"


def test_sessions_are_found_by_who_acts_for_whom(gateway: Gateway, service: EvidenceService) -> None:
    session = session_id(3)
    recorder = gateway.recordings.open(session, "postgres")
    record = opened(session, recorder.wrapped_key, principal="ada")
    gateway.ledger.append(msgspec.structs.replace(record, acting=(CRM,)))
    asked = operation(1, b"select 3")
    gateway.ledger.append(decided(session, 1, recorder.seal(asked), digest=asked.digest()))
    recorder.close()
    gateway.ledger.note(closed(session))
    gateway.ledger.checkpoint()
    for name in ("ada", "ci:acme/crm"):
        (summary,) = service.sessions(SessionFilter(principal=name), 50)
        assert summary.session == session
        assert summary.who == "ada, by agent ci:acme/crm"
        (hit,) = service.search(SearchQuery(principal=name))
        assert (hit.session, hit.who) == (session, "ada, by agent ci:acme/crm")
