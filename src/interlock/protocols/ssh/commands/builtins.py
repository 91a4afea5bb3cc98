"""Builtins that change the shell itself: they are told here, with what they do to the scope. All others are programs.

Arguments that make one of them do what is not known here are opaque: so are those that other shells take for something
else.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interlock.protocols.ssh.commands.directories import UNKNOWN
from interlock.protocols.ssh.commands.grammar.facts import Facts
from interlock.protocols.ssh.commands.grammar.syntax import ShellWord, Text
from interlock.protocols.ssh.commands.invocation import (
    CommandClass,
    Invocation,
    PathUse,
    TouchedPath,
    Verdict,
    Word,
)
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.scope import Scope
from interlock.protocols.ssh.commands.variables import assigning, may_split

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DECLARED = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.ASCII | re.DOTALL)
_CODE = re.compile(r"\$\(|`|\$\{")
_SET = re.compile(r"[-+][aefuvxBCEThm]*o?", re.ASCII)
_SET_NAMES = names("pipefail errexit nounset xtrace verbose noglob noclobber allexport errtrace monitor")
_SHOPT_NAMES = names("nullglob failglob dotglob globstar nocaseglob nocasematch inherit_errexit -s -u -p -q")
_READ_VALUES = frozenset({"-p", "-t", "-n", "-N", "-d", "-u", "-i"})
_DECLARE = re.compile(r"-[xrgpFfaA]+", re.ASCII)

_ACTIVATE = re.compile(
    r"(?!/tmp/|/var/tmp/|/dev/)(?:[\w@.~-]*/)*\.?(?:venv|virtualenv|env)[\w.-]*/bin/activate", re.ASCII
)

_NOTHING = Verdict(frozenset())
_READS = Verdict(frozenset({CommandClass.READ}))


@dataclass(frozen=True, slots=True)
class Call:
    """A builtin with its words, as they were written if that is known, and the scope it changes."""

    invocation: Invocation
    written: tuple[ShellWord, ...]
    scope: Scope
    facts: Facts

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.invocation.arguments

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.arguments]

    @property
    def literal(self) -> bool:
        return all(word.literal and not word.glob for word in self.arguments)


def opaque(why: str) -> Verdict:
    return Verdict(frozenset({CommandClass.OPAQUE}), why_opaque=why)


def judged(call: Call) -> Verdict | None:
    """What a builtin does; None for what is no builtin, or one that is judged as a program."""
    name = call.invocation.program.text
    if name in _EVALUATING and any(_CODE.search(word.text) and "[" in word.text for word in call.arguments):
        return opaque(f"{name} evaluates its arguments, and shells run the $(…) in an index")
    known = _BUILTINS.get(name)
    return known(call) if known else None


def is_builtin(name: str) -> bool:
    return name in _BUILTINS


def _eval(call: Call) -> Verdict:
    if not call.literal:
        return opaque("eval runs a text that is not known: write the command itself")
    return Verdict(frozenset(), shell_texts=(Word(" ".join(call.texts)),))


def _source(call: Call) -> Verdict:
    """A project's virtual environment is the project's own, as what its build tools run."""
    if len(call.arguments) == 1 and call.literal and _ACTIVATE.fullmatch(call.texts[0]):
        return Verdict(frozenset({CommandClass.WRITE}))
    paths = tuple(TouchedPath(word.text, PathUse.READ, False) for word in call.arguments[:1] if word.literal)
    why = "what the sourced file says is not known"
    return Verdict(frozenset({CommandClass.OPAQUE}), paths, why_opaque=why)


def _exec(call: Call) -> Verdict:
    words = list(call.arguments)
    while words and words[0].text.startswith("-") and words[0].text != "--":
        if not words[0].literal or words[0].text not in ("-c", "-l", "-a", "-cl"):
            return opaque("an option of exec that is not known")
        del words[: 2 if words[0].text == "-a" else 1]
    return _started(call, words[1:] if words and words[0].text == "--" else words)


def _started(call: Call, words: Sequence[Word]) -> Verdict:
    if not words:
        return _NOTHING
    own = call.invocation
    return Verdict(
        frozenset(), invocations=(Invocation(tuple(words), (), own.input, own.input_text, own.output_piped),)
    )


def _command(call: Call) -> Verdict:
    words = list(call.arguments)
    while words and words[0].text.startswith("-"):
        option = words.pop(0)
        if option.literal and option.text in ("-v", "-V", "-pv", "-pV"):
            return _READS
        if option.text == "--" and option.literal:
            break
        if not option.literal or option.text != "-p":
            return opaque("an option of command or builtin that is not known")
    return _started(call, words)


def _trap(call: Call) -> Verdict:
    words = [word for word in call.arguments if word.text != "--"]
    if len(words) < 2 or (words[0].text in ("-", "-l", "-p", "") and words[0].literal):
        return _READS
    call.scope.forget_all()
    if not words[0].literal:
        return opaque("trap runs a text that is not known")
    return Verdict(frozenset(), shell_texts=(words[0],))


def _declare(call: Call) -> Verdict:
    """``export``, ``declare``, ``local``, ``readonly``: assignments, or names alone."""
    verdicts: list[Verdict] = [_READS] if not call.arguments else []
    readonly = call.invocation.program.text == "readonly"
    for word, written in zip(call.arguments, _written(call), strict=True):
        if word.literal and not word.glob and word.text.startswith("-"):
            readonly = readonly or "r" in word.text
            if not _DECLARE.fullmatch(word.text) and word.text not in ("--", "-n" if _exports(call) else "--"):
                verdicts.append(opaque(f"{word.text} changes how variables take their values"))
        else:
            verdicts.append(_declared(call, word, written, keeps=not readonly))
    return _summed(verdicts)


def _exports(call: Call) -> bool:
    return call.invocation.program.text == "export"


def _written(call: Call) -> Sequence[ShellWord | None]:
    """The arguments as they were written, as far as each became one word."""
    arguments = call.written[1:]
    return arguments if len(arguments) == len(call.arguments) else [None] * len(call.arguments)


def _declared(call: Call, word: Word, written: ShellWord | None, *, keeps: bool) -> Verdict:
    if word.literal and _NAME.fullmatch(word.text):
        if not keeps:
            call.facts.unfollowed.add(word.text)
        call.scope.assign(word.text, None)
        return _NOTHING
    found = _DECLARED.fullmatch(word.text)
    value = _written_value(written, word)
    if found is None or (not word.literal and value is None):
        return opaque("which variable gets a value is not known")
    if value is not None and not word.literal and may_split(value):
        return opaque(f"the value of {found[1]} may be split into more assignments: put it between double quotes")
    if not keeps:
        call.facts.unfollowed.add(found[1])
    certain = word.literal and keeps and "+=" not in word.text[: len(found[1]) + 2]
    call.scope.assign(found[1], found[2] if certain else None)
    if not word.literal or _CODE.search(found[2]):
        call.facts.unchecked.add(found[1])
    return assigning(found[1], Word(found[2], word.literal), value)


def _written_value(written: ShellWord | None, word: Word) -> ShellWord | None:
    """What was written behind ``name=``."""
    if written is None:
        return ShellWord((Text(word.text.partition("=")[2], quoted=True),)) if word.literal else None
    first = written.parts[0]
    found = _DECLARED.fullmatch(first.text) if isinstance(first, Text) else None
    return ShellWord((Text(found[2], quoted=True), *written.parts[1:])) if found else None


def _unset(call: Call) -> Verdict:
    verdicts: list[Verdict] = []
    for word in call.arguments:
        if word.literal and word.text in ("-v", "-f", "-n"):
            call.scope.functions.clear()
        elif word.literal and _NAME.fullmatch(word.text):
            call.scope.assign(word.text, None)
            call.scope.functions.discard(word.text)
            verdicts.append(assigning(word.text, Word("", literal=False), None))
        else:
            verdicts.append(opaque("what unset removes is not known"))
    return _summed(verdicts)


def _alias(call: Call) -> Verdict:
    if len(call.arguments) > 1 or not call.literal or any("=" in text for text in call.texts):
        return opaque("an alias changes what later words mean: write the command itself")
    return _READS


def _set(call: Call) -> Verdict:
    words = call.texts
    named = [name for option, name in itertools.pairwise(words) if option[:1] in ("-", "+") and option.endswith("o")]
    options = [word for word in words if word not in named]
    if not call.literal or not _SET_NAMES.issuperset(named) or not all(map(_SET.fullmatch, options)):
        return opaque("set changes what later words mean, to some shells: use options such as -e, -u, -o pipefail")
    return _READS


def _shopt(call: Call) -> Verdict:
    return (
        _READS if call.literal and _SHOPT_NAMES.issuperset(call.texts) else opaque("shopt changes how words are read")
    )


def _read(call: Call) -> Verdict:
    """``read``, ``mapfile``, ``getopts``: variables get values that nobody knows."""
    words = list(call.arguments)
    names: list[Word] = []
    while words:
        word = words.pop(0)
        if word.literal and word.text.startswith("-"):
            if word.text in _READ_VALUES and words:
                words.pop(0)
            elif not re.fullmatch(r"-[rsaet]+|-[ptnNd].+|-[un]\d+", word.text):
                return opaque(f"{word.text} of {call.invocation.program.text} is not known")
        else:
            names.append(word)
    return _filling(call, names)


def _filling(call: Call, names: Sequence[Word]) -> Verdict:
    verdicts = [_READS]
    for word in names:
        if not word.literal or not _NAME.fullmatch(word.text):
            return opaque("which variable gets a value is not known")
        call.scope.assign(word.text, None)
        call.facts.unchecked.add(word.text)
        verdicts.append(assigning(word.text, Word("", literal=False), None))
    return _summed(verdicts)


def _mapfile(call: Call) -> Verdict:
    if any(not word.literal or (word.text.startswith("-") and word.text != "-t") for word in call.arguments):
        return opaque("options of mapfile that may run something")
    return _filling(call, [word for word in call.arguments if word.text != "-t"])


def _getopts(call: Call) -> Verdict:
    return _filling(call, call.arguments[1:2])


def _printf(call: Call) -> Verdict | None:
    if not call.arguments or (call.arguments[0].literal and not call.arguments[0].text.startswith("-v")):
        return None
    if not call.arguments[0].literal:
        return _READS if call.arguments[0].text[:1] not in ("", "-") else opaque("the format of printf is not known")
    return _filling(call, call.arguments[1:2] if call.texts[0] == "-v" else [Word(call.texts[0][2:])])


def _let(call: Call) -> Verdict:
    if not call.literal or not all(re.fullmatch(r"[\w\s+*/%=-]+", text, re.ASCII) for text in call.texts):
        return opaque("let evaluates its arguments: use name=$(( … ))")
    for text in call.texts:
        call.facts.compute(text)
        for name in _NAME.findall(text):
            call.scope.assign(name, None)
    return _READS


def _test(call: Call) -> Verdict | None:
    if any(text in ("-v", "-R") for text in call.texts):
        return opaque('-v of test evaluates its operand: write [ -n "${name+set}" ]')
    return None


def _cd(call: Call) -> Verdict:
    words = [word for word in call.arguments if not (word.literal and word.text in ("-L", "-P", "-e", "--"))]
    plain = len(words) == 1 and words[0].literal and not words[0].glob and words[0].text not in ("", "-")
    plain = plain and not words[0].text.startswith(("+", "-"))
    if not words and call.invocation.program.text == "cd" and "HOME" in call.scope.values:
        call.scope.move(call.scope.directories.entering("~"))
        return _READS
    call.scope.move(call.scope.directories.entering(words[0].text if plain else None))
    entered = TouchedPath(words[0].text if plain else "?", PathUse.READ)
    return Verdict(_READS.classes, (entered,))


def _popd(call: Call) -> Verdict:
    call.scope.move(UNKNOWN)
    return _READS


def _hash(call: Call) -> Verdict:
    if any(
        not word.literal or (word.text.startswith("-") and word.text not in ("-r", "-l")) or "=" in word.text
        for word in call.arguments
    ):
        return opaque("hash makes a name mean another program")
    return _READS


def _wait(call: Call) -> Verdict:
    return opaque("wait -p gives a variable a value") if any(text.startswith("-p") for text in call.texts) else _READS


def _unknown(call: Call) -> Verdict:
    return opaque(f"{call.invocation.program.text} changes what later words mean, or runs what is not known")


def _summed(verdicts: Sequence[Verdict]) -> Verdict:
    return Verdict(
        classes=frozenset().union(*(verdict.classes for verdict in verdicts)),
        why_opaque=next((verdict.why_opaque for verdict in verdicts if verdict.why_opaque), ""),
    )


_BUILTINS: dict[str, Callable[[Call], Verdict | None]] = {
    "eval": _eval,
    "source": _source,
    ".": _source,
    "exec": _exec,
    "command": _command,
    "builtin": _command,
    "trap": _trap,
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), _declare),
    "unset": _unset,
    "alias": _alias,
    "set": _set,
    "shopt": _shopt,
    "read": _read,
    **dict.fromkeys(("mapfile", "readarray"), _mapfile),
    "getopts": _getopts,
    "printf": _printf,
    "let": _let,
    **dict.fromkeys(("test", "["), _test),
    **dict.fromkeys(("cd", "pushd", "chdir"), _cd),
    "popd": _popd,
    "hash": _hash,
    "wait": _wait,
    **dict.fromkeys(
        names(
            """
            enable bind complete compgen compopt fc emulate setopt unsetopt zmodload autoload functions zle zstyle
            sched integer float nameref noglob nocorrect bindkey add-zsh-hook rehash setenv unsetenv @ onintr
            """
        ),
        _unknown,
    ),
}
_EVALUATING = names(
    """
    test [ let exit return shift break continue export declare typeset local readonly unset read mapfile readarray
    getopts printf wait umask ulimit kill
    """
)
"""Builtins some of whose arguments are arithmetic or variables with indexes, to some shells."""
