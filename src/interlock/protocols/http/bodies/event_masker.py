"""Masks the events of a ``text/event-stream`` (HTML Living Standard, "Server-sent events") one by one.

The data of an event, all of its lines together, is masked as JSON where it is that and else as a text; what is in other
fields and comments is a text. An event of which nothing is masked goes on as it came. What one text is spread over
several events for is not seen here: that takes a dialect that knows the events.
"""

import re
from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.bodies.texts import masked_text

MAX_EVENT_BYTES: Final = 8 << 20
MAX_DATA_LINES: Final = 100_000
MAX_OTHER_LINES: Final = 1000
"""Of one event."""

_LINE_END: Final = rb"(?:\r\n|\n|\r(?!\n))"
_LINE: Final = re.compile(rb"([^\r\n]*)(%b|\Z)" % _LINE_END)
_EVENT_END: Final = re.compile(_LINE_END + _LINE_END)


class EventMasker:
    """One stream of events."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The events that are whole by now. Raises ``BodyRefused``."""
        searched = max(0, len(self._held) - 3)
        self._held += data
        events: list[bytes] = []
        start = 0
        for end in _EVENT_END.finditer(self._held, searched):
            events.append(self._event(bytes(self._held[start : end.end()])))
            start = end.end()
        del self._held[:start]
        if len(self._held) > MAX_EVENT_BYTES:
            raise BodyRefused(f"it has an event of more than {MAX_EVENT_BYTES} bytes")
        return b"".join(events)

    def finish(self) -> bytes:
        """The event that was not ended: some clients take it all the same."""
        return self._event(bytes(self._held))

    def _event(self, event: bytes) -> bytes:
        if b"\0" in event:
            raise Malformed("it has a NUL character")
        lines = [(line[1], line[2]) for line in _LINE.finditer(event)]
        values = [value for line, _ in lines if (value := _data(line)) is not None]
        if len(values) > MAX_DATA_LINES or len(lines) - len(values) > MAX_OTHER_LINES:
            raise BodyRefused("it has an event of very many lines")
        data = b"\n".join(values)
        masked = masked_text(data, self._plan, self._tally, as_value=True)
        parts: list[bytes] = []
        for line, line_end in lines:
            if _data(line) is None:
                parts += (self._other(line), line_end)
            elif masked == data:
                parts += (line, line_end)
            elif values:
                parts += (b"data: " + value + (line_end or b"\n") for value in masked.split(b"\n"))
                values = []
        return b"".join(parts)

    def _other(self, line: bytes) -> bytes:
        return self._plan.clean(line, self._tally) if line else line


def _data(line: bytes) -> bytes | None:
    """What a line adds to the data of its event; None for any other line."""
    name, _, value = line.partition(b":")
    return value.removeprefix(b" ") if name == b"data" else None
