"""What a report counts: clear, masked and unclear values, whose sessions, and what is not known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.core.incident import ExposureReport
from interlock.core.ledger import IncidentClosed, LockAdded, LockRemoved, OperationCompleted
from interlock.services.incidents.answers import Answer, Answers, Budget
from interlock.services.incidents.reading import since_of
from interlock.services.incidents.reports import rendered, report_html, report_text
from tests.adapters.evidence import CRM
from tests.services.incidents.incident_bench import INCIDENT, World

EMAIL = ("public.users.email partial (pii)",)
REDACTED = ("public.users.email redact (pii)",)
HASHED = ("public.users.email hash (pii)",)
HASH = f"hash:{'0a' * 12}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def report_of(world: World) -> ExposureReport:
    incident = world.reader.find(INCIDENT)
    return world.reader.report(incident, since_of(incident, None))


def columns_of(world: World) -> dict[str, tuple[int, int, int, int]]:
    (exposed,) = report_of(world).exposed
    return {one.name: (one.clear, one.masked, one.unclear, one.distinct) for one in exposed.columns}


@pytest.mark.parametrize(
    ("masked", "answer", "expected"),
    [
        ((), "C id,email|R 1,a|R 2,a|R 3,NULL", {"id": (3, 0, 0, 3), "email": (2, 0, 0, 1)}),
        (EMAIL, "C id,email*|R 1,a***|R 2,NULL", {"id": (2, 0, 0, 2), "email": (0, 2, 0, 0)}),
        (REDACTED, "C id,x*|R 1,***|R 2,NULL", {"id": (2, 0, 0, 2), "x": (0, 2, 0, 0)}),
        (("public.users.email tokenise (r)",), "C email,id|R zz,1", {"email": (0, 0, 1, 1), "id": (1, 0, 0, 1)}),
        (EMAIL, "R 1,a", {"column 1": (0, 0, 1, 1), "column 2": (0, 0, 1, 1)}),
        # other columns than the masked one, which a statement gives its looks
        (EMAIL, "C email,upper*|R x,ADA", {"email": (1, 0, 0, 1), "upper": (0, 0, 1, 1)}),
        (EMAIL, "C name,x*|R x,ADA*", {"name": (1, 0, 0, 1), "x": (0, 0, 1, 1)}),
        (REDACTED, "C upper*|R ADA", {"upper": (0, 0, 1, 1)}),
        (HASHED, "C up*|R hash:ada", {"up": (0, 0, 1, 1)}),
        (HASHED, f"C email,id|R {HASH},1", {"email": (0, 0, 1, 1), "id": (1, 0, 0, 1)}),
    ],
)
def test_what_counts_as_clear(
    world: World, masked: tuple[str, ...], answer: str, expected: dict[str, tuple[int, int, int, int]]
) -> None:
    world.session(("select", answer), masked=masked)
    world.open()
    assert columns_of(world) == expected


def test_a_computed_column_beside_a_masked_one_is_unclear_and_never_masked() -> None:
    group = Answers("pg/app", ("public.users",))
    answer = Answer(1, group, EMAIL)
    columns: Any = type("Columns", (), {"values": ("email", "up"), "stored": (False, False)})
    answer.row(columns, ("x", "y"), lambda value: value)
    answer.completed = OperationCompleted("s", 1, "completed", "SELECT 1", "", 1, 10, masked_values=1)
    answer.settle(Budget())
    assert [(one.masked, one.unclear) for one in group.exposure().columns] == [(0, 1), (0, 1)]


def test_a_hash_that_the_gateway_put_there_is_masked() -> None:
    group = Answers("pg/app", ("public.users",))
    answer = Answer(1, group, HASHED)
    columns: Any = type("Columns", (), {"values": ("email", "name"), "stored": (True, True)})
    answer.row(columns, (HASH, "ada"), lambda value: value)
    answer.completed = OperationCompleted("s", 1, "completed", "SELECT 1", "", 1, 10, masked_values=1)
    answer.settle(Budget())
    assert [(one.name, one.clear, one.masked) for one in group.exposure().columns] == [("email", 0, 1), ("name", 1, 0)]


def test_more_values_than_can_be_told_apart_are_at_least_so_many() -> None:
    group, budget = Answers("pg/app", ()), Budget(1)
    for number, cells in enumerate(("a", "b"), 1):
        answer = Answer(number, group, ())
        answer.row(type("Columns", (), {"values": ("x",), "stored": (True,)}), (cells,), lambda value: value)  # type: ignore[arg-type]
        answer.settle(budget)
    (column,) = group.exposure().columns
    assert (column.clear, column.distinct, column.at_least) == (2, 1, True)


def test_a_prepared_statement_keeps_its_columns(world: World) -> None:
    world.session(("select", "C email|R a"), ("select", "R b"))
    world.open()
    assert columns_of(world) == {"email": (2, 0, 0, 2)}


def test_sessions_are_those_that_a_lock_would_be_about(world: World) -> None:
    mine = world.session(("select", "C a|R 1"))
    world.session(("select", "C a|R 2"), principal="other", owner="ann")
    world.session(("select", "C a|R 3"), principal="third", owner="zoe", run="f" * 32)
    world.open()
    report = report_of(world)
    assert [one.session for one in report.sessions] == [mine]
    assert [(one.principal, one.by, one.sessions) for one in report.related] == [("other", "owner ann", 1)]
    assert report.rows == 1


@pytest.mark.parametrize(("kind", "subject"), [("agent", "ci:acme/crm"), ("owner", "lee"), ("group", "crm-agents")])
def test_sessions_in_which_somebody_acts_are_theirs_too(world: World, kind: str, subject: str) -> None:
    mine = world.session(("select", "C a|R 1"), principal="ada", acting=(CRM,))
    world.session(("select", "C a|R 2"), principal="ada", owner="ada")
    world.open(kind, subject)
    report = report_of(world)
    assert [(one.session, one.principal, one.acting) for one in report.sessions] == [
        (mine, "ada", ("agent ci:acme/crm",))
    ]
    assert "ada, by agent ci:acme/crm" in report_text(report)


def test_whoever_acts_has_kin(world: World) -> None:
    world.session(("select", "C a|R 1"), owner="lee")
    world.session(("select", "C a|R 2"), principal="ada", owner="", acting=(CRM,))
    world.open()
    related = report_of(world).related
    assert [(one.principal, one.by) for one in related] == [("ada, by agent ci:acme/crm", "owner lee")]


def test_a_closed_incident_has_a_report_that_does_not_change(world: World) -> None:
    world.session(("select", "C a|R 1"))
    world.gateway.ledger.append_now(LockAdded("lock", "agent", "bot", "refuse", "r", "rita", "command", 0.0))
    world.open()
    world.write(IncidentClosed(INCIDENT, "rita", "done"))
    before = rendered(report_of(world))
    world.session(("select", "C a|R 2"))
    world.gateway.ledger.append_now(LockRemoved("lock", "rita", "later"))
    assert rendered(report_of(world)) == before


def test_old_sessions_are_left_out_and_long_ones_are_not(world: World) -> None:
    world.session(("select", "C a|R 1"))
    long = world.session(("select", "C a|R 2"), close=False)
    world.gateway.clock.at_s += 31 * 86_400
    world.open()
    report = report_of(world)
    assert [one.session for one in report.sessions] == [long]
    assert any("still open" in problem for problem in report.problems)


def test_what_was_not_kept_is_said(tmp_path: Path) -> None:
    world = World(tmp_path, RecordingLimits(max_operation_bytes=8))
    world.session(("select", "C a|R 1|R 2|R 3"))
    world.open()
    report = report_of(world)
    assert (report.exposed[0].rows, report.exposed[0].unseen) == (3, 2)
    assert any("2 rows were not kept" in problem for problem in report.problems)
    assert any("7 bytes were counted but not kept" in problem for problem in report.problems)
    world.close()


def test_a_changed_recording_is_said_and_the_rest_is_counted(world: World) -> None:
    first = world.session(("select", "C a|R 1"))
    world.session(("select", "C a|R 2"))
    (recording,) = (world.directory / "recordings").rglob(f"{first}.rec")
    recording.write_bytes(recording.read_bytes()[:-1] + b"?")
    world.open()
    report = report_of(world)
    assert any(first in problem and "was changed" in problem for problem in report.problems)
    assert (report.rows, report.exposed[0].unseen, report.exposed[0].columns[0].clear) == (2, 1, 1)


def test_refusals_with_the_same_reason_are_one(world: World) -> None:
    world.session(("drop", ""), ("drop", ""), decision="denied", message="no drops", rules=("d",))
    world.open()
    (refusal,) = report_of(world).refusals
    assert (refusal.count, refusal.message, refusal.first_ns < refusal.last_ns) == (2, "no drops", True)


def test_the_html_is_escaped_and_without_script(world: World) -> None:
    hostile = "<script>alert('x')</script>&\x1b[31m"
    world.session(("drop", ""), decision="denied", message=hostile)
    world.session(("select", f"C {hostile}|R 1"))
    world.open()
    report = report_of(world)
    html = report_html(report)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html + report_text(report)
    assert "http" not in html
    ElementTree.fromstring(html.partition("\n")[2].replace('<meta charset="utf-8">', ""))


def test_no_value_is_in_a_report(world: World) -> None:
    world.session(("select 'planted'", "C a|R planted-value"))
    world.open()
    for data in rendered(report_of(world)).values():
        assert b"planted" not in data
