"""Tries the attacks of the corpus: without a gateway they must leak, through it they must not.

Sessions are kept for cases that only read; whatever changed in a world is put back before the next case.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from tests.masking.corpus import Case
from tests.masking.playing import DIFFERS, changes, comparable, errors, harms, leaked, only_reads, play
from tests.masking.servers import Masked, Worlds
from tests.masking.session import Answer, RecordingSession, Way
from tests.masking.world import HOSTILE_A, HOSTILE_B, WORLD_A, WORLD_B, World

_OTHER_WAYS = (Way.BINARY, Way.PREPARED, Way.PORTAL)

Answers = dict[str, list[Answer]]


@dataclass
class Trial:
    """One way to both worlds, directly or through a gateway. ``close`` ends its sessions."""

    worlds: Worlds
    entrance: Worlds | Masked
    _kept: dict[str, RecordingSession] = field(default_factory=dict)
    _restored: int = 0

    def close(self) -> None:
        for session in self._kept.values():
            session.close()
        self._kept.clear()

    def answers(self, case: Case, way: Way, *, rolled_back: bool) -> Answers:
        """What the case brings in each world. What it may have harmed is put back."""
        pair = worlds_of(case)
        found = {world.database: self._answers(case, world, way, rolled_back) for world in pair}
        if not rolled_back and any(harms(case, answers) for answers in found.values()):
            self.worlds.restore(pair)
        return found

    def _answers(self, case: Case, world: World, way: Way, rolled_back: bool) -> list[Answer]:
        if only_reads(case):
            return play(case, self._session(world), _nobody, rolled_back=rolled_back, way=way)
        with self.entrance.open(world) as session:
            if not any(step.outside for step in case.steps):
                return play(case, session, _nobody, rolled_back=rolled_back, way=way)
            with self.worlds.outside(world) as outside:
                return play(case, session, outside, rolled_back=rolled_back, way=way)

    def _session(self, world: World) -> RecordingSession:
        if self._restored != self.worlds.restored or any(session.ended for session in self._kept.values()):
            self.close()
            self._restored = self.worlds.restored
        if world.database not in self._kept:
            self._kept[world.database] = self.entrance.open(world)
        return self._kept[world.database]


def worlds_of(case: Case) -> tuple[World, World]:
    """The two that the case is tried in."""
    return (HOSTILE_A, HOSTILE_B) if case.hostile else (WORLD_A, WORLD_B)


def fails_to_leak(case: Case, direct: Trial) -> str:
    """Empty when the attack does what it says without a gateway, else what is wrong with it."""
    answers = direct.answers(case, case.way, rolled_back=not case.autocommit)
    expected = set(case.expected) - {DIFFERS}
    world, _ = worlds_of(case)
    first = answers[world.database]
    if missing := expected - set(leaked(first, world)):
        return f"{sorted(missing)} does not come out directly; {errors(first)}"
    if expected and any(step.outside for step in case.steps):
        return ""  # What others say may be the same in both worlds.
    return "" if differ(answers) else f"both worlds answer alike directly; {errors(first)}"


def leaks(case: Case, masked: Trial, *, alike: bool = True) -> Iterator[str]:
    """What comes out through the gateway that must not, in any of the ways.

    A value that the case itself names is no news. With ``alike`` both worlds must answer alike.
    """
    sent = " ".join(step.text for step in case.steps)
    for name, attempt in _attempts(case, masked):
        answers = attempt()
        for world in worlds_of(case):
            planted = world.markers()
            found = [marker for marker in leaked(answers[world.database], world) if planted[marker] not in sent]
            if found:
                yield f"{name}: {found} comes out"
        # When a change of the database is noticed may differ once; a leak differs every time.
        if alike and differ(answers) and differ(answers := attempt()):
            yield f"{name}: the answers differ: {_difference(answers)}"


def _attempts(case: Case, masked: Trial) -> Iterator[tuple[str, Callable[[], Answers]]]:
    """Every way to try the case.

    What only changes rows is not tried again outside of a transaction: nothing is known of it that could make a
    difference, and much would have to be put back.
    """
    if case.autocommit or only_reads(case):
        yield case.way.value, partial(masked.answers, case, case.way, rolled_back=False)
    else:
        yield f"{case.way.value} in a transaction", partial(masked.answers, case, case.way, rolled_back=True)
        found = next(iter(masked.answers(case, case.way, rolled_back=True).values()))
        if harms(case, found) or not changes(case, found):
            yield case.way.value, partial(masked.answers, case, case.way, rolled_back=False)
    if only_reads(case) and case.way is Way.SIMPLE:
        for way in _OTHER_WAYS:
            yield way.value, partial(masked.answers, case, way, rolled_back=False)


def _nobody(text: str) -> None:
    raise AssertionError("nobody else is in this case")


def differ(answers: Answers) -> bool:
    """Whether the worlds answer differently."""
    first, second = map(comparable, answers.values())
    return first != second


def _difference(answers: Answers) -> str:
    first, second = map(comparable, answers.values())
    pairs = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    return f"{pairs[0][0]!r} and {pairs[0][1]!r}" if pairs else f"{len(first)} and {len(second)} messages"
