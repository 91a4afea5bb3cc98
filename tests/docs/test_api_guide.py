"""The shell of docs/api.md, run against a gateway with only names of hosts and files changed."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.servers.gateway import ALLOW_EVERYTHING, GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer
from tests.servers.sample import endpoint

PAGE = ROOT / "docs" / "api.md"
TOKEN, SETUP, *EXAMPLES = (block.text for block in blocks(PAGE, "sh"))
(POLICY,) = (block.text for block in blocks(PAGE, "cedar"))
STREAMING = "api -N"


@pytest.fixture(scope="module")
def gateway(postgres: PostgresServer) -> Iterator[GatewayServer]:
    policy = POLICY + ALLOW_EVERYTHING.replace("(principal,", "(principal is Agent,")
    with GatewayServer(endpoint(postgres), GatewayOptions(policy=policy)) as running:
        yield running


@pytest.fixture(scope="module")
def environment(gateway: GatewayServer) -> dict[str, str]:
    """Where ``interlock`` is the one that is tested."""
    program = gateway.directory / "bin" / "interlock"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m interlock "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "INTERLOCK_CONFIG": str(gateway.config_file), "COLUMNS": "200"}


def script(gateway: GatewayServer, *parts: str) -> list[str]:
    """The command line that runs these parts of the page, one after the other."""
    text = "\n".join(["set -e", *parts])
    changes = {
        "gateway.example.org:8443": f"127.0.0.1:{gateway.api_port}",
        "gateway-ca.pem": str(gateway.certificate_file),
    }
    for shown, real in changes.items():
        text = text.replace(shown, real)
    return ["bash", "-c", text]


def run(gateway: GatewayServer, environment: dict[str, str], *parts: str) -> str:
    """What they print. All of them must succeed."""
    words, place = script(gateway, *parts), gateway.directory
    result = subprocess.run(words, env=environment, cwd=place, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, f"{words[-1]}\n{result.stdout}{result.stderr}"
    return result.stdout


def test_who_one_is(gateway: GatewayServer, environment: dict[str, str]) -> None:
    shown = json.loads(blocks(PAGE, "json")[0].text)
    caller = json.loads(run(gateway, environment, TOKEN, SETUP))
    assert caller.keys() == shown.keys()
    assert {**caller, "expires_at_s": 0} == {**shown, "expires_at_s": 0}
    assert (gateway.directory / "token.header").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("example", [one for one in EXAMPLES if STREAMING not in one])
def test_example(gateway: GatewayServer, environment: dict[str, str], example: str) -> None:
    assert run(gateway, environment, TOKEN, SETUP, example)


def test_the_event_stream(gateway: GatewayServer, environment: dict[str, str]) -> None:
    (example,) = (one for one in EXAMPLES if STREAMING in one)
    words = script(gateway, TOKEN, SETUP, example)
    with subprocess.Popen(
        words, env=environment, cwd=gateway.directory, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as follower:
        assert follower.stdout is not None
        lines = iter(follower.stdout)
        for line in lines:
            if line.startswith("id: "):
                break
        gateway.command("lock", "add", "agent", "night-bot", "--reason", "deletes at night")
        event = list(itertools.islice((line for line in lines if line != "\n" and not line.startswith(":")), 3))
        os.killpg(follower.pid, signal.SIGTERM)
    shown = blocks(PAGE, "")[0].text.splitlines()
    assert event[0].strip() == shown[0] == "event: lock.added"
    assert [line.partition(":")[0] for line in event] == [line.partition(":")[0] for line in shown]
    assert json.loads(event[2].removeprefix("data: "))["record"]["subject"] == "night-bot"


def test_a_refusal_is_as_it_is_shown(gateway: GatewayServer) -> None:
    shown = json.loads(blocks(PAGE, "json")[1].text)
    ada = gateway.api(gateway.token("ada", ["security"], kind="user"))
    assert ada.request("DELETE", "/v1/connections/shop").json == shown


def test_the_page_has_the_bounds_that_are_kept() -> None:
    from interlock.surfaces.api import authentication, events, gate, routes, serving

    text = " ".join(PAGE.read_text().split())
    for words in (
        f"{serving.MAX_HEADER_BYTES >> 10} KiB of head and {routes.MAX_BODY_BYTES >> 20} MiB of body",
        f"within {serving.HEADER_TIMEOUT_S} and {routes.BODY_TIMEOUT_S:g} seconds",
        f"more than {authentication.FAILURES_PER_MINUTE} unacceptable tokens a minute",
        f"{gate.MAX_REQUESTS} requests at a time on {serving.MAX_CONNECTIONS} connections",
        f"Every {events.HEARTBEAT_S:g} seconds without events",
        f"for {events.SEND_TIMEOUT_S:g} seconds is cut off",
        f"at most {events.MAX_STREAMS} streams, {events.MAX_STREAMS_EACH} for one caller",
    ):
        assert words in text


def test_the_page_has_every_status_of_a_problem(gateway: GatewayServer) -> None:
    statuses = gateway.api().get("/openapi.json").json["components"]["responses"].keys()
    table = PAGE.read_text().partition("| status | means |")[2].partition("\n\n")[0]
    assert [status for status in statuses if status not in table] == []
