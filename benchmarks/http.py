"""The gateway's speed on HTTP, beside nginx as a reverse proxy, mitmproxy and the bare server.

``python -m benchmarks.http --help``. Each round measures every way in turn, in an order that shifts from round to
round, so that what else happens on the machine meets all of them alike. Where the machine is busy, the processor time
for a request says more than requests a second. Standard output ends with one line of JSON; progress goes to standard
error.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import http_bodies, http_idle, http_load, http_streams
from benchmarks.http_origin import big_document
from benchmarks.http_ways import DIRECT, GATEWAY, MITMPROXY, NAMES, NGINX, HttpWay, open_http_ways
from benchmarks.machine import print_machine
from benchmarks.samples import Samples, print_table, summary
from interlock.protocols.http.wire import requests

CONNECTIONS: Final = (1, 32)


def main() -> None:
    options = _options()
    print_machine(requests, options)
    samples = Samples()
    _measure_speed(options, samples)
    _measure_memory(options, samples)
    medians = samples.medians()
    print_table(medians, NAMES)
    print(json.dumps({"http": summary(medians, GATEWAY, (DIRECT, NGINX, MITMPROXY))}))


def _measure_speed(options: argparse.Namespace, samples: Samples) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        open_http_ways(tuple(options.ways), big_bytes=options.body_mb * 1_000_000) as ways,
    ):
        document = Path(directory) / "big.json"
        document.write_bytes(big_document(options.body_mb * 1_000_000))
        for number in range(options.rounds):
            first = number % len(ways)
            for way in ways[first:] + ways[:first]:
                _one_round(way, options, document, samples)
                print(f"round {number + 1}  {way.name}", file=sys.stderr)


def _one_round(way: HttpWay, options: argparse.Namespace, document: Path, samples: Samples) -> None:
    for connections in CONNECTIONS:
        samples.add_all(f"c{connections}", way.name, http_load.put_under_load(way, connections, options.seconds))
    samples.add_all("download", way.name, http_bodies.download(way))
    samples.add_all("upload", way.name, http_bodies.upload(way, document))
    if way.masked_prefix:
        samples.add_all("download_masked", way.name, http_bodies.download_masked(way))
    if way.name != MITMPROXY:  # by default it holds a body until it is complete
        _add_percentiles("event_lag", way.name, http_streams.event_lags_us(way), samples)
        _add_percentiles("websocket", way.name, http_streams.round_trips_us(way, options.messages), samples)


def _add_percentiles(measure: str, way: str, values: Sequence[float], samples: Samples) -> None:
    percentiles = statistics.quantiles(values, n=100)
    samples.add(f"{measure}_p50_us", way, percentiles[49])
    samples.add(f"{measure}_p99_us", way, percentiles[98])


def _measure_memory(options: argparse.Namespace, samples: Samples) -> None:
    count = http_idle.idle_count(options.idle)
    wanted = tuple(name for name in options.ways if name != MITMPROXY)
    for measure, idle_kib in (("idle", http_idle.idle_kib), ("idle_with_target", http_idle.idle_with_target_kib)):
        with open_http_ways(wanted) as ways:
            for way in ways:
                if way.pid is not None:
                    samples.add(f"{measure}_kib", way.name, idle_kib(way, count))
        print(f"{measure}: {count} connections", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the gateway with nginx, mitmproxy and the bare server.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all measures (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run of wrk (default 5)")
    parser.add_argument("--body-mb", type=int, default=50, help="size of large bodies in megabytes (default 50)")
    parser.add_argument("--messages", type=int, default=500, help="messages over a WebSocket (default 500)")
    parser.add_argument("--idle", type=int, default=http_idle.IDLE, help="connections kept alive (default 10000)")
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=list(NAMES), help="what to compare")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.body_mb, options.messages, options.idle = 1, 1, 5, 50, 500
    return options


if __name__ == "__main__":
    main()
