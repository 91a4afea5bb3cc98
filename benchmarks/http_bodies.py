"""Large bodies: megabytes a second, down, up, and down with a masked field in every record. curl is the client."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_origin import BIG, SINK
from benchmarks.http_ways import HttpWay
from benchmarks.processes import processor_s


@dataclass(frozen=True)
class Transfer:
    """What came of one transfer. ``processor_ms`` is of the way in the middle; 0 where there is none."""

    megabytes_per_s: float
    processor_ms: float


def download(way: HttpWay) -> Transfer:
    """The large document as it is."""
    return _transfer(way, way.url(BIG))


def download_masked(way: HttpWay) -> Transfer:
    """The same with masks; without where the way has none."""
    return _transfer(way, f"http://127.0.0.1:{way.port}{way.masked_prefix}{BIG}")


def upload(way: HttpWay, document: Path) -> Transfer:
    """A file to where it is read and dropped."""
    return _transfer(way, way.url(SINK), "--request", "POST", "--upload-file", str(document))


def _transfer(way: HttpWay, url: str, *arguments: str) -> Transfer:
    """Raises RuntimeError when it fails."""
    headers = [word for name, value in way.headers().items() for word in ("--header", f"{name}: {value}")]
    written = "%{time_total} %{size_download} %{size_upload}"
    command = ["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", "--write-out", written]
    before = processor_s(way.pid) if way.pid is not None else 0.0
    result = subprocess.run([*command, *headers, *arguments, url], capture_output=True, text=True, check=False)
    used_s = processor_s(way.pid) - before if way.pid is not None else 0.0
    if result.returncode != 0:
        raise RuntimeError(f"curl through {way.name} failed: {result.stderr}")
    seconds, down, up = map(float, result.stdout.split())
    return Transfer(max(down, up) / 1e6 / seconds, used_s * 1000)
