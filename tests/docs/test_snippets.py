"""The client snippets of docs/postgresql.md, run through a gateway with only names of hosts and files changed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, blocks
from tests.servers import sample
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer, client_program

PAGE = ROOT / "docs" / "postgresql.md"
SNIPPETS = [block for block in blocks(PAGE, "python") if "DATABASES" not in block.text]
PSQL = next(block for block in blocks(PAGE, "sh") if "psql" in block.text)


@pytest.fixture(scope="module")
def gateway(postgres: PostgresServer) -> Iterator[GatewayServer]:
    with GatewayServer(sample.endpoint(postgres)) as running:
        yield running


def adapted(text: str, gateway: GatewayServer) -> str:
    changes = {
        "gateway.example.org": "127.0.0.1",
        "6432": str(gateway.port),
        "gateway-ca.pem": str(gateway.certificate_file),
    }
    for shown, real in changes.items():
        assert shown in text
        text = text.replace(shown, real)
    return text


def run(words: list[str], gateway: GatewayServer) -> str:
    path = f"{client_program('psql').parent}:{os.environ['PATH']}"
    environment = os.environ | {"INTERLOCK_TOKEN": gateway.token(), "PATH": path}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_snippet(snippet: Block, gateway: GatewayServer) -> None:
    assert "1000" in run([sys.executable, "-c", adapted(snippet.text, gateway)], gateway)


def test_psql(gateway: GatewayServer) -> None:
    script = adapted(PSQL.text, gateway).rstrip() + " -At -c 'SELECT count(*) FROM orders'"
    assert run(["bash", "-c", script], gateway) == "1000\n"


def test_django(gateway: GatewayServer, tmp_path: Path) -> None:
    (settings,) = (block for block in blocks(PAGE, "python") if "DATABASES" in block.text)
    program = """
import django.conf
django.conf.settings.configure(DATABASES=DATABASES)
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM orders")
    print(cursor.fetchone())
"""
    assert run([sys.executable, "-c", adapted(settings.text, gateway) + program], gateway) == "(1000,)\n"
