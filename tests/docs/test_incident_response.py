"""The night alarm of the documentation, command by command: what it shows is what is printed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.e2e.locking import Statement, connect, is_cut
from tests.servers import sample
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

PAGE = ROOT / "docs" / "incident-response.md"
POLICY = """
@id("night-shift") permit (principal in Group::"night", action, resource);

@id("addresses-are-masked") @mask("redact")
forbid (principal is Agent, action == Action::"reveal", resource == Column::"crm/shop/public/customers/email");
"""
OLD, NEW = "a-long-one", "another-long-one"
_ID = r"[0-9a-z]{26}"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        sample.fill(running)
        running.execute(
            f"CREATE ROLE crm_gateway LOGIN PASSWORD '{OLD}'; GRANT CONNECT ON DATABASE shop TO crm_gateway"
        )
        running.execute("GRANT SELECT, DELETE ON customers, orders TO crm_gateway", database="shop")
        yield running


class Night:
    """A responder's shell. Ids of the page stand for those that commands have printed here."""

    def __init__(self, gateway: GatewayServer) -> None:
        self._directory = gateway.directory
        commands = gateway.directory / "bin"
        commands.mkdir()
        (commands / "interlock").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m interlock "$@"\n')
        (commands / "interlock").chmod(0o755)
        path = f"{commands}:{os.environ['PATH']}"
        self._environment = os.environ | {"PATH": path, "INTERLOCK_CONFIG": "interlock.toml", "COLUMNS": "200"}
        self._ids: dict[str, str] = {}

    def run(self, text: str, typed: str = "") -> str:
        """What the commands of a block print, on both streams."""
        for shown, real in self._ids.items():
            text = text.replace(shown, real)
        printed = ""
        for line in text.splitlines():
            done = subprocess.run(
                ["bash", "-c", line],
                input=typed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self._directory,
                env=self._environment,
                check=False,
                timeout=100,
            )
            asks = "did-it-leave" in line
            assert done.returncode in ((0, 1) if asks else (0,)), (line, done.stdout)
            printed += done.stdout
        return printed

    def learn(self, shown: str, printed: str, pattern: str) -> None:
        """An id that the page shows, and the one that was printed in its place."""
        (there,), (here,) = re.findall(pattern, shown), re.findall(pattern, printed)
        self._ids[there] = here


def normal(text: str) -> list[str]:
    """Lines without what differs from one night to the next: ids, digests, times, numbers, widths."""
    text = re.sub(r"interlock\+\S+|[^\s+]+\+[0-9a-f]{8}\+\S+", "KEY", text)
    text = re.sub(rf"\b({_ID}|[0-9a-f]{{64}})\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    text = re.sub(r"[\d.,:]*\d", "N", text)
    text = re.sub(r"os:\w+", "os:NAME", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip(" -=")]


@pytest.mark.timeout(300)
def test_the_night_goes_as_the_page_says(server: PostgresServer) -> None:
    steps = iter(blocks(PAGE, "sh"))
    shown = iter(blocks(PAGE, "text"))
    (rotate,) = blocks(PAGE, "sql")
    place = server.endpoint("crm_gateway", OLD, "shop")
    with GatewayServer(sample.endpoint(server), GatewayOptions(policy=POLICY)) as gateway:
        night = Night(gateway)
        night.run(
            f"interlock connections add crm --host {place.host} --port {place.port} --database shop "
            "--user crm_gateway --tls disable"
        )
        night.run("interlock connections set-credential crm", OLD)
        token = gateway.token("ops-agent", ("night",), owner="olga")
        with connect(gateway.endpoint(token), dbname="crm", application_name="ops-agent") as agent:
            agent.execute("SELECT id, name, email FROM customers")
            agent.execute("DELETE FROM orders WHERE id <= 3")

            def step(typed: str = "") -> tuple[str, str]:
                printed, expected = night.run(next(steps).text, typed), next(shown).text
                print(printed)
                assert normal(printed) == normal(expected)
                return expected, printed

            step()
            night.learn(*step(), rf"Lock ({_ID})")
            waiting = Statement(agent, "SELECT 1")
            step()
            night.learn(*step(), rf"Incident ({_ID})")
            assert waiting.error() is not None
            server.execute(rotate.text)
            (gateway.directory / "new-password").write_text(NEW)
            for _ in range(6):
                step()
            assert is_cut(agent)
    assert not list(steps)
    assert not list(shown)
