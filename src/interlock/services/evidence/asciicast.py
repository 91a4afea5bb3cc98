"""A session with terminals as an asciicast, version 2 or 3, for players of that format.

Requests, decisions and gaps are markers (``m``). Nothing in it acts on a viewer's terminal but colours, cursor
movement and erasing. Commands that ran without a terminal are in it as if on one of 80 columns and 24 rows. A cast has
one screen: when several channels wrote at once, export one of them at a time.

Source: the asciicast v2 and v3 specifications of asciinema.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from interlock.core.terminal_event import TerminalEvent, TerminalEventKind
from interlock.services.evidence.service import EvidenceService

_CODES: Final = {TerminalEventKind.OUTPUT: "o", TerminalEventKind.INPUT: "i", TerminalEventKind.RESIZED: "r"}
"""All others are markers."""
_USUAL: Final = "80x24"


def session_asciicast(evidence: EvidenceService, session: str, number: int = 0, version: int = 2) -> Iterator[bytes]:
    """The cast of a session, or of its operation ``number``, line by line.

    Raises ``EvidenceError`` for a session that was on no terminal.
    """
    size = _first_size(_of(evidence.terminal(session), number))
    summary = evidence.summary(session)
    title = f"{summary.who} on {summary.connection}, session {session}" + (f", {number}" if number else "")
    about = {"timestamp": summary.opened_ns // 1_000_000_000, "title": title}
    yield _line(_head(version, size) | about)
    yield from _events(version, _of(evidence.terminal(session), number), exits=version > 2 and number > 0)


def _of(events: Iterable[TerminalEvent], number: int) -> Iterator[TerminalEvent]:
    return (event for event in events if number in (0, event.number))


def _first_size(events: Iterable[TerminalEvent]) -> tuple[int, int]:
    first = next((event.text for event in events if event.kind is TerminalEventKind.RESIZED), _USUAL)
    columns, _, rows = first.partition("x")
    return int(columns), int(rows)


def _head(version: int, size: tuple[int, int]) -> dict[str, object]:
    columns, rows = size
    if version == 2:
        return {"version": 2, "width": columns, "height": rows}
    return {"version": 3, "term": {"cols": columns, "rows": rows}}


def _events(version: int, events: Iterable[TerminalEvent], *, exits: bool) -> Iterator[bytes]:
    """Times count from the start in version 2, from the event before in version 3.

    A cast has one exit at its end, and version 2 none: other ``exits`` are markers.
    """
    at_us = 0
    for event in events:
        before_us, at_us = at_us, max(at_us, event.at_us)
        time_us = at_us if version == 2 else at_us - before_us
        if event.kind is TerminalEventKind.EXIT and exits and event.text.isdigit():
            yield _line((time_us / 1e6, "x", event.text))
        else:
            yield _line((time_us / 1e6, _CODES.get(event.kind, "m"), event.words))


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
