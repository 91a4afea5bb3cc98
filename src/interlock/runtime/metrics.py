"""The gateway's figures for Prometheus. Labels hold names of the gateway's own making or of its settings, never a value
from a client."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from interlock.core.decision import BudgetKind
from interlock.services.alerts import AlertCounts
from interlock.services.budgets import BudgetCounts
from interlock.services.enforcement import DecisionCounts
from interlock.services.notifications.delivery import DeliveryCounts


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

    def watch_budgets(self, counts: BudgetCounts, alerts: AlertCounts) -> None:
        """Show what spent budgets did, and which alerts there were."""
        self.registry.register(_Budgets(counts, alerts))

    def watch_notifications(self, counts: Mapping[str, DeliveryCounts]) -> None:
        """Show what became of messages to people, by channel."""
        self.registry.register(_Notifications(counts))

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


class _Budgets(Collector):
    """The same for budgets and alerts."""

    def __init__(self, counts: BudgetCounts, alerts: AlertCounts) -> None:
        self._counts = counts
        self._alerts = alerts

    def collect(self) -> Iterable[Metric]:
        text = "Budgets that were spent when an operation was decided, by what they count."
        yield _by_kind("interlock_budgets_spent", text, self._counts.refused)
        text = "Answers that were stopped because a budget was spent, by what it counts."
        yield _by_kind("interlock_answers_stopped", text, self._counts.stopped)
        family = CounterMetricFamily("interlock_alerts", "Alerts raised, by kind.", labels=["alert"])
        family.add_metric(["denials"], self._alerts.denials)
        yield family


class _Notifications(Collector):
    """The same for messages. The channels' names are the settings' own."""

    def __init__(self, counts: Mapping[str, DeliveryCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        text = "Messages to people: sent, attempts that failed, and messages that were given up."
        family = CounterMetricFamily("interlock_notifications", text, labels=["channel", "outcome"])
        for channel, counts in self._counts.items():
            family.add_metric([channel, "sent"], counts.sent)
            family.add_metric([channel, "failed"], counts.failed)
            family.add_metric([channel, "given-up"], counts.given_up)
        yield family


def _by_kind(name: str, text: str, counts: Mapping[BudgetKind, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["kind"])
    for kind, count in counts.items():
        family.add_metric([kind.value], count)
    return family
