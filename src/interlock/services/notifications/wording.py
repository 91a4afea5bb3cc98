"""A message as plain text, for channels that people read.

Text from strangers cannot forge what is around it: it stays on its line or behind a bar, its addresses are no links,
and where a channel has a markup its signs are replaced by others that look alike. The link comes before the statement.
"""

from collections.abc import Callable, Iterator
from typing import Final

from interlock.core.notification import Excerpt, Letter
from interlock.core.printable import printable

BAR: Final = "| "
_LOOK_ALIKES: Final = str.maketrans("<>&@*`[]~|", "‹›＆＠∗'［］∼¦")


def without_links(text: str) -> str:
    """Text in which mail programs find no address to make a link of."""
    return text.replace("://", "[:]//").replace("www.", "www[.]")


def without_markup(text: str) -> str:
    """The same without the signs by which chats format, link and call people."""
    return without_links(text).translate(_LOOK_ALIKES)


def title_of(letter: Letter, safe: Callable[[str], str]) -> str:
    """The title in one line. ``safe`` is what text from strangers goes through."""
    return f"[Interlock] {safe(letter.message.title)}"


def text_of(letter: Letter, safe: Callable[[str], str]) -> str:
    """All of a message but its title."""
    message = letter.message
    lines = [f"{name}: {safe(text)}" for name, text in message.facts]
    lines += ["", f"Open: {message.link}"]
    if letter.statement is not None:
        lines += ["", heading_of(letter.statement), *_barred(letter.statement, safe)]
    return "\n".join(lines)


def heading_of(statement: Excerpt) -> str:
    """What is above a statement: whether it is all there."""
    if not statement.left_out_bytes:
        return "Statement, without its bound values:"
    return f"Beginning of the statement; {statement.left_out_bytes} bytes are cut off:"


def _barred(statement: Excerpt, safe: Callable[[str], str]) -> Iterator[str]:
    for line in printable(statement.text).split("\n"):
        yield BAR + safe(line)
