"""Incidents from the field, answered as a responder would: with the command line, against a real target."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.held import OPERATOR, until
from tests.e2e.locking import Statement, connect
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

DRILL_S = 300
"""What a responder has, by the clock."""
OLD, NEW = "drill-old-password", "drill-new-password"
STEPS = [
    "lock.added",
    "incident.opened",
    "lock.added",
    "connections.set-credential",
    "incident.bundled",
    "lock.removed",
]
POLICY = """
@id("night-shift") permit (principal in Group::"night", action, resource);
@id("contractors") permit (principal in Group::"contractors", action, resource);
"""
REASONS = {"group removed": "may not use it", "identity disabled": "is disabled"}


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY)) as server:
        yield server


class Drill:
    """Somebody with a shell on the gateway's machine; every command must succeed."""

    def __init__(self, gateway: GatewayServer) -> None:
        self._gateway = gateway

    def say(self, *words: str, typed: str = "") -> str:
        line = [sys.executable, "-m", "interlock", "--config", str(self._gateway.config_file), *words]
        done = subprocess.run(
            line, input=typed, capture_output=True, text=True, cwd=self._gateway.directory, timeout=100, check=False
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.say(*words, "--json"))

    def acts(self) -> list[tuple[str, str, str]]:
        """What is on the ledger of people's commands: what, on what, by whom."""
        lines = self.say("audit", "search", "--limit", "100000", "--json").splitlines()
        entries = [json.loads(line) for line in lines]
        kinds = ("administration.changed", "lock.added", "lock.removed", "incident.opened", "incident.bundled")
        return [
            (
                entry.get("action", entry["kind"]),
                entry.get("subject") or entry.get("lock") or entry.get("incident", ""),
                entry.get("actor") or entry["by"],
            )
            for entry in entries
            if entry["kind"] in kinds
        ]


def verify(file: Path) -> None:
    """Somewhere else, without a gateway or its settings."""
    words = [sys.executable, "-m", "interlock", "audit", "verify", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=file.parent, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the evidence is as it was recorded" in done.stdout


@pytest.mark.timeout(240)
def test_scenario_21_responder_drill(
    gateway: GatewayServer, postgres: PostgresServer, target: Endpoint, tmp_path: Path
) -> None:
    postgres.execute(f"CREATE ROLE vaulted LOGIN PASSWORD '{OLD}'")
    responder = Drill(gateway)
    place = ("--host", target.host, "--port", str(target.port), "--database", target.database)
    responder.say("connections", "add", "vault", *place, "--user", "vaulted", "--tls", "disable")
    responder.say("connections", "set-credential", "vault", typed=OLD)

    def vault(name: str) -> psycopg.Connection[Any]:
        token = gateway.token(name, owner="olga", groups=("night",))
        return connect(gateway.endpoint(token), dbname="vault")

    with vault("ops-agent") as bad, vault("good-agent") as good:
        bad.execute("SELECT 'secret of the house'")
        started_s = time.monotonic()
        before = len(responder.acts())

        live = responder.json("sessions", "live")
        assert {(one["principal"], one["connection"]) for one in live} == {
            ("ops-agent", "vault"),
            ("good-agent", "vault"),
        }

        freeze = responder.json("lock", "add", "group", "night", "--mode", "freeze", "--reason", "02:00 page")
        assert {one["action"] for one in freeze["sessions"]} == {"frozen"}
        stopped, waiting = Statement(bad, "SELECT 1"), Statement(good, "SELECT 2")

        minute_ago = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
        seen = responder.say("sessions", "search", "--principal", "ops-agent", "--since", minute_ago, "--json")
        assert "secret of the house" in seen

        opened = responder.json("incident", "open", "--agent", "ops-agent", "--reason", "exfiltrates")
        incident = str(opened["id"])
        assert [one["action"] for one in opened["receipt"]["sessions"]] == ["cut"]
        assert isinstance(stopped.error(), psycopg.OperationalError)
        with pytest.raises(psycopg.OperationalError, match="access is locked: exfiltrates"):
            vault("ops-agent")

        postgres.execute(f"ALTER ROLE vaulted PASSWORD '{NEW}'")
        responder.say("connections", "set-credential", "vault", typed=NEW)

        bundle = tmp_path / "drill.tar"
        responder.say("incident", "bundle", incident, "--out", str(bundle))
        verify(bundle)

        responder.say("lock", "remove", freeze["lock"]["id"], "--reason", "only ops-agent is concerned")
        assert waiting.rows() == [(2,)]
        assert time.monotonic() - started_s < DRILL_S
        with vault("good-agent") as again:
            assert again.execute("SELECT 3").fetchone() == (3,)

    acts = responder.acts()[before:]
    assert {by for _, _, by in acts} == {OPERATOR}
    assert [act for act, _, _ in acts if act in STEPS] == STEPS
    everything = b"".join(file.read_bytes() for file in gateway.data_dir.rglob("*") if file.is_file())
    assert OLD.encode() not in everything
    assert NEW.encode() not in everything


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["group removed", "identity disabled"])
def test_scenario_1_offboarded_contractor(
    gateway: GatewayServer, postgres: PostgresServer, tmp_path: Path, how: str
) -> None:
    name = f"ci-of-contractor-{how.split()[0]}"
    responder = Drill(gateway)
    add = ("identities", "add", name, "--kind", "agent", "--owner", "carl")
    responder.say(*add, "--group", "contractors")
    endpoint = gateway.endpoint(gateway.token(name, groups=()))
    with connect(endpoint) as job:
        job.execute("SELECT 'nightly' AS work")
        position = postgres.log_position()
        if how == "group removed":
            responder.say(*add, "--replace")
        else:
            responder.say("identities", "disable", name)
        with pytest.raises(psycopg.errors.AdminShutdown) as cut:
            job.execute("SELECT 'after the end'")
    assert cut.value.sqlstate == "57P01"
    assert cut.value.diag.message_primary
    with pytest.raises(psycopg.OperationalError, match=REASONS[how]):
        connect(endpoint)
    assert not [one.text for one in postgres.logged_statements(position) if "after the end" in one.text]

    until(
        lambda: not responder.say("sessions", "list", "--principal", name, "--status", "open", "--json"),
        "the session has no end",
    )
    month_ago = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    found = responder.say("sessions", "search", "--principal", name, "--since", month_ago, "--json")
    assert "nightly" in found
    opened = responder.json("incident", "open", "--agent", name, "--reason", "left yesterday")
    report = json.loads(responder.say("incident", "report", opened["id"], "--format", "json"))
    (session,) = report["sessions"]
    assert (session["principal"], session["status"], session["operations"]) == (name, "killed", 1)
    bundle = tmp_path / "contractor.tar"
    responder.say("incident", "bundle", opened["id"], "--out", str(bundle))
    verify(bundle)
    (mine,) = {by for _, subject, by in responder.acts() if subject in (name, opened["id"])}
    assert mine == OPERATOR
