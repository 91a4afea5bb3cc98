"""Responses over WebSocket: the messages of one connection to ``/v1/responses``.

A client's text is a request of its own: ``response.create`` has the members of a body of ``POST /v1/responses`` beside
its ``type``, ``response.steer`` gives one more input to an answer under way. What the provider sends are the events
that it would stream, one in each text, for one or several answers.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from interlock.core.content.tally import Tally
from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.plan import plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.json_facts import BodyRejected
from interlock.protocols.http.dialects.openai_requests import ModelRequest, read_model_request
from interlock.protocols.http.dialects.openai_response_events import ResponseEvents
from interlock.protocols.http.dialects.openai_tools import Document
from interlock.protocols.http.dialects.openai_usage import event_tokens, said_tokens
from interlock.protocols.http.problems import denial_problem, error_of
from interlock.protocols.http.websocket.values import Filtered

CREATE: Final = "response.create"
STEER: Final = "response.steer"


def read_client_message(document: Document) -> ModelRequest:
    """What a client's message asks for. Raises ``BodyRejected`` for what is no request of a kind that is known."""
    kind = document.get("type")
    if kind not in (CREATE, STEER):
        raise BodyRejected(f"A message must be of type {CREATE} or {STEER}.")
    asked = read_model_request(document)
    if kind == STEER and (asked.model is not None or asked.hosted):
        raise BodyRejected(f"{STEER} must have neither a model nor tools nor files to fetch.")
    return msgspec.structs.replace(asked, stream=True)


def refused_message(text: bytes, denial: Denial, link: str) -> bytes:
    """The event that tells a client that its message was refused; ``link`` as for ``Dialect.refuse``."""
    error = error_of(denial_problem(denial, "", link))
    return msgspec.json.encode({"type": "error", "status": 403, "error": error, **_lane(text)})


def _lane(text: bytes) -> dict[str, str]:
    """The lane that a client gave its request, which its answers carry as well."""
    try:
        stream_id = msgspec.json.decode(text, type=_Lane).stream_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {} if stream_id is None else {"stream_id": stream_id[:128]}


class _Lane(msgspec.Struct):
    stream_id: str | None = None


class AnswerMessages:
    """Implements ``MessageFilter`` of a dialect for what the provider sends over one connection."""

    def __init__(self, masking: Masking | None) -> None:
        self._tally = Tally()
        self._said = self._under_way = self._used = 0
        self._change: Callable[[bytes], Filtered] = _unchanged
        self.mask_as(masking)

    @property
    def usage(self) -> int:
        """Tokens of all answers so far; of one that is under way, an estimate."""
        return self._used

    @property
    def masked_values(self) -> int:
        return self._tally.masked_values

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self._tally.found.items()))

    def mask_as(self, masking: Masking | None) -> None:
        """What is masked from here on; texts that are under way have their rest left out."""
        if masking is None or not (masking.fields or masking.detectors):
            self._change = _unchanged
        else:
            self._events = ResponseEvents(plan_for(masking), self._tally)
            self._change = self._masked

    def take(self, text: bytes) -> Filtered | str:
        """What goes on in the place of a text of the provider, or why nothing must go on."""
        self._count(text)
        try:
            return self._change(text)
        except BodyRefused as error:
            return error.reason

    def _count(self, text: bytes) -> None:
        said = said_tokens(text)
        self._said += said
        self._under_way = 0 if said else self._under_way + event_tokens(text)
        self._used = max(self._used, self._said + self._under_way)

    def _masked(self, text: bytes) -> Filtered:
        before = self._tally.masked_values
        said = tuple(event.data for event in self._events.take(text))
        return Filtered(b"", self._tally.masked_values - before, said)


def _unchanged(text: bytes) -> Filtered:
    return Filtered(text)
