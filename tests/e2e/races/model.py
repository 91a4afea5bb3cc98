"""What may have run: a model of grants that knows nothing of the gateway's code, only what the test itself has seen.

It is told what was sent, who answered what, what was taken away, and what the target's table says, each with the time
around it on the one clock that all of them share. What happened at the same time may have happened in either order;
whatever no order explains is a violation.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

FORWARDING_S = 5.0
"""How long something that was released may take to reach a busy target."""


@dataclass
class Span:
    """Something that began and ended at these Unix times; without an end, nobody knows when it ended."""

    start_s: float
    end_s: float = math.inf


@dataclass
class Sent(Span):
    """A statement as one session sent it. ``refused`` and ``done`` are what its client was told."""

    marker: str = ""
    backend: int = 0
    done: bool = False
    refused: bool = False


@dataclass
class Vote(Span):
    """An answer to a request. ``accepted`` is None when the gateway's answer was lost."""

    request: str = ""
    reviewer: str = ""
    approves: bool = True
    accepted: bool | None = None


@dataclass
class Absence(Span):
    """A time in which a reviewer may not answer: surely from ``end_s`` until ``back_s``."""

    reviewer: str = ""
    back_s: float = math.inf
    lock: str = ""

    def covers(self, from_s: float, until_s: float) -> bool:
        return self.end_s <= from_s and until_s <= self.back_s


@dataclass
class Loss(Span):
    """Something that takes requests away: a lock, another policy, a restart. ``approved`` ones as well, or pending ones
    only; ``voted`` says whether no vote counts any more for what was asked before."""

    what: str = ""
    approved: bool = True
    voted: bool = True


@dataclass
class Ran:
    """A row of the target's table."""

    marker: str
    backend: int
    at_s: float


@dataclass
class Demand:
    """What a statement needs: so many different people of each group, and for how long a grant is good."""

    groups: dict[str, int]
    lasts_s: float


@dataclass
class Request:
    """A request. At ``seen_s`` its agent had been told of it."""

    id: str
    marker: str
    seen_s: float


@dataclass
class History:
    """Everything about the statements of one agent. ``members`` are the accounts that may answer, with their groups;
    accounts of one person have the same name up to a ``/``."""

    demand: Demand
    members: dict[str, frozenset[str]]
    sent: list[Sent] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)

    def violations(self, ran: list[Ran]) -> Iterator[str]:
        """What cannot have happened as it should."""
        for vote in self.votes:
            yield from self._wrong_vote(vote)
        sent_by = [(one, self._sent_as(one)) for one in ran]
        for one, sent in sent_by:
            if sent is None:
                yield f"{one} was never sent"
            elif sent.refused:
                yield f"{one} ran although its client was refused: {sent}"
        for marker in sorted({one.marker for one in ran}):
            yield from self._ungranted([(one, sent) for one, sent in sent_by if one.marker == marker and sent])
        for sent in self.sent:
            count = sum(other is sent for _, other in sent_by)
            if sent.done and not count:
                yield f"{sent} is not in the table"
            if count > 1:
                yield f"{sent} ran {count} times"

    def _sent_as(self, ran: Ran) -> Sent | None:
        fitting = (
            sent
            for sent in self.sent
            if (sent.marker, sent.backend) == (ran.marker, ran.backend) and sent.start_s <= ran.at_s <= sent.end_s
        )
        return next(fitting, None)

    # ------------------------------------------------------------ votes

    def _wrong_vote(self, vote: Vote) -> Iterator[str]:
        if not vote.accepted:
            return
        if not self.members.get(vote.reviewer):
            yield f"{vote} of somebody who may not answer was accepted"
        if any(
            absence.reviewer == vote.reviewer and absence.covers(vote.start_s, vote.end_s) for absence in self.absences
        ):
            yield f"{vote} was accepted while its reviewer could not answer"
        request = self.requests[vote.request]
        if request.seen_s + self.demand.lasts_s < vote.start_s:
            yield f"{vote} was accepted after its request had expired"
        for loss in self.losses:
            if loss.voted and request.seen_s < loss.start_s and loss.end_s < vote.start_s:
                yield f"{vote} was accepted although {loss} had taken the request away"
        before = [
            other
            for other in self.votes
            if other.request == vote.request and other.accepted and other.end_s < vote.start_s
        ]
        if any(not other.approves or person(other) == person(vote) for other in before) or self._is_enough(before):
            yield f"{vote} was accepted after {before}"

    # ------------------------------------------------------------ grants

    def _ungranted(self, ran: list[tuple[Ran, Sent]]) -> Iterator[str]:
        """Each execution needs a grant of its own."""
        grants = [request for request in self.requests.values() if request.marker == ran[0][0].marker]
        fitting = {index: [g.id for g in grants if self._explains(g, *one)] for index, one in enumerate(ran)}
        taken: dict[str, int] = {}

        def give(index: int, tried: set[str]) -> bool:
            for grant in fitting[index]:
                if grant not in tried:
                    tried.add(grant)
                    if grant not in taken or give(taken[grant], tried):
                        taken[grant] = index
                        return True
            return False

        for index, (one, sent) in enumerate(ran):
            if not give(index, set()):
                yield f"{one}, sent as {sent}, ran without a valid grant that nothing else had spent"

    def _explains(self, request: Request, ran: Ran, sent: Sent) -> bool:
        """Whether the request may have been approved and unspent when this was released."""
        lost_s = min(
            (loss.end_s for loss in self.losses if loss.approved and request.seen_s < loss.start_s), default=math.inf
        )
        said_yes = [
            vote
            for vote in self.votes
            if vote.request == request.id
            and vote.approves
            and vote.accepted is not False
            and vote.start_s <= min(ran.at_s, lost_s)
        ]
        granted_s = self._enough_s(said_yes)
        released_from_s = max(sent.start_s, ran.at_s - FORWARDING_S, granted_s)
        counted = [vote for vote in said_yes if not self._is_lost(vote.reviewer, released_from_s, ran.at_s)]
        if not self._is_enough(counted) or self._was_denied(request) or lost_s < released_from_s:
            return False
        return max(vote.end_s for vote in counted) + self.demand.lasts_s >= max(sent.start_s, ran.at_s - FORWARDING_S)

    def _enough_s(self, votes: list[Vote]) -> float:
        """When there can have been enough votes at the earliest."""
        earlier = sorted(votes, key=lambda vote: vote.start_s)
        enough = (count for count in range(len(earlier) + 1) if self._is_enough(earlier[:count]))
        count = next(enough, 0)
        return earlier[count - 1].start_s if count else math.inf

    def _is_enough(self, votes: list[Vote]) -> bool:
        """Whether enough people of every group have said yes."""
        return all(
            len({person(vote) for vote in votes if vote.approves and group in self.members.get(vote.reviewer, ())})
            >= wanted
            for group, wanted in self.demand.groups.items()
        )

    def _was_denied(self, request: Request) -> bool:
        return any(vote.request == request.id and vote.accepted and not vote.approves for vote in self.votes)

    def _is_lost(self, reviewer: str, from_s: float, until_s: float) -> bool:
        return any(one.reviewer == reviewer and one.covers(from_s, until_s) for one in self.absences)


def person(vote: Vote) -> str:
    """Who has voted, under whichever account."""
    return vote.reviewer.partition("/")[0]
