"""What the operating system and the gateway itself say about a running gateway."""

import urllib.error
import urllib.request
from pathlib import Path

from tests.servers.gateway import GatewayServer


def resident_kib(gateway: GatewayServer) -> int:
    """The memory that it has now."""
    return _status(gateway, "VmRSS:")


def peak_kib(gateway: GatewayServer) -> int:
    """The most memory that it has had since it started."""
    return _status(gateway, "VmHWM:")


def open_files(gateway: GatewayServer) -> int:
    return len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))


def metric(gateway: GatewayServer, name: str) -> float:
    """A figure of ``/metrics``; labels belong to the name."""
    lines = page(gateway, "/metrics")[1].splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


def page(gateway: GatewayServer, path: str) -> tuple[int, str]:
    """Status and text of a page of the administrative listener."""
    request = urllib.request.Request(f"http://127.0.0.1:{gateway.admin_port}{path}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _status(gateway: GatewayServer, name: str) -> int:
    lines = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))
