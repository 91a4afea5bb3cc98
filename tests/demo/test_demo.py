"""The demo as its users run it: what it shows, what it checks, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from interlock.demo import script
from interlock.demo.agent import act
from interlock.demo.narrator import Narrator
from interlock.demo.people import APPROVED_DELETES
from interlock.demo.processes import DemoFailed, Processes
from interlock.demo.run import run
from tests.servers import sample
from tests.servers.postgres import PostgresServer

COMMAND = (sys.executable, "-m", "interlock", "demo")
TIMEOUT_S = 240

pytestmark = pytest.mark.timeout(TIMEOUT_S)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where the demo puts its files; its database server, which may run as another account, must get there."""
    with tempfile.TemporaryDirectory(prefix="interlock-demo-test-", ignore_cleanup_errors=True) as parent:
        Path(parent).chmod(0o711)
        yield Path(parent) / "demo"


def processes_of(directory: Path) -> list[int]:
    """The processes that were started with this directory on their command line."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    lines = (line.split(None, 1) for line in listed.splitlines())
    return [int(pid) for pid, arguments in lines if str(directory) in arguments]


def wait_until_gone(directory: Path) -> None:
    deadline = time.monotonic() + 30
    while remaining := processes_of(directory):
        assert time.monotonic() < deadline, f"still running: {remaining}"
        time.sleep(0.05)


def check_shown(shown: str) -> None:
    """Everything that the demo is there to show."""
    assert "\x1b[" not in shown
    for step in script.STEPS:
        assert f". {step.title}\n" in shown
        assert step.statement in shown
        assert step.why in shown
    assert "ERROR:" in shown
    assert "DETAIL: Refused: drop on table demo/shop/public/customers; rule never-drop; policy " in shown
    assert "HINT:" in shown
    assert "NOTICE:  held: delete on table demo/shop/public/orders needs 1 approval of group dba" in shown
    assert "rehearsed: DELETE 1 (the transaction is open)" in shown
    assert "        <  DELETE 1\n" in shown
    assert '"email": "***@example.com", "contacts": [{"kind": "work", "email": "***@work.example"}]' in shown
    assert "    DELETE /volumes/12 HTTP/1.1\n" in shown
    assert '        <  200 {"deleted": "12"}\n' in shown
    assert "        <  200 Seven  | customers  | are  | from  | Portugal.\n" in shown
    assert "tail -n 2 site/deploy.log" in shown
    assert "exit status 77" in shown
    assert "forbids ssh-opaque" in shown
    assert "4111 1111" not in shown
    assert shown.count("exit status 0") == 2
    assert "(refuse) on agent ci-agent is in force" in shown
    assert shown.count("FATAL:  access is locked: it behaves strangely") == 2
    assert "orders: 39 rows, 1 fewer, as was approved" in shown
    for command in ("audit search", "sessions list", "sessions show", "sessions replay", "audit verify"):
        assert f"  $ interlock {command}" in shown
    assert "the evidence is as it was recorded" in shown
    assert shown.endswith("Everything was as expected.\n")


@contextmanager
def kept_demo(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """The demo as it is run to look around; what it starts must be gone when it is."""
    environment = os.environ | {"DEMO_DIR": str(directory), "DEMO_KEEP": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()
    wait_until_gone(directory)


def read_until(demo: "subprocess.Popen[str]", beginning: str) -> str:
    """What the demo shows, up to a line that begins like this."""
    assert demo.stdout is not None
    shown = ""
    for line in demo.stdout:
        shown += line
        if line.startswith(beginning):
            return shown
    pytest.fail(f"it ended without {beginning!r}:\n{shown}")


def test_kept_demo_works_and_ends_with_everything_it_started(directory: Path) -> None:
    with kept_demo(directory) as demo:
        shown = read_until(demo, "  edit ")
        connect = next(line for line in shown.splitlines() if line.startswith("  psql ")).split('"')[1]
        words = [
            *COMMAND[:-1],
            "--config",
            str(directory / "interlock.toml"),
            "development-token",
            "x",
            "--group",
            "ci-bots",
        ]
        token = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        with psycopg.connect(connect, password=token) as connection:
            remaining = script.TABLES["orders"] - APPROVED_DELETES["orders"]
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (remaining,)
        assert processes_of(directory)
        demo.send_signal(signal.SIGINT)
        assert demo.stdout is not None
        check_shown(shown + demo.stdout.read())
        assert demo.wait() == 0


def test_nothing_is_left_of_a_demo_that_is_killed(directory: Path) -> None:
    with kept_demo(directory) as demo:
        read_until(demo, "  services ")
        assert processes_of(directory)
        demo.kill()
        assert demo.wait() == -signal.SIGKILL


def test_a_directory_with_something_in_it_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory.mkdir()
    (directory / "precious").touch()
    assert run(directory, keep=False) == 1
    assert "is not empty" in capsys.readouterr().out
    assert [path.name for path in directory.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("expected", "statement", "problem"),
    [
        (script.Rows(3), "SELECT 1", "1 came back, not 3"),
        (script.Rows(1), "SELECT 1/0", "it was refused"),
        (script.Refusal("never-drop", "migration"), "SELECT 1", "the answer does not say 'never-drop'"),
        (script.Refusal("zero", "division"), "SELECT 1/0", "SQLSTATE is 22012, not 42501"),
        (script.Lines(2), "COPY (SELECT 1) TO STDOUT", "1 came back, not 2"),
    ],
)
def test_what_is_not_as_it_has_to_be_is_told(
    postgres: PostgresServer, expected: script.Expected, statement: str, problem: str
) -> None:
    step = script.Step("title", statement, expected, "why")
    with psycopg.connect(**sample.endpoint(postgres).parameters(), autocommit=True) as connection:
        assert problem in list(act(connection, step, Narrator()))


def test_a_program_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    with Processes() as processes:
        failing = processes.start(["/bin/sh", "-c", "echo the reason >&2; exit 3"], tmp_path / "log")
        with pytest.raises(DemoFailed, match="the reason"):
            failing.wait_until(lambda: False)
