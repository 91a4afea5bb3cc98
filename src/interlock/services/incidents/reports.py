"""The exposure report as text, JSON and HTML. The same report gives the same bytes, whenever and wherever.

Text and HTML come from one list of sections, so they say the same. The HTML is one file without script or anything from
elsewhere; every text in it is escaped by the tree that it is written from.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree

import msgspec

from interlock.core.identity import by_actors
from interlock.core.incident import ColumnExposure, ExposureReport, RelationExposure
from interlock.core.printable import one_line
from interlock.services.evidence.bundle import REPORTS
from interlock.services.evidence.formats import timestamp
from interlock.services.evidence.verification import count_of

_STYLE: Final = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:80em}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}"
    "th,td{border:1px solid #bbb;padding:.2em .6em;text-align:left;vertical-align:top}"
    "th{background:#eee}"
)
_TITLE: Final = "Exposure report"
_COLUMNS: Final = ("column", "clear", "masked", "unclear", "distinct")


class Section(msgspec.Struct, frozen=True):
    """A heading with sentences and a table, or without one."""

    heading: str
    sentences: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def rendered(report: ExposureReport) -> dict[str, bytes]:
    """The report in all its forms, by name; see ``services.evidence.bundle``."""
    forms = (report_html(report), report_json(report), report_text(report))
    return {name: text.encode() for name, text in zip(REPORTS, forms, strict=True)}


def report_text(report: ExposureReport) -> str:
    """The report for a terminal or a mail."""
    parts = [f"{_TITLE}\n{'=' * len(_TITLE)}\n"]
    for section in _sections(report):
        parts.append(f"\n{section.heading}\n{'-' * len(section.heading)}\n")
        parts += [f"{one_line(sentence)}\n" for sentence in section.sentences]
        parts += _table_lines(section)
    return "".join(parts)


def report_json(report: ExposureReport) -> str:
    """The report for programs."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def report_html(report: ExposureReport) -> str:
    """The report for a browser."""
    page = ElementTree.Element("html", lang="en")
    head = ElementTree.SubElement(page, "head")
    ElementTree.SubElement(head, "meta", charset="utf-8")
    _add(head, "title", f"{_TITLE} {report.incident.id}")
    _add(head, "style", _STYLE)
    body = ElementTree.SubElement(page, "body")
    _add(body, "h1", _TITLE)
    for section in _sections(report):
        _add(body, "h2", section.heading)
        for sentence in section.sentences:
            _add(body, "p", sentence)
        if section.rows:
            _add_table(body, section)
    return f"<!DOCTYPE html>\n{ElementTree.tostring(page, encoding='unicode', method='html')}\n"


# ---------------------------------------------------------------- what both say


def _sections(report: ExposureReport) -> Iterator[Section]:
    yield _incident(report)
    yield _summary(report)
    yield from map(_answers, report.exposed)
    if report.commands:
        yield _commands(report)
    changes = tuple((c.database, c.access, str(c.statements), str(c.rows)) for c in report.changes)
    yield _listed("Other things that were done", ("database", "what", "statements", "rows"), changes)
    yield _refusals(report)
    yield _approvals(report)
    yield _sessions(report)
    related = tuple((one.principal, one.by, str(one.sessions)) for one in report.related)
    yield _listed("Related, and not counted here", ("who", "in common", "sessions"), related)
    yield Section("What is not known", report.problems or ("Nothing is missing: all answers were kept and read.",))


def _incident(report: ExposureReport) -> Section:
    incident = report.incident
    opened = f"Opened {timestamp(incident.opened_ns)} by {incident.opened_by}: {incident.reason}"
    end = "It is open."
    if incident.closed_ns is not None:
        end = f"Closed {timestamp(incident.closed_ns)} by {incident.closed_by}: {incident.closed_reason}"
    lock = f"Lock that came with it: {incident.mode}." if incident.mode else "No lock came with it."
    covers = (
        f"Covers sessions that were open at {timestamp(report.since_ns)} or later; "
        f"rests on ledger entries {report.first} to {report.last}."
        if report.last >= 0
        else f"Nothing is on the ledger since {timestamp(report.since_ns)}."
    )
    return Section(f"Incident {incident.id} on {incident.about}", (opened, end, lock, covers))


