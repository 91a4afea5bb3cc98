"""Programs that are told in one line: what their options take, and what is done to each operand.

The roles of operands are one character each, the one before ``*`` stands for as many as there are: ``.<*`` is one that
is no file and then files that are read (``grep``), ``<*>`` files that are read and a last one that is written (``cp``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import Grammar, Kind, Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.verdicts import (
    READS,
    contacting,
    opaque,
    total,
    touching,
)

Judge = Callable[[Invocation], Verdict]
Programs = dict[str, Judge]

_LISTS = ("files-from", "files0-from")
"""Options whose file has the names of the files that are read."""
_USES = {"<": PathUse.READ, ">": PathUse.WRITE, "x": PathUse.REMOVE}


@dataclass(frozen=True, slots=True)
class Plain:
    """A program that needs no more than its grammar. ``strict``: an option that is not known makes it opaque."""

    roles: str
    rules: Grammar
    classes: frozenset[CommandClass]
    unless: frozenset[str] = frozenset()
    """Options that take the place of the first operand (``grep -e``)."""
    adds: dict[str, CommandClass] = field(default_factory=dict)
    strict: bool = False

    def __call__(self, invocation: Invocation) -> Verdict:
        parsed = parse(invocation.arguments, self.rules)
        if parsed.informs:
            return READS
        roles = self.roles[1:] if parsed.has(*self.unless) else self.roles
        added = frozenset(self.adds[option.name] for option in parsed.options if option.name in self.adds)
        return total(
            Verdict(self.classes | added),
            of_options(parsed, strict=self.strict, program=invocation.program.text),
            of_operands(parsed.operands, roles),
        )


def plain(
    roles: str,
    options: str = "",
    *classes: CommandClass,
    unless: str = "",
    strict: bool = False,
    single_dash: bool = False,
    **adds: CommandClass,
) -> Plain:
    """A row of a table of programs. ``adds``: flags that add a class, ``_`` for ``-`` in their names."""
    return Plain(
        roles,
        grammar(options, single_dash=single_dash),
        frozenset(classes),
        frozenset(unless.split()),
        {name.replace("_", "-"): added for name, added in adds.items()},
        strict,
    )


def of_options(parsed: Parsed, *, strict: bool, program: str) -> Verdict:
    """What the options do by their kinds alone: files read and written, hosts contacted, code run."""
    verdicts = [_of_kind(option.name, option.kind, option.value, program) for option in parsed.options]
    if strict and parsed.unknown:
        verdicts.append(opaque(f"{program} has an option that is not known: {parsed.unknown[0]}"))
    return total(*verdicts)


def _of_kind(name: str, kind: Kind, value: Word | None, program: str) -> Verdict:
    match kind:
        case Kind.READS:
            listed = [Word("", literal=False)] if name in _LISTS else []
            return touching([value, *listed] if value else (), PathUse.READ)
        case Kind.WRITES:
            return touching([value] if value else (), PathUse.WRITE)
        case Kind.CONTACTS:
            return contacting([(value, hosts.of_login(value.text))] if value else ())
        case Kind.RUNS | Kind.CHANGES:
            dashes = "-" if len(name) == 1 else "--"
            return opaque(f"{program} {dashes}{name} runs other code or changes what it does")
        case _:
            return Verdict(frozenset())


def of_operands(operands: Sequence[Word], roles: str) -> Verdict:
    """What is done to the operands by their roles."""
    verdicts = []
    for word, role in zip(operands, _spread(roles, len(operands)), strict=False):
        if role in _USES:
            verdicts.append(touching([word], _USES[role]))
        elif role == "@":
            verdicts.append(contacting([(word, hosts.of_login(word.text))]))
        elif role == "!":
            verdicts.append(opaque(f"{word.text or 'a word'} is code"))
    return total(*verdicts)


def _spread(roles: str, count: int) -> str:
    """``.<*`` for four: ``.<<<``. Roles after the star are those of the last operands."""
    head, star, tail = roles.partition("*")
    if not star:
        return roles
    first, many = head[:-1], head[-1]
    middle = max(0, count - len(first) - len(tail))
    return first + many * middle + tail
