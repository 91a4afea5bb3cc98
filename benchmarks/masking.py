"""What masking costs: ``python -m benchmarks.masking --help``. Also part of ``benchmarks.postgres``.

A table of ten columns, two of them masked, is read in full by SELECT and COPY, in text and binary; each round measures
the bare server and the gateway one after the other. Then what a rewritten statement waits longer than one that is not,
and whether statements on other tables are slower where there are masks.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer

from benchmarks import measures
from benchmarks.gateway import start_gateway

MASKS = ("partial", "redact", "hash")

_ROLE = "bench"
_PASSWORD = "bench-password"
_WIDE_TABLE = """
CREATE UNLOGGED TABLE wide (id integer PRIMARY KEY, name text, email text, card text, city text, amount numeric(12, 2),
    created_at timestamptz, active boolean, score float8, note text);
INSERT INTO wide SELECT n, 'Customer number ' || n, 'customer' || n || '@example.com', to_char(n, 'FM4000000000000000'),
    'City ' || n %% 1000, n * 0.25, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second', n %% 2 = 0, n / 8.0,
    'note ' || n FROM generate_series(1, %d) n;
"""
_TAGS = '[policy.tags]\n"public.wide.email" = ["pii"]\n"public.wide.card" = ["pii"]\n'
_RULE = """
@id("pii")
@mask("%s")
forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""
_READS = {
    "select_text": "SELECT * FROM wide;\n",
    "select_binary": "BEGIN;\nDECLARE c BINARY CURSOR FOR SELECT * FROM wide;\nFETCH ALL FROM c;\nCOMMIT;\n",
}
_COPIES = {"copy_text": "", "copy_csv": " (FORMAT csv)", "copy_binary": " (FORMAT binary)"}

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what masking costs.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all measures (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one pgbench run (default 5)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default 1000000)")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rows = 1, 1, 50_000
    print(json.dumps({"masking": measure(options.rounds, options.seconds, options.rows)}))


def measure(rounds: int, seconds: int, rows: int) -> Figures:
    """All figures: speeds as a ratio to the bare server or to a gateway without masks, latencies in microseconds."""
    with _server(rows) as direct:
        found: Figures = {"direct_ratio": {mask: _bulk_ratios(direct, mask, rounds) for mask in MASKS}}
        with _gateway(direct, "") as plain, _gateway(direct, "redact") as masked:
            found |= _latencies(plain, masked, 200 * rounds)
            found["pgbench_ratio"] = _pgbench_ratios(plain, masked, rounds, seconds)
    return found


@contextmanager
def _server(rows: int) -> Iterator[Endpoint]:
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off"}
    with PostgresServer(settings=settings) as server:
        server.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}'")
        server.execute(f"CREATE DATABASE {_ROLE} OWNER {_ROLE}")
        direct = server.endpoint(_ROLE, _PASSWORD, _ROLE)
        measures.run(direct, "pgbench", "--initialize", "--quiet", "--scale=1")
        measures.run(direct, "psql", "-Xqc", _WIDE_TABLE % rows)
        measures.run(direct, "psql", "-Xqc", "VACUUM ANALYZE")
        yield direct


@contextmanager
def _gateway(direct: Endpoint, mask: str) -> Iterator[Endpoint]:
    """A gateway without TLS; without masks when ``mask`` is empty."""
    rules, tags = (_RULE % mask, _TAGS) if mask else ("", "")
    with start_gateway(direct, durability="standard", tls=False, rules=rules, settings=tags) as gateway:
        yield gateway.endpoint


def _bulk_ratios(direct: Endpoint, mask: str, rounds: int) -> dict[str, float]:
    """How fast the whole table is read, by way of reading: 1 is as fast as directly."""
    with tempfile.TemporaryDirectory() as directory, _gateway(direct, mask) as masked:
        chosen = _bulk_measures(Path(directory))
        return {name: _paired(read, direct, masked, rounds, f"{mask} {name}") for name, read in chosen.items()}


def _bulk_measures(directory: Path) -> dict[str, Callable[[Endpoint], float]]:
    found: dict[str, Callable[[Endpoint], float]] = {}
    for name, text in _READS.items():
        script = directory / f"{name}.sql"
        script.write_text(text)
        mode = "extended" if name == "select_text" else "simple"
        found[name] = partial(measures.script_s, script=script, mode=mode)
    for name, form in _COPIES.items():
        found[name] = partial(measures.copy_out_s, statement=f"COPY wide TO STDOUT{form}")
    return found


def _paired(measured: Callable[[Endpoint], float], reference: Endpoint, way: Endpoint, rounds: int, name: str) -> float:
    """The median over the rounds of reference time by time, each pair taken one after the other."""
    ratios = []
    for number in range(rounds):
        ratios.append(measured(reference) / measured(way))
        print(f"round {number + 1}  {name:24} {ratios[-1]:8.3f}", file=sys.stderr)
    return round(statistics.median(ratios), 3)


def _latencies(plain: Endpoint, masked: Endpoint, times: int) -> dict[str, float]:
    """What a statement on a masked table waits longer than without masks, when its text is known and when it is new."""
    hits: dict[str, list[float]] = {"plain": [], "masked": []}
    misses: dict[str, list[float]] = {"plain": [], "masked": []}
    with _connect(plain) as without, _connect(masked) as with_masks:
        for number in range(times):
            for name, connection in (("plain", without), ("masked", with_masks)):
                hits[name].append(_statement_us(connection, "SELECT id, name, email FROM wide WHERE id = 7"))
                text = f"SELECT id, name, email FROM wide WHERE id = 7 AND {number} < 1000000"
                misses[name].append(_statement_us(connection, text))
    return {
        "added_latency_hit_us": _median_difference(hits),
        "added_latency_miss_us": _median_difference(misses),
    }


def _connect(endpoint: Endpoint) -> psycopg.Connection[Any]:
    return psycopg.connect(**endpoint.parameters(), autocommit=True, prepare_threshold=None)


def _statement_us(connection: psycopg.Connection[Any], text: str) -> float:
    started = time.perf_counter()
    connection.execute(text.encode()).fetchall()
    return (time.perf_counter() - started) * 1e6


def _median_difference(values: dict[str, list[float]]) -> float:
    return round(statistics.median(values["masked"]) - statistics.median(values["plain"]), 1)


def _pgbench_ratios(plain: Endpoint, masked: Endpoint, rounds: int, seconds: int) -> dict[str, float]:
    """Transactions on tables without masks, beside those of a gateway that has none at all: 1 is as many."""
    found = {}
    for mode in ("simple", "extended", "prepared"):
        wait = partial(_transaction_s, mode=mode, seconds=seconds)
        found[f"{mode}_c8"] = _paired(wait, plain, masked, rounds, f"pgbench {mode}")
    return found


def _transaction_s(endpoint: Endpoint, mode: str, seconds: int) -> float:
    return 1 / measures.transactions_per_s(endpoint, mode, clients=8, seconds=seconds)


if __name__ == "__main__":
    main()
