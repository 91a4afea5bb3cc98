"""Incidents with agents that use HTTP beside PostgreSQL, dealt with by the command line: one word stops every leg."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from interlock.core.ledger import AdministrationChanged, IncidentBundled, IncidentOpened, LockAdded, LockRemoved
from tests.e2e.held import OPERATOR
from tests.e2e.ledger_files import records
from tests.e2e.locking import wait_for
from tests.servers.command_line import run_interlock
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.http_service import HttpService
from tests.servers.postgres import PostgresServer

POLICY = """
@id("contractors") permit (principal in Group::"contractors", action, resource);
@id("night-shift") permit (principal in Group::"night", action, resource);
"""
CUT_WITHIN_S = 2.0
"""What is promised is one second; the machine may be busy."""
OLD, NEW = "drill-old-key-0123456789", "drill-new-key-0123456789"


class Target:
    """An API that takes one key, and streams events until nobody listens any more."""

    def __init__(self) -> None:
        self.key = OLD
        self.streams = 0

    async def stream(self, request: web.Request, body: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        self.streams += 1
        try:
            while True:
                await answer.write(b"data: tick\n\n")
                await asyncio.sleep(0.02)
        finally:
            self.streams -= 1

    async def things(self, request: web.Request, body: bytes) -> web.StreamResponse:
        allowed = request.headers.get("Authorization") == f"Bearer {self.key}"
        return web.json_response({"things": ["secret of the house"]}, status=200 if allowed else 401)


@pytest.fixture(scope="module")
def api() -> Target:
    return Target()


@pytest.fixture(scope="module")
def service(api: Target) -> Iterator[HttpService]:
    with HttpService(stream=api.stream, things=api.things) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(target: Endpoint, service: HttpService) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(http=True, policy=POLICY)) as running:
        place = ("--protocol", "http", "--host", "127.0.0.1", "--port", str(service.port), "--tls", "disable")
        running.command("connections", "add", "crm", *place)
        give_key(running, OLD)
        yield running


def give_key(gateway: GatewayServer, key: str) -> None:
    file = gateway.directory / "key"
    file.write_text(key)
    gateway.command("connections", "set-credential", "crm", "--file", str(file))
    file.unlink()


def told(gateway: GatewayServer, *words: str) -> Any:
    return json.loads(gateway.command(*words, "--json").stdout)


def lines(gateway: GatewayServer, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.command(*words, "--json").stdout.splitlines()]


def verify(bundle: Path) -> None:
    """Somewhere else, without a gateway or its settings."""
    assert "the evidence is as it was recorded" in run_interlock(("audit", "verify", str(bundle)), bundle.parent).stdout


WORK = "SELECT ''nightly work''"
JOB = """
import os, sys, threading, time
import httpx2, psycopg

database = psycopg.connect(autocommit=True)
client = httpx2.Client(headers={"Authorization": "Bearer " + os.environ["PGPASSWORD"]}, timeout=30)
url = os.environ["CRM_URL"]

def listen():
    try:
        with client.stream("GET", url + "/stream") as answer:
            for line in answer.iter_lines():
                if line and not ready.is_set():
                    ready.set()
    except httpx2.HTTPError as error:
        print("stream", time.time(), type(error).__name__, flush=True)

ready = threading.Event()
listening = threading.Thread(target=listen)
listening.start()
ready.wait(30)
print("works", flush=True)
try:
    database.execute("SELECT 'nightly work', pg_sleep(60)")
except psycopg.Error as error:
    print("database", time.time(), error.sqlstate, str(error).replace(chr(10), " "), flush=True)
try:
    database.execute("SELECT 'after the end'")
except psycopg.Error as error:
    print("again", error, flush=True)
listening.join(30)
answer = client.post(url + "/things", json={"after": "the end"})
print("request", answer.status_code, answer.json()["detail"], flush=True)
try:
    psycopg.connect()
except psycopg.Error as error:
    print("login", str(error).replace(chr(10), " "), flush=True)
