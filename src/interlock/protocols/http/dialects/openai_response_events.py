"""The events of the Responses API, masked: ``NAME.delta`` has a piece of a text, ``NAME.done`` all of it.

An event with a piece is held until the next one of the same text, or its end, so that the last one can say the rest.
"""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.openai_events import Event, Path, Said, StreamMasking, read_event, write_value

_PLACE: Final = ("output_index", "item_id", "content_index", "summary_index", "command_index", "stream_id")
_AROUND: Final = ("response", "output", "item", "part", "content", "delta")
"""Names of what a text is in."""
_PADDING: Final = "obfuscation"
"""Means nothing, and differs in every event: it is left out."""
_OPAQUE: Final = frozenset({"response.audio.delta"})
"""Sound; nobody looks into it."""
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_ITEM_ENDS: Final = "response.output_item.done"


class ResponseEvents:
    """Implements ``EventMasker``."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._masking = StreamMasking(plan, tally)
        self._held: dict[Path, Event] = {}
        self._common: Event = {}
        self._masked: Event = {}

    def take(self, data: bytes) -> list[Said]:
        event = read_event(data)
        kind = event.get("type")
        if not isinstance(kind, str):
            raise BodyRefused("an event of the stream has no type")
        if kind.endswith(".delta") and kind not in _OPAQUE:
            return self._piece(_place(kind.removesuffix(".delta"), event), event)
        ended = [self._ended(place) for place in list(self._held) if _is_over(place, kind, event)]
        return [*ended, Said(kind, self._masking.document(event))]

    def finish(self) -> list[Said]:
        return [self._ended(place) for place in list(self._held)]

    def _piece(self, place: Path, event: Event) -> list[Said]:
        before = self._held.get(place)
        self._held[place] = {**event, "delta": self._passed(place, event.get("delta"))}
        return [] if before is None else [self._said(before)]

    def _passed(self, place: Path, piece: object) -> object:
        """What goes on of a text, or of several that come side by side, as those of a shell."""
        if isinstance(piece, dict):
            return {key: self._passed((*place, key), part) for key, part in piece.items()}
        if piece is not None and not isinstance(piece, str):
            raise BodyRefused("an event of the stream has a piece that is no text")
        return None if piece is None else self._masking.passed(place, piece, *_names(place), *_AROUND)

    def _ended(self, place: Path) -> Said:
        """The last event of a text, with the rest of it."""
        event = self._held.pop(place)
        delta = event["delta"]
        if isinstance(delta, dict):
            rests = {str(path[-1]): self._masking.end(path) for path in self._masking.under_way(*place)}
            delta = {key: f"{delta.get(key) or ''}{rest}" for key, rest in rests.items()}
        else:
            delta = f"{delta or ''}{self._masking.end(place)}"
        return self._said({**event, "delta": delta})

    def _said(self, event: Event) -> Said:
        """An event whose piece is masked. What it says besides is the same for all of a text, and is masked once."""
        own: Event = {"delta": event["delta"]}
        if isinstance(event.get("sequence_number"), int):
            own["sequence_number"] = event["sequence_number"]
        common = {key: value for key, value in event.items() if key not in own and key != _PADDING}
        if "logprobs" in common:
            common["logprobs"] = []
        if common != self._common:
            self._common, self._masked = common, read_event(self._masking.document(common))
        return Said(str(event["type"]), write_value(self._masked | own))


def _names(place: Path) -> tuple[str, ...]:
    """What a text is called where it is whole: ``text`` for ``output_text``, ``stdout`` for a shell's output."""
    return (str(place[0]).replace(".", "_").rpartition("_")[2], *map(str, place[len(_PLACE) + 1 :]))


def _place(name: str, event: Event) -> Path:
    """Which text an event is about."""
    return (name, *(str(event.get(key, "")) for key in _PLACE))


def _is_over(place: Path, kind: str, event: Event) -> bool:
    """Whether a text has no further piece behind this event."""
    if kind in _LAST:
        return place[-1] == str(event.get("stream_id", ""))
    if kind == _ITEM_ENDS:
        return (place[1], place[-1]) == (str(event.get("output_index", "")), str(event.get("stream_id", "")))
    return place == _place(kind.removesuffix(".done"), event)
