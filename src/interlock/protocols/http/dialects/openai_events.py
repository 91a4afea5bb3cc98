"""The events of a model's streamed answer, masked: of the Responses API and of Chat Completions.

A text comes in many events, one piece in each; pieces are put together for each item, part or choice
(``openai_texts``), and every piece is said by an event that the provider sent. What an event holds besides is masked as
the JSON document that it is, as are the events that repeat whole texts at their end. Probabilities of tokens are left
out: they spell the text once more.

An event is the text of one JSON object. ``take`` gives the events that go on in its place, ``finish`` those that were
held. Both raise ``BodyRefused``.
"""

import json
from typing import Final, NamedTuple, Protocol

import msgspec

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.bodies.substitutes import STARS, permitted
from interlock.protocols.http.dialects.openai_texts import StreamedText

Event = dict[str, object]
Path = tuple[str | int, ...]
"""Where in an event a text is: names of members and, for elements of lists, what their ``index`` says."""

MAX_TEXTS: Final = 128
"""How many texts may be under way at once."""


class Said(NamedTuple):
    """One event that goes on: its type, empty where events have none, and its text."""

    kind: str
    data: bytes


class EventMasker(Protocol):
    """Masks the events of one stream."""

    def take(self, data: bytes) -> list[Said]: ...

    def finish(self) -> list[Said]: ...


def read_event(data: bytes) -> Event:
    """The object that an event is. Numbers stay as they were written, but for small whole ones."""
    value = read_value(data, "an event of the stream")
    if not isinstance(value, dict):
        raise BodyRefused("an event of the stream is not a JSON object")
    return value


def read_value(data: bytes, what: str) -> object:
    """What a JSON text holds. Raises ``BodyRefused`` when that can be read in two ways."""
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_members,
            parse_int=_whole,
            parse_float=_verbatim,
            parse_constant=_verbatim,
        )
    except (ValueError, RecursionError):
        raise BodyRefused(f"{what} is not JSON with one meaning") from None


def write_value(value: object) -> bytes:
    """The text of what ``read_value`` has read."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError):
        raise BodyRefused("it has half a surrogate pair, or is nested too deeply") from None


def _members(pairs: list[tuple[str, object]]) -> Event:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is there twice")
    return members


def _whole(number: str) -> object:
    return int(number) if len(number) < 16 else _verbatim(number)


def _verbatim(number: str) -> object:
    return msgspec.Raw(number.encode())


def without_probabilities(value: object) -> object:
    """The value without the probabilities of its tokens: empty lists for lists, null for all else."""
    if isinstance(value, dict):
        return {key: _emptied(key, member) for key, member in value.items()}
    if isinstance(value, list):
        return [without_probabilities(element) for element in value]
    return value


def _emptied(key: str, member: object) -> object:
    if key in ("logprobs", "top_logprobs") and not isinstance(member, int):
        return [] if isinstance(member, list) else None
    return without_probabilities(member)


class StreamMasking:
    """What both kinds of stream need: texts under way, and masks for what is no piece of a text."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self.fields = plan.fields.root
        self._plan = plan
        self._tally = tally
        self._texts: dict[Path, StreamedText] = {}
        self._hidden: dict[tuple[str, ...], bool] = {}

    def hides(self, *names: str) -> bool:
        """Whether a mask may lie on a field of one of these names: those that a text is in where it is whole.

        Raises ``BodyRefused`` when such a field must not be there at all.
        """
        hidden = self._hidden.get(names)
        if hidden is None:
            selectors = self._plan.fields
            masks = [selectors.by_last_name[name] for name in names if name in selectors.by_last_name]
            hidden = self._hidden[names] = selectors.masks_anything or any(map(permitted, masks))
        return hidden

    def passed(self, path: Path, piece: str, *names: str) -> str:
        """What goes on of a text, now that a piece more is there; ``names`` as for ``hides``."""
        if self.hides(*names):
            self._tally.masked_values += 1
            return STARS if piece else ""
        text = self._texts.get(path)
        if text is None:
            if len(self._texts) >= MAX_TEXTS:
                raise BodyRefused(f"the stream has more than {MAX_TEXTS} texts under way")
            text = self._texts[path] = StreamedText(self._plan, self._tally)
        return text.feed(piece)

    def end(self, path: Path) -> str:
        """The rest of a text that is over."""
        text = self._texts.pop(path, None)
        return "" if text is None else text.finish()

    def under_way(self, *beginning: str | int) -> list[Path]:
        """The texts whose paths begin like this."""
        return [path for path in self._texts if path[: len(beginning)] == beginning]

    def document(self, event: Event) -> bytes:
        """The text of an event, masked where it is no piece of a text."""
        masker = JsonMasker(self._plan, self._tally)
        return masker.feed(write_value(without_probabilities(event))) + masker.finish()
