"""Streams of a model API as providers send them, for tests."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def sse(events: Iterable[dict[str, Any]], *, named: bool = True, done: bool = False) -> bytes:
    """Events as a stream; ``named`` with a line for the type, as Responses has it."""
    lines = ((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events)
    return "".join(lines).encode() + b"data: [DONE]\n\n" * done


def events(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, without ``[DONE]``."""
    data = (line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: "))
    return [json.loads(text) for text in data if text != b"[DONE]"]


def cut(text: str, size: int) -> list[str]:
    """A text in pieces of a size."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def response(*items: dict[str, Any], status: str = "completed", usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Response, as in ``response.completed`` and in an answer in one piece."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.5,
        "model": "gpt-5",
        "status": status,
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def function_call(arguments: str, name: str = "run_sql", call_id: str = "call_1") -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments}


CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
USAGE = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}


def text_events(pieces: Sequence[str], output_index: int = 0) -> Iterator[dict[str, Any]]:
    """What Responses streams for one message."""
    place = {"item_id": f"msg_{output_index}", "output_index": output_index, "content_index": 0}
    text = "".join(pieces)
    item = {**message(text), "id": place["item_id"]}
    yield {"type": "response.output_item.added", "output_index": output_index, "item": {**item, "content": []}}
    yield {"type": "response.content_part.added", **place, "part": {**item["content"][0], "text": ""}}
    for piece in pieces:
        told = {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": [{"token": piece}]}
        yield {**told, "obfuscation": "xyz"}
    yield {"type": "response.output_text.done", **place, "text": text, "logprobs": [{"token": text}]}
    yield {"type": "response.content_part.done", **place, "part": item["content"][0]}
    yield {"type": "response.output_item.done", "output_index": output_index, "item": item}


def call_events(
    pieces: Sequence[str], output_index: int = 0, name: str = "run_sql", call_id: str = "call_1"
) -> Iterator[dict[str, Any]]:
    """What Responses streams for one call of a function."""
    place = {"item_id": "fc_1", "output_index": output_index}
    item = function_call("".join(pieces), name, call_id)
    yield {"type": "response.output_item.added", "output_index": output_index, "item": {**item, "arguments": ""}}
    for piece in pieces:
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": output_index, "item": item}


def response_stream(*parts: Iterable[dict[str, Any]], output: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """A whole stream, numbered as the provider does it."""
    begun = {"type": "response.created", "response": response(status="in_progress")}
    ended = {"type": "response.completed", "response": response(*output, usage=USAGE)}
    told = [begun, *(event for part in parts for event in part), ended]
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    """One chunk of Chat Completions."""
    spelt = {"content": [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]}
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": spelt}
    return {"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "choices": [choice]}


def chat_text(pieces: Iterable[str], index: int = 0) -> Iterator[dict[str, Any]]:
    """What Chat Completions streams for a choice that is text."""
    yield chunk({"role": "assistant", "content": ""}, index=index)
    for piece in pieces:
        yield chunk({"content": piece}, index=index)
    yield chunk({}, "stop", index)


def chat_calls(calls: Sequence[tuple[str, Sequence[str]]]) -> Iterator[dict[str, Any]]:
    """What it streams for a choice that is calls of functions: their names, and pieces of their arguments."""
    for number, (name, pieces) in enumerate(calls):
        begun = {
            "index": number,
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        yield chunk({"role": "assistant", "content": None, "tool_calls": [begun]})
        for piece in pieces:
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls")


def chat_document(text: str, calls: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """A Chat Completion in one piece."""
    told: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        told["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": told, "finish_reason": "tool_calls" if calls else "stop", "logprobs": None}
    envelope = {"id": "chatcmpl_1", "object": "chat.completion", "created": 1, "model": "gpt-5"}
    return {**envelope, "choices": [choice], "usage": CHAT_USAGE}
