"""The scripted agent: sends its statements with psycopg, unmodified, and looks at what comes back."""

from collections.abc import Callable, Iterator

import psycopg

from interlock.demo.narrator import Narrator
from interlock.demo.script import Lines, Refusal, Rows, Step


def act(connection: psycopg.Connection, step: Step, narrator: Narrator) -> Iterator[str]:
    """Do one step and tell it. Yields a sentence for everything that is not as the script says."""
    narrator.sent(step.statement, step.parameters)
    try:
        got = (
            _copy(connection, step, narrator) if isinstance(step.expected, Lines) else _run(connection, step, narrator)
        )
    except psycopg.Error as error:
        got = _refusal(error.diag, narrator)
        if not isinstance(step.expected, Refusal):
            yield "it was refused"
        elif error.diag.sqlstate != "42501":
            yield f"SQLSTATE is {error.diag.sqlstate}, not 42501"
    if isinstance(step.expected, Refusal):
        missing = [words for words in (step.expected.rule, step.expected.words) if words not in got]
        yield from (f"the answer does not say {words!r}" for words in missing)
    elif got != str(step.expected.count):
        yield f"{got} came back, not {step.expected.count}"
    narrator.why(step.why)


def stranger_is_refused(connect: Callable[[], psycopg.Connection], narrator: Narrator) -> Iterator[str]:
    """Connect without a proper token, as an attacker would. Yields a sentence when that works."""
    try:
        connect().close()
    except psycopg.OperationalError as error:
        narrator.refusal([("FATAL", str(error).rpartition("FATAL:")[2].strip())])
    else:
        yield "a client without a token got in"


def _run(connection: psycopg.Connection, step: Step, narrator: Narrator) -> str:
    # A bound value goes by the extended protocol; without one, several statements may be in the text.
    cursor = connection.execute(step.statement.encode(), step.parameters or None)
    rows = cursor.fetchall() if cursor.description else []
    narrator.rows([column.name for column in cursor.description or ()], rows)
    hidden = step.expected.hidden if isinstance(step.expected, Rows) else ""
    shown = bool(hidden) and hidden in str(rows).lower()
    return f"{len(rows)} with {hidden}" if shown else str(len(rows))


def _copy(connection: psycopg.Connection, step: Step, narrator: Narrator) -> str:
    with connection.cursor() as cursor, cursor.copy(step.statement.encode()) as copy:
        lines = b"".join(bytes(part) for part in copy).decode().splitlines()
    narrator.lines(lines)
    return str(len(lines))


def _refusal(diagnostic: psycopg.errors.Diagnostic, narrator: Narrator) -> str:
    fields = [
        ("ERROR", diagnostic.message_primary or ""),
        ("DETAIL", diagnostic.message_detail or ""),
        ("HINT", diagnostic.message_hint or ""),
    ]
    narrator.refusal(fields)
    return " ".join(text for _, text in fields)
