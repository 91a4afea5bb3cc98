"""From single figures to medians, ratios, a table for people and one JSON object for programs."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.ways import DIRECT, GATEWAY, NAMES, PGBOUNCER

Medians = Mapping[str, Mapping[str, float]]


@dataclass
class Figures:
    """All figures of a run, by measure and way."""

    _runs: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, measure: str, way: str, value: float) -> None:
        self._runs[measure][way].append(value)

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            measure: {way: statistics.median(values) for way, values in by_way.items()}
            for measure, by_way in self._runs.items()
        }


def is_rate(measure: str) -> bool:
    """Whether more is better: transactions per second, as against seconds or KiB."""
    return "_c" in measure


def ratio(medians: Medians, measure: str, way: str, reference: str) -> float | None:
    """How fast ``way`` is compared with ``reference``: 1 is as fast, 0.5 half as fast. None where one is missing."""
    values = medians[measure]
    if way not in values or reference not in values:
        return None
    quotient = values[way] / values[reference]
    return round(quotient if is_rate(measure) else 1 / quotient, 3)


def summary(medians: Medians) -> dict[str, Any]:
    """The JSON object: the gateway in standard durability on top, ``strict`` beside it, PgBouncer for comparison."""
    standard, strict = GATEWAY["standard"], GATEWAY["strict"]
    return {
        **_ratios(medians, standard),
        "strict": _ratios(medians, strict),
        "pgbouncer": _ratios(medians, PGBOUNCER),
    }


def _ratios(medians: Medians, way: str) -> dict[str, Any]:
    speeds = [measure for measure in medians if measure != "idle_session_kib"]
    found: dict[str, Any] = {}
    for name, reference in (("pgbouncer_ratio", PGBOUNCER), ("direct_ratio", DIRECT)):
        ratios = {measure: ratio(medians, measure, way, reference) for measure in speeds}
        found[name] = {measure: value for measure, value in ratios.items() if value is not None and way != reference}
    memory = medians.get("idle_session_kib", {}).get(way)
    found["idle_session_kib"] = None if memory is None else round(memory, 1)
    return found


def print_table(medians: Medians) -> None:
    """Medians of every measure and way, with the ratio to the direct way."""
    table = Table(title="medians (in brackets: speed compared with direct)")
    table.add_column("measure")
    for way in NAMES:
        table.add_column(way, justify="right")
    for measure, values in medians.items():
        table.add_row(measure, *(_cell(medians, measure, way) if way in values else "" for way in NAMES))
    Console(width=110).print(table)


def _cell(medians: Medians, measure: str, way: str) -> str:
    value = medians[measure][way]
    if measure == "idle_session_kib":
        return f"{value:.1f} KiB"
    compared = ratio(medians, measure, way, DIRECT)
    figure = f"{value:,.0f}/s" if is_rate(measure) else f"{value:.3f} s"
    return figure if way == DIRECT or compared is None else f"{figure} ({compared:.2f})"
