"""What arrives piece by piece: how late an event of a stream comes, and how long a WebSocket message is on its way."""

import http.client
import time
from typing import Final

from websockets.sync.client import connect

from benchmarks.http_origin import EVENTS, EVENTS_PER_STREAM, SOCKET
from benchmarks.http_ways import HttpWay

_MESSAGE: Final = "m" * 100


def event_lags_us(way: HttpWay) -> list[float]:
    """Of each event the time from the service to the client. Service and client share a process, and so a clock."""
    connection = http.client.HTTPConnection("127.0.0.1", way.port, timeout=30)
    connection.request("GET", f"{way.prefix}{EVENTS}", headers=way.headers())
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"events through {way.name}: status {answer.status}")
    lags = []
    while line := answer.readline():
        if line.startswith(b"data: "):
            lags.append((time.monotonic_ns() - int(line[6:])) / 1000)
    connection.close()
    if len(lags) != EVENTS_PER_STREAM:
        raise RuntimeError(f"events through {way.name}: {len(lags)} of {EVENTS_PER_STREAM} came")
    return lags


def round_trips_us(way: HttpWay, times: int) -> list[float]:
    """Of each message of a WebSocket the time to the service and back."""
    url = f"ws://127.0.0.1:{way.port}{way.prefix}{SOCKET}"
    trips = []
    with connect(url, additional_headers=way.headers(), compression=None) as socket:
        for _ in range(times):
            started = time.monotonic_ns()
            socket.send(_MESSAGE)
            socket.recv(10)
            trips.append((time.monotonic_ns() - started) / 1000)
    return trips
