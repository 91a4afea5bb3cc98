"""What masking did to one body, for the record: how many values were masked, and what content detection found."""

from collections.abc import Mapping


class Tally:
    """Counts that all parts of one inspection add to."""

    def __init__(self) -> None:
        self.masked_values = 0
        self.found: dict[str, int] = {}

    def add_found(self, counts: Mapping[str, int]) -> None:
        """Findings by detector class, replaced or only reported."""
        for name, count in counts.items():
            self.found[name] = self.found.get(name, 0) + count

    def add(self, other: "Tally") -> None:
        """What was counted apart because it was not certain that it would stay."""
        self.masked_values += other.masked_values
        self.add_found(other.found)
