"""What a simple command prints, where its text alone tells: ``echo`` and ``printf`` of plain words, ``cat`` of a text.

Nothing is told of what shells print in different ways, such as ``echo`` with a backslash.
"""

from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Invocation, Word


def printed(invocation: Invocation) -> str | None:
    """The whole standard output; None when it is not known."""
    if not all(word.literal and not word.glob for word in invocation.words):
        return None
    match invocation.program.text:
        case "echo":
            return _echoed(invocation.arguments)
        case "printf":
            return _formatted(invocation.arguments)
        case "cat" if not invocation.arguments:
            return invocation.input_text
        case _:
            return None


def _echoed(words: Sequence[Word]) -> str | None:
    texts = [word.text for word in words]
    if any("\\" in text for text in texts) or (texts[:1] and texts[0].startswith("-")):
        return None
    return " ".join(texts) + "\n"


def _formatted(words: Sequence[Word]) -> str | None:
    match [word.text for word in words]:
        case ["%s", text]:
            return text
        case ["%s\\n", text]:
            return text + "\n"
        case [text] if not set(text) & set("%\\") and not text.startswith("-"):
            return text
        case _:
            return None
