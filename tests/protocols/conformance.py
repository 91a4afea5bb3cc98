"""What every protocol session owes its driver, whatever the protocol: a helper for the tests of each.

A *conversation* is a list of steps, each some bytes from one side, in the order in which they arrive. ``observe`` plays
it to a session, answering the session's questions with ``surroundings``, and collects what the session does. The checks
play one conversation in many ways and compare, or cut it off, or put garbage in the place of its rest.
"""

import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from interlock.core.operation import Operation, Outcome
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, ProtocolSession, Side

Step = tuple[Side, bytes]
Surroundings = Callable[[Effect], Event | None]
"""What the gateway would answer to an effect; None for effects that have no answer."""

MAX_OUTPUT_FOR_GARBAGE_BYTES: Final = 1 << 16


class Observed:
    """Everything that a session asked for, in a form that does not depend on how its input was cut."""

    def __init__(self) -> None:
        self.sent: dict[Side, bytearray] = {Side.CLIENT: bytearray(), Side.TARGET: bytearray()}
        self.operations: list[Operation] = []
        self.reports: list[Outcome] = []
        self.answers: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.requests: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.ends: list[Effect] = []
        self.others: list[str] = []

    def note(self, effect: Effect) -> None:
        match effect:
            case base.Send():
                self.sent[effect.side] += effect.data
            case base.Authorize():
                self.operations += effect.operations
            case base.Report():
                self.reports.append(effect.outcome)
            case base.RecordAnswer():
                self.answers[effect.number] += effect.data
            case base.RecordRequest():
                self.requests[effect.number] += effect.data
            case base.Close() | base.Refuse():
                self.ends.append(effect)
            case base.Pause() | base.Resume() | base.Compute():
                pass
            case _:
                self.others.append(type(effect).__name__)

    def summary(self) -> dict[str, object]:
        """For comparison."""
        operations = [(one.number, one.text, one.parameters, one.phase, one.meaning.verb) for one in self.operations]
        return {
            "to client": bytes(self.sent[Side.CLIENT]),
            "to target": bytes(self.sent[Side.TARGET]),
            "operations": operations,
            "reports": self.reports,
            "recorded answers": {number: bytes(data) for number, data in self.answers.items()},
            "recorded requests": {number: bytes(data) for number, data in self.requests.items()},
            "ends": self.ends,
            "others": self.others,
        }


def feed(session: ProtocolSession, event: Event, surroundings: Surroundings, observed: Observed) -> None:
    """Give one event to a session, and the answers to what it asks for, until it asks for nothing more."""
    events = deque([event])
    while events:
        for effect in session.handle(events.popleft()):
            observed.note(effect)
            reply = surroundings(effect)
            if reply is not None:
                events.append(reply)


def observe(
    new_session: Callable[[], ProtocolSession], surroundings: Surroundings, steps: Iterable[Step]
) -> tuple[ProtocolSession, Observed]:
    """Play a conversation to a new session."""
    session, observed = new_session(), Observed()
    for side, data in steps:
        feed(session, base.DataReceived(side, data), surroundings, observed)
    return session, observed


def byte_by_byte(steps: Sequence[Step]) -> list[Step]:
    return [(side, data[at : at + 1]) for side, data in steps for at in range(len(data))]


def random_cuts(steps: Sequence[Step], seed: int) -> list[Step]:
    """Each step cut at random places. Steps are not joined: one may be the answer to what the one before set free."""
    source = random.Random(seed)
    cut: list[Step] = []
    for side, data in steps:
        places = sorted({0, len(data), *(source.randint(0, len(data)) for _ in range(source.randint(0, 6)))})
        cut += [(side, data[start:end]) for start, end in itertools.pairwise(places)]
    return cut


def check_cuts(
    new_session: Callable[[], ProtocolSession], surroundings: Surroundings, steps: Sequence[Step], seeds: int = 10
) -> None:
    """However the input is cut, the session does the same."""
    expected = observe(new_session, surroundings, steps)[1].summary()
    plays = {"byte by byte": byte_by_byte(steps)} | {f"cuts {seed}": random_cuts(steps, seed) for seed in range(seeds)}
    for name, play in plays.items():
        seen = observe(new_session, surroundings, play)[1].summary()
        for what, value in expected.items():
            assert seen[what] == value, f"{name}: {what} differ"


def check_ends(
    new_session: Callable[[], ProtocolSession], surroundings: Surroundings, steps: Sequence[Step], every: int = 1
) -> None:
    """After any prefix the end of either stream, and a kill, end the session: exactly once, without an exception."""
    single = byte_by_byte(steps)
    for end in (base.EofReceived(Side.CLIENT), base.EofReceived(Side.TARGET), base.Killed("57P01", "ended by a test")):
        for length in range(0, len(single) + 1, every):
            session, observed = observe(new_session, surroundings, _joined(single[:length]))
            feed(session, end, surroundings, observed)
            over = bool(observed.ends) or "CancelTarget" in observed.others
            assert over, f"{end} after {length} bytes does not end the session"
            assert len(observed.ends) <= 1, f"{end} after {length} bytes ends the session twice"
            assert session.handle(base.DataReceived(Side.CLIENT, b"more")) in ((), [])


def _joined(steps: Sequence[Step]) -> list[Step]:
    joined: list[Step] = []
    for side, data in steps:
        if joined and joined[-1][0] is side:
            joined[-1] = (side, joined[-1][1] + data)
        else:
            joined.append((side, data))
    return joined


def check_garbage(
    new_session: Callable[[], ProtocolSession], surroundings: Surroundings, steps: Sequence[Step], seed: int, every: int
) -> None:
    """After any prefix, random bytes from either side neither raise nor make the session talk without end."""
    source = random.Random(seed)
    single = byte_by_byte(steps)
    for length in range(0, len(single) + 1, every):
        for side in Side:
            session, observed = observe(new_session, surroundings, _joined(single[:length]))
            before = sum(map(len, observed.sent.values()))
            garbage = source.choice([source.randbytes(400), bytes(400), b"\xff" * 400])
            feed(session, base.DataReceived(side, garbage), surroundings, observed)
            said = sum(map(len, observed.sent.values())) - before
            assert said < MAX_OUTPUT_FOR_GARBAGE_BYTES
