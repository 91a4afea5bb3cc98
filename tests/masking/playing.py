"""Plays cases of the corpus in sessions, and says what came out that must not.

An attack leaks when a planted value is in the output, in any form, or when the other world's output is another one.
"""

import re
from collections.abc import Iterable, Sequence

from tests.masking.corpus import Case, Step
from tests.masking.markers import Markers
from tests.masking.servers import Outside, Worlds
from tests.masking.session import Answer, RecordingSession, Way, columns
from tests.masking.world import ALL_WORLDS, World

MARKERS = {world.database: Markers(world.markers()) for world in ALL_WORLDS}
DIFFERS = "differs"

# What names the world, and not what is in it.
_WORLD = re.compile(rb"(shop/)?((world|hostile|random_\d+)_[ab]/)?(world|hostile|random_\d+)_[ab](_template)?")
_READING = re.compile(
    r"\s*\(*\s*(select|with|table|values|show|explain|declare|fetch|move|close|set|reset|begin|commit|rollback|savepoint"
    r"|release|prepare|execute|deallocate|listen|unlisten|notify|discard|lock|start|abort|end|copy [^;]* to stdout"
    r"|create temp)\b"
    r"(?!.*\binto\b)(?!.*;)",
    re.IGNORECASE | re.DOTALL,
)
_MINOR = re.compile(rf"{_READING.pattern}|\s*(insert|update|merge|copy)\b(?!.*;)", re.IGNORECASE | re.DOTALL)
_QUERY = re.compile(
    r"\(?(select|with|table|values|explain|show)\b"
    r"(?!.*\b(into|insert|update|delete|merge|dblink|run|set_config|setval|nextval|lo_\w+|set_limit|\w*(notify|lock|reset)\w*)\b)"
    r"(?!.*;)",
    re.IGNORECASE | re.DOTALL,
)


def applies(case: Case, worlds: Worlds) -> bool:
    """Whether this server has what the case needs."""
    return case.since <= worlds.version and set(case.needs) <= worlds.features


def play(case: Case, session: RecordingSession, outside: Outside, *, rolled_back: bool, way: Way) -> list[Answer]:
    """Send the steps of a case; what came back for each.

    ``rolled_back``: in a transaction that ends with ROLLBACK, with a savepoint before each step, so that a step that
    fails does not keep the following ones from being tried.
    """
    if case.pipelined:
        return [session.pipeline([step.text for step in case.steps])]
    if not rolled_back:
        return [_send(step, session, outside, way) for step in case.steps]
    session.simple("BEGIN")
    answers = [_in_savepoint(step, session, outside, way) for step in case.steps]
    if not session.ended:
        session.simple("ROLLBACK")
    return answers


def _in_savepoint(step: Step, session: RecordingSession, outside: Outside, way: Way) -> Answer:
    if session.ended:
        return Answer(())
    begun = session.simple("SAVEPOINT before_step").status == "T"
    answer = _send(step, session, outside, way)
    if begun and answer.status == "E":
        session.simple("ROLLBACK TO before_step")
    return answer


def _send(step: Step, session: RecordingSession, outside: Outside, way: Way) -> Answer:
    if session.ended:
        return Answer(())
    if step.outside:
        outside(step.text)
        return Answer(())
    return session.send(step.text, way, step.parameters, step.copied)


def leaked(answers: Iterable[Answer], world: World) -> list[str]:
    """The planted values that came out."""
    output = b"\n".join(answer.output + b"\n" + answer.joined_cells for answer in answers)
    return MARKERS[world.database].found_in(output)


def comparable(answers: Iterable[Answer]) -> list[tuple[bytes, bytes]]:
    """The answers without what differs from run to run: process ids, oids of new tables, the world's name."""
    messages = (message for answer in answers for message in answer.messages)
    return [(kind, _WORLD.sub(b"", _lasting(kind, body))) for kind, body in messages]


def _lasting(kind: bytes, body: bytes) -> bytes:
    if kind == b"A":
        return body[4:]
    return repr(columns(body)).encode() if kind == b"T" else body


def only_reads(case: Case) -> bool:
    """Whether the case is surely without effect on others and on its session's later statements."""
    return len(case.steps) == 1 and all(_QUERY.match(step.text) for step in case.steps)


def changes(case: Case, answers: Sequence[Answer]) -> bool:
    """Whether anything in the database may be another after the case."""
    return _wrote(case, answers, _READING)


def harms(case: Case, answers: Sequence[Answer]) -> bool:
    """Whether the case may have changed what later cases depend on: more than some rows of tables."""
    return any(step.outside for step in case.steps) or _wrote(case, answers, _MINOR)


def _wrote(case: Case, answers: Sequence[Answer], harmless: re.Pattern[str]) -> bool:
    pairs = zip(case.steps, answers, strict=False)
    return any(not harmless.match(step.text) and answer.tags for step, answer in pairs)


def errors(answers: Iterable[Answer]) -> list[str]:
    """The messages of all errors."""
    return [error.get("M", "") for answer in answers for error in answer.errors]
