"""The API of models as OpenAI has it, and many providers after it: Responses and Chat Completions.

A request to a model is the access ``model-call`` on the model, and ``model-tool`` on every hosted tool that it declares
(``openai_tools``). Traces that an agent sends to the provider stay here, as evidence. Everything else, embeddings and
files among it, has the meaning of plain HTTP.

What a model is told and says is looked at on its way, but never decided on: that is for people and for budgets.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HostedTools, HttpTarget
from interlock.protocols.http.dialects.base import AnswerFilter, Reading, Reply, Request
from interlock.protocols.http.dialects.json_facts import NO_BODY, BodyRejected, parse_json
from interlock.protocols.http.dialects.openai_answers import answer_filter
from interlock.protocols.http.dialects.openai_refusals import denied_hosted_tool, refusal
from interlock.protocols.http.dialects.openai_removal import without_tool
from interlock.protocols.http.dialects.openai_requests import ModelRequest, read_model_request
from interlock.protocols.http.dialects.openai_usage import Usage
from interlock.protocols.http.dialects.plain import PlainDialect, header, http_facts
from interlock.protocols.http.wire.messages import ResponseHead

_KEPT_MEANINGS: Final = 1000
_MODEL_PATHS: Final = ("/responses", "/responses/compact", "/responses/input_tokens", "/chat/completions")


class OpenAiDialect:
    """Implements ``AmendingDialect`` for one connection to a model API."""

    def __init__(self, target: HttpTarget) -> None:
        """Raises ``ValueError`` for endpoints that contradict one another."""
        self._target = target
        self._plain = PlainDialect(target)
        self._meanings: dict[tuple[str, ModelRequest], Meaning] = {}

    def wants_body(self, request: Request) -> bool:
        return is_model_call(request) or self._plain.wants_body(request)

    def read(self, request: Request, masking: Masking | None) -> Reading:
        if not is_model_call(request):
            return self._plain.read(request, masking)
        try:
            body = held_json(request)
            return Reading(self._meaning(request, body))
        except BodyRejected as error:
            return Reading(_refused(request, str(error)))

    def amend(self, request: Request, reading: Reading, denial: Denial, masking: Masking | None) -> Reading | None:
        """As ``AmendingDialect``: in ``hosted_tools = "remove"`` without the hosted tool that was denied."""
        body = request.body if reading.body is None else reading.body
        tool = denied_hosted_tool(denial)
        if self._target.hosted_tools is not HostedTools.REMOVE or not tool or body is None:
            return None
        if (amended := without_tool(body, tool)) is None:
            return None
        meaning = self._meaning(request, amended)
        if Access("model-tool", ResourceKind.HOSTED_TOOL, (tool,)) in meaning.accesses:
            return None
        return msgspec.structs.replace(reading, meaning=meaning, body=amended)

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str) -> Reply | None:
        if not is_model_call(request):
            return self._plain.refuse(request, reading, denial, link)
        return refusal(denial, link)

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        own = is_model_call(request)
        usage = Usage(len(request.body or b"") if own else 0, own and head.status < 300)
        kind = header(head.headers, b"content-type").partition(b";")[0].strip().lower()
        return answer_filter(request.path, kind, masking, usage, self._target.max_held_bytes)

    def _meaning(self, request: Request, body: bytes) -> Meaning:
        """One and the same for requests that policy cannot tell apart, so that a decision is remembered."""
        document = parse_json(body)
        if not isinstance(document, dict):
            raise BodyRejected("The body must be a JSON object.")
        key = (request.path, read_model_request(document))
        meaning = self._meanings.get(key)
        if meaning is None:
            if len(self._meanings) >= _KEPT_MEANINGS:
                del self._meanings[next(iter(self._meanings))]
            meaning = self._meanings[key] = meaning_of(request, key[1])
        return meaning


def is_model_call(request: Request) -> bool:
    """Whether a model is to answer this request."""
    return request.method == "POST" and model_path(request.path) != ""


def model_path(path: str) -> str:
    """The end of a path that says which part of the API it is, empty for what has the meaning of plain HTTP.

    Letters and a slash at the end make no difference, as they make none to some servers.
    """
    folded = path.casefold().removesuffix("/")
    return next((end for end in _MODEL_PATHS if folded.endswith(end)), "")


def held_json(request: Request) -> bytes:
    """The body of a request to a model. Raises ``BodyRejected`` when it was not held, or is not said to be JSON."""
    if not request.has_body:
        raise BodyRejected("A request to a model needs a body in JSON.")
    if request.body is None:
        raise BodyRejected("The body is too long to be read before it is decided. Send less at once.")
    if request.content_type != "application/json" or not _is_utf8(request):
        raise BodyRejected("The content type of a request to a model must be application/json, in UTF-8.")
    return request.body


def _is_utf8(request: Request) -> bool:
    """Whether nothing says that it is something else."""
    for name, value in request.headers:
        if name == b"content-type" and b"charset" in value.lower():
            _, _, parameters = value.lower().partition(b";")
            return parameters.replace(b" ", b"").replace(b'"', b"") == b"charset=utf-8"
    return True


def meaning_of(request: Request, asked: ModelRequest) -> Meaning:
    """What a request to a model means; without a model in it, that is a call of any model of the connection."""
    if asked.model is None:
        call = Access("model-call", ResourceKind.CONNECTION)
    else:
        call = Access("model-call", ResourceKind.MODEL, (asked.model,))
    tools = (Access("model-tool", ResourceKind.HOSTED_TOOL, (tool,)) for tool in asked.hosted)
    facts = {"http": http_facts(request, NO_BODY), "model": _model_facts(asked)}
    return Meaning(f"POST {request.path} {asked.model or ''}".rstrip(), (call, *tools), MappingProxyType(facts))


def _model_facts(asked: ModelRequest) -> Mapping[str, object]:
    return {
        "name": asked.model or "",
        "tools": asked.hosted,
        "functions": asked.functions,
        "stored_prompt": bool(asked.stored_prompt),
        "stream": asked.stream,
        "background": asked.background,
        "continued": asked.continued,
    }


def _refused(request: Request, sentence: str) -> Meaning:
    """A request that cannot be read in one way only."""
    call = Access("model-call", ResourceKind.CONNECTION)
    facts = {"http": http_facts(request, NO_BODY)}
    return Meaning(f"POST {request.path}", (call,), MappingProxyType(facts), refusal=sentence)
