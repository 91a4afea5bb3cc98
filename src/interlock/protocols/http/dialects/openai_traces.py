"""Traces that agents of the OpenAI Agents SDK send to the provider: kept as evidence, never forwarded.

A trace has complete inputs and outputs of tools. What it says is the agent's own word: it may claim what was not, and
leave out what was.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.dialects.json_facts import BodyRejected
from interlock.protocols.http.dialects.openai_tools import Document, tool_list

TRACES_PATH: Final = "/traces/ingest"
KEPT: Final = Reply(204, ((b"cache-control", b"no-store"),), b"")
"""The answer to a trace that was kept."""
MAX_ITEMS: Final = 10_000
_MAX_KINDS: Final = 20
_MAX_NAME_LENGTH: Final = 64


def trace_summary(document: object) -> str:
    """What a batch of traces holds, on one line: ``2 traces, 5 spans: 3 function run_sql, 2 generation``.

    Raises ``BodyRejected`` for what is no batch of traces.
    """
    if not isinstance(document, dict):
        raise BodyRejected("Traces must be a JSON object with a list data.")
    items = tool_list(document.get("data"), "data")
    if len(items) > MAX_ITEMS:
        raise BodyRejected(f"At most {MAX_ITEMS} traces and spans can come at once.")
    kinds = Counter(kind for item in items if (kind := span_kind(item)))
    traces = sum(item.get("object") == "trace" for item in items)
    return f"{_counted(traces, 'trace')}, {_counted(kinds.total(), 'span')}{_listed(kinds)}"


def span_kind(item: Document) -> str:
    """``function run_sql``, ``generation``: what a span is about; empty for what is no span."""
    if item.get("object") != "trace.span":
        return ""
    data = item.get("span_data")
    data = data if isinstance(data, Mapping) else {}
    words = (data.get("type"), data.get("name"))
    return " ".join(_word(word) for word in words if isinstance(word, str)) or "unknown"


def _word(word: str) -> str:
    shown = word[:_MAX_NAME_LENGTH]
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _listed(kinds: Mapping[str, int]) -> str:
    shown = ", ".join(_kinds(sorted(kinds.items())[:_MAX_KINDS]))
    more = f" and {len(kinds) - _MAX_KINDS} other kinds" if len(kinds) > _MAX_KINDS else ""
    return f": {shown}{more}" if shown else ""


def _kinds(counts: Iterable[tuple[str, int]]) -> Iterator[str]:
    return (f"{count} {kind}" for kind, count in counts)
