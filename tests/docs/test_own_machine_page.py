"""The programs of docs/identity/own-machine.md, run as a workload would, with only places changed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.servers import sample
from tests.servers.gateway import GatewayOptions, GatewayServer, http_target
from tests.servers.http_service import HttpService
from tests.servers.postgres import PostgresServer

PAGE = ROOT / "docs" / "identity" / "own-machine.md"


@pytest.fixture(scope="module")
def gateway(postgres: PostgresServer) -> Iterator[GatewayServer]:
    with HttpService() as service:
        options = GatewayOptions(http=True, extra=http_target("crm", service.port))
        with GatewayServer(sample.endpoint(postgres), options) as running:
            yield running


def test_programs_get_their_tokens_themselves(gateway: GatewayServer, tmp_path: Path) -> None:
    changes = {
        "8443": str(gateway.api_port),
        "gateway.example.org": "127.0.0.1",
        "6432": str(gateway.port),
        "8080": str(gateway.http_port),
        "gateway-ca.pem": str(gateway.certificate_file),
    }
    exchange, use = (block.text for block in blocks(PAGE, "python"))
    assert all(shown in exchange + use for shown in changes)
    for name, text in (("tokens.py", exchange), ("program.py", use)):
        for shown, real in changes.items():
            text = text.replace(shown, real)
        (tmp_path / name).write_text(text)
    (tmp_path / "subject").write_text(gateway.token())
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        env=os.environ | {"INTERLOCK_SUBJECT_TOKEN_FILE": str(tmp_path / "subject")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["(1000,)", "1000", "200"], done.stderr
