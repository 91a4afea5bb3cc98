"""Makes text from strangers safe to show: on a terminal, in a log line, in a table.

Nothing in here knows where the text goes; it only takes away what could steer the place that shows it.
"""

import unicodedata


def printable(text: str) -> str:
    """Text that is safe on a terminal: control, format and separator characters become escapes, as do lone surrogates.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" or _is_safe(letter) else _escape(letter) for letter in text)


def _is_safe(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "CZ" or letter == " "


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """The same with line breaks and tabs escaped too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
