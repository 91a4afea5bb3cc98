"""A request as reviewers see it: the exact statement and its values, and in words what they do not show.

Never shortens anything without saying so, and never guesses what a statement would do.
"""

from collections.abc import Callable, Iterator

from interlock.core.approval import ApprovalRequest, ApprovalView, Question, Rehearsal
from interlock.core.printable import printable
from interlock.core.recording import SealedRequest, TranscriptKind
from interlock.services.evidence.archive import Transcriber


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
    values: tuple[str | None, ...] = ()
    for line in transcriber(question.protocol).request(0, request.number, asked):
        if line.kind is TranscriptKind.REQUEST:
            values = line.values
    return ApprovalView(
        request=request,
        statement=question.text.decode(errors="replace"),
        parameters=values,
        remarks=tuple(_remarks(request, question, values)),
        rehearsal=rehearsal,
        link=link_of(request.id),
    )


def _remarks(request: ApprovalRequest, question: Question, values: tuple[str | None, ...]) -> Iterator[str]:
    text = question.text.decode(errors="replace")
    if question.text_bytes > len(question.text):
        yield f"Only the first {len(question.text)} of {question.text_bytes} bytes of the statement are shown."
    if question.parameter_bytes > len(question.parameters):
        yield (
            f"Only the first {len(question.parameters)} of {question.parameter_bytes} bytes of its values are shown; "
            "an approval covers all of them as they were sent."
        )
    if printable(text) != text or any(value is not None and printable(value) != value for value in values):
        yield "It holds characters that do not show or that change the order of what is shown; they are escaped."
    if any(line.startswith("copy-in ") for line in request.accesses):
        yield "The rows that it copies in come after it: they are not part of what is approved."
    if question.forwarded:
        forwarded = printable(question.forwarded.decode(errors="replace"))
        yield f"Because of masks this is executed in its place: {forwarded}"
    if request.asked > 1:
        yield f"It was asked {request.asked} times."
