"""Everything that begins with ``$`` or a backquote (XCU 2.6).

Spellings whose end or meaning depends on the shell are not read; each has a plain one that is.
"""

import re

from interlock.protocols.ssh.commands.grammar.cursor import Cursor
from interlock.protocols.ssh.commands.grammar.dialects import Disagreement, UnreadableError, UnterminatedError
from interlock.protocols.ssh.commands.grammar.escapes import decoded
from interlock.protocols.ssh.commands.grammar.syntax import (
    Expansion,
    Part,
    Script,
    Simple,
    Substitutes,
    Substitution,
    Text,
    Variable,
)

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SPECIAL = re.compile(r"[0-9@*#?$!_-]")
_MODIFIER = re.compile(r"(?=\[|:[A-Za-z&])")
_ZSH_FLAGS = re.compile(r"[=~^+]+(?=[A-Za-z_{(\[])")
_ANSI_C = re.compile(r"(?:[^\\']|\\.)*", re.DOTALL)
_BACKQUOTED = re.compile(r"(?:[^\\`]|\\.)*", re.DOTALL)
_OPERATOR = re.compile(r":?[-=+?]|##?|%%?|//?[#%]?|\^\^?|,,?|:|@[QULuKkAaE](?=\})")
_WORD_TEXT = re.compile(r"[^\s'\"\\$`{}()<>]+|[ \t]+")
_COMPUTED_TEXT = re.compile(r"[\w \t#.,:?<>=!&|^~+*/%@-]+", re.ASCII)
_COUNTERS = frozenset({"wc", "nproc", "date", "id", "stat", "expr", "seq"})
"""Programs that print numbers, as far as their own words tell."""


