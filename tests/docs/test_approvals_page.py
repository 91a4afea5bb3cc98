"""The page on approvals: its client is told what the page says, and its commands answer it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from interlock.core.approval import ApprovalStatus
from tests.docs.markdown import ROOT, blocks
from tests.e2e.held import OPERATOR, HeldStatement, make_dba, newest, requests, until
from tests.servers import sample
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

PAGE = ROOT / "docs" / "approvals.md"
(POLICY,) = (block.text for block in blocks(PAGE, "cedar"))
(CLIENT,) = (block.text for block in blocks(PAGE, "python"))
(NOTICE,) = (block.text for block in blocks(PAGE, "text"))
COMMANDS, BYPASS = (block.text for block in blocks(PAGE, "sh"))
REVIEWERS = """
@id("dbas-review")
permit (principal in Group::"dba", action == Action::"review", resource);
"""


@pytest.fixture(scope="module")
def gateway(postgres: PostgresServer) -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY + REVIEWERS, approval_wait_s=60)
    with GatewayServer(sample.endpoint(postgres), options) as running:
        make_dba(running)
        yield running


def as_shown(text: str) -> str:
    return re.sub(r"[0-9a-z]{26}", "ID", text)


def test_the_notice_and_the_commands(gateway: GatewayServer, postgres: PostgresServer) -> None:
    changes = {"gateway.example.org": "127.0.0.1", "6432": str(gateway.port)}
    program = CLIENT.replace("gateway-ca.pem", str(gateway.certificate_file))
    for shown, real in changes.items():
        program = program.replace(shown, real)
    program = program.replace("print(notice.message_primary,", "print(notice.message_primary, notice.message_hint,")
    client = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"INTERLOCK_TOKEN": gateway.token()},
    )
    until(lambda: bool(requests(gateway, ApprovalStatus.PENDING)), "nobody was asked")
    (request,) = requests(gateway)
    listed, show, rehearse, approve, _ = [line.split(" ", 1)[1] for line in COMMANDS.splitlines()]
    for words in (listed, show, rehearse, approve):
        given = words.replace("ID", request.id).replace("DIGEST", request.digest).replace('"ticket 4711"', "ticket")
        printed = gateway.command(*given.split()).stdout
    assert printed == "The request is approved.\n"
    said, _ = client.communicate(timeout=30)
    notice, hint = (line.partition(":  ")[2] for line in NOTICE.splitlines())
    assert as_shown(said) == as_shown(f"{notice} {hint}\nDELETE 1\n")
    assert requests(gateway)[0].votes[0].reviewer == OPERATOR
    assert postgres.execute("SELECT count(*) FROM orders WHERE id = 7", database="shop") == [(0,)]
    postgres.execute("INSERT INTO orders OVERRIDING SYSTEM VALUE VALUES (7, 8, 8.75, 'order 7')", database="shop")


def test_the_no(gateway: GatewayServer) -> None:
    words = COMMANDS.splitlines()[-1].split(" ", 1)[1].replace("ID", "unknown").replace('"not during the freeze"', "no")
    refused = gateway.command(*words.split(), check=False)
    assert (refused.returncode, "there is no request" in refused.stderr) == (1, True)


def test_the_series(gateway: GatewayServer) -> None:
    give, end = (line.split(" ", 1)[1] for line in BYPASS.splitlines())
    with HeldStatement(gateway.endpoint(), "DELETE FROM orders WHERE id = -1") as held:
        held.notice()
        gateway.command(*shlex.split(give.replace("ID", newest(gateway))))
        assert held.finish() == "DELETE 0"
    bypass = re.findall(r"BYPASS (\w+):", gateway.command("approvals", "list").stderr)[0]
    assert "has ended" in gateway.command(*shlex.split(end.replace("BYPASS", bypass))).stdout
