"""The API of models as OpenAI has it, and many providers after it: Responses and Chat Completions.

A request to a model is the access ``model-call`` on the model, and ``model-tool`` on every hosted tool that it declares
(``openai_tools``). So is every text that a client sends over a WebSocket connection to Responses. Traces that an agent
sends to the provider stay here, as evidence. Everything else, embeddings and files among it, has the meaning of plain
HTTP.

What a model is told and says is looked at on its way, but never decided on: that is for people and for budgets.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import HostedTools, HttpTarget
from interlock.protocols.http.dialects.base import AnswerFilter, MessageFilter, Reading, Reply, Request
from interlock.protocols.http.dialects.body_facts import header
from interlock.protocols.http.dialects.json_facts import NO_BODY, BodyRejected, parse_json
from interlock.protocols.http.dialects.openai_answers import answer_filter
from interlock.protocols.http.dialects.openai_messages import AnswerMessages, read_client_message, refused_message
from interlock.protocols.http.dialects.openai_prompts import masked_prompt
from interlock.protocols.http.dialects.openai_removal import denied_hosted_tool, without_tool
from interlock.protocols.http.dialects.openai_requests import ModelRequest, read_model_request
from interlock.protocols.http.dialects.openai_tools import Document
from interlock.protocols.http.dialects.openai_traces import KEPT, TRACES_PATH, trace_summary
from interlock.protocols.http.dialects.openai_usage import Usage
from interlock.protocols.http.dialects.plain import PlainDialect, asks_for_websocket, http_facts
from interlock.protocols.http.wire.messages import ResponseHead

_KEPT_MEANINGS: Final = 500
_KEPT_FUNCTIONS: Final = 64
"""The meaning of a request that declares more is not kept."""
_RESPONSES: Final = "/responses"
_MODEL_PATHS: Final = (_RESPONSES, "/responses/compact", "/responses/input_tokens", "/chat/completions")

_Reader = Callable[[Document], ModelRequest]


class OpenAiDialect:
    """Implements ``AmendingDialect`` and ``MessageDialect`` for one connection to a model API."""

    def __init__(self, target: HttpTarget) -> None:
        """Raises ``ValueError`` for endpoints that contradict one another."""
        self._target = target
        self._plain = PlainDialect(target)
        self._meanings: dict[tuple[object, ...], Meaning] = {}

    # ------------------------------------------------------------------------------------------ requests

    def wants_body(self, request: Request) -> bool:
        return is_model_call(request) or is_trace(request) or self._plain.wants_body(request)

    def read(self, request: Request, masking: Masking | None) -> Reading:
        if is_trace(request):
            return self._trace(request)
        if not is_model_call(request):
            return self._plain.read(request, masking)
        try:
            return self._call(request, held_json(request), read_model_request, masking)
        except BodyRejected as error:
            return Reading(_refused(request, request.path, str(error)))

    def amend(self, request: Request, reading: Reading, denial: Denial, masking: Masking | None) -> Reading | None:
        return self._amended(request, request.body, reading, denial, read_model_request)

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str, approval: str = "") -> Reply | None:
        return None

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        own = is_model_call(request)
        usage = Usage(len(request.body or b"") if own else 0, own and head.status < 300)
        kind = header(head.headers, b"content-type").partition(b";")[0].strip().lower()
        return answer_filter(request.path, kind, masking, usage, self._target.max_held_bytes)

    # ------------------------------------------------------------------------------------------ messages

    def has_messages(self, request: Request) -> bool:
        return asks_for_websocket(request.headers) and _end_of(request.path) == _RESPONSES

    def read_message(self, request: Request, text: bytes, masking: Masking | None) -> Reading:
        try:
            return self._call(request, text, read_client_message, masking)
        except BodyRejected as error:
            return Reading(_refused(request, "message", str(error)))

    def amend_message(
        self, request: Request, text: bytes, reading: Reading, denial: Denial, masking: Masking | None
    ) -> Reading | None:
        return self._amended(request, text, reading, denial, read_client_message)

    def refuse_message(self, request: Request, text: bytes, reading: Reading, denial: Denial, link: str) -> bytes:
        return refused_message(text, denial, link)

    def answer_messages(self, request: Request, masking: Masking | None) -> MessageFilter:
        return AnswerMessages(masking)

    # ------------------------------------------------------------------------------------------ both

    def _call(self, request: Request, body: bytes, reader: _Reader, masking: Masking | None) -> Reading:
        """A request to a model, as it may leave; it is decided on in that form."""
        leaving = masked_prompt(body, masking) if self._target.outside else body
        meaning = self._meaning(request, reader, leaving)
        return Reading(meaning, body=None if leaving == body else leaving)

    def _amended(
        self, request: Request, body: bytes | None, reading: Reading, denial: Denial, reader: _Reader
    ) -> Reading | None:
        """In ``hosted_tools = "remove"``, the request without the hosted tool that was denied."""
        body, tool = reading.body or body, denied_hosted_tool(denial)
        if self._target.hosted_tools is not HostedTools.REMOVE or not tool or body is None:
            return None
        if (amended := without_tool(body, tool)) is None:
            return None
        meaning = self._meaning(request, reader, amended)
        if Access("model-tool", ResourceKind.HOSTED_TOOL, (tool,)) in meaning.accesses:
            return None
        return msgspec.structs.replace(reading, meaning=meaning, body=amended)

    def _meaning(self, request: Request, reader: _Reader, body: bytes) -> Meaning:
        """One and the same for requests that policy cannot tell apart, so that a decision is remembered."""
        document = parse_json(body)
        if not isinstance(document, dict):
            raise BodyRejected("A request to a model must be a JSON object.")
        asked = reader(document)
        name = request.path if reader is read_model_request else str(document["type"])
        key = (name, request.path, request.query_keys, request.host, request.content_type, asked)
        meaning = self._meanings.get(key)
        if meaning is None:
            meaning = meaning_of(request, name, asked)
            if len(asked.functions) <= _KEPT_FUNCTIONS:
                self._keep(key, meaning)
        return meaning

    def _keep(self, key: tuple[object, ...], meaning: Meaning) -> None:
        if len(self._meanings) >= _KEPT_MEANINGS:
            del self._meanings[next(iter(self._meanings))]
        self._meanings[key] = meaning

    def _trace(self, request: Request) -> Reading:
        """A batch of traces: what plain HTTP it is, with an answer of the gateway itself."""
        bare = msgspec.structs.replace(request, body=None, has_body=False)
        meaning = self._plain.read(bare, None).meaning
        try:
            verb = f"TRACE {trace_summary(parse_json(held_json(request)))}"
        except BodyRejected as error:
            return Reading(msgspec.structs.replace(meaning, refusal=str(error)))
        return Reading(msgspec.structs.replace(meaning, verb=verb), reply=KEPT)


def is_model_call(request: Request) -> bool:
    """Whether a model is to answer this request."""
    return is_model_request(request.method, request.path)


def is_model_request(method: str, path: str) -> bool:
    """Whether a request with this method and path is one to a model."""
    return method == "POST" and _end_of(path) in _MODEL_PATHS


def is_trace(request: Request) -> bool:
    """Whether an agent tells the provider what it did."""
    return request.method == "POST" and _end_of(request.path) == TRACES_PATH


def _end_of(path: str) -> str:
    """The end of a path that says which part of the API it is, empty for what has the meaning of plain HTTP.

    Letters and a slash at the end make no difference, as they make none to some servers.
    """
    folded = path.casefold().removesuffix("/")
    return next((end for end in (*_MODEL_PATHS, TRACES_PATH) if folded.endswith(end)), "")


def held_json(request: Request) -> bytes:
    """The body of a request. Raises ``BodyRejected`` when it was not held, or is not said to be JSON."""
    if not request.has_body:
        raise BodyRejected("A request to a model needs a body in JSON.")
    if request.body is None:
        raise BodyRejected("The body is too long to be read before it is decided. Send less at once.")
    if request.content_type != "application/json" or not _is_plain_utf8(request):
        raise BodyRejected(
            "The content type of a request to a model must be application/json, in UTF-8, without coding."
        )
    return request.body


def _is_plain_utf8(request: Request) -> bool:
    """Whether nothing says that it is something else."""
    types = [value for name, value in request.headers if name == b"content-type"]
    _, _, parameters = types[0].lower().partition(b";") if types else (b"", b"", b"")
    said = parameters.replace(b" ", b"").replace(b'"', b"")
    coded = header(request.headers, b"content-encoding").lower() not in (b"", b"identity")
    return len(types) < 2 and not coded and (b"charset" not in said or said == b"charset=utf-8")


def meaning_of(request: Request, name: str, asked: ModelRequest) -> Meaning:
    """What a request to a model means; without a model in it, that is a call of any model of the connection."""
    if asked.model is None:
        call = Access("model-call", ResourceKind.CONNECTION)
    else:
        call = Access("model-call", ResourceKind.MODEL, (asked.model,))
    tools = (Access("model-tool", ResourceKind.HOSTED_TOOL, (tool,)) for tool in asked.hosted)
    facts = {"http": http_facts(request, NO_BODY), "model": _model_facts(asked)}
    verb = " ".join(filter(None, (_method(request, name), asked.model)))
    return Meaning(verb, (call, *tools), MappingProxyType(facts))


def _method(request: Request, name: str) -> str:
    return f"POST {name}" if request.method == "POST" else name


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


def _refused(request: Request, name: str, sentence: str) -> Meaning:
    """A request that cannot be read in one way only."""
    call = Access("model-call", ResourceKind.CONNECTION)
    facts = {"http": http_facts(request, NO_BODY)}
    return Meaning(_method(request, name), (call,), MappingProxyType(facts), refusal=sentence)
