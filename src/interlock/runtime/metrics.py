"""The gateway's figures for Prometheus. Labels hold names of the gateway's own making, never a value from a client."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from interlock.services.enforcement import DecisionCounts


class Metrics:
    """One registry for one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Counter("interlock_connections", "Client connections accepted.", registry=self.registry)
        self.reaped = Counter(
            "interlock_connections_reaped", "Half-open connections ended to make room.", registry=self.registry
        )
        self.sessions = Gauge("interlock_sessions", "Sessions that are open now.", registry=self.registry)
        self.ledger_failing = Gauge(
            "interlock_ledger_failing", "1 while the ledger accepts nothing.", registry=self.registry
        )
        self.policy_refused = Gauge(
            "interlock_policy_refused", "1 while the newest policy text was refused.", registry=self.registry
        )

    def watch_decisions(self, counts: DecisionCounts) -> None:
        """Show how operations were decided."""
        self.registry.register(_Decisions(counts))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Decisions(Collector):
    """Reads the counts when they are asked for: counting itself must cost nothing."""

    def __init__(self, counts: DecisionCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily("interlock_operations", "Operations decided, by decision.", labels=["decision"])
        for decision in ("allowed", "held", "denied"):
            family.add_metric([decision], getattr(self._counts, decision))
        yield family
