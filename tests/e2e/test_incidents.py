"""An incident from the lock to the report, with a real client and a real target."""

import contextlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.core.errors import EvidenceError
from interlock.services.evidence import EvidenceVerifier
from tests.e2e.held import OPERATOR, HeldStatement, make_dba, requests, until
from tests.e2e.locking import connect, is_cut
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

TABLES = """
CREATE TABLE patients (id integer PRIMARY KEY, name text, email text, ward integer);
INSERT INTO patients SELECT n, 'Patient ' || n, 'patient' || n || '@example.com', n % 3 FROM generate_series(1, 12) n;
CREATE TABLE visits (id integer PRIMARY KEY, patient integer);
INSERT INTO visits SELECT n, n FROM generate_series(1, 12) n;
ALTER TABLE patients OWNER TO app;
ALTER TABLE visits OWNER TO app;
"""
POLICY = """
@id("everything") permit (principal, action, resource);

@id("addresses-are-masked") @mask("partial")
forbid (principal is Agent, action == Action::"reveal", resource == Column::"shop/shop/public/patients/email");

@id("deletes-need-a-dba") @approval("dba") @expires("10m")
forbid (principal, action in [Action::"delete", Action::"delete-all"], resource);

@id("no-drops") @message("Agents never drop objects.")
forbid (principal is Agent, action == Action::"drop", resource);
"""


@pytest.fixture(scope="module")
def tables(postgres: PostgresServer) -> Iterator[None]:
    postgres.execute(TABLES, database="shop")
    yield
    postgres.execute("DROP TABLE patients, visits", database="shop")


@pytest.fixture(scope="module")
def gateway(target: Endpoint, tables: None) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY, approval_wait_s=20)) as server:
        make_dba(server)
        yield server


def incident_json(gateway: GatewayServer, *words: str) -> Any:
    return json.loads(gateway.command("incident", *words).stdout)


def until_closed(gateway: GatewayServer, principal: str) -> None:
    """Return when all sessions of a principal have their end on the ledger."""
    listed = ("sessions", "list", "--principal", principal, "--status", "open", "--json")
    until(lambda: not gateway.command(*listed).stdout, "a session has no end")


@pytest.fixture(scope="module")
def incident(gateway: GatewayServer) -> str:
    """An agent reads masked and clear columns, deletes with approval, is refused a DROP, and is stopped."""
    endpoint = gateway.endpoint(gateway.token("mallory", owner="eve"))
    with connect(endpoint) as agent:
        assert len(agent.execute("SELECT id, name, email FROM patients WHERE id <= 5").fetchall()) == 5
        assert len(agent.execute("SELECT ward FROM patients").fetchall()) == 12
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("DROP TABLE patients")
        with HeldStatement(endpoint, "DELETE FROM visits WHERE id <= 2") as held:
            held.notice()
            gateway.command("approvals", "approve", requests(gateway)[0].id, "--reason", "agreed")
            assert held.finish() == "DELETE 2"
        opened = gateway.command("incident", "open", "--agent", "mallory", "--reason", "wrong ward").stdout
        assert "on agent mallory is open" in opened
        assert "(refuse) on agent mallory is in force" in opened
        assert is_cut(agent)
    until_closed(gateway, "mallory")
    with pytest.raises(psycopg.OperationalError, match="access is locked: wrong ward"):
        connect(endpoint)
    ((one),) = incident_json(gateway, "list", "--json")
    assert (one["subject_kind"], one["subject"], one["opened_by"]) == ("agent", "mallory", OPERATOR)
    return str(one["id"])


