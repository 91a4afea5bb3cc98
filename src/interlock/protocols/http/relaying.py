"""The answer of one exchange on its way from the target to the client: looked into, recorded, and only then sent.

It decides nothing: what must not go on is raised. The module is plain typed Python that mypyc compiles where a C
compiler is at hand.
"""

from typing import Final

from interlock.core.operation import NO_FACTS
from interlock.protocols import base
from interlock.protocols.base import Effect
from interlock.protocols.http.answering import Answer
from interlock.protocols.http.client_end import ClientEnd
from interlock.protocols.http.dialects.answer_fields import masking_with
from interlock.protocols.http.exchange import Exchange
from interlock.protocols.http.target_end import TargetEnd
from interlock.protocols.http.terms import Terms
from interlock.protocols.http.wire.messages import BodyData, BodyEnd, ResponseHead


class BudgetSpent(Exception):
    """No more of the answer may go out."""


class AnswerRelay:
    """Takes the parts of answers in order. Every method raises ``BudgetSpent``, ``BodyRefused``, and ``ValueError``
    for a head that cannot be written."""

    def __init__(self, client: ClientEnd, target: TargetEnd) -> None:
        self._client: Final = client
        self._target: Final = target

    def take(
        self,
        exchange: Exchange,
        message: ResponseHead | BodyData | BodyEnd | None,
        terms: Terms,
        effects: list[Effect],
    ) -> bool:
        """Take one part, None when for now there is no more; whether the answer is over.

        A head goes out with what has come behind it; that of an answer that is changed, with the first of its body.
        """
        if type(message) is ResponseHead:
            if message.status >= 200:
                self._head(exchange, message, terms, effects)
            return False
        answer = exchange.answer
        if message is None:
            if answer is not None and (answer.streams or not answer.is_changed):
                self._show(exchange, answer, b"", effects, head_too=True)
            return False
        assert answer is not None
        if type(message) is BodyData:
            self._show(exchange, answer, answer.feed(message.data), effects)
            self._review(exchange, answer, effects)
            return False
        assert type(message) is BodyEnd
        return self._end(exchange, answer, message, effects)

    def reviewed(self, exchange: Exchange, shown: tuple[bool, ...], effects: list[Effect]) -> bool:
        """It is said which tools of the answer may be shown; whether the answer is over."""
        answer = exchange.answer
        if answer is None or answer.filter is None:
            return False
        exchange.reviewing = False
        self._show(exchange, answer, answer.show(answer.filter.reviewed(shown)), effects)
        self._review(exchange, answer, effects)
        if exchange.end is None or exchange.reviewing:
            return False
        end, exchange.end = exchange.end, None
        return self._end(exchange, answer, end, effects)

    def _head(self, exchange: Exchange, head: ResponseHead, terms: Terms, effects: list[Effect]) -> None:
        request, reading, http = exchange.request, exchange.reading, terms.settings.http
        assert request is not None
        assert reading is not None
        looked = terms.dialect.answer(request, reading, head, terms.masking)
        masking = terms.masking
        if masking is not None and reading.fields:
            masking = masking_with(masking, reading.fields)
        if head.status == 401:
            effects.append(base.ForgetCredential())
        keeps_challenge = http.credential_as == "none"
        exchange.answer = answer = Answer(
            head, looked, masking, http.uninspectable, exchange.head, keeps_challenge, self._target.secrets
        )
        exchange.target_stays = head.keep_alive
        exchange.head_bytes = answer.head(exchange.place(terms.settings), exchange.stays)

    def _show(
        self, exchange: Exchange, answer: Answer, data: bytes, effects: list[Effect], *, head_too: bool = False
    ) -> None:
        """Record a part of the answer, and send it. A head waits for the first of its body, unless ``head_too``."""
        if not data and (exchange.head_sent or not head_too):
            return
        recorded, sent = data, answer.framed(data)
        if not exchange.head_sent:
            recorded = exchange.head_bytes + data
            sent = recorded if sent is data else exchange.head_bytes + sent
        if not exchange.may_pass(len(sent)):
            raise BudgetSpent
        exchange.head_sent = True
        effects.append(base.RecordAnswer(exchange.number, recorded))
        self._client.write(sent)

    def _end(self, exchange: Exchange, answer: Answer, end: BodyEnd, effects: list[Effect]) -> bool:
        rest = answer.finish()
        if answer.filter is not None and answer.filter.listed:
            exchange.end = end
            self._show(exchange, answer, rest, effects)
            self._review(exchange, answer, effects)
            return False
        self._show(exchange, answer, rest, effects, head_too=True)
        self._client.write(answer.end(end.trailers))
        return True

    def _review(self, exchange: Exchange, answer: Answer, effects: list[Effect]) -> None:
        """Have it said which of the tools in an answer may be shown; the answer waits for it."""
        if answer.filter is None or exchange.reviewing:
            return
        tools = answer.filter.listed
        if tools:
            exchange.reviewing = True
            assert exchange.reading is not None
            facts = exchange.reading.meaning.facts.get("http")
            effects.append(base.ReviewTools(tools, facts if isinstance(facts, dict) else NO_FACTS))
