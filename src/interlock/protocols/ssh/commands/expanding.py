"""From the words of a text to the words that a program gets, as far as those are known.

A value is only put in for a variable where it must have that value. Words that shells expand in different ways are not
literal.
"""

import re
from collections.abc import Iterable, Mapping

from interlock.protocols.ssh.commands.braces import braced
from interlock.protocols.ssh.commands.grammar.syntax import (
    AndOr,
    Part,
    Pipeline,
    Script,
    ShellWord,
    Simple,
    Substitutes,
    Substitution,
    Text,
    Variable,
)
from interlock.protocols.ssh.commands.invocation import Word

_WILD = re.compile(r"[*?]")
_SPLIT_OR_WILD = re.compile(r"[\s*?\[\]\\~]")
_DATE_FORMAT = re.compile(r"\+%[YmdHMSFTsyj](?:[-_.]?%[YmdHMSFTsyj])*")
_DATE = "*"
"""What stands for a date inside of a name: a pattern that matches it."""
_COMPARISONS = frozenset({"=", "==", "=~"})
SUBSTITUTED_FILE = "/dev/fd/63"
"""What stands for the file of ``<(…)`` and ``>(…)``."""


def expanded(words: Iterable[ShellWord], values: Mapping[str, str], *, splits: bool = True) -> list[Word]:
    """The words after all expansions. ``splits`` is False where unquoted expansions stay one word without braces."""
    all_words = (each for written in words for each in (braced(written) if splits else [written]))
    return [word_of(each, values, splits=splits) for each in all_words if each.parts]


def word_of(written: ShellWord, values: Mapping[str, str], *, splits: bool = True) -> Word:
    """One word, braces apart. ``values`` has HOME if ``~`` and ``$HOME`` are the home directory of the login."""
    texts: list[str] = []
    literal = True
    for at, part in enumerate(written.parts):
        text = _text_of(part, values, first=at == 0, splits=splits, following=written.parts[at + 1 : at + 2])
        literal = literal and text is not None
        texts.append(text or "")
    text = "".join(texts)
    literal = literal and _begins_plainly(written.parts[0], text, values)
    dated = any(isinstance(part, Substitution) for part in written.parts) and _DATE in text
    return Word(text, literal, splits and (dated or _is_wild(written.parts)))


def _text_of(
    part: Part, values: Mapping[str, str], *, first: bool, splits: bool, following: tuple[Part, ...]
) -> str | None:
    match part:
        case Text(text=text):
            return text
        case Variable(name="HOME") if first:
            at_border = not following or (isinstance(following[0], Text) and following[0].text.startswith("/"))
            return "~" if "HOME" in values and at_border else None
        case Variable(name=name, quoted=quoted) if name != "HOME":
            value = values.get(name)
            return None if value is None or (not quoted and splits and not _is_one_word(value)) else value
        case Substitution(kind=Substitutes.OUTPUT, script=script) if not first and _is_date(script):
            return _DATE
        case Substitution(kind=Substitutes.INPUT_FILE | Substitutes.OUTPUT_FILE):
            return SUBSTITUTED_FILE
        case _:
            return None


def _is_date(script: Script) -> bool:
    """``date +%F``: it prints digits and what is between them, nothing that begins or ends a word or a path.

    Nobody but the program has that name: whoever reads a function ``date`` takes it for opaque.
    """
    match script.lists:
        case [AndOr(first=Pipeline(commands=[Simple(assignments=(), words=words, redirects=())]), rest=())]:
            texts = [_plain_text(word) for word in words if _plain_text(word) not in ("-u", "--utc")]
            return len(texts) == 2 and texts[0] == "date" and _DATE_FORMAT.fullmatch(texts[1] or "") is not None
        case _:
            return False


def _plain_text(word: ShellWord) -> str | None:
    texts = [part.text for part in word.parts if isinstance(part, Text)]
    return "".join(texts) if len(texts) == len(word.parts) else None


def _is_one_word(value: str) -> bool:
    return bool(value) and not _SPLIT_OR_WILD.search(value)


def _begins_plainly(first: Part, text: str, values: Mapping[str, str]) -> bool:
    """A ``~`` stands for the home directory and nothing else; no ``=`` begins it, which zsh replaces by a path."""
    if isinstance(first, Variable) and first.name == "HOME":
        return True
    if text.startswith("~"):
        if not isinstance(first, Text) or first.quoted or "HOME" not in values:
            return False
        return first.text == text == "~" or first.text.startswith("~/")
    return not (text.startswith("=") and isinstance(first, Text) and not first.quoted and text not in _COMPARISONS)


def _is_wild(parts: tuple[Part, ...]) -> bool:
    unquoted = "".join(part.text if isinstance(part, Text) and not part.quoted else "\0" for part in parts)
    return _WILD.search(unquoted) is not None or 0 <= unquoted.find("[") < unquoted.rfind("]")
