"""Brace expansion, ``a{b,c}`` and ``{1..3}``, as bash and zsh do it before all other expansions."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from interlock.protocols.ssh.commands.grammar.dialects import UnreadableError
from interlock.protocols.ssh.commands.grammar.syntax import Expansion, Part, ShellWord, Substitution, Text, Variable

MAX_WORDS = 256
"""Words that one word may become."""
MAX_BRACES = 32
"""Braces that are not quoted in one word."""

_NUMBERS = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})(?:\.\.(-?\d{1,6}))?", re.ASCII)
_LETTERS = re.compile(r"([a-z])\.\.([a-z])|([A-Z])\.\.([A-Z])")
_PIECES = re.compile(r"[{},]|[^{},]+")
_Piece: TypeAlias = "str | Text | Variable | Expansion | Substitution"
"""``{``, ``}`` or ``,`` that are not quoted, or a part of the word."""


@dataclass(slots=True)
class _Brace:
    """An open brace: where it is, and where its commas are."""

    at: int
    commas: list[int]


def braced(word: ShellWord) -> list[ShellWord]:
    """The words that it becomes, in order: itself when it has no braces that expand.

    Raises UnreadableError when there are more than MAX_WORDS of them.
    """
    opening = sum(part.text.count("{") for part in word.parts if isinstance(part, Text) and not part.quoted)
    if not opening:
        return [word]
    if opening > MAX_BRACES:
        raise UnreadableError(f"a word with more than {MAX_BRACES} braces: write fewer, or quote them")
    pieces: list[_Piece] = []
    for part in word.parts:
        if isinstance(part, Text) and not part.quoted:
            pieces += [p if p in "{}," else Text(p, quoted=False) for p in _PIECES.findall(part.text)]
        else:
            pieces.append(part)
    return [ShellWord(tuple(_part(piece) for piece in expanded)) for expanded in _expanded(pieces)]


def _part(piece: _Piece) -> Part:
    return Text(piece, quoted=False) if isinstance(piece, str) else piece


def _expanded(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    found = _first_pair(pieces)
    if found is None:
        return [list(pieces)]
    opening, closing, commas = found
    tails = _expanded(pieces[closing + 1 :])
    middles = _alternatives(pieces, opening, closing, commas)
    if len(middles) * len(tails) > MAX_WORDS:
        raise UnreadableError(f"braces that make more than {MAX_WORDS} words: write fewer")
    return [[*pieces[:opening], *middle, *tail] for middle in middles for tail in tails]


def _first_pair(pieces: Sequence[_Piece]) -> tuple[int, int, list[int]] | None:
    """The outermost pair of braces that expands and begins first."""
    open_braces: list[_Brace] = []
    best: tuple[int, int, list[int]] | None = None
    for at, piece in enumerate(pieces):
        if piece == "{":
            open_braces.append(_Brace(at, []))
        elif piece == "," and open_braces:
            open_braces[-1].commas.append(at)
        elif piece == "}" and open_braces:
            brace = open_braces.pop()
            if (brace.commas or _ranged(pieces[brace.at + 1 : at]) is not None) and (
                best is None or brace.at < best[0]
            ):
                best = (brace.at, at, brace.commas)
    return best


def _alternatives(pieces: Sequence[_Piece], opening: int, closing: int, commas: list[int]) -> list[list[_Piece]]:
    if not commas:
        return [[Text(text, quoted=True)] for text in _ranged(pieces[opening + 1 : closing]) or []]
    borders = [opening, *commas, closing]
    middles: list[list[_Piece]] = []
    for start, end in itertools.pairwise(borders):
        middles += _expanded(pieces[start + 1 : end])
        if len(middles) > MAX_WORDS:
            raise UnreadableError(f"braces that make more than {MAX_WORDS} words: write fewer")
    return middles


def _ranged(pieces: Sequence[_Piece]) -> list[str] | None:
    """The texts of ``1..3`` or ``a..c``; None when it is no range."""
    match pieces:
        case [Text(text=text, quoted=False)] if ".." in text:
            pass
        case _:
            return None
    if numbers := _NUMBERS.fullmatch(text):
        return _numbers(numbers[1], numbers[2], numbers[3])
    if letters := _LETTERS.fullmatch(text):
        first, last = (ord(letter) for letter in letters.groups() if letter)
        step = 1 if first <= last else -1
        return [chr(code) for code in range(first, last + step, step)]
    if re.fullmatch(r"[^.]+\.\.[^.]+(\.\.-?\d+)?", text):
        raise UnreadableError("a range in braces that is not read alike by all shells: write its words")
    return None


def _numbers(first: str, last: str, written_step: str | None) -> list[str]:
    padded = any(re.match(r"-?0\d", end) for end in (first, last))
    width = max(len(first), len(last)) if padded else 0
    start, end = int(first), int(last)
    step = abs(int(written_step or 1)) or 1
    if abs(end - start) // step >= MAX_WORDS:
        raise UnreadableError(f"braces that make more than {MAX_WORDS} words: write fewer")
    numbers = range(start, end + 1, step) if start <= end else range(start, end - 1, -step)
    return [f"{number:0{width}d}" if width else str(number) for number in numbers]
