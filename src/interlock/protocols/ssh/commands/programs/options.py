"""Which words of a program are its options, their values, and its operands; as getopt_long(3) reads them.

A grammar is written as text. ``-vn:o>`` lists short options, ``lines: output> force`` long ones; the character behind a
name says what follows it (``Kind``). It never says what an option does beyond that.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from interlock.protocols.ssh.commands.invocation import Word


class Kind(enum.Enum):
    """What an option takes, by the character behind its name in a grammar."""

    FLAG = ""
    VALUE = ":"
    OPTIONAL = "?"
    """A value that only counts when it is attached (``-i.bak``, ``--color=never``)."""
    READS = "<"
    """A value that is a file which is read."""
    WRITES = ">"
    """A value that is a file or directory which is written."""
    CONTACTS = "@"
    """A value that is a host or a URL."""
    RUNS = "!"
    """A value that says what code to run, in a way that is not looked into."""
    CHANGES = "^"
    """A flag that makes the program do what cannot be foreseen."""

    @property
    def takes_value(self) -> bool:
        return self not in (Kind.FLAG, Kind.OPTIONAL, Kind.CHANGES)


_MARKS = {kind.value: kind for kind in Kind if kind.value}


@dataclass(frozen=True, slots=True)
class Grammar:
    """The options of a program. ``in_order``: the first operand ends them, as for ``sudo`` and ``env``."""

    kinds: dict[str, Kind]
    in_order: bool = False
    numbers: bool = False
    """``-5`` is an option (``head -5``)."""
    single_dash: bool = False
    """Long options may have one dash, and no short ones are bundled."""

    def named(self, written: str) -> str | None:
        """The long option that ``written`` is or abbreviates; None if there is none, or more than one."""
        if written in self.kinds:
            return written
        matching = [name for name in self.kinds if len(name) > 1 and name.startswith(written)]
        kinds = {self.kinds[name] for name in matching}
        return min(matching) if len(kinds) == 1 and len(matching) == 1 else None


@cache
def grammar(text: str, *, in_order: bool = False, single_dash: bool = False) -> Grammar:
    """Reads a grammar. ``-#`` among the short ones: numbers are options."""
    kinds: dict[str, Kind] = {"help": Kind.FLAG, "version": Kind.FLAG}
    numbers = False
    for token in text.split():
        if token.startswith("-"):
            numbers = numbers or "#" in token
            kinds.update(_short(token[1:].replace("#", "")))
        elif token[-1] in _MARKS:
            kinds[token[:-1]] = _MARKS[token[-1]]
        else:
            kinds[token] = Kind.FLAG
    return Grammar(kinds, in_order, numbers, single_dash)


def _short(cluster: str) -> Iterable[tuple[str, Kind]]:
    for at, letter in enumerate(cluster):
        if letter not in _MARKS:
            following = cluster[at + 1 : at + 2]
            yield letter, _MARKS.get(following, Kind.FLAG)


@dataclass(frozen=True, slots=True)
class Option:
    """An option that was given, under its full name without dashes."""

    name: str
    kind: Kind
    value: Word | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """The words of a program, told apart. ``unknown`` are options that its grammar does not have."""

    options: tuple[Option, ...]
    operands: tuple[Word, ...]
    unknown: tuple[str, ...]

    def has(self, *names: str) -> bool:
        return any(option.name in names for option in self.options)

    def values(self, *names: str) -> tuple[Word, ...]:
        return tuple(option.value for option in self.options if option.name in names and option.value is not None)

    @property
    def informs(self) -> bool:
        """It only prints its help or its version."""
        return self.has("help", "version")


class _Reader:
    """Goes over the words once."""

    def __init__(self, words: Sequence[Word], rules: Grammar) -> None:
        self.words = words
        self.rules = rules
        self.at = 0
        self.options: list[Option] = []
        self.operands: list[Word] = []
        self.unknown: list[str] = []

    def read(self) -> Parsed:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word.text == "--" and word.literal:
                break
            if not word.text.startswith("-") or (word.text == "-" and word.literal):
                self.operands.append(word)
                if self.rules.in_order:
                    break
            elif self.rules.single_dash:
                self._long(word, word.text.lstrip("-"))
            elif word.text.startswith("--"):
                self._long(word, word.text[2:])
            else:
                self._cluster(word)
        self.operands.extend(self.words[self.at :])
        return Parsed(tuple(self.options), tuple(self.operands), tuple(self.unknown))

    def _long(self, word: Word, written: str) -> None:
        name, equals, value = written.partition("=")
        full = self.rules.named(name)
        if full is None or not (word.literal or equals):
            self.unknown.append(word.text)
            return
        kind = self.rules.kinds[full]
        attached = Word(value, word.literal, word.glob) if equals else None
        self.options.append(Option(full, kind, attached or (self._next() if kind.takes_value else None)))

    def _cluster(self, word: Word) -> None:
        letters = word.text[1:]
        if self.rules.numbers and letters.isdigit():
            self.options.append(Option("#", Kind.VALUE, Word(letters)))
            return
        for at, letter in enumerate(letters):
            kind = self.rules.kinds.get(letter)
            rest = letters[at + 1 :]
            if kind is None:
                self.unknown.append(f"-{letter}")
            elif kind.takes_value or kind is Kind.OPTIONAL:
                attached = Word(rest, word.literal, word.glob) if rest or not word.literal else None
                self.options.append(Option(letter, kind, attached or (self._next() if kind.takes_value else None)))
                return
            else:
                self.options.append(Option(letter, kind))
        if not word.literal:
            self.unknown.append(word.text)

    def _next(self) -> Word | None:
        if self.at >= len(self.words):
            return None
        self.at += 1
        return self.words[self.at - 1]


def parse(words: Sequence[Word], rules: Grammar) -> Parsed:
    """Tells options, values and operands apart. A word that is not literal and may be an option is ``unknown``."""
    return _Reader(words, rules).read()
