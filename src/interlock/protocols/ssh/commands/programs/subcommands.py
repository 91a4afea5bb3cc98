"""Programs whose first words say what they do: ``git log``, ``docker container ls``, ``systemctl restart``.

A table has a line for each set of classes: ``read: log status container.ls``. ``push:--force`` adds classes when a flag
is there; ``*`` in a word stands for anything. Words that are not in the table are opaque.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import Grammar, Option, Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import of_options
from interlock.protocols.ssh.commands.programs.verdicts import NOTHING, READS, opaque, total

_TAKING_OPERANDS = frozenset({"reflog"})
"""Of those that have sub-commands, what takes other words as well."""
Rule = Callable[[Invocation, Sequence[Word]], Verdict]
"""What a sub-command does with the words behind it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program with sub-commands."""

    rules: Grammar
    table: Mapping[str, frozenset[CommandClass]]
    flags: Mapping[str, tuple[tuple[str, frozenset[CommandClass]], ...]]
    special: Mapping[str, Rule]
    bare: Verdict

    def __call__(self, invocation: Invocation) -> Verdict:
        found = self._find(invocation.arguments)
        if isinstance(found, Verdict):
            return found
        chain, options, rest = found
        name = invocation.program.text.rpartition("/")[2]
        told = of_options(Parsed(tuple(options), (), ()), strict=False, program=name)
        if rest and all(word.text in ("--help", "-h") and word.literal for word in rest):
            return total(READS, told)
        rule = self.special.get(chain)
        done = rule(invocation, rest) if rule else Verdict(self._classes(chain) or frozenset())
        return total(told, done, self._flagged(chain, options, rest), _why(done, f"{name} {chain.replace('.', ' ')}"))

    def _find(self, words: Sequence[Word]) -> Verdict | tuple[str, list[Option], Sequence[Word]]:
        """The longest chain of words that the table has, the options on the way, the words behind."""
        chain, found, options = "", "", list[Option]()
        rest: Sequence[Word] = ()
        while True:
            parsed = parse(words, self.rules)
            options += parsed.options
            if not parsed.operands or not parsed.operands[0].literal:
                break
            longer = f"{chain}.{parsed.operands[0].text}" if chain else parsed.operands[0].text
            if parsed.operands[0].text == "help" and not parsed.unknown and not chain:
                return READS
            if self._classes(longer) is None and longer not in self.special and not self._continues(longer):
                break
            if parsed.unknown:
                return opaque(f"an option in front is not known: {parsed.unknown[0]}")
            chain, words = longer, parsed.operands[1:]
            if self._classes(longer) is not None or longer in self.special:
                found, rest = longer, words
            if not self._continues(longer):
                break
        if found and not (chain == found and found not in self.special and self._misses(found, rest)):
            return found, options, rest
        return self._without_verb(parsed, options, chain)

    def _misses(self, chain: str, rest: Sequence[Word]) -> bool:
        """A word follows in the place of one that the table has, and it does not have that."""
        operands = parse(rest, self.rules).operands
        return self._continues(chain) and bool(operands) and chain not in _TAKING_OPERANDS

    def _without_verb(self, parsed: Parsed, options: list[Option], chain: str) -> Verdict:
        if parsed.operands or parsed.unknown:
            word = parsed.operands[0].text if parsed.operands else parsed.unknown[0]
            return opaque(f"a sub-command that is not known: {chain.replace('.', ' ')} {word}".rstrip())
        told = of_options(Parsed(tuple(options), (), ()), strict=False, program="it")
        return total(READS if parsed.informs or chain else self.bare, told)

    def _classes(self, chain: str) -> frozenset[CommandClass] | None:
        if (exact := self.table.get(chain)) is not None:
            return exact
        patterns = (key for key in self.table if "*" in key and key.count(".") == chain.count("."))
        return next((self.table[key] for key in patterns if fnmatchcase(chain, key)), None)

    def _continues(self, chain: str) -> bool:
        parts = chain.split(".")
        return any(_leads_to(parts, key.split(".")) for key in (*self.table, *self.special))

    def _flagged(self, chain: str, options: Sequence[Option], rest: Sequence[Word]) -> Verdict:
        """What flags add, be they in front of the sub-command (the long ones) or behind it."""
        front = {f"--{option.name}" for option in options if len(option.name) > 1}
        added = [classes for flag, classes in self.flags.get(chain, ()) if flag in front or has_flag(rest, flag)]
        found = Verdict(frozenset().union(*added)) if added else NOTHING
        return total(found, _why(found, f"a flag of {chain}"))


def _leads_to(parts: Sequence[str], longer: Sequence[str]) -> bool:
    return len(longer) > len(parts) and all(map(fnmatchcase, parts, longer))


def _why(done: Verdict, what: str) -> Verdict:
    silent = CommandClass.OPAQUE in done.classes and not done.why_opaque
    return opaque(f"{what} runs other programs or what it does is not known") if silent else NOTHING


def has_flag(words: Sequence[Word], flag: str) -> bool:
    """The flag is among the words in front of ``--``: abbreviated, with a value, or bundled."""
    for word in words:
        if word.text == "--":
            return False
        written = word.text.partition("=")[0]
        if flag.startswith("--"):
            if written == flag or (len(written) > 4 and flag.startswith(written)):
                return True
        elif (len(flag) > 2 and written.lstrip("-") == flag[1:]) or (len(flag) == 2 and _bundles(word.text, flag)):
            return True
    return False


def _bundles(written: str, flag: str) -> bool:
    """``-fd`` has ``-d``; ``-O…`` begins with ``-O`` and its value."""
    return written.startswith(flag) or (re.fullmatch(r"-[A-Za-z]+", written) is not None and flag[1] in written)


def classes_of(text: str) -> frozenset[CommandClass]:
    """``write+network`` -> both; ``nothing`` -> none."""
    return frozenset(CommandClass(name) for name in text.split("+") if name != "nothing")


def tool(
    options: str,
    table: str,
    special: Mapping[str, Rule] | None = None,
    *,
    bare: Verdict = READS,
    single_dash: bool = False,
) -> Tool:
    """Reads a table. ``bare`` is what the program does without a sub-command."""
    classes: dict[str, frozenset[CommandClass]] = {}
    flags: dict[str, tuple[tuple[str, frozenset[CommandClass]], ...]] = {}
    current = frozenset[CommandClass]()
    for word in table.split():
        name, colon, flag = word.partition(":")
        if colon and not flag:
            current = classes_of(name)
        elif colon:
            flags[name] = (*flags.get(name, ()), (flag, current))
        else:
            classes[word] = current
    return Tool(grammar(options, in_order=True, single_dash=single_dash), classes, flags, dict(special or {}), bare)
