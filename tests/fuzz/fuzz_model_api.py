"""Model APIs: requests, streamed answers in any cut, and what a replay makes of either.

The first byte chooses what the rest is, the second the size of the pieces. A request is never an error, and one that
is not refused declares no tool that its accesses do not show. The only rejection of an answer is ``BodyRefused``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.dialects"]):
    from interlock.core.catalogue import Catalogue
    from interlock.core.denial import Denial, DenialReason
    from interlock.core.masking import ColumnMask, DetectorMask, Masking, MaskKind
    from interlock.core.operation import Access, ResourceKind
    from interlock.core.settings.http import HostedTools, HttpTarget
    from interlock.protocols.http.bodies.refusal import BodyRefused
    from interlock.protocols.http.dialects.openai import OpenAiDialect
    from interlock.protocols.http.dialects.openai_answers import answer_filter
    from interlock.protocols.http.dialects.openai_conversation import asked_lines, said_lines
    from interlock.protocols.http.dialects.openai_usage import Usage
    from tests.protocols.http.dialects.requests import request

from tests.fuzz.target import run

MASKING = Masking(
    "v1",
    Catalogue("c1"),
    detectors={"credit-card": DetectorMask(True), "email": DetectorMask(True)},
    fields={"salary": ColumnMask(MaskKind.REDACT)},
    key=b"k",
)
DIALECT = OpenAiDialect(HttpTarget(hosted_tools=HostedTools.REMOVE, outside=True))
PATHS = ("/v1/responses", "/v1/chat/completions")
MAX_BYTES = 1 << 20


def test_one_input(data: bytes) -> None:
    choice, size, rest = (data[0], data[1] or 1, data[2:]) if len(data) > 1 else (0, 1, data)
    path = PATHS[choice >> 2 & 1]
    match choice & 3:
        case 0:
            read_request(path, rest)
        case 1:
            assert masked(path, b"text/event-stream", rest, size) == masked(path, b"text/event-stream", rest, MAX_BYTES)
        case 2:
            masked(path, b"application/json", rest, size)
        case _:
            asked_lines(rest)
            said_lines(rest)


def read_request(path: str, body: bytes) -> None:
    asked = request("POST", path, content_type="application/json", body=body)
    reading = DIALECT.read(asked, MASKING)
    if reading.meaning.refusal is not None:
        return
    hosted = [access for access in reading.meaning.accesses if access.kind is ResourceKind.HOSTED_TOOL]
    assert shown(json.loads(reading.body or body)) <= {access.path[0].partition(":")[0] for access in hosted}
    for access in hosted:
        line = access.path[0].replace("%", "%25").replace("/", "%2F")
        denial = Denial(DenialReason.FORBIDDEN, "", access=f"model-tool on hosted tool llm/{line}")
        amended = DIALECT.amend(asked, reading, denial, None)
        if amended is not None:
            assert access not in amended.meaning.accesses
            assert Access("model-call", access.kind) not in amended.meaning.accesses


def shown(document: Any) -> set[str]:
    """Types of hosted tools that anybody would see in a request."""
    tools = document.get("tools") or []
    return {tool["type"] for tool in tools} & {"web_search", "file_search", "image_generation", "code_interpreter"}


def masked(path: str, content_type: bytes, stream: bytes, size: int) -> bytes | None:
    answer = answer_filter(path, content_type, MASKING, Usage(0, True), MAX_BYTES)
    assert answer is not None
    passed = b""
    try:
        for at in range(0, len(stream), size):
            passed += answer.feed(stream[at : at + size])
        passed += answer.finish()
    except BodyRefused:
        return None
    return passed


if __name__ == "__main__":
    run("model_api", test_one_input)
