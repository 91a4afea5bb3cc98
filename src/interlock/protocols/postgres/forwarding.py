"""Sends decided groups to the target: whole, or up to what was refused with a placeholder in its place.

Knows what the target does with what it has: whether it skips to a Sync, whether a transaction may be open. Decides
nothing: without a permit no byte of an operation goes out.
"""

import enum

from interlock.core.decision import Decision, Hold, Permit
from interlock.core.denial import Denial
from interlock.core.operation import Outcome, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answers import IDLE, Answers
from interlock.protocols.postgres.denials import BIND_PLACEHOLDER, QUERY_PLACEHOLDER, denial_response
from interlock.protocols.postgres.groups import Group
from interlock.protocols.postgres.metering import Meter
from interlock.protocols.postgres.outstanding import GIVE_ROWS, Awaited, Entry, Outstanding


class Forwarded(enum.Enum):
    """How much of a group went to the target."""

    WHOLE = "whole"
    IN_PART = "in part"


class Forwarding:
    """The way to the target of one session.

    ``discarding``: the target passes over everything up to a Sync that it has not had yet. ``unsynced``: it has had
    messages of the extended protocol since the last Sync, and may be in a transaction.
    """

    def __init__(self, outstanding: Outstanding, answers: Answers) -> None:
        self._outstanding = outstanding
        self._answers = answers
        self.discarding = False
        self.unsynced = False

    @property
    def busy(self) -> bool:
        """Whether the target has something to do, or to say, or waits for a Sync."""
        return self.unsynced or self.discarding or len(self._outstanding) > 0

    @property
    def at_rest(self) -> bool:
        """Whether the target has no transaction open, and nothing to do or to say."""
        return self._answers.status == IDLE and not self.busy

    def forward(
        self,
        group: Group,
        decisions: tuple[Decision, ...],
        boundary: int,
        begun: base.RecordRequest | None,
        effects: list[Effect],
    ) -> Forwarded:
        """Send a group. ``boundary`` is the type of its last message, 0 for a group that goes on.

        ``begun`` keeps the beginning of a last message that is too long to be held, and goes before it.
        """
        _limit(group, decisions)
        if self.discarding and boundary != messages.SYNC:
            self._withdraw(group, 0, decisions, effects)
            return Forwarded.IN_PART
        refused = next((i for i, decision in enumerate(decisions) if not isinstance(decision, Permit)), None)
        if self.discarding or refused is not None:
            self._forward_cut(group, decisions, None if self.discarding else refused, boundary, effects)
            return Forwarded.IN_PART
        if boundary == messages.SYNC and group.operations:
            last = group.entries[-1]
            assert last is not None
            last.number = group.operations[-1].number
        for entry in group.entries:
            if entry is not None:
                self._outstanding.add(entry)
        self.unsynced = boundary not in (messages.SYNC, messages.QUERY)
        if begun is not None:
            effects.append(begun)
        data = group.messages[0] if len(group.messages) == 1 else b"".join(group.messages)
        effects.append(base.Send(Side.TARGET, data))
        return Forwarded.WHOLE

    def _forward_cut(
        self,
        group: Group,
        decisions: tuple[Decision, ...],
        refused: int | None,
        boundary: int,
        effects: list[Effect],
    ) -> None:
        """Forward what comes before the refused operation, then its placeholder, then the group's end.

        With ``refused`` None the target is skipping: only the Sync goes out.
        """
        cut = 0 if refused is None else group.cuts[refused]
        self._withdraw(group, cut, decisions, effects)
        ends_with_sync = boundary == messages.SYNC
        is_query = boundary == messages.QUERY and cut == len(group.messages) - 1
        forwarded = group.messages[:cut]
        for entry in group.entries[:cut]:
            if entry is not None:
                self._outstanding.add(entry)
        if refused is not None:
            denial = _denial(decisions[refused])
            number = group.operations[refused].number
            if not forwarded and (ends_with_sync or is_query) and self._answer_here(number, denial, effects):
                return
            forwarded = [*forwarded, self._placeholder(number, denial, is_query)]
        if ends_with_sync:
            forwarded = [*forwarded, messages.SYNC_MESSAGE]
            self._outstanding.add(Entry(Awaited.READY_AFTER_SYNC))
        elif boundary == messages.FLUSH:
            forwarded = [*forwarded, messages.FLUSH_MESSAGE]
        self.discarding = self.unsynced = not ends_with_sync and not is_query
        effects.append(base.Send(Side.TARGET, b"".join(forwarded)))

    def _placeholder(self, number: int, denial: bytes, is_query: bool) -> bytes:
        if is_query:
            self._outstanding.add(Entry(Awaited.READY_AFTER_QUERY, number, denial))
            return QUERY_PLACEHOLDER
        self._outstanding.add(Entry(Awaited.BIND_COMPLETE, number, denial))
        return BIND_PLACEHOLDER

    def _answer_here(self, number: int, denial: bytes, effects: list[Effect]) -> bool:
        """Answer a refused group without the target, when there is no transaction and nothing is outstanding."""
        if not self.at_rest or self._answers.mid_message:
            return False
        data = denial + messages.ready_for_query(IDLE)
        effects.append(base.RecordAnswer(number, data))
        effects.append(base.Send(Side.CLIENT, data))
        return True

    def _withdraw(self, group: Group, cut: int, decisions: tuple[Decision, ...], effects: list[Effect]) -> None:
        """Undo what the messages from ``cut`` on would have changed; report what was permitted and did not go out."""
        held_back: set[int] = set()
        for entry in group.entries[cut:]:
            if entry is not None:
                entry.settle()
                held_back.add(entry.number)
        for operation, decision in zip(group.operations, decisions, strict=True):
            if isinstance(decision, Permit) and operation.number in held_back:
                effects.append(base.Report(Outcome(operation.number, OutcomeStatus.SKIPPED)))


def _limit(group: Group, decisions: tuple[Decision, ...]) -> None:
    """Put meters on the answers of what is permitted within an allowance."""
    for operation, decision in zip(group.operations, decisions, strict=True):
        if isinstance(decision, Permit) and decision.allowance is not None:
            for entry in group.entries:
                if entry is not None and entry.number == operation.number and entry.awaited in GIVE_ROWS:
                    entry.meter = Meter(decision.allowance)


def _denial(decision: Decision) -> bytes:
    assert isinstance(decision, Denial | Hold)
    return denial_response(decision)
