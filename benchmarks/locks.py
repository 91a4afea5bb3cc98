"""How soon a lock stops an agent: ``python -m benchmarks.locks --help``. Also part of ``benchmarks.postgres``.

200 sessions are open over a real server, 50 of them at work; the agent is locked. Clients note when the last byte came
and when the connection was closed; the target itself is asked, over a connection of its own, when its processes are
gone.
"""

import argparse
import json
import math
import os
import selectors
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.e2e.locking import Responder
from tests.servers.postgres import PostgresServer

from benchmarks.gateway import IDENTITY, RunningGateway, start_gateway
from interlock.core.lock import LockReceipt, LockSubject

SESSIONS = 200
WORK = (
    *["SELECT pg_sleep(600)"] * 40,
    *["SELECT count(*) FROM generate_series(1, 100000000000)"] * 5,
    *["SELECT repeat('x', 1000) FROM generate_series(1, 100000000)"] * 5,
)
"""What sessions are at when they are locked: they wait, compute, or send rows as fast as they are taken."""
_ROLE = "bench"
_PASSWORD = "bench-password"
_APPLICATION = "to be locked"
_DEADLINE_S = 60.0
_READ_BYTES = 1 << 16
_AT_WORK = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{_APPLICATION}' AND state = 'active'"
_THERE = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{_APPLICATION}'"
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how soon a lock stops sessions.")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is stopped (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round: whether it works, not how fast it is")
    options = parser.parse_args()
    print(json.dumps({"locks": measure(1 if options.quick else options.rounds)}))


def measure(rounds: int) -> Figures:
    """Milliseconds since the lock was asked for, by what was measured: medians, 99th percentiles and the longest."""
    with _server() as server:
        target = server.endpoint(_ROLE, _PASSWORD, _ROLE)
        with start_gateway(target, durability="standard", tls=False) as gateway:
            return _stopping(gateway, server, rounds)


@contextmanager
def _server() -> Iterator[PostgresServer]:
    settings = {"shared_buffers": "256MB", "autovacuum": "off", "max_connections": str(SESSIONS + 50)}
    with PostgresServer(settings=settings) as server:
        server.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}'")
        server.execute(f"CREATE DATABASE {_ROLE} OWNER {_ROLE}")
        yield server


@dataclass
class Client:
    """One session as its client sees it. Times are ``time.monotonic``."""

    connection: psycopg.Connection[Any]
    process_id: int
    """Of the target's process behind it."""
    last_byte_s: float = 0.0
    closed_s: float = 0.0


@dataclass
class Stop:
    """One round: when the lock was asked for, and what was seen of each session."""

    started_s: float
    clients: list[Client]
    gone_s: dict[int, float]
    receipt: LockReceipt

    def after_ms(self) -> dict[str, list[float]]:
        """By what was measured: milliseconds since the lock was asked for, one for each session."""
        receipts = self.receipt.sessions
        found = {
            "last_byte": [self._ms(client.last_byte_s) for client in self.clients],
            "closed": [self._ms(client.closed_s) for client in self.clients],
            "gone_at_target": [self._ms(self.gone_s[client.process_id]) for client in self.clients],
            "gone_at_target_of_working": [
                self._ms(self.gone_s[client.process_id]) for client in self.clients[: len(WORK)]
            ],
        }
        found["receipt_stopped"] = [one.stopped_after_ms for one in receipts]
        found["receipt_gone"] = [one.gone_after_ms for one in receipts if one.gone_after_ms is not None]
        return found

    def _ms(self, at_s: float) -> float:
        return max(0.0, at_s - self.started_s) * 1000


def _stopping(gateway: RunningGateway, server: PostgresServer, rounds: int) -> Figures:
    measured: dict[str, list[float]] = {}
    for number in range(rounds):
        stop = _stop_all(gateway, server)
        if stop.receipt.warnings:
            raise RuntimeError(f"not all is verified: {stop.receipt.warnings}")
        for name, values in stop.after_ms().items():
            measured.setdefault(name, []).extend(values)
            print(f"round {number + 1}  {name:28} {_percentiles(values)}", file=sys.stderr)
    return {name: _percentiles(values) for name, values in measured.items()}


def _stop_all(gateway: RunningGateway, server: PostgresServer) -> Stop:
    responder = Responder(gateway.server)
    with ExitStack() as stack:
        parameters = gateway.endpoint.parameters() | {"application_name": _APPLICATION}
        connections = [psycopg.connect(**parameters, autocommit=True) for _ in range(SESSIONS)]
        for connection in connections:
            stack.callback(connection.close)
        clients = [Client(connection, connection.info.backend_pid) for connection in connections]
        for client, statement in zip(clients, WORK, strict=False):
            client.connection.pgconn.send_query(statement.encode())
        reading, watching = Reading(clients), Watching(server, {client.process_id for client in clients})
        watching.wait_until_at_work(len(WORK))
        reading.start()
        watching.start()
        started_s = time.monotonic()
        receipt = responder.lock(LockSubject.AGENT, IDENTITY)
        reading.join(_DEADLINE_S)
        watching.join(_DEADLINE_S)
        responder.lift(receipt)
        if not all(client.closed_s for client in clients) or len(watching.gone_s) < SESSIONS:
            raise RuntimeError(f"not everything is over within {_DEADLINE_S:g} s")
        return Stop(started_s, clients, watching.gone_s, receipt)


class Reading(threading.Thread):
    """Takes what comes for the clients, as it comes, and notes when the last of it did."""

    def __init__(self, clients: Sequence[Client]) -> None:
        super().__init__(daemon=True)
        self._clients = clients

    def run(self) -> None:
        deadline_s = time.monotonic() + _DEADLINE_S
        with selectors.DefaultSelector() as selector:
            for client in self._clients:
                received = socket.socket(fileno=os.dup(client.connection.fileno()))
                selector.register(received, selectors.EVENT_READ, client)
            while selector.get_map() and time.monotonic() < deadline_s:
                for key, _ in selector.select(0.1):
                    self._read(selector, key)

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        received, client = key.fileobj, key.data
        assert isinstance(received, socket.socket)
        try:
            data = received.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        if data:
            client.last_byte_s = time.monotonic()
            return
        client.closed_s = time.monotonic()
        selector.unregister(received)
        received.close()


class Watching(threading.Thread):
    """Asks the target again and again which processes are there; ``gone_s`` is when one first was not."""

    def __init__(self, server: PostgresServer, process_ids: set[int]) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._left = process_ids
        self.gone_s: dict[int, float] = {}

    def wait_until_at_work(self, count: int) -> None:
        deadline_s = time.monotonic() + _DEADLINE_S
        while self._server.execute(_AT_WORK) != [(count,)]:
            if time.monotonic() > deadline_s:
                raise RuntimeError("the statements do not begin")
            time.sleep(0.05)

    def run(self) -> None:
        deadline_s = time.monotonic() + _DEADLINE_S
        with psycopg.connect(**self._server.endpoint().parameters(), autocommit=True) as connection:
            while self._left and time.monotonic() < deadline_s:
                there = {row[0] for row in connection.execute(_THERE)}
                now_s = time.monotonic()
                self.gone_s |= dict.fromkeys(self._left - there, now_s)
                self._left &= there
                time.sleep(0.002)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    place = math.ceil(0.99 * len(ordered)) - 1
    figures = {"p50": statistics.median(ordered), "p99": ordered[place], "max": ordered[-1]}
    return {name: round(value, 1) for name, value in figures.items()}


if __name__ == "__main__":
    main()
