"""The chunks of Chat Completions, masked: each has pieces of texts of some choices.

What is held of a choice's texts goes out with the chunk that says why the choice is over; when there is none, with one
more chunk like the last one.
"""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.fields import FieldState
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.openai_events import Event, Path, Said, StreamMasking, read_event, write_value

_PIECES: Final = frozenset(
    {"content", "text", "refusal", "reasoning", "reasoning_content", "transcript", "arguments", "input"}
)
"""Members of a choice that have pieces of texts, when they are texts."""
_AROUND: Final = ("choices", "message", "delta", "tool_calls", "function")
"""Names of what a text is in."""
_ENVELOPE: Final = ("id", "object", "created", "model")


class ChatEvents:
    """Implements ``EventMasker``."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._masking = StreamMasking(plan, tally)
        self._choice_fields = self._masking.fields.member(b"choices").element()
        self._envelope: Event = {}

    def take(self, data: bytes) -> list[Said]:
        event = read_event(data)
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return [Said("", self._masking.document(event))]
        self._envelope = {key: event[key] for key in _ENVELOPE if key in event}
        texts = [self._texts(position, choice) for position, choice in enumerate(choices)]
        masked = read_event(self._masking.document(event))
        return [Said("", write_value(_with_texts(masked, texts)))]

    def finish(self) -> list[Said]:
        choices: dict[str | int, dict[Path, str]] = {}
        for path in self._masking.under_way():
            choices.setdefault(path[0], {})[path] = self._masking.end(path)
        return [self._chunk(index, texts) for index, texts in choices.items()]

    def _chunk(self, index: str | int, texts: dict[Path, str]) -> Said:
        event = {**self._envelope, "choices": [{"index": index, "delta": {}, "finish_reason": None}]}
        masked = read_event(self._masking.document(event))
        return Said("", write_value(_with_texts(masked, [texts])))

    def _texts(self, position: int, choice: object) -> dict[Path, str]:
        """What goes on of the texts of a choice. Their pieces are taken out of it."""
        if not isinstance(choice, dict):
            raise BodyRefused("a chunk of the stream has a choice that is no object")
        index = _index(choice, position)
        pieces: dict[Path, str] = {}
        _take_pieces(choice, (index,), self._choice_fields, pieces)
        passed = {path: self._masking.passed(path, piece, str(path[-1]), *_AROUND) for path, piece in pieces.items()}
        if choice.get("finish_reason") is not None:
            for path in self._masking.under_way(index):
                passed[path] = passed.get(path, "") + self._masking.end(path)
        return {path: text for path, text in passed.items() if text or path in pieces}


def _index(element: object, position: int) -> int:
    index = element.get("index", position) if isinstance(element, dict) else position
    if not isinstance(index, int):
        raise BodyRefused("a chunk of the stream has an index that is no number")
    return index


def _take_pieces(value: object, path: Path, fields: FieldState, pieces: dict[Path, str]) -> None:
    """Pieces of texts, by where they are; a piece that is a masked field is left where it is."""
    if isinstance(value, list):
        for position, element in enumerate(value):
            _take_pieces(element, (*path, _index(element, position)), fields.element(), pieces)
    elif isinstance(value, dict):
        for key, member in value.items():
            state = fields.member(key.encode(errors="replace"))
            if state.mask is not None:
                continue
            if key in _PIECES and isinstance(member, str):
                pieces[(*path, key)] = member
                value[key] = None
            else:
                _take_pieces(member, (*path, key), state, pieces)


def _with_texts(event: Event, texts: list[dict[Path, str]]) -> Event:
    """An event whose choices have these texts put in."""
    choices = event.get("choices")
    if not isinstance(choices, list):
        raise BodyRefused("a chunk of the stream has no choices once it is masked")
    for choice, choice_texts in zip(choices, texts, strict=True):
        for path, text in choice_texts.items():
            _put(choice, path[1:], text)
    return event


def _put(value: object, path: Path, text: str) -> None:
    """Put a text where its path leads, and make what is missing on the way."""
    step = path[0]
    if isinstance(value, list) and isinstance(step, int):
        element = next((one for position, one in enumerate(value) if _index(one, position) == step), None)
        if element is None:
            element = {"index": step}
            value.append(element)
        _put(element, path[1:], text)
    elif isinstance(value, dict) and isinstance(step, str):
        if len(path) == 1:
            value[step] = text
        else:
            _put(value.setdefault(step, [] if isinstance(path[1], int) else {}), path[1:], text)
    else:
        raise BodyRefused("a chunk of the stream has not the form that its texts had before")
