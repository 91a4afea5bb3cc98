"""``find`` and its like: what they print is read, what they run or remove is told by their expressions."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.places import path_classes
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    READS,
    WRITES,
    opaque,
    starting,
    total,
    touching,
)

_TESTS_WITHOUT_VALUE = names(
    """
    -depth -d -daystart -follow -ignore_readdir_race -noignore_readdir_race -mount -nowarn -warn -xdev -x -noleaf
    -empty -executable -false -nogroup -nouser -readable -true -writable -print -print0 -ls -prune -quit -help -version
    --help --version -a -and -o -or -not ! , ( )
    """
)
_TESTS_WITH_VALUE = names(
    """
    -maxdepth -mindepth -regextype -amin -anewer -atime -cmin -cnewer -ctime -fstype -gid -group -ilname -iname -inum
    -ipath -iregex -iwholename -links -lname -mmin -mtime -name -newer -path -perm -regex -samefile -size -type -uid
    -used -user -wholename -xtype -context -printf -files0-from -newerXY -flags -Bmin -Btime
    """
)
_PRINTING_OTHERS = names("-exec -execdir -ok -okdir -printf -ls -fprint -fprintf -delete -o -or , -H -L -P -D")
_RUNNING = names("-exec -execdir -ok -okdir")
_WRITING = names("-fprint -fprint0 -fls")


def _find(invocation: Invocation) -> Verdict:
    words = list(invocation.arguments)
    while words and (words[0].text in names("-H -L -P -D -Olevel") or words[0].text.startswith("-O")):
        words = words[2:] if words[0].text == "-D" else words[1:]
    start = next((at for at, word in enumerate(words) if word.text[:1] in ("-", "(", "!", ",")), len(words))
    roots = words[:start] or [Word(".")]
    if any(not word.literal and not word.text for word in roots[1:]):
        return opaque("a word of find is not known")
    return total(READS, touching(roots, PathUse.READ), *_expression(invocation, roots, words[start:]))


def names_found(invocation: Invocation) -> str | None:
    """A pattern of the names that are printed, a line; None when something else is, or they may be anywhere."""
    words = list(invocation.arguments)
    start = next((at for at, word in enumerate(words) if word.text[:1] in ("-", "(", "!", ",")), len(words))
    roots, expression = words[:start] or [Word(".")], words[start:]
    if any(not word.literal or word.text in _PRINTING_OTHERS for word in words):
        return None
    found = _found(roots, expression)
    return f"{found.text}\n" if found.literal and re.fullmatch(r"[\w./*?-]+", found.text) else None


def _expression(invocation: Invocation, roots: Sequence[Word], words: Sequence[Word]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        if not word.literal:
            return [*verdicts, opaque("a word of the expression of find is not known")]
        if word.text in _RUNNING:
            end = _end_of_command(words, at)
            verdicts.append(starting(invocation, _filled(words[at:end], _found(roots, words)), own_input=False))
            at = end + 1
        elif word.text == "-delete":
            verdicts.append(total(DESTROYS, touching(roots, PathUse.REMOVE)))
        elif word.text in _WRITING or word.text == "-fprintf":
            verdicts.append(touching(words[at : at + 1], PathUse.WRITE))
            at += 2 if word.text == "-fprintf" else 1
        elif word.text in _TESTS_WITH_VALUE or word.text.startswith("-newer"):
            at += 1
        elif word.text not in _TESTS_WITHOUT_VALUE:
            return [*verdicts, opaque(f"find has a test that is not known: {word.text}")]
    return verdicts


def _end_of_command(words: Sequence[Word], at: int) -> int:
    """Where ``;`` stands, or the ``+`` behind ``{}``; the end when neither does."""
    for end in range(at, len(words)):
        if words[end].text == ";" or (words[end].text == "+" and words[end - 1].text == "{}"):
            return end
    return len(words)


def _filled(words: Sequence[Word], found: Word) -> list[Word]:
    """``{}`` is the name of a file that was found. In the middle of a word it is not known."""
    return [
        found if word.text == "{}" else Word(word.text.replace("{}", ""), literal=False) if "{}" in word.text else word
        for word in words
    ]


def _found(roots: Sequence[Word], expression: Sequence[Word]) -> Word:
    """What is found, as a pattern: something below the root. Not known when that may be anywhere."""
    if len(roots) != 1 or not roots[0].literal or _ABOVE_THE_SYSTEM.fullmatch(roots[0].text):
        return Word("", literal=False)
    names = [expression[at + 1].text for at, word in enumerate(expression[:-1]) if word.text in ("-name", "-iname")]
    root = roots[0].text.rstrip("/")
    named = f"{root}/{names[0]}" if len(names) == 1 else f"{root}/*"
    # A name may be found at any depth: it is kept where it says more of what is done than the directory does.
    plain = path_classes(named, PathUse.WRITE) == WRITES.classes
    return Word(f"{root}/*" if plain else named, glob=True)


_ABOVE_THE_SYSTEM = re.compile(
    r"/*|~[^/]*/?|/(?:home|root|etc|usr|var|lib|lib64|boot|dev|proc|sys|run|bin|sbin)(?:/.*)?|\.\.(?:/.*)?|.*[*?\[].*|\$.*"
)
"""A root that has, or may have, places of the system or of a login below it."""


def _fd(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-HIusiFaLp0lgd:t:e:E:S:c:x!X!j:1qo:C: hidden no-ignore case-sensitive ignore-case glob absolute-path
            list-details follow full-path print0 max-depth: min-depth: type: extension: exclude: size: changed-within:
            changed-before: owner: exec! exec-batch! color: threads: max-results: base-directory: search-path: quiet
            unrestricted fixed-strings one-file-system"""),
    )
    return total(READS, of_options(parsed, strict=True, program="fd"), touching(parsed.operands[1:], PathUse.READ))


PROGRAMS: Programs = {
    "find": _find,
    "gfind": _find,
    "fd": _fd,
    "fdfind": _fd,
    "locate": plain(".*", "-d:l:n: database: limit:", CommandClass.READ),
    "mlocate": plain(".*", "", CommandClass.READ),
    "plocate": plain(".*", "", CommandClass.READ),
}
