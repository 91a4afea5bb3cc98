"""``NameTable`` against its own definition: everything that was proposed and is neither superseded nor gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.names import MAX_CANDIDATES, NameTable, TooManyNames


class Thing:
    def __init__(self, segment: int, size_bytes: int = 1) -> None:
        self.segment = segment
        self.size_bytes = size_bytes

    def superseded(self) -> None:
        self.size_bytes = 0


def table(max_names: int = 10, max_bytes: int = 1000) -> NameTable[Thing]:
    return NameTable(max_names, max_bytes)


def test_unknown_name() -> None:
    assert table().candidates("s", 1) == ()


def test_newest_counts_alone_in_its_own_segment() -> None:
    names, old, new = table(), Thing(1), Thing(2)
    names.propose("s", old)
    names.propose("s", new)
    assert names.candidates("s", 2) == (new,)
    assert names.candidates("s", 3) == (old, new)


def test_confirm_and_withdraw() -> None:
    names, things = table(), [Thing(n) for n in range(4)]
    for thing in things:
        names.propose("s", thing)
    names.confirm("s", things[1])
    assert names.candidates("s", 9) == tuple(things[1:])
    names.withdraw("s", things[2])
    assert names.candidates("s", 9) == (things[1], things[3])
    names.confirm("s", things[0])
    assert names.candidates("s", 9) == (things[1], things[3]), "what is gone cannot be confirmed"


def test_forget_spares_what_came_later() -> None:
    names, old, new, unnamed = table(), Thing(1), Thing(2), Thing(1)
    names.propose("s", old)
    names.propose("", unnamed)
    mark = names.newest
    names.propose("s", new)
    names.forget_named(mark)
    assert names.candidates("s", 9) == (new,)
    assert names.candidates("", 9) == (unnamed,)


def test_bounds() -> None:
    names = table(max_names=2)
    names.propose("a", Thing(1))
    names.propose("b", Thing(1))
    names.propose("b", Thing(1))
    with pytest.raises(TooManyNames):
        names.propose("c", Thing(1))
    with pytest.raises(TooManyNames):
        table(max_bytes=10).propose("a", Thing(1, 11))


def test_superseded_values_do_not_count() -> None:
    names = table(max_bytes=10)
    for segment in range(100):
        names.propose("a", Thing(segment, 9))
    assert len(names) == 1


def test_too_many_candidates_are_none() -> None:
    names = table()
    for segment in range(MAX_CANDIDATES + 1):
        names.propose("a", Thing(segment))
    assert names.candidates("a", 1000) == ()


@given(st.lists(st.tuples(st.sampled_from("pcwfk"), st.sampled_from("ab"), st.integers(0, 30)), max_size=40))
def test_against_a_list(steps: list[tuple[str, str, int]]) -> None:
    """``p``ropose, ``c``onfirm, ``w``ithdraw, ``f``orget, ``k``eep, checked against lists of what is left."""
    names, plain, all_things = table(), {"a": [], "b": []}, []  # type: ignore[var-annotated]
    for at, (step, name, choice) in enumerate(steps):
        if step == "p":
            thing = Thing(at)
            all_things.append(thing)
            names.propose(name, thing)
            plain[name].append(thing)
        elif step == "f":
            names.forget(name, choice)
            plain[name] = [one for one in plain[name] if all_things.index(one) + 1 > choice]
        elif step == "k":
            names.keep(lambda one, limit=choice: one.segment > limit)  # type: ignore[misc]
            plain = {key: [one for one in known if one.segment > choice] for key, known in plain.items()}
        elif all_things:
            thing = all_things[choice % len(all_things)]
            known = plain[name]
            if step == "w":
                names.withdraw(name, thing)
                plain[name] = [one for one in known if one is not thing]
            elif thing in known:
                names.confirm(name, thing)
                plain[name] = known[known.index(thing) :]
        for key, known in plain.items():
            assert names.candidates(key, -1) == tuple(known)
    assert len(names) == sum(bool(known) for known in plain.values())
