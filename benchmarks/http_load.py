"""Many small requests: how many a second, how long each takes, and how much processor time the way in the middle needs.

The clients are wrk, a C program, to be no brake.
"""

import re
import subprocess
from dataclasses import dataclass

from benchmarks.http_origin import SMALL
from benchmarks.http_ways import HttpWay
from benchmarks.processes import processor_s

_REQUESTS = re.compile(r"^\s*(\d+) requests in", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s*([\d.]+)", re.MULTILINE)
_PERCENTILE = r"^\s*%d%%\s+([\d.]+)(us|ms|s)$"
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_FAILED = re.compile(r"Non-2xx|Socket errors")


@dataclass(frozen=True)
class Load:
    """What came of one run. ``processor_us`` is per request; 0 where nothing is in the middle."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    processor_us: float


def put_under_load(way: HttpWay, connections: int, seconds: int) -> Load:
    """Requests one after the other on so many kept-alive connections. Raises RuntimeError when one of them fails."""
    headers = [word for name, value in way.headers().items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers, way.url(SMALL)]
    before = processor_s(way.pid) if way.pid is not None else 0.0
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    used_s = processor_s(way.pid) - before if way.pid is not None else 0.0
    output = result.stdout
    if result.returncode != 0 or _FAILED.search(output):
        raise RuntimeError(f"wrk through {way.name} failed: {result.stderr}{output}")
    requests = int(_number(_REQUESTS, output)[0])
    return Load(
        requests_per_s=float(_number(_RATE, output)[0]),
        p50_ms=_percentile_ms(50, output),
        p99_ms=_percentile_ms(99, output),
        processor_us=used_s / requests * 1e6,
    )


def _percentile_ms(percent: int, output: str) -> float:
    value, unit = _number(re.compile(_PERCENTILE % percent, re.MULTILINE), output)
    return float(value) * _MS[unit]


def _number(pattern: re.Pattern[str], output: str) -> tuple[str, ...]:
    found = pattern.search(output)
    if found is None:
        raise RuntimeError(f"no figure in the output of wrk: {output}")
    return found.groups()
