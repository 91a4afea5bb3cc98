"""The single measurements. Each takes an endpoint and returns one number; clients are C programs, to be no brake."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import client_program

IDLE_SESSIONS = 200
_WARM_UP_SESSIONS = 20
_TPS = re.compile(rb"^tps = ([\d.]+) \(without initial", re.MULTILINE)
_TPS_OF_SESSIONS = re.compile(rb"^tps = ([\d.]+) \(including reconnection times", re.MULTILINE)
_LATENCY = re.compile(rb"^latency average = ([\d.]+) ms", re.MULTILINE)
_COLUMNS = "id integer, name text, email text, amount numeric(12, 2), created_at timestamptz"
_BIG_TABLE = f"""
CREATE UNLOGGED TABLE big ({_COLUMNS});
CREATE UNLOGGED TABLE big_copy ({_COLUMNS});
INSERT INTO big SELECT n, 'Customer number ' || n, 'customer' || n || '@example.com', n * 0.25,
    timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second' FROM generate_series(1, %d) n;
"""


@dataclass(frozen=True)
class Fixtures:
    """Files that the measurements read."""

    rows_file: Path
    select_script: Path


@contextmanager
def sample_data(direct: Endpoint, directory: Path, *, scale: int, rows: int) -> Iterator[Fixtures]:
    """Fill the database: pgbench's tables, and a table of ``rows`` rows that is also written to a file."""
    run(direct, "pgbench", "--initialize", "--quiet", f"--scale={scale}")
    run(direct, "psql", "-Xqc", _BIG_TABLE % rows)
    fixtures = Fixtures(directory / "rows.txt", directory / "select.sql")
    with fixtures.rows_file.open("wb") as output:
        run(direct, "psql", "-Xqc", "COPY big TO STDOUT", output=output)
    fixtures.select_script.write_text("SELECT * FROM big;\n")
    run(direct, "psql", "-Xqc", "VACUUM ANALYZE")
    yield fixtures


def transactions_per_s(endpoint: Endpoint, mode: str, clients: int, seconds: int) -> float:
    """pgbench's select-only script in a protocol mode; the time to connect does not count."""
    options = [
        "-n",
        "-S",
        f"--protocol={mode}",
        f"--client={clients}",
        f"--jobs={min(clients, 2)}",
        f"--time={seconds}",
    ]
    return _number(_TPS, run(endpoint, "pgbench", *options))


def sessions_per_s(endpoint: Endpoint, script: Path, clients: int, seconds: int) -> float:
    """pgbench with a new connection for each run of a script."""
    options = ["-n", "-C", f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}", f"--file={script}"]
    return _number(_TPS_OF_SESSIONS, run(endpoint, "pgbench", *options))


def select_s(endpoint: Endpoint, fixtures: Fixtures) -> float:
    """Time to fetch the whole big table with one extended query."""
    return script_s(endpoint, fixtures.select_script)


def script_s(endpoint: Endpoint, script: Path, mode: str = "extended") -> float:
    """Time to run pgbench's ``script`` once in a protocol mode."""
    options = ["-n", f"--protocol={mode}", "--transactions=1", f"--file={script}"]
    return _number(_LATENCY, run(endpoint, "pgbench", *options)) / 1000


def copy_out_s(endpoint: Endpoint, statement: str = "COPY big TO STDOUT") -> float:
    """Time to COPY a table out, the client's start included."""
    started = time.perf_counter()
    with Path(os.devnull).open("wb") as output:
        run(endpoint, "psql", "-Xqc", statement, output=output)
    return time.perf_counter() - started


def copy_in_s(endpoint: Endpoint, fixtures: Fixtures) -> float:
    """Time to COPY the file into an empty table."""
    run(endpoint, "psql", "-Xqc", "TRUNCATE big_copy")
    with fixtures.rows_file.open("rb") as rows:
        started = time.perf_counter()
        run(endpoint, "psql", "-Xqc", "COPY big_copy FROM STDIN", source=rows)
        return time.perf_counter() - started


def idle_session_kib(endpoint: Endpoint, pid: int) -> float:
    """Growth of the resident memory of the process in the middle, for each session that has run one statement.

    Some sessions come and go first, so that what is allocated once does not count. Measure a fresh process: one that
    has served more sessions before keeps their memory for reuse and seems to need none.
    """
    with _idle_sessions(endpoint, _WARM_UP_SESSIONS):
        pass
    before = _resident_kib(pid)
    with _idle_sessions(endpoint, IDLE_SESSIONS):
        return (_resident_kib(pid) - before) / IDLE_SESSIONS


@contextmanager
def _idle_sessions(endpoint: Endpoint, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            connection: psycopg.Connection[Any] = psycopg.connect(**endpoint.parameters(), autocommit=True)
            stack.enter_context(connection).execute("SELECT 1")
        yield


def _resident_kib(pid: int) -> int:
    """Resident memory of a process and its children, from the kernel's account of it."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(found[1]) if found else 0) + sum(_resident_kib(int(child)) for child in children)


def run(
    endpoint: Endpoint,
    program: str,
    *arguments: str,
    source: IO[bytes] | int = subprocess.DEVNULL,
    output: IO[bytes] | int = subprocess.PIPE,
) -> bytes:
    """Run one of PostgreSQL's programs to its end; its output. Raises RuntimeError when it fails."""
    environment = {"PATH": os.defpath, "LC_ALL": "C"} | endpoint.environment()
    command: list[str | Path] = [client_program(program), *arguments]
    result = subprocess.run(command, stdin=source, stdout=output, stderr=subprocess.PIPE, env=environment, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{program} failed: {result.stderr.decode(errors='replace')}")
    return result.stdout or b""


def _number(pattern: re.Pattern[bytes], output: bytes) -> float:
    found = pattern.search(output)
    if found is None:
        raise RuntimeError(f"no figure in the output of pgbench: {output.decode(errors='replace')}")
    return float(found[1])
