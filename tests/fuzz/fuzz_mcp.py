"""MCP: requests in every body, and servers' answers in any cut. The first byte chooses what the rest is.

A request is never an error. What reaches the client of an answer holds no tool that was not reviewed, and does not
depend on the cut.
"""

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.dialects"]):
    from interlock.protocols.http.bodies.refusal import BodyRefused
    from interlock.protocols.http.dialects.event_stream import EventStream
    from interlock.protocols.http.dialects.mcp_messages import Message, read_message
    from tests.protocols.http.dialects.mcp_examples import answer_of, call, dialect, post, through

from tests.fuzz.target import run


def messages_in(body: bytes, content_type: str) -> list[bytes]:
    if content_type == "application/json":
        return [body] if body else []
    events = EventStream()
    events.feed(body)
    return [event.data for event in iter(events.next, None) if event.data]


def tools_in(text: bytes) -> object:
    message = read_message(text)
    assert isinstance(message, Message)
    return message.result.get("tools")


def test_one_input(data: bytes) -> None:
    kind, body = (data[0], data[1:]) if data else (0, data)
    if kind % 3 == 0:
        reading = dialect().read(post(body), None)
        assert reading.meaning.accesses
        assert dialect().read(post(body), None).meaning is reading.meaning
        return
    content_type = "application/json" if kind % 3 == 1 else "text/event-stream"
    outputs = []
    for size in (1 + kind % 7, len(body) + 1):
        with contextlib.suppress(BodyRefused):
            out = through(answer_of(call(), content_type), body, frozenset(), size)
            assert not any(tools_in(text) for text in messages_in(out, content_type))
            outputs.append(out)
    assert len(outputs) in (0, 2)
    assert len(set(outputs)) <= 1


if __name__ == "__main__":
    run("mcp", test_one_input)
