"""What shells have built in, as far as it concerns more than the shell's own reading of a text."""

import re
from itertools import pairwise

from interlock.protocols.ssh.commands.invocation import Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import environment
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    READS,
    opaque,
    shelling,
    starting,
    total,
    touching,
)


def _evaluate(invocation: Invocation) -> Verdict:
    words = invocation.arguments
    return (
        shelling(Word(" ".join(word.text for word in words), all(word.literal for word in words))) if words else READS
    )


def _source(invocation: Invocation) -> Verdict:
    return total(
        opaque("a script is read in, what it says is not known"), touching(invocation.arguments[:1], PathUse.READ)
    )


def _command(invocation: Invocation) -> Verdict:
    """``command``, ``builtin``, ``exec``: another program; ``command -v`` only says where it is."""
    parsed = parse(invocation.arguments, grammar("-pvVcla:", in_order=True))
    if parsed.has("v", "V") or not parsed.operands:
        return READS
    return (
        opaque("a program is started with an option that is not known")
        if parsed.unknown
        else starting(invocation, parsed.operands)
    )


def _trap(invocation: Invocation) -> Verdict:
    words = [word for word in invocation.arguments if word.text != "--"]
    if len(words) < 2 or (words[0].text in ("-", "", "-p", "-l") and words[0].literal):
        return READS
    return shelling(words[0])


def _alias(invocation: Invocation) -> Verdict:
    """An alias gives a name another meaning, where aliases are looked at."""
    given = [word for word in invocation.arguments if "=" in word.text or not word.literal]
    return total(READS, *(shelling(Word(word.text.partition("=")[2], word.literal)) for word in given))


def _export(invocation: Invocation) -> Verdict:
    verdicts = [READS]
    for word in invocation.arguments:
        name, equals, value = word.text.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_]\w*\+?", name):
            verdicts.append(environment.setting(name.rstrip("+"), Word(value, word.literal)))
        elif not word.literal:
            verdicts.append(opaque("which variable is set is not known"))
    return total(*verdicts)


def _unset(invocation: Invocation) -> Verdict:
    hides = any(word.text.startswith("HIST") for word in invocation.arguments)
    return DESTROYS if hides else READS


def _set(invocation: Invocation) -> Verdict:
    words = [word.text for word in invocation.arguments]
    hides = any(first == "+o" and second == "history" for first, second in pairwise(words))
    return DESTROYS if hides else READS


def _history(invocation: Invocation) -> Verdict:
    """Looking at what was done, or making it forgotten."""
    parsed = parse(invocation.arguments, grammar("-cd:anrwps#"))
    return READS if not (parsed.has("c", "d", "w", "r", "a", "n") or parsed.unknown) else DESTROYS


def _file_command(invocation: Invocation) -> Verdict:
    lists = any(re.match(r"-[a-z]*l", word.text) for word in invocation.arguments)
    return READS if lists else opaque("commands of the past run again")


def _hash(invocation: Invocation) -> Verdict:
    renames = any(word.text.startswith("-") and "p" in word.text for word in invocation.arguments)
    return opaque("a name is given to another program") if renames else READS


def _complete(invocation: Invocation) -> Verdict:
    runs = any(re.match(r"-[a-zA-Z]*[CFWG]", word.text) for word in invocation.arguments)
    return opaque("completions run code") if runs else READS


def _bind(invocation: Invocation) -> Verdict:
    asks = all(re.fullmatch(r"-[lpPsSvV]+", word.text) for word in invocation.arguments)
    return READS if asks else opaque("keys are bound to commands")


def _enable(invocation: Invocation) -> Verdict:
    asks = all(word.text in ("-a", "-p", "-s", "-ap") for word in invocation.arguments)
    return READS if asks else opaque("builtins are loaded or switched")


def _shell_option(invocation: Invocation) -> Verdict:
    changes = any(word.text in ("expand_aliases", "extdebug", "sourcepath") for word in invocation.arguments) and any(
        re.match(r"-[a-z]*[su]", word.text) for word in invocation.arguments
    )
    return opaque("it changes how the shell reads") if changes else READS


PROGRAMS: Programs = {
    "eval": _evaluate,
    "source": _source,
    ".": _source,
    "command": _command,
    "builtin": _command,
    "exec": _command,
    "noglob": _command,
    "nocorrect": _command,
    "trap": _trap,
    "alias": _alias,
    "unalias": lambda invocation: READS,
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), _export),
    "unset": _unset,
    "set": _set,
    "history": _history,
    "fc": _file_command,
    "hash": _hash,
    **dict.fromkeys(("complete", "compgen", "compopt"), _complete),
    "bind": _bind,
    "enable": _enable,
    "shopt": _shell_option,
}
