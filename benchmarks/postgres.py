"""The gateway's speed on PostgreSQL, beside PgBouncer and the bare server: ``python -m benchmarks.postgres --help``.

Each round measures every way in turn, in an order that shifts from round to round, so that what else happens on the
machine meets all of them alike. Standard output ends with one line of JSON; progress goes to standard error.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.servers.endpoint import Endpoint

from benchmarks import limits, locks, masking, measures, ways
from benchmarks.machine import print_machine
from benchmarks.report import Figures, print_table, summary
from interlock.protocols.postgres import frames

_MODES = ("simple", "extended", "prepared")
_CLIENTS = (1, 8, 32)

Measure = Callable[[Endpoint], float]


def main() -> None:
    options = _options()
    print_machine(frames, options)
    figures = Figures()
    _measure_memory(options, figures)
    _measure_speed(options, figures)
    medians = figures.medians()
    print_table(medians)
    further = {
        "masking": masking.measure(options.rounds, options.seconds, options.rows),
        "locks": locks.measure(options.rounds),
        "limits": limits.measure(options.rounds, options.seconds),
    }
    print(json.dumps(summary(medians) | further))


def _measure_memory(options: argparse.Namespace, figures: Figures) -> None:
    with ways.open_ways(tuple(options.ways), tls=options.tls) as opened:
        for way in opened:
            if way.pid is not None:
                figures.add("idle_session_kib", way.name, measures.idle_session_kib(way.endpoint, way.pid))


def _measure_speed(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as directory, ways.open_ways(tuple(options.ways), tls=options.tls) as opened:
        direct = opened[0].endpoint
        with measures.sample_data(direct, Path(directory), scale=options.scale, rows=options.rows) as fixtures:
            chosen = _measures(options.seconds, fixtures)
            for number in range(options.rounds):
                _round(number, opened, chosen, figures)


def _measures(seconds: int, fixtures: measures.Fixtures) -> dict[str, Measure]:
    chosen: dict[str, Measure] = {
        f"{mode}_c{clients}": partial(measures.transactions_per_s, mode=mode, clients=clients, seconds=seconds)
        for mode in _MODES
        for clients in _CLIENTS
    }
    chosen["copy_1m"] = measures.copy_out_s
    chosen["copy_in_1m"] = partial(measures.copy_in_s, fixtures=fixtures)
    chosen["select_1m"] = partial(measures.select_s, fixtures=fixtures)
    return chosen


def _round(number: int, opened: list[ways.Way], chosen: dict[str, Measure], figures: Figures) -> None:
    first = number % len(opened)
    for name, measure in chosen.items():
        for way in opened[first:] + opened[:first]:
            value = measure(way.endpoint)
            figures.add(name, way.name, value)
            print(f"round {number + 1}  {name:14} {way.name:16} {value:12.3f}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the gateway with PgBouncer and the bare server.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all measures (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one pgbench run (default 5)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the bulk measures (default 1000000)")
    parser.add_argument("--scale", type=int, default=10, help="pgbench's scale factor (default 10)")
    parser.add_argument("--tls", action="store_true", help="TLS on every connection instead of on none")
    parser.add_argument("--ways", nargs="+", choices=ways.NAMES, default=list(ways.NAMES), help="what to compare")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rows, options.scale = 1, 1, 100_000, 1
    return options


if __name__ == "__main__":
    main()
