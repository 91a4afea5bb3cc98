"""Answers that the gateway itself gives to MCP clients.

A call that is refused is answered with a *result* that says so (``isError``): agents show it to their model, while an
HTTP status or a JSON-RPC error is hidden from it.
"""

from interlock.core.denial import Denial
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.dialects.mcp_messages import FIRST_STATELESS, REFUSED, Malformed, written


def tool_error(identity: str | int | None, version: str, text: str) -> dict[str, object]:
    """A result of ``tools/call`` that says what went wrong to the model."""
    result: dict[str, object] = {"content": [{"type": "text", "text": text}], "isError": True}
    if version == FIRST_STATELESS:
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def error(identity: str | int | None, code: int, text: str, data: object = None) -> dict[str, object]:
    """A JSON-RPC error."""
    said: dict[str, object] = {"code": code, "message": text}
    if data is not None:
        said["data"] = data
    return {"jsonrpc": "2.0", "id": identity, "error": said}


def malformed(problem: Malformed, accept: bytes) -> Reply:
    """The answer to what is no message that can be passed on."""
    return reply(error(problem.id, problem.code, problem.reason, problem.data), accept, problem.status)


def refused(identity: str | int | None, denial: Denial, link: str, accept: bytes) -> Reply:
    """The answer to a request other than a call that is denied."""
    data = {"reason": denial.reason.value, "rules": list(denial.rules)}
    return reply(error(identity, REFUSED, sentence(denial, link), data), accept)


def sentence(denial: Denial, link: str) -> str:
    """A denial for whoever reads it: what, why, and what can be done."""
    where = f"It can be answered at: {link}" if link else ""
    return " ".join(filter(None, (denial.message, denial.hint, where)))


def reply(message: dict[str, object], accept: bytes, status: int = 200) -> Reply:
    """A message as JSON, or as an event of a stream for a client that takes nothing else."""
    text = written(message)
    if status == 200 and takes_events_only(accept):
        return Reply(200, ((b"content-type", b"text/event-stream"),), b"event: message\ndata: " + text + b"\n\n")
    return Reply(status, ((b"content-type", b"application/json"),), text)


def takes_events_only(accept: bytes) -> bool:
    """Whether ``Accept`` names event streams and nothing that JSON is."""
    kinds = {kind.partition(b";")[0].strip().lower() for kind in accept.split(b",")}
    return b"text/event-stream" in kinds and kinds.isdisjoint({b"application/json", b"application/*", b"*/*"})
