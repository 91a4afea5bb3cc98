"""``[[ … ]]`` and ``(( … ))``, as far as shells that do not have them cannot run anything that is in them."""

import re

from interlock.protocols.ssh.commands.grammar.dialects import UnreadableError
from interlock.protocols.ssh.commands.grammar.simple import SimpleCommands
from interlock.protocols.ssh.commands.grammar.syntax import Compound, Part, Runs, ShellWord, Text, Variable

_DASH = (
    "what follows && or || inside of [[ … ]] is a command for shells without [[ : write [[ … ]] && [[ … ]], or begin"
    " with an operator such as -n"
)
_SAFE_ARITHMETIC = re.compile(r"[ \t]*[A-Za-z_]\w*(?:\+\+|--|[-+]?=)[\w+*%/$ \t-]*\)\)", re.ASCII)
_NUMERIC = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_OF_NAMES = frozenset({"-v", "-R"})
_REGEX_TEXT = re.compile(r"[^\s'\"\\$`();&<>|]+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Conditions(SimpleCommands):
    """Rules for conditions."""

    def condition(self) -> Compound:
        """``[[ … ]]``, behind the brackets."""
        words: list[ShellWord] = []
        while True:
            self.skip_blanks()
            if self.sees("]]"):
                self.at += 2
                break
            if self.take("&&") or self.take("||"):
                self._check_operand()
            elif self.match(re.compile(r"=~(?=[ \t])")):
                words.append(self._regex())
            else:
                words.append(self._operand())
        self._check_names(words)
        return Compound(Runs.ALL, (), tuple(words))

    def _operand(self) -> ShellWord:
        word = self.word()
        if word is None:
            raise UnreadableError(
                "[[ … ]] with parentheses, < or > is not read alike by all shells: use several of [[ … ]]"
            )
        return word

    def _check_operand(self) -> None:
        self.skip_blanks()
        while self.match(re.compile(r"![ \t]+")):
            self.skip_blanks()
        if not self.sees("-"):
            raise UnreadableError(_DASH)

    def _regex(self) -> ShellWord:
        """What follows ``=~``: shells without ``[[`` refuse parentheses in words, but run what follows ``|``."""
        self.skip_blanks()
        parts: list[Part] = []
        depth = 0
        while self.next and not (self.next in " \t\n" and not depth):
            if text := self.match(_REGEX_TEXT):
                parts.append(Text(text, quoted=False))
            elif self.sees("(") or self.sees(")") or (self.sees("|") and depth):
                depth += {"(": 1, ")": -1}.get(self.next, 0)
                self.at += 1
            elif self.next in "'\"\\$`":
                parts += self._piece(bool(parts))
            else:
                raise UnreadableError("a regular expression in [[ … ]] that is not read alike by all shells")
        return ShellWord(tuple(parts) or (Text("", quoted=True),))

    def _check_names(self, words: list[ShellWord]) -> None:
        """Comparisons of numbers evaluate their operands, ``-v`` the index of its operand."""
        texts = ["".join(part.text for part in word.parts if isinstance(part, Text)) for word in words]
        if _OF_NAMES.intersection(texts):
            raise UnreadableError("-v or -R in [[ … ]] evaluates its operand: write [[ -n ${name+set} ]]")
        if _NUMERIC.intersection(texts):
            for word in words:
                self._compute(word)

    def _compute(self, word: ShellWord) -> None:
        for part in word.parts:
            match part:
                case Text(text=text):
                    if set(text) & set("$`["):
                        raise UnreadableError("a comparison of numbers in [[ … ]] evaluates its operands")
                    self.facts.computed.update(_IDENTIFIER.findall(text))
                case Variable(name=name):
                    self.facts.computed.add(name)
                case _:
                    self._checked(part)

    def statement_of_arithmetic(self) -> Compound:
        """``((…))``: shells without it run what is inside as a command, so that must not name one."""
        if not _SAFE_ARITHMETIC.match(self.text, self.at):
            raise UnreadableError(
                "(( … )) is a command between parentheses for some shells: use [ … ] or name=$(( … ))"
            )
        return Compound(Runs.ALL, (), (ShellWord((self.arithmetic("))", quoted=True),)),))
