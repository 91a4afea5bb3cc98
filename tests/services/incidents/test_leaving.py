"""Did a value leave? What is found, and what is said when not everything could be looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.core.incident import ValueSearch
from interlock.services.incidents.leaving import SoughtSessions, ValueHunt, needles_of
from tests.adapters.evidence import CRM
from tests.services.incidents.incident_bench import World, Written

ALL = SoughtSessions(None, "", "", 0, 1 << 63)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def look(world: World, value: str, sought: SoughtSessions = ALL, *, settled: bool = True) -> ValueSearch:
    return world.reader.find_value(value, sought, settled=settled)


@pytest.mark.parametrize(
    ("answer", "value", "where", "counts"),
    [
        ("C id,email|R 1,ada@example.com", "ada@example.com", "column email", (1, 0)),
        ("C note|R 'write to ada@example.com'", "ada@example.com", "column note", (0, 1)),
        ("R ada@example.com", "ada@example.com", "column 1", (1, 0)),
        ("D 1\\tada", "1\tada", "data", (0, 1)),
        ("E duplicate key (ada)", "ada", "an error message", (0, 1)),
        ('C doc|R {"a": "say \\"hi\\""}', 'say "hi"', "column doc", (0, 1)),
        ("C data|R \\x61646161", "adaa", "column data", (0, 1)),
        ("?binary? ada", "ada", "bytes of the answer", (0, 1)),
    ],
)
def test_what_is_found(world: World, answer: str, value: str, where: str, counts: tuple[int, int]) -> None:
    session = world.session(("select", answer))
    found = look(world, value).found
    told = [(one.session, one.number, one.where, one.whole, one.within) for one in found]
    assert told == [(session, 1, where, *counts)]


def test_it_is_looked_for_where_somebody_acts(world: World) -> None:
    session = world.session(("select", "C a|R ada"), principal="ann", acting=(CRM,))
    world.session(("select", "C a|R ada"))
    sought = SoughtSessions(None, CRM.name, "", 0, 1 << 63)
    (found,) = look(world, "ada", sought).found
    assert (found.session, found.principal, found.acting) == (session, "ann", ("agent ci:acme/crm",))


def test_what_was_asked_is_not_what_was_delivered(world: World) -> None:
    world.session(("select 'ada'", "C x|R 1"))
    assert look(world, "ada").verdict == "not delivered"


def test_a_value_that_was_cut_in_two(world: World) -> None:
    hunt = ValueHunt("ada", ALL, world.reader.archive, world.reader.keys, Written)
    assert "ada" not in repr(hunt)
    said = [(1, "", b"x ad"), (2, "", b"x"), (1, "error", b"a"), (1, "", b"a y"), (2, "", b"da")]
    assert [hunt._is_in_bytes("s", *each) for each in said] == [False, False, False, True, False]


def test_not_known_when_something_was_not_kept(tmp_path: Path) -> None:
    world = World(tmp_path, RecordingLimits(max_operation_bytes=6))
    world.session(("select", "C a|R ada|R bob"))
    assert look(world, "bob").verdict == "not known"
    world.close()


def test_not_known_when_a_recording_is_gone(world: World) -> None:
    session = world.session(("select", "C a|R ada"))
    (recording,) = (world.directory / "recordings").rglob("*.rec")
    recording.unlink()
    search = look(world, "ada")
    assert search.verdict == "not known"
    assert session in search.problems[0]


def test_an_open_session_counts_as_looked_at_when_it_is_settled(world: World) -> None:
    world.session(("select", "C a|R 1"), close=False)
    assert look(world, "ada").verdict == "not delivered"
    assert look(world, "ada", settled=False).verdict == "not known"


def test_only_where_it_was_asked_for(world: World) -> None:
    first = world.session(("select", "C a|R ada"), principal="bot")
    second = world.session(("select", "C a|R ada"), principal="other")
    named = SoughtSessions(frozenset({second}), "", "", 0, 1 << 63)
    assert [one.session for one in look(world, "ada", named).found] == [second]
    of_bot = SoughtSessions(None, "bot", "", 0, 1 << 63)
    assert [one.session for one in look(world, "ada", of_bot).found] == [first]
    elsewhere = SoughtSessions(None, "", "other-connection", 0, 1 << 63)
    assert look(world, "ada", elsewhere).sessions == 0
    later = SoughtSessions(None, "", "", int(world.gateway.clock.at_s * 1e9) + 10**12, 1 << 63)
    assert look(world, "ada", later).found == ()


def test_forms_of_a_value() -> None:
    assert needles_of("a") == {"a"}
    assert needles_of('x"\n') == {'x"\n', 'x"\\n', 'x\\"\\n'}
    assert needles_of("\x1b[1m") >= {"\\x1b[1m"}
