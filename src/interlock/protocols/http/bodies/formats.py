"""Which format a body is masked as."""

from typing import Protocol

from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.media_types import MediaType
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.tally import Tally

_JSON_TYPES = frozenset(
    {
        "application/json",
        "text/json",
        "application/x-json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/json-lines",
        "application/json-seq",
    }
)


class Masker(Protocol):
    """Masks one format. The input is UTF-8 without half characters."""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""

    def finish(self) -> bytes:
        """What was held, now that nothing follows. Raises ``BodyRefused``."""


def open_masker(declared: MediaType, plan: Plan, tally: Tally) -> Masker | str:
    """For a body of this type. Or why it cannot be inspected."""
    if declared.name in _JSON_TYPES or declared.suffix in ("json", "json-seq"):
        return JsonMasker(plan, tally, many=True)
    return f"bodies of the type {declared.name or 'unknown'} cannot be inspected"