class Expansions(Cursor):
    """Rules for expansions. ``double`` and ``substituted`` come from the rules for words and commands."""

    def double(self) -> list[Part]:
        raise NotImplementedError

    def single(self) -> Part:
        raise NotImplementedError

    def substituted(self) -> Script:
        raise NotImplementedError

    def nested(self, text: str) -> Script:
        raise NotImplementedError

    def dollar(self, *, quoted: bool) -> list[Part]:
        """What begins with the ``$`` that is next."""
        self.at += 1
        parts = self._after_dollar(quoted)
        if self.sees("\\\n"):
            raise UnreadableError("a line is joined next to an expansion: write it in one line")
        return parts

    def _after_dollar(self, quoted: bool) -> list[Part]:
        if self.take("(("):
            return [self.arithmetic("))", quoted=quoted)]
        if self.take("("):
            return [Substitution(self.substituted(), Substitutes.OUTPUT, quoted)]
        if self.take("{"):
            return [self._parameter(quoted)]
        if self.sees("[") or self.sees("<") or self.sees("\\\n"):
            raise UnreadableError("$ before [ or < or the end of a line is not read alike by all shells")
        if not quoted and self.sees("'") and self.dialect.ansi_c_quotes:
            return [self._ansi_c()]
        if not quoted and self.sees('"'):
            return self.double()
        return [self._named(quoted)]

    def _named(self, quoted: bool) -> Part:
        if name := self.match(NAME):
            # zsh and csh have indexes and modifiers behind a name without braces.
            return Expansion(quoted) if _MODIFIER.match(self.text, self.at) else Variable(name, quoted)
        if special := self.match(_SPECIAL):
            return Expansion(quoted, numeric=special in "#?$!")
        if self.match(_ZSH_FLAGS):
            return Expansion(quoted)
        return Text("$", quoted=True)

    def _ansi_c(self) -> Part:
        self.at += 1
        content = self.match(_ANSI_C)
        if not self.take("'"):
            raise UnterminatedError("$'")
        if "\\'" in content:
            self.facts.disagreements.add(Disagreement.ANSI_C_QUOTE)
        return Text(decoded(content), quoted=True)

    def _parameter(self, quoted: bool) -> Part:
        """``${…}`` (XCU 2.6.2), behind the brace."""
        prefix = "" if self.sees("#}") else self.match(re.compile(r"[#!](?=[A-Za-z_0-9@*?$-])"))
        name = self.match(NAME) or self.match(re.compile(r"\d+|[@*#?$!-]"))
        if not name:
            raise UnreadableError("an expansion in ${…} is not known: write it in a plain way")
        if prefix == "!":
            self.facts.computed.add(name)
        inner = [self.arithmetic("]", quoted=True)] if self.take("[") else []
        if self.take("}"):
            plain = not prefix and not inner and NAME.fullmatch(name)
            return Variable(name, quoted) if plain else Expansion(quoted, tuple(inner), numeric=prefix == "#")
        operator = self.match(_OPERATOR)
        if not operator or prefix:
            raise UnreadableError("an expansion in ${…} is not known: write it in a plain way")
        if operator == ":":
            inner.append(self.arithmetic("}", quoted=True))
            return Expansion(quoted, tuple(inner))
        if operator in ("=", ":="):
            self.facts.computed.add(name)
            self.facts.unchecked.add(name)
        inner += self._word_in_braces(quoted)
        return Expansion(quoted, tuple(inner))

    def _word_in_braces(self, quoted: bool) -> list[Part]:
        parts: list[Part] = []
        while not self.take("}"):
            if self.match(_WORD_TEXT):
                continue
            if self.sees("$"):
                parts += self.dollar(quoted=True)
            elif self.sees("`"):
                parts.append(self.backquoted(quoted=True))
            elif self.sees('"') and not quoted:
                parts += self.double()
            elif self.sees("'") and not quoted:
                parts.append(self.single())
            else:
                raise UnreadableError("what stands in ${…} is not read alike by all shells: write it in a plain way")
        return parts

    def arithmetic(self, end: str, *, quoted: bool) -> Part:
        """Up to ``end``, which is not part of it (XCU 2.6.4). Names in it are evaluated, as often as it takes."""
        start, parentheses, parts = self.at, 0, list[Part]()
        while parentheses or not self.take(end):
            if text := self.match(_COMPUTED_TEXT):
                self.facts.compute(text)
            elif self.next in ("(", "["):
                parentheses += 1
                self.at += 1
            elif self.next in (")", "]") and parentheses:
                parentheses -= 1
                self.at += 1
            elif self.sees("$"):
                parts += [self._checked(part) for part in self.dollar(quoted=True)]
            elif self.sees("`"):
                parts.append(self._checked(self.backquoted(quoted=True)))
            else:
                raise UnreadableError("arithmetic that is not read alike by all shells: write it in a plain way")
        if end == "))":
            self._note_head(self.text[start : self.at - 2])
        return Expansion(quoted, tuple(parts), numeric=True)

    def _note_head(self, expression: str) -> None:
        head = re.match(r"[\s(]*([A-Za-z_][\w-]*)(?=[\s();&|<>]|$)", expression, re.ASCII)
        if head is not None:
            self.facts.heads.add(head[1])

    def _checked(self, part: Part) -> Part:
        """An expansion in arithmetic, whose value is evaluated."""
        match part:
            case Variable(name=name):
                self.facts.computed.add(name)
            case Substitution(script=script) if not prints_number(script):
                raise UnreadableError(
                    "the output of a command is evaluated in arithmetic: shells run the $(…) that it may have in it"
                )
            case Expansion(numeric=False):
                raise UnreadableError("a value that may be anything is evaluated in arithmetic")
        return part

    def backquoted(self, *, quoted: bool) -> Part:
        """A pair of backquotes. Between them a backslash only escapes ``$``, a backquote and itself (XCU 2.6.3)."""
        self.at += 1
        content = self.match(_BACKQUOTED)
        if not self.take("`"):
            raise UnterminatedError("a backquote")
        if quoted and '\\"' in content:
            raise UnreadableError('\\" between backquotes between double quotes: use $(…)')
        return Substitution(self.nested(re.sub(r"\\([$`\\])", r"\1", content)), Substitutes.OUTPUT, quoted)


def prints_number(script: Script) -> bool:
    """What prints is a program that counts, and no word of it may come out again as code."""
    if len(script.lists) != 1 or script.lists[0].rest:
        return False
    command = script.lists[0].first.commands[-1]
    if not isinstance(command, Simple) or not command.words:
        return False
    parts = [part for word in command.words for part in word.parts]
    if not all(isinstance(part, Text) and "$" not in part.text and "`" not in part.text for part in parts):
        return False
    return "".join(part.text for part in command.words[0].parts if isinstance(part, Text)) in _COUNTERS
