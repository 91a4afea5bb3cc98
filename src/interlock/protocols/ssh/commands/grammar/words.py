"""Words and quotations (XCU 2.2, 2.3)."""

import re

from interlock.protocols.ssh.commands.grammar.dialects import Disagreement, UnreadableError, UnterminatedError
from interlock.protocols.ssh.commands.grammar.expansions import Expansions
from interlock.protocols.ssh.commands.grammar.syntax import Expansion, Part, ShellWord, Substitutes, Substitution, Text

_PLAIN = re.compile(r"[^\s;&|<>()'\"\\$`]+")
_SINGLE = re.compile(r"[^']*")
_SINGLE_WITH_ESCAPES = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_DOUBLE_TEXT = re.compile(r"[^\"\\$`]+")
_LINE = re.compile(r"(?<!\\)\n")
_FISH_ESCAPE = re.compile(r"\\(?:[xXuU][0-9a-fA-F]|[0-7]|c[a-zA-Z])")


class Words(Expansions):
    """Rules for words."""

    def word(self) -> ShellWord | None:
        """The word that begins here, if one does."""
        parts: list[Part] = []
        if self.sees("<(") or self.sees(">("):
            kind = Substitutes(self.text[self.at : self.at + 2])
            self.at += 2
            return self._alone(Substitution(self.substituted(), kind, quoted=True))
        while piece := self._piece(bool(parts)):
            parts += piece
        return ShellWord(tuple(parts)) if parts else None

    def _alone(self, part: Part) -> ShellWord:
        if self._piece(True):
            raise UnreadableError("text next to <(…) or >(…) is not read alike by all shells")
        return ShellWord((part,))

    def _piece(self, begun: bool) -> list[Part]:
        """The next part of a word, nothing at its end."""
        if plain := self.match(_PLAIN):
            if not plain.isprintable():
                raise UnreadableError("an invisible character: write it between quotes, or leave it out")
            return [Text(plain, quoted=False)]
        match self.next:
            case "'":
                return [self.single()]
            case '"':
                return self.double()
            case "$":
                return self.dollar(quoted=False)
            case "`":
                return [self.backquoted(quoted=False)]
            case "\\":
                return self._escaped(begun)
            case "" | " " | "\t" | "\n" | ";" | "&" | "|" | "<" | ">" | "(" | ")":
                return []
            case _:
                raise UnreadableError("a blank that is no space: write a space")

    def _escaped(self, begun: bool) -> list[Part]:
        if _FISH_ESCAPE.match(self.text, self.at):
            self.at += 2
            return [Expansion(quoted=True)]
        self.at += 2
        escaped = self.text[self.at - 1 : self.at]
        if not escaped:
            raise UnreadableError("the text ends with a backslash")
        if escaped != "\n":
            return [Text(escaped, quoted=True)]
        if begun and self.next not in ("", " ", "\t", "\n"):
            raise UnreadableError("a word goes on in the next line: write it in one line")
        return [] if begun else self._piece(begun)

    def single(self) -> Part:
        self.at += 1
        content = self.match(_SINGLE_WITH_ESCAPES if self.dialect.escapes_in_single_quotes else _SINGLE)
        if not self.sees("'") or (_LINE.search(content) and not self.dialect.lines_in_quotes):
            raise UnterminatedError("'")
        self.at += 1
        if (len(content) - len(content.rstrip("\\"))) % 2 and not self.dialect.escapes_in_single_quotes:
            self.facts.disagreements.add(Disagreement.SINGLE_QUOTE)
        if self.dialect.escapes_in_single_quotes:
            content = re.sub(r"\\(['\\])", r"\1", content)
        return Text(content, quoted=True)

    def double(self) -> list[Part]:
        """Between double quotes (XCU 2.2.3). An empty quotation is an empty text."""
        self.at += 1
        parts = self.expandable('"$`\\')
        if not self.take('"'):
            raise UnterminatedError('"')
        return parts or [Text("", quoted=True)]

    def expandable(self, escapable: str) -> list[Part]:
        """Text in which only expansions and a backslash before ``escapable`` are special, up to ``"`` if it is one."""
        parts: list[Part] = []
        while self.next and not (self.sees('"') and '"' in escapable):
            parts += self._expandable_piece(escapable)
        return parts

    def _expandable_piece(self, escapable: str) -> list[Part]:
        if text := self.match(_DOUBLE_TEXT):
            if _LINE.search(text) and not self.dialect.lines_in_quotes and '"' in escapable:
                raise UnterminatedError('"')
            return [Text(text, quoted=True)]
        match self.next:
            case "$":
                return self.dollar(quoted=True)
            case "`":
                return [self.backquoted(quoted='"' in escapable)]
            case "\\":
                return self._escaped_in_text(escapable)
            case other:
                self.at += 1
                return [Text(other, quoted=True)]

    def _escaped_in_text(self, escapable: str) -> list[Part]:
        if '"' in escapable and not self.dialect.escapes_in_double_quotes and not self.sees("\\\n"):
            self.at += 1
            return [Text("\\", quoted=True)]
        self.at += 2
        escaped = self.text[self.at - 1 : self.at]
        if escaped == "\n":
            return []
        if escaped not in escapable:
            return [Text("\\" + escaped, quoted=True)]
        if escaped in '"`' and '"' in escapable:
            self.facts.disagreements.add(Disagreement.DOUBLE_QUOTE)
        return [Text(escaped, quoted=True)]
