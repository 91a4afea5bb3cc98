"""What a session leaves behind: entries in their order, a replay of what the client saw, proof against changes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.adapters.ledger.segments import list_segments
from interlock.core.ledger import (
    AnyRecord,
    OperationCompleted,
    OperationDecided,
    RecordingStored,
    SessionClosed,
    SessionOpened,
)
from tests.e2e.held import until
from tests.e2e.ledger_files import digest, session_records, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

POLICY = """
@id("everything")
permit (principal, action, resource);

@id("never-drop")
@message("Agents never drop objects.")
forbid (principal is Agent, action == Action::"drop", resource);
"""
APPLICATION = "scripted"
COPIED = b"1\tone\n2\ttwo\n3\tthree\n"

Decided = tuple[str, str, str, tuple[str, ...]]
EXPECTED: list[tuple[Decided, tuple[str, str, str, int] | None]] = [
    (("SELECT", "execute", "allowed", ("everything",)), ("completed", "SELECT 3", "", 3)),
    (("DROP TABLE", "execute", "denied", ("never-drop",)), None),
    (("SELECT; SELECT", "execute", "allowed", ("everything",)), ("completed", "SELECT 2", "", 3)),
    (("CREATE TABLE", "execute", "allowed", ("everything",)), ("completed", "CREATE TABLE", "", 0)),
    (("COPY", "execute", "allowed", ("everything",)), ("completed", "COPY 3", "", 0)),
    (("COPY", "execute", "allowed", ("everything",)), ("completed", "COPY 3", "", 3)),
    (("BEGIN", "execute", "allowed", ("everything",)), ("completed", "BEGIN", "", 0)),
    (("DECLARE", "execute", "allowed", ("everything",)), ("completed", "DECLARE CURSOR", "", 0)),
    (("FETCH", "execute", "allowed", ("everything",)), ("completed", "FETCH 2", "", 2)),
    (("COMMIT", "execute", "allowed", ("everything",)), ("completed", "COMMIT", "", 0)),
    (("PREPARE", "execute", "allowed", ("everything",)), ("completed", "PREPARE", "", 0)),
    (("EXECUTE", "execute", "allowed", ("everything",)), ("completed", "SELECT 1", "", 1)),
    (("SELECT", "execute", "allowed", ("everything",)), ("failed", "", "22012", 0)),
    (("DROP TABLE", "execute", "denied", ("never-drop",)), None),
]


def run_script(connection: psycopg.Connection) -> None:
    """One of everything, by simple queries, so that every statement is one operation."""
    connection.execute("SELECT n FROM generate_series(1, 3) n")
    refuse(connection, "DROP TABLE customers")
    connection.execute("SELECT 'a'; SELECT 'b' FROM generate_series(1, 2)")
    connection.execute("CREATE TEMPORARY TABLE scripted (n integer, word text)")
    with connection.cursor() as cursor, cursor.copy("COPY scripted FROM STDIN") as stream:
        stream.write(COPIED)
    with connection.cursor() as cursor, cursor.copy("COPY scripted TO STDOUT") as stream:
        assert b"".join(bytes(part) for part in stream) == COPIED
    connection.execute("BEGIN")
    connection.execute("DECLARE walker CURSOR FOR SELECT n FROM scripted ORDER BY n")
    connection.execute("FETCH 2 FROM walker")
    connection.execute("COMMIT")
    connection.execute("PREPARE words AS SELECT word FROM scripted WHERE n = $1")
    connection.execute("EXECUTE words (2)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / (n - n) FROM scripted")
    refuse(connection, "DROP TABLE scripted")


def refuse(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    """A gateway on which the scripted session has been, and another one still is."""
    with GatewayServer(target, GatewayOptions(policy=POLICY)) as server:
        parameters = server.endpoint().parameters()
        with psycopg.connect(**parameters, autocommit=True, application_name=APPLICATION) as connection:
            run_script(connection)
        with psycopg.connect(**parameters, autocommit=True, application_name="still open") as connection:
            connection.execute("SELECT 'still open'")
            wait_for(lambda: stored(session_records(server, APPLICATION)), "the recording")
            yield server


@pytest.fixture(scope="module")
def session(gateway: GatewayServer) -> str:
    opened = session_records(gateway, APPLICATION)[0]
    assert isinstance(opened, SessionOpened)
    return opened.session


def stored(found: list[AnyRecord]) -> bool:
    return any(isinstance(record, RecordingStored) for record in found)


def lines(gateway: GatewayServer, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.command(*words).stdout.splitlines()]


# ---------------------------------------------------------------- ledger


def test_entries_are_exact_and_in_order(gateway: GatewayServer) -> None:
    found = session_records(gateway, APPLICATION)
    decided = [r for r in found if isinstance(r, OperationDecided)]
    completed = {r.number: r for r in found if isinstance(r, OperationCompleted)}
    seen = []
    for record in decided:
        outcome = completed.get(record.number)
        told = (outcome.status, outcome.tag, outcome.code, outcome.rows) if outcome else None
        seen.append(((record.verb, record.phase, record.decision, record.rules), told))
    assert seen == EXPECTED
    assert [record.number for record in decided] == list(range(1, len(EXPECTED) + 1))


def test_a_decision_comes_before_its_outcome(gateway: GatewayServer) -> None:
    found = session_records(gateway, APPLICATION)
    places = {
        (type(record), record.number): place
        for place, record in enumerate(found)
        if isinstance(record, OperationDecided | OperationCompleted)
    }
    for kind, number in places:
        if kind is OperationCompleted:
            assert places[OperationDecided, number] < places[OperationCompleted, number]
    assert isinstance(found[0], SessionOpened)


def test_entries_say_who_what_and_why(gateway: GatewayServer) -> None:
    found = session_records(gateway, APPLICATION)
    opened = found[0]
    assert isinstance(opened, SessionOpened)
    assert (opened.principal_kind, opened.principal, opened.groups) == ("Agent", "agent", ("testers",))
    assert (opened.connection, opened.database, opened.protocol) == ("shop", "shop", "postgres")
    assert opened.token_id
    drop = next(r for r in found if isinstance(r, OperationDecided) and r.decision == "denied")
    assert drop.accesses == ("drop on Table public.customers",)
    assert "Agents never drop objects." in drop.message
    assert drop.digest == digest("DROP TABLE customers")
    (closed,) = (record for record in found if isinstance(record, SessionClosed))
    rows = sum(outcome[3] for _, outcome in EXPECTED if outcome)
    assert (closed.status, closed.operations, closed.denied, closed.rows) == ("closed", len(EXPECTED), 2, rows)
    assert closed.bytes_from_client > 0
    assert closed.bytes_from_target > 0


# ---------------------------------------------------------------- commands


def test_list(gateway: GatewayServer, session: str) -> None:
    listed = {row["application"]: row for row in lines(gateway, "sessions", "list", "--json")}
    assert listed[APPLICATION]["session"] == session
    assert listed[APPLICATION]["status"] == "closed"
    assert listed["still open"]["status"] == "open"
    assert session in gateway.command("sessions", "list", "--status", "closed").stdout
    assert lines(gateway, "sessions", "list", "--principal", "somebody-else", "--json") == []


def test_show(gateway: GatewayServer, session: str) -> None:
    (shown,) = lines(gateway, "sessions", "show", session, "--json")
    assert [(o["verb"], o["phase"], o["decision"], tuple(o["rules"])) for o in shown["operations"]] == [
        decided for decided, _ in EXPECTED
    ]
    assert shown["operations"][1]["text"] == "DROP TABLE customers"
    text = gateway.command("sessions", "show", session).stdout
    assert "never-drop" in text
    assert "22012" in text


def test_replay_shows_what_the_client_saw(gateway: GatewayServer, session: str) -> None:
    replayed = lines(gateway, "sessions", "replay", session, "--no-wait", "--json")
    assert [line["at_us"] for line in replayed] == sorted(line["at_us"] for line in replayed)
    rows = [line["values"] for line in replayed if line["kind"] == "row"]
    assert rows[:3] == [["1"], ["2"], ["3"]]
    assert ["two"] in rows
    assert next(line["values"] for line in replayed if line["kind"] == "columns") == ["n"]
    requests = [line["text"] for line in replayed if line["kind"] == "request"]
    assert "DROP TABLE customers" in requests
    assert "EXECUTE words (2)" in requests
    data = "".join(line["text"] for line in replayed if line["kind"] == "data")
    assert data.count("three") == 2
    assert any("division by zero" in line["text"] for line in replayed if line["kind"] == "error")
    assert any("never-drop" in line["text"] for line in replayed if line["kind"] in ("notice", "error"))
    assert "division by zero" in gateway.command("sessions", "replay", session, "--no-wait").stdout


def test_search(gateway: GatewayServer, session: str) -> None:
    hits = lines(gateway, "sessions", "search", "walker", "--json")
    assert [(hit["session"], hit["verb"]) for hit in hits] == [(session, "DECLARE"), (session, "FETCH")]
    denied = lines(gateway, "sessions", "search", "--decision", "denied", "--json")
    assert [hit["text"] for hit in denied] == ["DROP TABLE customers", "DROP TABLE scripted"]
    assert gateway.command("sessions", "search", "no such words", check=False).returncode == 1
    entries = lines(gateway, "audit", "search", "--kind", "operation.decided", "--json")
    assert len([entry for entry in entries if entry["session"] == session]) == len(EXPECTED)


def test_export(gateway: GatewayServer, session: str, tmp_path: Path) -> None:
    script = gateway.command("sessions", "export", session, "--format", "sql").stdout
    assert "\nSELECT n FROM generate_series(1, 3) n\n;\n" in script
    assert "-- DROP TABLE customers" in script
    exported = [
        json.loads(line)
        for line in gateway.command("sessions", "export", session, "--format", "jsonl").stdout.splitlines()
    ]
    assert {line["kind"] for line in exported} == {"session", "operation", "transcript"}
    package = tmp_path / "evidence.tar"
    gateway.command("sessions", "export", session, "--out", str(package))
    assert gateway.command("audit", "verify", str(package)).returncode == 0
    whole = gateway.command("audit", "export").stdout.splitlines()
    assert json.loads(whole[0])["kind"] == "gateway.started"


# ---------------------------------------------------------------- proof


def test_verify_while_the_gateway_runs(gateway: GatewayServer) -> None:
    def covered() -> int:
        (report,) = lines(gateway, "audit", "verify", "--json")
        assert report["ok"] is True
        assert report["findings"] == []
        return int(report["covered"])

    until(lambda: covered() > len(EXPECTED), "no checkpoint covers what was recorded")
    assert "the evidence is as it was recorded" in gateway.command("audit", "verify").stdout


def changed_text(data: Path) -> None:
    segment = list_segments(data / "ledger" / "segments")[0]
    content = segment.read_bytes()
    assert b"never-drop" in content
    segment.write_bytes(content.replace(b"never-drop", b"never-mind"))


def cut_tail(data: Path) -> None:
    segment = list_segments(data / "ledger" / "segments")[0]
    content = segment.read_bytes()
    segment.write_bytes(content[: len(content) // 2])


def other_recording(data: Path) -> None:
    tape = max(
        (path for path in (data / "recordings").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(tape.read_bytes())
    content[len(content) // 2] ^= 1
    tape.write_bytes(content)


def lost_recording(data: Path) -> None:
    shutil.rmtree(data / "recordings")


def other_key(data: Path) -> None:
    key = data / "ledger" / "key.pub"
    key.write_text(key.read_text().replace("gateway", "gateway2"))


@pytest.mark.parametrize("change", [changed_text, cut_tail, other_recording, lost_recording, other_key])
def test_changes_are_found(gateway: GatewayServer, tmp_path: Path, change: Any) -> None:
    """Whoever may write to the disk can destroy evidence, but not change it unseen."""
    copy = tmp_path / "data"
    shutil.copytree(gateway.data_dir, copy, ignore=shutil.ignore_patterns("*.sock"))
    assert gateway.command("audit", "verify", str(copy)).returncode == 0
    change(copy)
    result = gateway.command("audit", "verify", str(copy), check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
