"""``interlock sessions replay`` and ``watch``: a session as it was, or as it goes on.

On a terminal, sessions over SSH are shown as they were on theirs; everything else, and everywhere else, as lines.
Nothing that was recorded can drive the reader's terminal.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from interlock.core.administration.evidence import WatchPage, WatchSession
from interlock.core.errors import EvidenceError
from interlock.surfaces.cli.answers import ask
from interlock.surfaces.cli.evidence_output import JsonOption, print_json, telling_errors
from interlock.surfaces.cli.pacing import NO_LIMIT_S, Pace, span_s
from interlock.surfaces.cli.terminal_view import TerminalView
from interlock.surfaces.cli.transcript_text import transcript_text
from interlock.surfaces.cli.workbench import EvidenceReader, Workbench

app = typer.Typer()

SessionArgument = Annotated[str, typer.Argument(metavar="ID", help="A session's id, or enough of its start.")]
PlainOption = Annotated[bool, typer.Option("--plain", help="Show lines on a terminal, too, as everywhere else.")]


@app.command("replay")
def replay_session(
    context: typer.Context,
    session: SessionArgument,
    speed: Annotated[float, typer.Option(min=0.001, help="How many times as fast as it was.")] = 1.0,
    start: Annotated[str, typer.Option("--from", help="Begin here: 1m30s after the session's start.")] = "",
    search: Annotated[str, typer.Option(help="Begin where this text is first said, at --from or later.")] = "",
    idle_limit: Annotated[str, typer.Option(help="Wait so long at most, such as 2s.")] = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Show everything at once, as lines.")] = False,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what was asked and what came back, at the speed of the session.

    Exit status 1 when --search finds nothing.
    """
    with telling_errors():
        reading = _reading(context)
        session = reading.resolve(session)
        from_us = int(span_s(start, "--from") * 1e6) if start else 0
        if search:
            from_us = _find(reading, session, search, from_us)
        limit_s = 0.0 if no_wait else span_s(idle_limit, "--idle-limit") if idle_limit else NO_LIMIT_S
        pace = Pace(speed, limit_s, from_us)
        if _is_terminal(plain or no_wait or as_json) and reading.has_terminal(session):
            _replay_terminal(reading, session, pace)
        else:
            _replay_lines(reading, session, pace, as_json)


@app.command("watch")
def watch_session(
    context: typer.Context, session: SessionArgument, plain: PlainOption = False, as_json: JsonOption = False
) -> None:
    """Follow a session that goes on, from its beginning, until it ends; the running gateway records that you do."""
    wants_terminal = _is_terminal(plain or as_json)
    with contextlib.suppress(KeyboardInterrupt), _view() as view:
        for page in _pages(context, WatchSession(session, terminal=wants_terminal)):
            for line in page.lines:
                print_json(line) if as_json else typer.echo(transcript_text(line))
            for event in page.terminal:
                view.show(event)
            if not page.next and not as_json:
                typer.echo(f"the session is over: {page.status}")


def _pages(context: typer.Context, command: WatchSession) -> Iterator[WatchPage]:
    """What is new, again and again, until there is nothing to come."""
    page = ask(context, command)
    yield page
    while page.next:
        page = ask(context, WatchSession(command.id, command.terminal, command.wait_s, page.next))
        yield page


def _replay_lines(reading: EvidenceReader, session: str, pace: Pace, as_json: bool) -> None:
    for line in reading.transcript(session):
        if line.at_us >= pace.from_us:
            pace.wait(line.at_us)
            print_json(line) if as_json else typer.echo(transcript_text(line))


def _replay_terminal(reading: EvidenceReader, session: str, pace: Pace) -> None:
    """What comes before the start is shown at once, as the screen is made of it."""
    with contextlib.suppress(KeyboardInterrupt), _view() as view:
        for event in reading.terminal(session):
            pace.wait(event.at_us)
            view.show(event)


def _find(reading: EvidenceReader, session: str, text: str, from_us: int) -> int:
    """When a text is first said. Raises EvidenceError when it is not."""
    for line in reading.transcript(session):
        if line.at_us >= from_us and line.says(text):
            return line.at_us
    raise EvidenceError(f"{text!r} is not said in this session" + (" from there on" if from_us else ""))


@contextlib.contextmanager
def _view() -> Iterator[TerminalView]:
    view = TerminalView(_write, shutil.get_terminal_size())
    try:
        yield view
    finally:
        view.close()


def _write(text: str) -> None:
    """Text for the terminal as it is: not changed on its way as ``typer.echo`` would."""
    if text:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="replace"))
        sys.stdout.buffer.flush()


def _is_terminal(wants_lines: bool) -> bool:
    return not wants_lines and sys.stdout.isatty()


def _reading(context: typer.Context) -> EvidenceReader:
    workbench: Workbench = context.obj
    return workbench.reading
