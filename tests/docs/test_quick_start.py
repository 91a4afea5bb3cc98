"""The quick start of the README, step by step, with nothing changed but port numbers."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, blocks
from tests.servers.certificates import CertificateAuthority
from tests.servers.postgres import PostgresServer, ServerTls, client_program
from tests.servers.process import ServerProcess, free_port

PASSWORD = "choose-a-long-one"
SECTION = "## Put it in front of your own PostgreSQL"
TABLES = "CREATE TABLE orders (id integer); INSERT INTO orders SELECT generate_series(1, 7)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    authority = CertificateAuthority(tmp_path_factory.mktemp("authority"))
    with PostgresServer(tls=ServerTls(authority.issue_server(), authority.certificate_file)) as running:
        yield running


def steps(language: str) -> list[Block]:
    """The blocks of the section, in order."""
    text = (ROOT / "README.md").read_text()
    first = text[: text.index(SECTION)].count("\n")
    last = first + text[text.index(SECTION) + 3 :].partition("\n## ")[0].count("\n")
    return [block for block in blocks(ROOT / "README.md", language) if first < block.line <= last]


class Follower:
    """Somebody who does what the README says, in a directory of their own."""

    def __init__(self, directory: Path, database_port: int) -> None:
        self.directory = directory
        self.ports = {"6432": free_port(), "9000": free_port(), "5432": database_port}
        commands = directory / "bin"
        commands.mkdir()
        (commands / "interlock").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m interlock "$@"\n')
        (commands / "interlock").chmod(0o755)
        path = f"{commands}:{client_program('psql').parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "INTERLOCK_CONFIG": "interlock.toml", "COLUMNS": "200"}

    def adapted(self, text: str) -> str:
        for shown, real in self.ports.items():
            text = text.replace(shown, str(real))
        return text

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(self.adapted(text))

    def run(self, text: str, standard_input: str = "", program: str = "bash") -> str:
        """Run a block; what it printed. Every command of it must succeed."""
        words = [program, "-c", self.adapted(f"set -e\n{text}" if program == "bash" else text)]
        result = subprocess.run(
            words,
            input=standard_input,
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, f"{text}\n{result.stdout}{result.stderr}"
        return result.stdout


@pytest.mark.timeout(180)
def test_the_quick_start_works(server: PostgresServer, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE shop")
    server.execute(TABLES, database="shop")
    (grants,) = steps("sql")
    server.execute(grants.text, database="shop")

    follower = Follower(tmp_path, server.port)
    settings, policy = steps("toml")[0].text, steps("cedar")[0].text
    follower.write(
        "interlock.toml", settings.replace("[postgres]", f'admin_listen = "127.0.0.1:{free_port()}"\n[postgres]')
    )
    follower.write("policy.cedar", policy)
    install, check, credential, serve, test, connect, look, _people = (block.text for block in steps("sh"))
    (program,) = steps("python")

    assert "pip install -c constraints.txt ." in install
    assert "no rule permits it" in follower.run(check)
    assert "sealed" in follower.run(credential, PASSWORD)
    assert serve == "interlock serve\n"
    words = [sys.executable, "-m", "interlock", "serve"]
    gateway = ServerProcess(words, log=tmp_path / "log", directory=tmp_path, environment=follower.environment)
    try:
        gateway.wait_until(lambda: "gateway is ready" in gateway.log_tail())
        assert "can be reached" in follower.run(test)
        exports, psql = connect.splitlines()
        read = f"{exports}\n{psql} -At -c 'SELECT count(*) FROM orders'"
        assert follower.run(read) == "7\n"
        refused = follower.run(f"{exports}\n{psql} -c 'DROP TABLE orders' 2>&1 || true")
        assert "Agents never drop objects. Propose a migration instead." in refused
        token = follower.run(exports + '\necho "$PGPASSWORD"').strip()
        follower.environment["PGPASSWORD"] = token
        assert follower.run(program.text, program=sys.executable) == "(7,)\n"
        wait_for_last_session(follower)
        shown = follower.run(look)
    finally:
        gateway.stop()
    assert shown.count("closed") == 3
    assert "SELECT count(*) FROM orders" in shown
    assert "the evidence is as it was recorded" in shown


def wait_for_last_session(follower: Follower) -> None:
    """A client does not wait for the gateway to have noted its end."""
    deadline = time.monotonic() + 20
    while follower.run("interlock sessions list").count("closed") < 3:
        assert time.monotonic() < deadline, "the sessions were not closed"