"""


@pytest.mark.parametrize("how", ["group removed", "identity disabled"])
def test_scenario_1_offboarded_contractor(
    gateway: GatewayServer, postgres: PostgresServer, service: HttpService, api: Target, tmp_path: Path, how: str
) -> None:
    """A job of somebody who left is stopped on every leg by one command, and its log says why."""
    name = f"ci-of-carl-{how.split()[0]}"
    add = ("identities", "add", name, "--kind", "agent", "--owner", "carl")
    gateway.command(*add, "--group", "contractors")
    environment = gateway.endpoint(gateway.token(name, groups=())).environment()
    job = subprocess.Popen(
        [sys.executable, "-c", JOB],
        env=os.environ | environment | {"CRM_URL": gateway.http_url("crm")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert job.stdout is not None
    with job:
        assert job.stdout.readline() == "works\n"
        working = f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '{WORK}%'"
        wait_for(lambda: postgres.execute(working), "the job's statement runs")
        position, before = postgres.log_position(), len(service.received)
        gateway.command(*((*add, "--replace") if how == "group removed" else ("identities", "disable", name)))
        revoked_s = time.time()
        log = dict(line.split(" ", 1) for line in job.stdout.read().splitlines())
    assert float(log["stream"].split()[0]) - revoked_s < CUT_WITHIN_S
    at, state, why = log["database"].split(" ", 2)
    assert (float(at) - revoked_s < CUT_WITHIN_S, state) == (True, "57P01")
    reason = "disabled" if how == "identity disabled" else "may not use it"
    assert reason in log["request"]
    assert reason in log["login"]
    assert why
    assert "closed" in log["again"]
    assert postgres.execute(working) == [], "what it ran is over"
    wait_for(lambda: api.streams == 0, "the target goes on for nobody")
    assert len(service.received) == before
    assert not [one.text for one in postgres.logged_statements(position) if "after the end" in one.text]

    month_ago = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    found = lines(gateway, "sessions", "search", "--principal", name, "--since", month_ago)
    assert {(hit["connection"], hit["verb"]) for hit in found} == {("crm", "GET"), ("shop", "SELECT")}
    incident = told(gateway, "incident", "open", "--agent", name, "--reason", "left yesterday")["id"]
    report = json.loads(gateway.command("incident", "report", incident, "--format", "json").stdout)
    assert {session["status"] for session in report["sessions"]} == {"killed"}
    assert {session["connection"] for session in report["sessions"]} == {"crm", "shop"}
    bundle = tmp_path / "contractor.tar"
    gateway.command("incident", "bundle", incident, "--out", str(bundle))
    verify(bundle)


class Worker:
    """An agent that works all the time, in the background, on one connection, and notes what it is answered."""

    def __init__(self, gateway: GatewayServer, name: str) -> None:
        headers = {"Authorization": f"Bearer {gateway.token(name, ('night',))}"}
        self.answers: list[int] = []
        self.error: httpx2.HTTPError | None = None
        self._client = httpx2.Client(base_url=gateway.http_url("crm"), headers=headers, timeout=120)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._client:
            while not self._over.is_set():
                try:
                    self.answers.append(self._client.get("/things").status_code)
                except httpx2.HTTPError as error:
                    self.error = error
                self._over.wait(0.05)

    def has_worked(self) -> None:
        """Return when it has been answered once more."""
        so_far = len(self.answers)
        wait_for(lambda: len(self.answers) > so_far + 1, "it works")

    def end(self) -> None:
        self._over.set()
        self._thread.join(60)


def acts(gateway: GatewayServer) -> list[tuple[str, str]]:
    """What people did to the gateway, and who."""
    kinds = (LockAdded, LockRemoved, IncidentOpened, IncidentBundled)
    found: list[tuple[str, str]] = []
    for record in records(gateway):
        if isinstance(record, AdministrationChanged):
            found.append((record.action, record.actor))
        elif isinstance(record, kinds):
            found.append((type(record).__name__, record.by))
    return found


def test_scenario_21_responder_drill(gateway: GatewayServer, service: HttpService, api: Target, tmp_path: Path) -> None:
    """02:00, one agent of the night shift exfiltrates. The other never notices, not even that the key has changed."""
    bad, good = Worker(gateway, "ops-agent"), Worker(gateway, "good-agent")
    for worker in (bad, good):
        worker.has_worked()
    before = len(acts(gateway))

    live = told(gateway, "sessions", "live", "--connection", "crm")
    assert {one["principal"] for one in live} == {"ops-agent", "good-agent"}

    freeze = told(gateway, "lock", "add", "group", "night", "--mode", "freeze", "--reason", "02:00 page")
    assert {one["action"] for one in freeze["sessions"]} == {"frozen"}
    frozen = len(service.received)

    minute_ago = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    seen = lines(gateway, "sessions", "search", "--principal", "ops-agent", "--since", minute_ago)
    assert {hit["verb"] for hit in seen} == {"GET"}
    replay = ("sessions", "replay", seen[-1]["session"], "--no-wait")
    wait_for(lambda: "secret of the house" in gateway.command(*replay).stdout, "what it saw can be replayed")

    opened = told(gateway, "incident", "open", "--agent", "ops-agent", "--reason", "exfiltrates")
    assert {one["action"] for one in opened["receipt"]["sessions"]} == {"cut"}
    wait_for(lambda: bad.error is not None or bad.answers[-1] == 403, "it is stopped")

    api.key = NEW
    give_key(gateway, NEW)

    bundle = tmp_path / "drill.tar"
    gateway.command("incident", "bundle", opened["id"], "--out", str(bundle))
    verify(bundle)
    assert len(service.received) == frozen, "nothing reached the target meanwhile"

    gateway.command("lock", "remove", freeze["lock"]["id"], "--reason", "only ops-agent is concerned")
    good.has_worked()
    for worker in (bad, good):
        worker.end()
    assert (set(good.answers), good.error) == ({200}, None)
    assert set(bad.answers) == {200, 403}
    keys = [received.headers["authorization"] for received in service.received if received.path == "/things"]
    assert keys[-1] == f"Bearer {NEW}"
    assert set(keys[frozen - len(service.received) :]) == {f"Bearer {NEW}"}

    drill = acts(gateway)[before:]
    assert {by for _, by in drill} == {OPERATOR}
    steps = ("LockAdded", "IncidentOpened", "connections.set-credential", "IncidentBundled", "LockRemoved")
    assert [act for act, _ in drill if act in steps] == [steps[0], steps[1], steps[0], *steps[2:]]
    kept = b"".join(file.read_bytes() for file in gateway.data_dir.rglob("*") if file.is_file())
    assert OLD.encode() not in kept
    assert NEW.encode() not in kept
