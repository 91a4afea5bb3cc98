"""A line of a transcript as text for people; safe for the terminal, whatever it says."""

from typing import Final

from interlock.core.printable import one_line, printable
from interlock.core.recording import TranscriptKind, TranscriptLine

_MARKS: Final = {
    TranscriptKind.REQUEST: ">",
    TranscriptKind.COLUMNS: " ",
    TranscriptKind.ROW: " ",
    TranscriptKind.DATA: " ",
    TranscriptKind.NOTICE: "*",
    TranscriptKind.ERROR: "!",
    TranscriptKind.DONE: "=",
    TranscriptKind.GAP: "~",
}


def transcript_text(line: TranscriptLine) -> str:
    """Time, operation, mark, and what was said."""
    head = f"{line.at_us / 1e6:10.3f}  #{line.number:<4} {_MARKS[line.kind]} "
    cells = [one_line(value) if value is not None else "NULL" for value in line.values]
    if line.kind is TranscriptKind.REQUEST:
        body = printable(line.text) + (f"  [{', '.join(cells)}]" if cells else "")
    else:
        body = printable(line.text) if line.text else " | ".join(cells)
    return head + body.replace("\n", "\n" + " " * len(head))
