"""A request as reviewers see it: the exact statement and its values, and in words what they do not show.

Never shortens anything without saying so, and never guesses what a statement would do.
"""

from collections.abc import Callable, Iterator

from interlock.core.approval import ApprovalRequest, ApprovalView, Question, Rehearsal
from interlock.core.printable import one_line, printable
from interlock.core.recording import SealedRequest, TranscriptKind
from interlock.services.evidence.archive import Transcriber

_ON_HOSTS = "ssh"
"""The protocol whose requests have a login, and are told in words: a command's line behind ``$``, a shell."""


def view_of(
    request: ApprovalRequest,
    question: Question,
    transcriber: Transcriber,
    link_of: Callable[[str], str],
    rehearsal: Rehearsal | None = None,
) -> ApprovalView:
    """Raises ``EvidenceError`` when the question is of a protocol that this version does not know."""
    asked = SealedRequest(
        question.text,
        question.parameters,
        question.text_bytes,
        question.parameter_bytes,
        parameter_types=question.parameter_types,
    )
    values = _values(transcriber, question.protocol, asked)
    on_host = question.protocol == _ON_HOSTS
    in_text = bool(question.parameters) and not values and not on_host
    runs = [_run(transcriber, question.protocol, *run) for run in question.runs]
    return ApprovalView(
        request=request,
        statement=_text(transcriber, question.protocol, asked)
        if in_text or on_host
        else question.text.decode(errors="replace"),
        parameters=values,
        remarks=(*runs, *_remarks(request, question, values, question.parameters if in_text else b"")),
        rehearsal=rehearsal,
        link=link_of(request.id),
        noun=question.noun or ("request" if question.protocol == "http" else "statement"),
    )


def _values(transcriber: Transcriber, protocol: str, asked: SealedRequest) -> tuple[str | None, ...]:
    lines = transcriber(protocol).request(0, 0, asked)
    return next((line.values for line in lines if line.kind is TranscriptKind.REQUEST), ())


def _text(transcriber: Transcriber, protocol: str, asked: SealedRequest) -> str:
    """A request whose values are no list but a part of its text, such as the body of one over HTTP."""
    lines = transcriber(protocol).request(0, 0, asked)
    return next((line.text for line in lines if line.kind is TranscriptKind.REQUEST), "")


def _run(transcriber: Transcriber, protocol: str, text: bytes, bound: bytes) -> str:
    """What the statement runs by name, with its values, all of it."""
    values = _values(transcriber, protocol, SealedRequest(text, bound, len(text), len(bound)))
    shown = ", ".join(f"${number} = {_shown(value)}" for number, value in enumerate(values, 1))
    return f"By name it runs: {printable(text.decode(errors='replace'))}" + (f" with {shown}" if shown else "")


def _shown(value: str | None) -> str:
    return "NULL" if value is None else repr(printable(value))


def _remarks(
    request: ApprovalRequest, question: Question, values: tuple[str | None, ...], in_text: bytes
) -> Iterator[str]:
    text = (question.text + in_text).decode(errors="replace")
    if question.protocol == _ON_HOSTS and request.database:
        yield f"It is done as {one_line(request.database)} on the host."
    if question.protocol == _ON_HOSTS and question.noun == "command":
        yield "What is typed or sent to it comes after it: that is not part of what is approved."
    if question.unknown:
        yield f"Nobody can say what it does: {one_line(question.unknown)}."
    if question.text_bytes > len(question.text):
        yield f"Only the first {len(question.text)} of {question.text_bytes} bytes of the statement are shown."
    if question.parameter_bytes > len(question.parameters):
        yield (
            f"Only the first {len(question.parameters)} of {question.parameter_bytes} bytes of its values are shown; "
            "an approval covers all of them as they were sent."
        )
    if question.runs_left_out:
        yield f"{question.runs_left_out} more statements that it runs by name are not shown."
    if printable(text) != text or any(value is not None and printable(value) != value for value in values):
        yield "It holds characters that do not show or that change the order of what is shown; they are escaped."
    if any(line.startswith("copy-in ") for line in request.accesses):
        yield "The rows that it copies in come after it: they are not part of what is approved."
    if question.forwarded:
        forwarded = printable(question.forwarded.decode(errors="replace"))
        yield f"Because of masks this is executed in its place: {forwarded}"
    if request.asked > 1:
        yield f"It was asked {request.asked} times."
