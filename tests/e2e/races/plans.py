"""Random plans for races: what an agent, its reviewers and the operators do, in which order and how close together.

A plan follows from a seed and its number alone, so that it can be played again.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.e2e.races.model import Demand
from tests.e2e.races.world import SHORT_S, TABLES

SESSIONS: Final = 2
MARKERS: Final = "ab"
TEXT_FORMS: Final = ("simple", "transaction", "swapped")
VALUE_FORMS: Final = ("values", "named", "pipeline")
REVIEWERS: Final = ("first", "second", "third")
STRANGERS: Final = ("owner", "owner/other", "outsider", "agent")
"""The last of them asks itself; the others are its owner, under two accounts, and somebody of no group."""

DEMANDS: Final = {
    "race_one": Demand({"dba": 1}, 600),
    "race_short": Demand({"dba": 1}, SHORT_S),
    "race_two": Demand({"dba": 2}, 600),
    "race_both": Demand({"dba": 1, "security": 1}, 300),
}


@dataclass(frozen=True)
class Step:
    """One act. ``aside`` lets the next one begin before it is over; ``patient`` waits while the gateway is away."""

    act: str
    pause_s: float
    aside: bool
    session: int = 0
    marker: str = "a"
    form: str = "simple"
    who: tuple[str, ...] = ()
    patient: bool = False


@dataclass(frozen=True)
class Plan:
    number: int
    table: str
    steps: tuple[Step, ...]


_ACTS: Final = {
    "send": 36,
    "approve": 34,
    "approve at once": 14,
    "approve and deny": 5,
    "deny": 4,
    "approve wrongly": 4,
    "approve as a stranger": 8,
    "cancel": 3,
    "drop": 5,
    "lock agent": 5,
    "freeze agent": 2,
    "lock owner": 2,
    "unlock": 8,
    "disable": 6,
    "ungroup": 8,
    "lock reviewer": 3,
    "restore": 10,
    "outlive": 4,
}


_BETWEEN: Final = ("outlive", "lock agent", "unlock", "disable", "ungroup", "lock reviewer", "restore", "drop")


def plan_of(seed: int, number: int) -> Plan:
    chance = random.Random(f"{seed}/{number}")
    table = chance.choices(TABLES, (5, 3, 3, 2))[0]
    steps = _unspent(chance, table) if chance.random() < 0.25 else _steps(chance)
    return Plan(number, table, tuple(steps))


def _unspent(chance: random.Random, table: str) -> Iterator[Step]:
    """A grant that nobody waits for; something happens; whoever asked comes back."""
    form, marker = chance.choice(TEXT_FORMS + VALUE_FORMS), chance.choice(MARKERS)
    who = tuple(chance.sample(REVIEWERS, 2))
    yield Step("send", chance.uniform(0, 0.3), False, 0, marker, form)
    yield Step("wait out", 0, False)
    yield Step("approve at once", 0, False, 0, marker, form, who)
    if DEMANDS[table].lasts_s == SHORT_S and chance.random() < 0.6:
        yield Step("outlive", 0, False)
    for act in chance.choices(_BETWEEN, k=chance.randint(0, 2)):
        yield Step(act, 0, False, 0, marker, form, who)
    if chance.random() < 0.2:
        form = chance.choice(TEXT_FORMS + VALUE_FORMS)
    for session in range(chance.randint(1, SESSIONS)):
        yield Step("send", 0, chance.random() < 0.5, session, marker, form)


def _steps(chance: random.Random) -> Iterator[Step]:
    form, marker = chance.choice(TEXT_FORMS + VALUE_FORMS), chance.choice(MARKERS)
    yield Step("send", chance.uniform(0, 0.3), False, 0, marker, form)
    for act in chance.choices(list(_ACTS), list(_ACTS.values()), k=chance.randint(2, 8)):
        pause_s = chance.choice((0, 0, 0.02, 0.1, 0.3))
        if chance.random() < 0.25:
            form = chance.choice(TEXT_FORMS + VALUE_FORMS)
        if chance.random() < 0.25:
            marker = chance.choice(MARKERS)
        who = tuple(chance.sample(STRANGERS if "stranger" in act else REVIEWERS, 2))
        aside, patient = chance.random() < 0.4, chance.random() < 0.5
        yield Step(act, pause_s, aside, chance.randrange(SESSIONS), marker, form, who, patient)
    if chance.random() < 0.6:
        yield Step("send", chance.choice((0.0, 0.1)), False, chance.randrange(SESSIONS), marker, form)