def _summary(report: ExposureReport) -> Section:
    columns = [column for exposed in report.exposed for column in exposed.columns]
    used = sum(approval.used for approval in report.approvals)
    return _listed(
        "Summary",
        ("what", "count"),
        (
            ("sessions", str(len(report.sessions))),
            ("statements that ran", str(report.statements)),
            ("statements refused", str(report.statements_denied)),
            ("statements held for approval", str(report.statements_held)),
            ("approvals used", str(used)),
            ("rows delivered", str(report.rows)),
            ("bytes delivered", str(report.bytes_sent)),
            ("values in clear", str(sum(column.clear for column in columns))),
            ("values masked", str(sum(column.masked for column in columns))),
            ("values of which it is not clear", str(sum(column.unclear for column in columns))),
        ),
    )


def _answers(exposed: RelationExposure) -> Section:
    relations = ", ".join(exposed.relations) or "what has no name"
    statements, rows = count_of(exposed.statements, "statement", "statements"), count_of(exposed.rows, "row", "rows")
    counts = f"{statements}, {rows}, {exposed.bytes_sent} bytes"
    unseen = (f"The values of {exposed.unseen} rows could not be looked at.",) if exposed.unseen else ()
    masks = (f"Masked in the statements: {', '.join(exposed.masks)}",) if exposed.masks else ()
    columns = tuple(map(_column, exposed.columns))
    return Section(f"Delivered from {relations} in {exposed.database}", (counts, *masks, *unseen), _COLUMNS, columns)


def _column(column: ColumnExposure) -> tuple[str, ...]:
    distinct = f"{'at least ' if column.at_least else ''}{column.distinct}"
    return column.name, str(column.clear), str(column.masked), str(column.unclear), distinct


def _commands(report: ExposureReport) -> Section:
    rows = tuple(
        (
            one.host,
            one.verb,
            str(one.operations),
            str(one.bytes_sent),
            ", ".join(f"{count} {name}" for name, count in one.found),
            str(one.masked_values),
            "; ".join(one.transfers),
            ", ".join(one.accesses),
        )
        for one in report.commands
    )
    sentence = "What commands wrote is counted in bytes, and by what was found in it; it was not looked at otherwise."
    columns = ("where", "what", "times", "bytes", "found", "masked", "files", "taken to be")
    return Section("On hosts", (sentence,), columns, rows)


def _refusals(report: ExposureReport) -> Section:
    rows = tuple(
        (
            one.where,
            one.verb,
            str(one.count),
            timestamp(one.first_ns),
            timestamp(one.last_ns),
            ", ".join(one.rules),
            one.message,
        )
        for one in report.refusals
    )
    return _listed("Refused", ("where", "what", "times", "first", "last", "rules", "why"), rows)


def _approvals(report: ExposureReport) -> Section:
    rows = tuple(
        (
            one.approval,
            f"{one.session} #{one.number}",
            timestamp(one.asked_ns),
            ", ".join(one.rules),
            one.status,
            "; ".join(one.votes),
            "ran" if one.used else "did not run",
        )
        for one in report.approvals
    )
    return _listed("Approvals", ("approval", "operation", "asked", "rules", "status", "votes", "operation"), rows)


def _sessions(report: ExposureReport) -> Section:
    rows = tuple(
        (
            one.session,
            by_actors(one.principal, one.acting),
            "/".join(filter(None, (one.connection, one.database))),
            one.client_address,
            timestamp(one.opened_ns),
            one.status,
            str(one.operations),
            str(one.denied),
            str(one.rows),
            str(one.bytes_sent),
        )
        for one in report.sessions
    )
    heads = ("session", "who", "on", "from", "opened", "status", "statements", "denied", "rows", "bytes")
    return _listed("Sessions", heads, rows)


def _listed(heading: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Section:
    return Section(heading, () if rows else ("None.",), columns, rows)


# ---------------------------------------------------------------- how it looks


def _table_lines(section: Section) -> Iterator[str]:
    if not section.rows:
        return
    rows = [section.columns, *(tuple(map(one_line, row)) for row in section.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(section.columns))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"


def _add_table(body: ElementTree.Element, section: Section) -> None:
    table = ElementTree.SubElement(body, "table")
    _add_row(table, "th", section.columns)
    for row in section.rows:
        _add_row(table, "td", row)


def _add_row(table: ElementTree.Element, tag: str, cells: Sequence[str]) -> None:
    row = ElementTree.SubElement(table, "tr")
    for cell in cells:
        _add(row, tag, cell)


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = one_line(text)
