"""Brace expansion, ``a{b,c}`` and ``{1..3}``, as bash and zsh do it before all other expansions."""

import itertools
import re
from collections.abc import Sequence
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
    if not _expands(pieces):
        return [word]
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


def _expands(pieces: Sequence[_Piece]) -> bool:
    """Every pair of braces expands, or none may. Raises UnreadableError where shells disagree about which do."""
    open_braces: list[tuple[int, bool]] = []
    balanced = True
    for at, piece in enumerate(pieces):
        if piece == "{":
            open_braces.append((at, False))
        elif piece == "," and open_braces:
            open_braces[-1] = open_braces[-1][0], True
        elif piece == "}":
            opening, expands = open_braces.pop() if open_braces else (at, False)
            balanced = balanced and (expands or _ranged(pieces[opening + 1 : at]) is not None)
    if balanced and not open_braces:
        return True
    if "," in pieces or any(isinstance(piece, Text) and not piece.quoted and ".." in piece.text for piece in pieces):
        raise UnreadableError("braces of which not all expand are not read alike by all shells: quote them")
    return False


def _first_pair(pieces: Sequence[_Piece]) -> tuple[int, int, list[int]] | None:
    """The first outermost pair of braces, with its commas. All are pairs and all expand."""
    opening, depth, commas = 0, 0, list[int]()
    for at, piece in enumerate(pieces):
        if piece == "{":
            opening = opening if depth else at
            depth += 1
        elif piece == "," and depth == 1:
            commas.append(at)
        elif piece == "}":
            depth -= 1
            if not depth:
                return opening, at, commas
    return None


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
