"""Incidents from elsewhere, through the API, and on the data directory of a gateway that does not run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.locking import connect
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

POLICY = """
@id("agents") permit (principal is Agent, action, resource);
@id("responders") permit (principal in Group::"responders", action == Action::"respond", resource is Gateway);
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, GatewayOptions(policy=POLICY)) as server:
        yield server


def elsewhere(gateway: GatewayServer, who: str, directory: Path, *words: str, typed: str = "") -> tuple[int, str]:
    """A command on a machine that has nothing but a token."""
    place = ["--api", gateway.api_url, "--api-ca", str(gateway.certificate_file)]
    token = gateway.token(who, (who,), kind="user")
    done = subprocess.run(
        [sys.executable, "-m", "interlock", *place, *words],
        input=typed,
        capture_output=True,
        text=True,
        env=os.environ | {"INTERLOCK_TOKEN": token},
        cwd=directory,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(240)
def test_a_responder_elsewhere(gateway: GatewayServer, tmp_path: Path) -> None:
    with connect(gateway.endpoint(gateway.token("remote-agent"))) as agent:
        agent.execute("SELECT name FROM customers WHERE id = 1")
        opening = ("incident", "open", "--agent", "remote-agent", "--reason", "far away")
        assert elsewhere(gateway, "visitors", tmp_path, *opening)[0] == 1
        status, printed = elsewhere(gateway, "responders", tmp_path, *opening)
        assert (status, "on agent remote-agent is open" in printed) == (0, True), printed
        incident = printed.split()[1]
    status, printed = elsewhere(gateway, "responders", tmp_path, "incident", "did-it-leave", typed="Customer 1")
    assert (status, "YES" in printed) == (1, True), printed
    assert elsewhere(gateway, "responders", tmp_path, "incident", "report", incident, "--out", "report.txt")[0] == 0
    assert "public.customers" in (tmp_path / "report.txt").read_text()
    bundling = ("incident", "bundle", incident, "--out", "incident.tar")
    assert elsewhere(gateway, "visitors", tmp_path, *bundling)[0] == 1
    assert not (tmp_path / "incident.tar").exists()
    assert elsewhere(gateway, "responders", tmp_path, *bundling)[0] == 0
    verify = [sys.executable, "-m", "interlock", "audit", "verify", "incident.tar"]
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert elsewhere(gateway, "responders", tmp_path, *bundling)[0] == 2  # the file is there already


@pytest.mark.timeout(240)
def test_without_a_running_gateway(gateway: GatewayServer, tmp_path: Path) -> None:
    with connect(gateway.endpoint(gateway.token("sleeper"))) as agent:
        agent.execute("SELECT name FROM customers WHERE id = 2")
    gateway.stop()
    opened = gateway.command("incident", "open", "--agent", "sleeper", "--reason", "found in the morning")
    incident = opened.stdout.split()[1]
    assert "No open session was concerned" in opened.stdout
    assert "public.customers" in gateway.command("incident", "report", incident).stdout
    assert "1 session" in gateway.command("incident", "bundle", incident, "--out", str(tmp_path / "b.tar")).stdout
    gateway.command("audit", "verify", str(tmp_path / "b.tar"))
    gateway.start()
    with pytest.raises(psycopg.OperationalError, match="access is locked: found in the morning"):
        connect(gateway.endpoint(gateway.token("sleeper")))
    assert "STAYS IN FORCE" in gateway.command("incident", "close", incident, "--reason", "seen").stdout
