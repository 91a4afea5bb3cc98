"""Which format a body of a type is masked as.

What is no text, or may be anything, cannot be inspected: there is no type for which a body passes without a look.
"""

from collections.abc import Callable
from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.csv_masker import CsvMasker
from interlock.protocols.http.bodies.event_masker import EventMasker
from interlock.protocols.http.bodies.form_masker import FormMasker
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.markup_masker import MarkupMasker
from interlock.protocols.http.bodies.masker import Masker
from interlock.protocols.http.bodies.media_types import MediaType
from interlock.protocols.http.bodies.multipart_masker import MultipartMasker, boundary_of
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.sniffing import SniffingMasker
from interlock.protocols.http.bodies.value_masker import ValueMasker

_JSON_SUBTYPES: Final = frozenset(
    {"json", "x-json", "x-ndjson", "ndjson", "jsonl", "x-jsonl", "x-jsonlines", "jsonlines", "json-lines", "json-seq"}
)
_SCRIPT_SUBTYPES: Final = frozenset({"javascript", "x-javascript", "ecmascript", "graphql", "sql"})
_TABLE_TYPES: Final = {"text/csv": b"", "application/csv": b"", "text/tab-separated-values": b"\t"}
_UNREAD_SUBTYPES: Final = frozenset({"yaml", "x-yaml", "toml", "rtf", "vcard", "calendar"})
"""Formats with names of fields that nobody reads here. Without masked fields they are texts."""


def open_masker(declared: MediaType, plan: Plan, tally: Tally) -> Masker | str:
    """For a body of this type. Or why it cannot be inspected."""
    name, subtype = declared.name, declared.suffix or declared.name.partition("/")[2]
    is_text = not name or name.startswith("text/")
    if subtype in _JSON_SUBTYPES:
        return _sniffing(plan, tally, lambda: JsonMasker(plan, tally, many=True))
    if name == "text/event-stream":
        return EventMasker(plan, tally)
    if name == "application/x-www-form-urlencoded":
        return FormMasker(plan, tally)
    if name in _TABLE_TYPES:
        return _sniffing(plan, tally, lambda: CsvMasker(plan, tally, _TABLE_TYPES[name]))
    if name == "multipart/form-data":
        boundary = boundary_of(declared)
        return "it has no boundary" if boundary is None else MultipartMasker(plan, tally, boundary, open_masker)
    if is_xml(declared):
        return MarkupMasker(plan, tally, is_html=False)
    if name == "text/html":
        return _sniffing(plan, tally, lambda: MarkupMasker(plan, tally, is_html=True))
    if subtype in _UNREAD_SUBTYPES and plan.fields.by_last_name:
        return f"fields in bodies of the type {name} cannot be masked"
    if is_text or subtype in _SCRIPT_SUBTYPES or subtype in _UNREAD_SUBTYPES:
        return _sniffing(plan, tally, lambda: _text(plan, tally))
    return f"bodies of the type {name} cannot be inspected"


def is_xml(declared: MediaType) -> bool:
    """Whether a type is that of a document in XML (RFC 7303)."""
    return declared.name in ("text/xml", "application/xml") or declared.name.endswith("+xml")


def _text(plan: Plan, tally: Tally) -> Masker:
    return (
        plan.text_masker(tally) if plan.fields.everything is None else ValueMasker(plan.fields.everything, plan, tally)
    )


def _sniffing(plan: Plan, tally: Tally, otherwise: Callable[[], Masker]) -> Masker:
    return SniffingMasker(plan, tally, otherwise)
