"""Documents that went over HTTP: which of their fields the report counts as clear, and where a value is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.incident import ExposureReport
from interlock.protocols.http.transcript import HttpTranscriber
from interlock.services.incidents.answers import MAX_COLUMNS, OTHER_COLUMNS, Answer, Answers, Budget
from interlock.services.incidents.documents import FieldMasks
from interlock.services.incidents.leaving import SoughtSessions
from interlock.services.incidents.reading import since_of
from interlock.services.incidents.reports import report_text
from tests.services.incidents.incident_bench import INCIDENT, World

_ASKED = "GET /users HTTP/1.1\r\nhost: api.example\r\n"
_ENDPOINT = ("http-get on Endpoint users",)
_HASH = f"hash:{'0a' * 12}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, transcriber=lambda protocol: HttpTranscriber())
    yield world
    world.close()


def _answer(body: str, kind: str = "application/json", length: bool = True) -> str:
    framing = f"content-length: {len(body.encode())}" if length else "transfer-encoding: chunked"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n{body}"


def _report(world: World) -> ExposureReport:
    world.open()
    incident = world.reader.find(INCIDENT)
    return world.reader.report(incident, since_of(incident, None))


def _fields(report: ExposureReport) -> dict[str, tuple[int, int, int, int]]:
    (exposed,) = report.exposed
    return {one.name: (one.clear, one.masked, one.unclear, one.distinct) for one in exposed.columns}


@pytest.mark.parametrize(
    ("masked", "masked_values", "body", "expected"),
    [
        (
            (),
            0,
            '[{"id": 1, "email": "a"}, {"id": 2, "email": "a"}]',
            {"/*/id": (2, 0, 0, 2), "/*/email": (2, 0, 0, 1)},
        ),
        (("email redact (pii)",), 2, '[{"email": "***"}, {"email": null}]', {"/*/email": (0, 2, 0, 0)}),
        (("EMAIL partial (pii)",), 1, '{"email": "***@b.c"}', {"/email": (0, 1, 0, 0)}),
        (("/u/email hash (pii)",), 1, f'{{"u": [{{"email": "{_HASH}"}}]}}', {"/u/*/email": (0, 1, 0, 0)}),
        (("/u/*/email redact (pii)",), 1, '{"u": [{"email": "***"}]}', {"/u/*/email": (0, 1, 0, 0)}),
        (("contact redact (pii)",), 1, '{"contact": {"email": "***"}}', {"/contact/email": (0, 1, 0, 0)}),
        # it has the looks of a mask, but the gateway has masked nothing, or fewer values
        (("email redact (pii)",), 0, '{"email": "***"}', {"/email": (0, 0, 1, 0)}),
        (("email redact (pii)",), 1, '[{"email": "***"}, {"email": "***"}]', {"/*/email": (0, 0, 2, 0)}),
        (("email redact (pii)",), 1, '{"email": "a@b.c"}', {"/email": (0, 0, 1, 1)}),
        (("email tokenise (pii)",), 1, '{"email": "x7f"}', {"/email": (0, 0, 1, 1)}),
        (("email redact (pii)",), 1, '{"note": "call ***"}', {"/note": (0, 0, 1, 1)}),
    ],
)
def test_what_counts_as_clear(
    world: World, masked: tuple[str, ...], masked_values: int, body: str, expected: dict[str, tuple[int, int, int, int]]
) -> None:
    world.session((_ASKED, _answer(body)), masked=masked, masked_values=masked_values, accesses=_ENDPOINT, tag="200")
    assert _fields(_report(world)) == expected


def test_the_report_names_endpoints_and_counts_no_status_as_rows(world: World) -> None:
    world.session((_ASKED, _answer('{"id": 1}')), accesses=(*_ENDPOINT, "http-delete on Endpoint user"), tag="200")
    report = _report(world)
    assert (report.exposed[0].relations, report.rows) == (("user", "users"), 0)
    assert [(change.access, change.statements, change.rows) for change in report.changes] == [
        ("http-delete on Endpoint user", 1, 0)
    ]
    assert "Delivered from user, users in " in report_text(report)


@pytest.mark.parametrize("close", [True, False])
def test_answers_without_a_length_are_counted_where_they_belong(world: World, close: bool) -> None:
    answers = (_answer('{"a": 1}', length=False), _answer('{"b": 1}', length=False))
    world.session(*((_ASKED, answer) for answer in answers), accesses=_ENDPOINT, close=close)
    assert _fields(_report(world)) == {"/a": (1, 0, 0, 1), "/b": (1, 0, 0, 1)}


def test_events_are_counted(world: World) -> None:
    body = 'data: {"x": "1"}\n\ndata: {"x": "2"}\n\ndata: [DONE]\n\n'
    world.session((_ASKED, _answer(body, "text/event-stream")), accesses=_ENDPOINT)
    assert _fields(_report(world)) == {"/x": (2, 0, 0, 2)}


def test_what_is_no_document_is_said_not_to_be_counted(world: World) -> None:
    world.session((_ASKED, _answer("hello", "text/plain")), accesses=_ENDPOINT)
    report = _report(world)
    assert _fields(report) == {}
    assert any("1 answers held neither rows nor documents" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("answer", "value", "where", "counts"),
    [
        (_answer('{"u": [{"mail": "ada@b.c"}]}'), "ada@b.c", "field /u/*/mail", (1, 0)),
        (_answer('{"note": "to ada@b.c"}'), "ada@b.c", "field /note", (0, 1)),
        (_answer('{"mail": "\\u0061da@b.c"}'), "ada@b.c", "field /mail", (1, 0)),
        (_answer('{"mail": "\\u0061da@b.c"}', length=False), "ada@b.c", "field /mail", (1, 0)),
        (_answer('"a\\/b"'), "a/b", "field /", (1, 0)),
        (_answer("mail,x\nada@b.c,1\n", "text/csv"), "ada@b.c", "field /mail", (1, 0)),
        (_answer("to ada@b.c", "text/plain"), "ada@b.c", "data", (0, 1)),
        (_answer('data: {"d": "ada@b.c"}\n\n', "text/event-stream"), "ada@b.c", "field /d", (1, 0)),
        ("HTTP/1.1 302 Found\r\nlocation: /ada@b.c\r\n\r\n", "ada@b.c", "a completion", (0, 1)),
    ],
)
def test_a_value_is_found(world: World, answer: str, value: str, where: str, counts: tuple[int, int]) -> None:
    session = world.session((_ASKED, answer), accesses=_ENDPOINT)
    found = world.reader.find_value(value, SoughtSessions(None, "", "", 0, 1 << 63), settled=True).found
    assert [(one.session, one.number, one.where, one.whole, one.within) for one in found] == [
        (session, 1, where, *counts)
    ]


def test_what_was_asked_is_not_what_was_delivered(world: World) -> None:
    world.session((_ASKED.replace("users", "ada"), _answer("{}")), accesses=_ENDPOINT)
    search = world.reader.find_value("ada", SoughtSessions(None, "", "", 0, 1 << 63), settled=True)
    assert search.verdict == "not delivered"


@pytest.mark.parametrize(
    ("selector", "path", "lies"),
    [
        ("email", "/a/Email", True),
        ("email", "/email/x", True),
        ("email", "/emails", False),
        ("*", "/a", True),
        ("/a/b", "/a/b", True),
        ("/a/b", "/*/a/*/*/b", True),
        ("/a/b", "/a/b/c", True),
        ("/a/b", "/x/a/b", False),
        ("/a/b", "/a", False),
        ("/a/*/b", "/a/*/b", True),
        ("/a/*/b", "/a/x/b", True),
        ("/a/*/b", "/a/b", False),
        ("/x~1y", "/x~1y", True),
        ("a.b", "/a.b", True),
    ],
)
def test_on_which_fields_a_mask_lies(selector: str, path: str, lies: bool) -> None:
    assert FieldMasks([f"{selector} redact (r, s)"]).of(path) == (frozenset({"redact"}) if lies else frozenset())


def test_names_that_are_values_are_not_told_apart_without_end() -> None:
    group = Answers("api", ())
    for number in range(MAX_COLUMNS + 5):
        answer = Answer(number, group, ())
        answer.data(((f"/{number}/email", "a"),), lambda value: value)
        answer.settle(Budget())
    columns = {column.name: column.clear for column in group.exposure().columns}
    assert len(columns) == MAX_COLUMNS + 1
    assert columns[OTHER_COLUMNS] == 5
