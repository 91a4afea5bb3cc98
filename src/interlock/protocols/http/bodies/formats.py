"""Which format a body is masked as: by what it declares and by what it is.

Content goes before declaration, since clients read a JSON document that is declared as HTML. What is only declared as a
text may be anything, so the beginning of it decides.
"""

from typing import Final, Protocol

from interlock.protocols.http.bodies.event_masker import EventMasker
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.media_types import MediaType
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed
from interlock.protocols.http.bodies.tally import Tally
from interlock.protocols.http.bodies.text_masker import TextMasker

_JSON_TYPES: Final = frozenset(
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
_UNCERTAIN_BYTES: Final = 64 << 10
"""By then a text that could be JSON has to be it."""


class Masker(Protocol):
    """Masks one format. The input is UTF-8 without half characters."""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""

    def finish(self) -> bytes:
        """What was held, now that nothing follows. Raises ``BodyRefused``."""


class SniffingMasker:
    """Chooses by the beginning of a text, and holds it until that is certain: a document without a name may be none."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._chosen: Masker | None = None
        self._json: JsonMasker | None = None
        self._came = b""
        self._masked = b""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""
        if b"\0" in data:
            raise Malformed("it has a NUL character")
        if self._chosen is not None:
            return self._chosen.feed(data)
        self._came += data
        if self._json is None:
            beginning = self._came.lstrip(b" \t\r\n")[:1]
            if beginning not in (b"{", b"[", b'"'):
                return self._text() if beginning else b""
            self._json, data = JsonMasker(self._plan, self._tally, many=True), self._came
        try:
            self._masked += self._json.feed(data)
        except Malformed:
            if self._json.met_names:
                raise
            return self._text()
        if not self._json.met_names and len(self._came) < _UNCERTAIN_BYTES:
            return b""
        self._chosen = self._json
        return self._masked

    def finish(self) -> bytes:
        """What was held, now that nothing follows. Raises ``BodyRefused``."""
        if self._chosen is not None:
            return self._chosen.finish()
        if self._json is None:
            return self._came
        try:
            return self._masked + self._json.finish()
        except Malformed:
            text = TextMasker(self._plan.content, self._tally)
            return text.feed(self._came) + text.finish()

    def _text(self) -> bytes:
        self._chosen = TextMasker(self._plan.content, self._tally)
        return self._chosen.feed(self._came)


def open_masker(declared: MediaType, plan: Plan, tally: Tally) -> Masker | str:
    """For a body of this type. Or why it cannot be inspected."""
    if declared.name in _JSON_TYPES or declared.suffix in ("json", "json-seq"):
        return JsonMasker(plan, tally, many=True)
    if declared.name == "text/event-stream":
        return EventMasker(plan, tally)
    if not declared.name or declared.name.startswith("text/"):
        return SniffingMasker(plan, tally)
    return f"bodies of the type {declared.name} cannot be inspected"
