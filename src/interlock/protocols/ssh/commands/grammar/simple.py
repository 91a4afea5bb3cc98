"""Simple commands: assignments, words and redirections (XCU 2.7, 2.9.1)."""

import re
from typing import TypeVar

from interlock.protocols.ssh.commands.grammar.dialects import UnreadableError
from interlock.protocols.ssh.commands.grammar.expansions import prints_number
from interlock.protocols.ssh.commands.grammar.heredocs import HereDocuments
from interlock.protocols.ssh.commands.grammar.syntax import (
    Assignment,
    Expansion,
    Part,
    Redirect,
    ShellWord,
    Simple,
    Substitution,
    Text,
)

_Read = TypeVar("_Read")

_REDIRECT = re.compile(r"(\d{0,4})(<<<|<<-|<<|<&|<>|<(?!\()|>>|>&|>\||>(?!\()|&>>|&>)", re.ASCII)
_NAMED_DESCRIPTOR = re.compile(r"\{\w+\}[<>]", re.ASCII)
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(\[|\+?=)", re.ASCII)
_AND_GREATER = frozenset({"&>", "&>>"})


class SimpleCommands(HereDocuments):
    """Rules for simple commands."""

    def simple(self) -> Simple | None:
        """The simple command that begins here, if there is one."""
        assignments: list[Assignment] = []
        words: list[ShellWord] = []
        redirects: list[Redirect] = []
        while True:
            self.skip_blanks()
            if redirect := self.redirect():
                redirects.append(redirect)
            elif not words and (assignment := self._assignment()):
                assignments.append(self._unless_split(assignment, redirects))
            elif word := self.word():
                words.append(self._unless_split(word, redirects))
            else:
                break
        if words and any(assignment.words for assignment in assignments):
            raise UnreadableError("an array in front of a command is run by fish: assign it in a statement of its own")
        return Simple(tuple(assignments), tuple(words), tuple(redirects)) if assignments or words or redirects else None

    @staticmethod
    def _unless_split(read: _Read, redirects: list[Redirect]) -> _Read:
        if any(redirect.operator in _AND_GREATER for redirect in redirects):
            raise UnreadableError("words behind &>: dash takes them for another command, write &> at the end")
        return read

    def redirects(self) -> tuple[Redirect, ...]:
        """Those that follow a compound command."""
        found: list[Redirect] = []
        self.skip_blanks()
        while redirect := self.redirect():
            found.append(redirect)
            self.skip_blanks()
        return tuple(found)

    def redirect(self) -> Redirect | None:
        if _NAMED_DESCRIPTOR.match(self.text, self.at):
            raise UnreadableError("a redirection with a named descriptor is not read alike by all shells")
        found = _REDIRECT.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        descriptor, operator = int(found[1]) if found[1] else None, found[2]
        if operator == ">|":
            raise UnreadableError(">| is a pipe in fish: use >")
        if operator in ("<<", "<<-"):
            return self.here_document(operator, descriptor)
        self.skip_blanks()
        target = self.word()
        if target is None:
            raise UnreadableError(f"a file name is missing behind {operator}")
        if isinstance(target.parts[0], Text) and target.parts[0].text.startswith("!"):
            raise UnreadableError("a file name that begins with ! behind a redirection: csh leaves the ! out")
        return Redirect(operator, descriptor, target)

    def _assignment(self) -> Assignment | None:
        found = _ASSIGNED.match(self.text, self.at)
        if found is None:
            return None
        name, operator = found[1], found[2]
        self.at = found.end()
        index: tuple[Part, ...] = ()
        if operator == "[":
            index = (self.arithmetic("]", quoted=True),)
            if not self.take("=") and not self.take("+="):
                raise UnreadableError("a command whose name has an index: write it between quotes")
        if self.take("("):
            return self._array(name)
        value = self.word() or ShellWord((Text("", quoted=True),))
        plain = operator == "="
        if plain or operator == "+=":
            self.facts.assigned.add(name)
        if index or not all(is_inert(part) for part in value.parts):
            self.facts.unchecked.add(name)
        return Assignment(name, ShellWord((*index, *value.parts)), plain)

    def _array(self, name: str) -> Assignment:
        """The words of ``name=(…)``, behind the parenthesis."""
        words: list[ShellWord] = []
        self.facts.unchecked.add(name)
        while not self.take(")"):
            if self.sees("["):
                raise UnreadableError("an array with indexes: assign its elements one by one")
            if word := self.word():
                words.append(word)
            elif not self.take("\n"):
                raise UnreadableError("an array does not end")
            self.skip_blanks()
        return Assignment(name, ShellWord((Text("", quoted=True),)), plain=False, words=tuple(words))


def is_inert(part: Part) -> bool:
    """Arithmetic may evaluate the value without running anything."""
    match part:
        case Text(text=text):
            return not set(text) & set("$`[")
        case Substitution(script=script):
            return prints_number(script)
        case Expansion(numeric=numeric):
            return numeric
        case _:
            return False