def test_the_report_says_exactly_what_was_exposed(gateway: GatewayServer, incident: str) -> None:
    text = gateway.command("incident", "report", incident).stdout
    report = incident_json(gateway, "report", incident, "--format", "json")
    (exposed,) = report["exposed"]
    assert (exposed["database"], exposed["relations"], exposed["rows"]) == ("shop/shop", ["public.patients"], 17)
    columns = {c["name"]: (c["clear"], c["masked"], c["unclear"], c["distinct"]) for c in exposed["columns"]}
    assert columns == {"id": (5, 0, 0, 5), "name": (5, 0, 0, 5), "email": (0, 5, 0, 0), "ward": (12, 0, 0, 3)}
    assert exposed["masks"] == ["public.patients.email partial"]
    change = {"database": "shop/shop", "access": "delete on Table public.visits", "statements": 1, "rows": 2}
    assert report["changes"] == [change]
    login, drop = report["refusals"]
    assert (drop["verb"], drop["rules"], drop["count"]) == ("DROP TABLE", ["no-drops"], 1)
    assert (login["verb"], login["count"]) == ("login", 1)
    (approval,) = report["approvals"]
    assert (approval["status"], approval["used"], approval["votes"]) == (
        "spent",
        True,
        [f"{OPERATOR} approve: agreed"],
    )
    assert (report["statements"], report["statements_denied"], report["statements_held"]) == (3, 1, 1)
    assert report["problems"] == []
    for word in ("patients.email partial", "delete on Table public.visits", "DROP TABLE", OPERATOR):
        assert word in text


def test_the_same_evidence_gives_the_same_report(gateway: GatewayServer, incident: str) -> None:
    for form in ("text", "json", "html"):
        report = ("report", incident, "--format", form)
        first = gateway.command("incident", *report).stdout
        assert gateway.command("incident", *report).stdout == first
        assert "patient1@example.com" not in first


def test_the_timeline_has_everything_in_order(gateway: GatewayServer, incident: str) -> None:
    items = incident_json(gateway, "show", incident, "--json")["items"]
    kinds = [item["kind"] for item in items]
    wanted = [
        "session.opened",
        "operation.decided",
        "operation.completed",
        "approval.requested",
        "approval.voted",
        "approval.settled",
        "incident.opened",
        "lock.added",
        "session.cut",
        "connection.refused",
        "administration.changed",
    ]
    assert [kind for kind in dict.fromkeys(kinds) if kind in wanted] == wanted
    assert [item["sequence"] for item in items] == sorted(item["sequence"] for item in items)
    opened = items[kinds.index("incident.opened")]
    assert (opened["who"], "wrong ward" in opened["text"]) == (OPERATOR, True)


def did_it_leave(gateway: GatewayServer, value: str, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "interlock", "--config", str(gateway.config_file), "incident", "did-it-leave", *words]
    return subprocess.run(
        line, input=value, capture_output=True, text=True, cwd=gateway.directory, timeout=60, check=False
    )


def test_whether_a_value_left(gateway: GatewayServer, incident: str) -> None:
    clear = did_it_leave(gateway, "Patient 3", "--json")
    (found,) = json.loads(clear.stdout)["found"]
    assert (clear.returncode, found["where"], found["whole"], found["principal"]) == (1, "column name", 1, "mallory")
    assert "YES" in did_it_leave(gateway, "Patient 3").stdout
    masked = did_it_leave(gateway, "patient3@example.com", "--incident", incident)
    assert (masked.returncode, "NO: the value is in no answer" in masked.stdout) == (0, True), masked
    never = did_it_leave(gateway, "Patient 9")
    assert (never.returncode, "NO" in never.stdout) == (0, True), never
    for place in gateway.directory.rglob("*"):
        if place.is_file():
            assert b"patient3@example.com" not in place.read_bytes(), place


