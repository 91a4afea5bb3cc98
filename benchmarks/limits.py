"""What locks and budgets cost who is not stopped by them: ``python -m benchmarks.limits --help``.

Also part of ``benchmarks.postgres``. 1,000 locks on others and 100 budgets are there, of which none or three count what
is read. First what deciding a statement and counting its answer takes longer in one process, which says most on a busy
machine; then pgbench through two gateways, one with and one without, in pairs of runs.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.locking import Responder
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer

from benchmarks import measures
from benchmarks.gateway import IDENTITY, POLICY, RunningGateway, start_gateway
from interlock.adapters.clock import SystemClock
from interlock.core.administration import AddLock
from interlock.core.decision import Permit
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import AnyRecord
from interlock.core.lock import Lock, LockMode, LockSubject, Restriction, restriction_of
from interlock.core.operation import Access, Meaning, Operation, ResourceKind
from interlock.core.session import Session
from interlock.services.budgets import Budgets
from interlock.services.enforcement import Enforcement, SessionGuard
from interlock.services.lock_index import LockIndex
from interlock.services.policy import PolicySource, PolicyStore
from interlock.services.state import KeptAmount

LOCKS = 1000
BUDGETS = 100
COUNTING = 3

_ROLE = "bench"
_PASSWORD = "bench-password"
_KINDS = ("rows", "bytes", "statements")
_ELSEWHERE = 'resource == Table::"shop/bench/public/elsewhere_{number}"'
_HERE = 'resource in Connection::"shop"'
_BUDGET = """
@id("budget-{number}") @budget("{kind}=100000000000000 per 1h")
forbid (principal, action == Action::"select", {where});
"""
_BATCH = 500

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what locks and budgets cost.")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs of pgbench (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one pgbench run (default 5)")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    print(json.dumps({"limits": measure(options.rounds, options.seconds)}))


def measure(rounds: int, seconds: int) -> Figures:
    """All figures: times in microseconds, and ratios to a gateway without locks and budgets."""
    ways = {"elsewhere": _rules(counting=0), "counting": _rules(counting=COUNTING)}
    decided = asyncio.run(_decided_us(ways, 20 * rounds))
    with _server() as direct:
        measures.run(direct, "pgbench", "--initialize", "--quiet", "--scale=1")
        ratios = {name: _ratios(direct, rules, LOCKS, rounds, seconds) for name, rules in ways.items()}
        ratios["alike"] = _ratios(direct, "", 0, rounds, seconds)
    return {"decided_us": decided, "pgbench_ratio": ratios}


def _rules(counting: int) -> str:
    """Budgets that are never spent, the first of which count everything that is read."""
    return "".join(
        _BUDGET.format(
            number=number,
            kind=_KINDS[number % len(_KINDS)],
            where=_HERE if number < counting else _ELSEWHERE.format(number=number),
        )
        for number in range(BUDGETS)
    )


def _other(number: int) -> tuple[LockSubject, str, LockMode]:
    """A lock on somebody or something else, of every kind that there can be many of and in every mode."""
    kinds = (LockSubject.AGENT, LockSubject.GROUP, LockSubject.RUN, LockSubject.TOKEN, LockSubject.CONNECTION)
    modes = tuple(LockMode)
    return kinds[number % len(kinds)], f"other-{number}", modes[number % len(modes)]


# ---------------------------------------------------------------- in one process


class _Nothing:
    """A ledger, a recorder and a store that take everything at once and keep nothing."""

    wrapped_key = b""

    def append(self, record: AnyRecord) -> None: ...

    def note(self, record: AnyRecord) -> None: ...

    def seal(self, operation: Operation) -> bytes:
        return b""

    def answer(self, number: int, data: bytes) -> None: ...

    request = answer

    def ended(self, number: int) -> None: ...

    def close(self) -> None: ...

    def load(self) -> list[KeptAmount]:
        return []

    async def add(self, changes: Sequence[KeptAmount], oldest: Mapping[str, int]) -> list[KeptAmount]:
        return []


class _Locks:
    """Implements ``services.ports.LocksInForce``."""

    epoch = masking_epoch = 1

    def __init__(self) -> None:
        self._index = LockIndex()
        for number in range(LOCKS):
            kind, subject, mode = _other(number)
            self._index.add(Lock(str(number), kind, subject, mode, "being looked at", "bench", 0.0))

    def restriction(self, principal: Principal, connection: str, run: str) -> Restriction | None:
        return restriction_of(self._index.concerning(principal, connection, run))


async def _decided_us(ways: Mapping[str, str], rounds: int) -> dict[str, float]:
    """Of each way the least time for a decision and an answer of one row; without locks and budgets as ``without``."""
    guards = {"without": await _guard("", None)}
    guards |= {name: await _guard(rules, _Locks()) for name, rules in ways.items()}
    least = dict.fromkeys(guards, float("inf"))
    for _ in range(rounds):
        for name, guard in guards.items():
            least[name] = min(least[name], _batch_us(guard))
    return {name: round(value, 2) for name, value in least.items()}


async def _guard(rules: str, locks: _Locks | None) -> SessionGuard:
    policies, nothing, clock = PolicyStore(_Nothing()), _Nothing(), SystemClock()
    await policies.start([PolicySource("bench", POLICY + rules)])
    principal = Principal(PrincipalKind.AGENT, IDENTITY, frozenset(["benchmarks"]))
    session = Session("0" * 26, "postgres", "shop", "bench", principal, "127.0.0.1:5000")
    return Enforcement(policies, nothing, clock, locks, None, Budgets(nothing, clock)).guard(session, nothing)


def _batch_us(guard: SessionGuard) -> float:
    meaning = Meaning("SELECT", (Access("select", ResourceKind.TABLE, ("public", "pgbench_accounts")),))
    started = time.perf_counter()
    for number in range(1, _BATCH + 1):
        (decision,) = guard.authorize([Operation(number, meaning, b"SELECT 1")])  # type: ignore[misc]
        assert type(decision) is Permit
        if (allowance := decision.allowance) is not None:
            allowance.begin()
            allowance.note(30)
            allowance.take(1, 20)
            allowance.note(14)
    return (time.perf_counter() - started) / _BATCH * 1e6


# ---------------------------------------------------------------- on the wire


@contextmanager
def _server() -> Iterator[Endpoint]:
    with PostgresServer(settings={"shared_buffers": "256MB", "autovacuum": "off"}) as server:
        server.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}'")
        server.execute(f"CREATE DATABASE {_ROLE} OWNER {_ROLE}")
        yield server.endpoint(_ROLE, _PASSWORD, _ROLE)


@dataclass
class Pairs:
    """Ratios of runs that were made one right after the other: 1 is as much as without."""

    speed: list[float] = field(default_factory=list)
    processor_time: list[float] = field(default_factory=list)
    """Of the gateway's process, for each transaction: it varies less than speed."""

    def medians(self) -> dict[str, float]:
        found = {"speed": self.speed, "processor_time": self.processor_time}
        return {name: round(statistics.median(values), 3) for name, values in found.items()}


