"""What was asked of a model and what it said, in lines for people: roles, texts, calls of tools and their results.

Reads what was recorded, which may be cut anywhere, and never raises: what it does not understand it leaves out. The
lines are as the parties wrote them; who shows them makes them safe to show.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from interlock.protocols.http.dialects.event_stream import EventStream
from interlock.protocols.http.dialects.json_facts import BodyRejected
from interlock.protocols.http.dialects.openai_requests import read_model_request
from interlock.protocols.http.dialects.openai_usage import tokens_in

MAX_TEXT: Final = 4000
"""Characters of one text that are shown."""
MAX_LINES: Final = 500
MAX_BYTES: Final = 8 << 20
"""Of one answer that are read."""
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_RESULTS: Final = ("output", "result", "content")


def asked_lines(body: bytes) -> list[str]:
    """The lines of a request to a model, or of a client's message over WebSocket; none for anything else."""
    document = _object(body)
    if not {"input", "messages", "instructions", "prompt"} & document.keys():
        return []
    lines = [f"model: {document.get('model') or 'as stored'}", *_declared(document)]
    if isinstance(document.get("instructions"), str):
        lines.append(_line("instructions", document["instructions"]))
    given = document.get("input", document.get("messages"))
    lines += [_line("user", given)] if isinstance(given, str) else _items(given)
    return lines[:MAX_LINES]


def said_lines(answer: bytes) -> list[str]:
    """The lines of a model's answer: JSON in one piece, a stream, or one event of it that has the whole answer."""
    document = _object(answer)
    if document:
        return _document_lines(document)[:MAX_LINES]
    return _stream_lines(answer)[:MAX_LINES]


def ends_answer(event: bytes) -> bool:
    """Whether this is the event of a stream that has the whole answer once more."""
    return _object(event).get("type") in _ENDS


class ModelAnswer:
    """An answer whose body comes in parts; of one that is too long the beginning is read."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        self._body += data[: MAX_BYTES - len(self._body)]

    def lines(self) -> list[str]:
        return said_lines(bytes(self._body))


def _declared(document: dict[str, Any]) -> Iterator[str]:
    try:
        asked = read_model_request(document)
    except BodyRejected:
        return
    if asked.functions:
        yield f"tools of the agent: {', '.join(asked.functions)}"
    if asked.hosted:
        yield f"tools of the provider: {', '.join(asked.hosted)}"


def _document_lines(document: dict[str, Any]) -> list[str]:
    response = document.get("response", document)
    choices = document.get("choices")
    if isinstance(response, dict) and isinstance(response.get("output"), list):
        lines = list(_items(response["output"]))
    elif isinstance(choices, list):
        lines = list(_items([choice.get("message") for choice in choices if isinstance(choice, dict)]))
    else:
        return []
    tokens = tokens_in(document)
    return [*lines, f"tokens: {tokens}"] if tokens else lines


def _stream_lines(answer: bytes) -> list[str]:
    """From the event with the whole answer, or from the pieces when there is none."""
    pieces = _Pieces()
    for event in _events(answer):
        if event.get("type") in _ENDS:
            return _document_lines(event)
        pieces.take(event)
    return pieces.lines()


def _events(answer: bytes) -> Iterator[dict[str, Any]]:
    stream = EventStream()
    stream.feed(answer + b"\n\n")
    while (event := stream.next()) is not None:
        if event.data is not None:
            yield _object(event.data)


class _Pieces:
    """Texts that came in pieces, by what they are and for whom."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._tokens = 0

    def take(self, event: dict[str, Any]) -> None:
        self._tokens = tokens_in(event) or self._tokens
        if isinstance(event.get("delta"), str):
            name = str(event.get("type")).removeprefix("response.").removesuffix(".delta")
            self._add(f"{_SAID.get(name, name)}{_number(event.get('output_index'))}", event["delta"])
        for choice in _list(event.get("choices")):
            if isinstance(choice, dict) and isinstance(choice.get("delta"), dict):
                self._take_choice(choice["delta"], _number(choice.get("index")))

    def _take_choice(self, delta: dict[str, Any], choice: str) -> None:
        for key in ("content", "refusal"):
            if isinstance(delta.get(key), str) and delta[key]:
                self._add(f"assistant{choice}", delta[key])
        for call in _list(delta.get("tool_calls")):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                name = f"call{choice}{_number(call.get('index'), ' #')}"
                self._add(name, f"{function.get('name') or ''} {function.get('arguments') or ''}".lstrip())

    def _add(self, name: str, piece: str) -> None:
        self._texts.setdefault(name, []).append(piece)

    def lines(self) -> list[str]:
        lines = [_line(name, "".join(pieces)) for name, pieces in self._texts.items()]
        return [*lines, f"tokens: {self._tokens}"] if self._tokens else lines


_SAID: Final = {"output_text": "assistant", "function_call_arguments": "call"}


def _number(index: object, sign: str = " ") -> str:
    return f"{sign}{index}" if isinstance(index, int) and index > 0 else ""


def _items(items: object) -> Iterator[str]:
    for item in _list(items):
        if isinstance(item, dict):
            yield from _item(item)


def _item(item: dict[str, Any]) -> Iterator[str]:
    """A message with its calls, a call, a result, or anything else by its type."""
    kind = item.get("type")
    if "role" in item or kind == "message":
        result = f" (result of {item['tool_call_id']})" if item.get("tool_call_id") else ""
        if text := _text(item.get("content")):
            yield _line(f"{item.get('role', 'assistant')}{result}", text)
        for call in _list(item.get("tool_calls")):
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                yield _call({**call["function"], "call_id": call.get("id")}, "call")
    elif isinstance(kind, str) and kind.endswith("_output"):
        yield _line(f"result of {item.get('call_id')}", _text(item.get("output")))
    elif isinstance(kind, str) and kind.endswith("_call"):
        yield _call(item, "call" if kind == "function_call" else kind)
        if result := next((_text(item[key]) for key in _RESULTS if item.get(key)), ""):
            yield _line(f"result of {kind}", result)
    else:
        yield _line(str(kind), _text(item.get("summary") or item.get("content") or item.get("id")))


def _call(call: dict[str, Any], word: str) -> str:
    name = " ".join(str(call[key]) for key in ("server_label", "name") if call.get(key))
    given = next((_text(call[key]) for key in ("arguments", "input", "code", "action") if call.get(key)), "")
    call_id = f" [{call['call_id']}]" if call.get("call_id") else ""
    return _line(f"{word}{call_id}", f"{name} {given}".strip())


def _text(value: object) -> str:
    """A text, or the texts of content parts; of a part that has none, its type."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_parts(value))
    return "" if value is None else msgspec.json.encode(value).decode()


def _parts(parts: Iterable[object]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, dict):
            text = next(
                (part[key] for key in ("text", "refusal", "transcript") if isinstance(part.get(key), str)), None
            )
            yield text if text is not None else f"({part.get('type')})"


def _line(who: str, text: str) -> str:
    more = f" … ({len(text) - MAX_TEXT} more characters)" if len(text) > MAX_TEXT else ""
    return f"{who}: {text[:MAX_TEXT]}{more}"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(data: bytes) -> dict[str, Any]:
    """A JSON object, empty when it is none."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