def test_the_bundle_verifies_offline_and_a_flipped_bit_does_not(
    gateway: GatewayServer, incident: str, tmp_path: Path
) -> None:
    file = tmp_path / "incident.tar"
    made = gateway.command("incident", "bundle", incident, "--out", str(file))
    assert "2 sessions" in made.stdout
    verify = [sys.executable, "-m", "interlock", "audit", "verify"]
    good = subprocess.run([*verify, str(file)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (good.returncode, good.stdout.splitlines()[0]) == (0, "the evidence is as it was recorded"), good
    with tarfile.open(file) as archive:
        members = [member for member in archive if member.size]
    assert {member.name for member in members} > {"manifest.json", "entries.jsonl", "report.txt", "report.html"}
    verifier = EvidenceVerifier(FileEvidenceStore(), WrappedSessionKeys(None))
    data = file.read_bytes()
    for member in members:
        for place in (0, member.size // 2, member.size - 1):
            changed = bytearray(data)
            changed[member.offset_data + place] ^= 1
            file.write_bytes(changed)
            with contextlib.suppress(EvidenceError):
                assert not verifier.verify(file).ok, (member.name, place)


def test_everything_the_responder_did_is_on_the_ledger(gateway: GatewayServer, incident: str) -> None:
    items = incident_json(gateway, "show", incident, "--json")["items"]
    mine = [item for item in items if item["who"] == OPERATOR]
    words = {item["text"].split(" ")[0] for item in mine if item["kind"] == "administration.changed"}
    assert {"incidents.report", "incidents.show", "incidents.did-it-leave", "incidents.read-bundle"} <= words
    assert {"incident.opened", "incident.bundled"} <= {item["kind"] for item in mine}


def test_answers_of_all_kinds_are_counted(gateway: GatewayServer) -> None:
    with connect(gateway.endpoint(gateway.token("walter"))) as agent:
        agent.execute("SELECT email AS name, upper(name) AS email FROM patients WHERE id <= 3")
        for number in range(1, 8):  # prepared on the way: later answers come without their columns' names
            agent.execute("SELECT ward FROM patients WHERE id = %s", (number,), prepare=True, binary=True)
        with agent.cursor() as cursor, cursor.copy("COPY (SELECT id FROM patients) TO STDOUT") as copied:
            assert len(list(copied)) > 0
        with agent.transaction(), agent.cursor(name="slow") as cursor:
            cursor.execute("SELECT id FROM visits")
            assert len(cursor.fetchall()) == 10
    until_closed(gateway, "walter")
    gateway.command("incident", "open", "--agent", "walter", "--reason", "all kinds", "--no-lock")
    (incident,) = [one for one in incident_json(gateway, "list", "--json") if one["subject"] == "walter"]
    report = incident_json(gateway, "report", incident["id"], "--format", "json")
    patients, visits = report["exposed"]
    columns = {c["name"]: (c["clear"], c["masked"], c["unclear"]) for c in patients["columns"]}
    assert columns == {"name": (0, 0, 3), "email": (0, 0, 3), "ward": (7, 0, 0)}
    assert (patients["rows"], patients["unseen"], visits["rows"], visits["unseen"]) == (22, 12, 10, 0)
    assert any("12 rows were not kept, or came as COPY data" in problem for problem in report["problems"])


def test_closing_says_that_the_lock_stays(gateway: GatewayServer, incident: str) -> None:
    closed = gateway.command("incident", "close", incident, "--reason", "found it").stdout
    assert "STAYS IN FORCE" in closed
    with pytest.raises(psycopg.OperationalError, match="access is locked"):
        connect(gateway.endpoint(gateway.token("mallory")))
    again = gateway.command("incident", "close", incident, "--reason", "again", check=False)
    assert (again.returncode, "is closed already" in again.stderr) == (1, True)


def test_closing_can_lift_the_lock(gateway: GatewayServer) -> None:
    gateway.command("incident", "open", "--agent", "trent", "--reason", "looking", "--mode", "freeze")
    (incident,) = [one for one in incident_json(gateway, "list", "--open", "--json") if one["subject"] == "trent"]
    closed = gateway.command("incident", "close", incident["id"], "--reason", "nothing", "--lift-locks").stdout
    assert "is lifted" in closed
    with connect(gateway.endpoint(gateway.token("trent"))) as agent:
        assert agent.execute("SELECT 1").fetchone() == (1,)