def _ratios(direct: Endpoint, rules: str, locks: int, rounds: int, seconds: int) -> Figures:
    """By protocol mode: a gateway with these rules and locks, beside one without."""
    with (
        start_gateway(direct, durability="standard", tls=False) as without,
        start_gateway(direct, durability="standard", tls=False, rules=rules) as limited,
    ):
        responder = Responder(limited.server)
        for number in range(locks):
            kind, subject, mode = _other(number)
            responder.give(AddLock(kind, "being looked at", subject, mode))
        return {mode: _pairs(without, limited, mode, rounds, seconds).medians() for mode in ("simple", "prepared")}


def _pairs(without: RunningGateway, limited: RunningGateway, mode: str, rounds: int, seconds: int) -> Pairs:
    pairs = Pairs()
    for number in range(rounds):
        order = (without, limited) if number % 2 == 0 else (limited, without)
        runs = {gateway.pid: _run(gateway, mode, seconds) for gateway in order}
        (speed, processor_s), (limited_speed, limited_processor_s) = runs[without.pid], runs[limited.pid]
        pairs.speed.append(limited_speed / speed)
        pairs.processor_time.append(limited_processor_s / processor_s)
        print(
            f"round {number + 1}  {mode:10} speed {pairs.speed[-1]:8.3f}  processor {pairs.processor_time[-1]:8.3f}",
            file=sys.stderr,
        )
    return pairs


def _run(gateway: RunningGateway, mode: str, seconds: int) -> tuple[float, float]:
    """Transactions for each second, and processor seconds for each transaction."""
    before_s = _processor_s(gateway.pid)
    speed = measures.transactions_per_s(gateway.endpoint, mode, clients=8, seconds=seconds)
    return speed, (_processor_s(gateway.pid) - before_s) / (speed * seconds)


def _processor_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
