"""Single figures of several ways to the same server: medians, comparisons, and a table for people."""

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Medians = Mapping[str, Mapping[str, float]]


class Samples:
    """All figures of a run, by measure and way. Measures whose names end in ``_per_s`` are better when higher."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, measure: str, way: str, value: float) -> None:
        self._values[measure][way].append(value)

    def add_all(self, measure: str, way: str, figures: Any) -> None:
        """Every field of a dataclass as a measure of its own."""
        for name, value in dataclasses.asdict(figures).items():
            self.add(f"{measure}_{name}", way, value)

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            measure: {way: statistics.median(values) for way, values in by_way.items()}
            for measure, by_way in self._values.items()
        }


def ratio(medians: Medians, measure: str, way: str, reference: str) -> float | None:
    """How ``way`` does compared with ``reference``: 1 is as well, 0.5 half as well. None where one is missing."""
    mine, other = medians[measure].get(way), medians[measure].get(reference)
    if not mine or not other:
        return None
    return round(mine / other if measure.endswith("_per_s") else other / mine, 3)


def summary(medians: Medians, way: str, references: Sequence[str]) -> dict[str, Any]:
    """The JSON object: ratios of ``way`` to each of the others, and all medians."""
    compared = {}
    for reference in references:
        ratios = {measure: ratio(medians, measure, way, reference) for measure in medians}
        compared[f"{reference}_ratio"] = {measure: value for measure, value in ratios.items() if value is not None}
    rounded = {measure: {name: round(v, 3) for name, v in by_way.items()} for measure, by_way in medians.items()}
    return compared | {"medians": rounded}


def print_table(medians: Medians, ways: Sequence[str]) -> None:
    """Medians of every measure and way."""
    table = Table(title="medians")
    table.add_column("measure")
    for way in ways:
        table.add_column(way, justify="right")
    for measure, values in medians.items():
        table.add_row(measure, *(f"{values[way]:,.2f}" if way in values else "" for way in ways))
    Console(width=110).print(table)
