"""Tries the attacks of the corpus: without a gateway they must leak, through it they must not.

Sessions are kept for cases that only read; whatever changed in a world is put back before the next case.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.masking.corpus import Case
from tests.masking.playing import DIFFERS, changes, comparable, errors, leaked, only_reads, play
from tests.masking.servers import Masked, Worlds
from tests.masking.session import Answer, RecordingSession, Way
from tests.masking.world import WORLD_A, WORLD_B, World, restore

_WORLDS = (WORLD_A, WORLD_B)
_OTHER_WAYS = (Way.BINARY, Way.PREPARED, Way.PORTAL)

Answers = dict[str, list[Answer]]


@dataclass
class Trial:
    """One way to both worlds, directly or through a gateway. ``close`` ends its sessions."""

    worlds: Worlds
    entrance: Worlds | Masked
    _kept: dict[str, RecordingSession] = field(default_factory=dict)

    def close(self) -> None:
        for session in self._kept.values():
            session.close()
        self._kept.clear()

    def answers(self, case: Case, way: Way, *, rolled_back: bool) -> Answers:
        """What the case brings in each world."""
        found = {world.database: self._answers(case, world, way, rolled_back) for world in _WORLDS}
        if not rolled_back and any(changes(case, answers) for answers in found.values()):
            self.restore()
        return found

    def restore(self) -> None:
        """Put both worlds back."""
        self.close()
        for world in _WORLDS:
            restore(self.worlds.server, world)

    def _answers(self, case: Case, world: World, way: Way, rolled_back: bool) -> list[Answer]:
        if only_reads(case):
            session = self._kept.get(world.database)
            if session is None or session.ended:
                session = self._kept[world.database] = self.entrance.open(world)
            return play(case, session, _nobody, rolled_back=rolled_back, way=way)
        with self.entrance.open(world) as session, self.worlds.outside(world) as outside:
            return play(case, session, outside, rolled_back=rolled_back, way=way)


def fails_to_leak(case: Case, direct: Trial) -> str:
    """Empty when the attack does what it says without a gateway, else what is wrong with it."""
    answers = direct.answers(case, case.way, rolled_back=not case.autocommit)
    expected = set(case.expected) - {DIFFERS}
    first = answers[WORLD_A.database]
    if missing := expected - set(leaked(first, WORLD_A)):
        return f"{sorted(missing)} does not come out directly; {errors(first)}"
    if expected and any(step.outside for step in case.steps):
        return ""  # What others say may be the same in both worlds.
    return "" if _differ(answers) else f"both worlds answer alike directly; {errors(first)}"


def leaks(case: Case, masked: Trial, *, alike: bool = True) -> Iterator[str]:
    """What comes out through the gateway that must not, in any of the ways.

    A value that the case itself names is no news. With ``alike`` both worlds must answer alike.
    """
    sent = " ".join(step.text for step in case.steps)
    for way, rolled_back in _attempts(case):
        answers = masked.answers(case, way, rolled_back=rolled_back)
        for world in _WORLDS:
            planted = world.markers()
            found = [name for name in leaked(answers[world.database], world) if planted[name] not in sent]
            if found:
                yield f"{_named(way, rolled_back)}: {found} comes out"
        if alike and _differ(answers):
            yield f"{_named(way, rolled_back)}: the answers differ: {_difference(answers)}"


def _attempts(case: Case) -> Iterator[tuple[Way, bool]]:
    if not case.autocommit and not only_reads(case):
        yield case.way, True
    yield case.way, False
    if only_reads(case) and len(case.steps) == 1 and case.way is Way.SIMPLE:
        yield from ((way, False) for way in _OTHER_WAYS)


def _nobody(text: str) -> None:
    raise AssertionError("a case with somebody else in it does not only read")


def _differ(answers: Answers) -> bool:
    first, second = (comparable(answers[world.database]) for world in _WORLDS)
    return first != second


def _difference(answers: Answers) -> str:
    first, second = (comparable(answers[world.database]) for world in _WORLDS)
    pairs = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    return f"{pairs[0][0]!r} and {pairs[0][1]!r}" if pairs else f"{len(first)} and {len(second)} messages"


def _named(way: Way, rolled_back: bool) -> str:
    return f"{way.value}{' in a transaction' if rolled_back else ''}"
