"""Programs that make, change, move or remove files."""

import posixpath
import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    READS,
    RULES,
    WRITES,
    opaque,
    total,
    touching,
)

_READ, _WRITE, _DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE
_PRIVILEGE = CommandClass.PRIVILEGE

_COPYING = grammar(
    """-abdfiHlLnPpRrsuvxZTS:t:gm:o:cCD archive attributes-only backup? copy-contents force interactive? link
    dereference no-clobber no-dereference preserve? parents recursive reflink? remove-destination sparse:
    strip-trailing-slashes symbolic-link suffix: target-directory: no-target-directory update? verbose
    one-file-system context? group: owner: mode: strip compare directory preserve-timestamps exchange debug
    relative physical logical"""
)
_MAX_MODE = 64
_SETUID = re.compile(r"[0-7]*[2-7][0-7]{3}|.*[ugoa]*[+=][rwxXtugo]*s.*")
_WIDE_OPEN = re.compile(r"[0-7]*[2367]|(?:.*,)?(?:[ugo]*[oa][ugoa]*)?(?:[-+=][rwxXstugo]*)*[+=][rxXst]*[wug].*")
_TIGHTENING = re.compile(
    r"0?[0-6][0246][045]|0?[0-7]00|(?:[ugoa]*-[rwxXst]+|u[+=][rw]+|[go]+=)(?:,(?:[ugoa]*-[rwxXst]+|[go]+=|u[+=][rw]+))*"
)


def _remove(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("-fiIrRdvp force recursive dir one-file-system interactive? preserve-root? no-preserve-root verbose"),
    )
    return READS if parsed.informs else total(DESTROYS, touching(parsed.operands, PathUse.REMOVE))


def _inside(sources: Sequence[Word], target: Word) -> tuple[Word, ...]:
    """What the sources are called in the target when that is a directory."""
    return tuple(
        Word(f"{target.text.rstrip('/')}/{posixpath.basename(source.text.rstrip('/'))}")
        for source in sources
        if source.text and target.text
    )


def _copy(invocation: Invocation) -> Verdict:
    """``cp``, ``mv``, ``ln``, ``install``: sources, and a target that may be a directory."""
    program = invocation.program.text.rpartition("/")[2]
    parsed = parse(invocation.arguments, _COPYING)
    if parsed.informs:
        return READS
    if program == "install" and parsed.has("d", "directory"):
        return total(WRITES, _mode(parsed.values("m", "mode")), touching(parsed.operands, PathUse.WRITE))
    named = parsed.values("t", "target-directory")
    sources = parsed.operands if named else parsed.operands[:-1] or parsed.operands
    target = named[-1:] or (parsed.operands[-1:] if len(parsed.operands) > 1 else (Word("."),))
    written = total(
        touching(target, PathUse.WRITE), Verdict(touching(_inside(sources, target[0]), PathUse.WRITE).classes)
    )
    emptied = program != "ln" and any(word.text == "/dev/null" for word in (*sources, *target))
    return total(
        WRITES,
        _mode(parsed.values("m", "mode")),
        _sources(program, sources),
        written,
        DESTROYS if emptied else NOTHING,
    )


def _sources(program: str, sources: Sequence[Word]) -> Verdict:
    if program == "mv":
        given_up = touching(sources, PathUse.REMOVE, harmless=True)
        return total(given_up, touching(sources, PathUse.WRITE), _whole_trees(sources))
    if program == "ln":
        # Whoever writes to a link, or reads it, does so to what it leads to.
        return total(touching(sources, PathUse.READ), touching(sources, PathUse.WRITE, harmless=True))
    return Verdict(frozenset(), paths=touching(sources, PathUse.READ).paths)


def _whole_trees(words: Sequence[Word]) -> Verdict:
    """A directory that holds the system, or everything of somebody."""
    for word in words:
        path = posixpath.normpath(re.sub(r"/\*+$", "", word.text) or "/") if word.text else ""
        if word.literal and re.fullmatch(r"//?|/(?:etc|usr|var|home|root|opt|srv|lib|lib64|bin|sbin|boot|dev)|~", path):
            return DESTROYS
    return NOTHING


def _mode(modes: Sequence[Word]) -> Verdict:
    """What a mode gives away: rights of the owner to whoever runs it, or writing to everybody."""
    if any(not mode.literal or len(mode.text) > _MAX_MODE or _SETUID.fullmatch(mode.text) for mode in modes):
        return RULES
    return RULES if any(_WIDE_OPEN.fullmatch(mode.text) for mode in modes) else NOTHING


def _change_mode(invocation: Invocation) -> Verdict:
    words = [
        word
        for word in invocation.arguments
        if not re.fullmatch(r"-(?!-)[rwxXstugo,+=-]+", word.text) or re.fullmatch(r"-[Rcfv]+", word.text)
    ]
    parsed = parse(
        words, grammar("-Rcfv recursive changes quiet silent verbose preserve-root no-preserve-root reference<")
    )
    if parsed.informs:
        return READS
    referenced = parsed.has("reference") or len(words) < len(invocation.arguments)
    modes, files = (parsed.operands[:0], parsed.operands) if referenced else (parsed.operands[:1], parsed.operands[1:])
    tightened = bool(modes) and all(mode.literal and _TIGHTENING.fullmatch(mode.text) for mode in modes)
    touched = touching(files, PathUse.WRITE, harmless=tightened)
    recursive = _whole_trees(files) if parsed.has("R", "recursive") else NOTHING
    return total(WRITES, _mode(modes), touched, recursive, RULES if parsed.has("reference") else NOTHING)


def _change_owner(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-RcfvhHLP recursive changes quiet silent verbose dereference no-dereference preserve-root
            no-preserve-root reference< from:"""),
    )
    if parsed.informs:
        return READS
    files = parsed.operands if parsed.has("reference") else parsed.operands[1:]
    recursive = _whole_trees(files) if parsed.has("R", "recursive") else NOTHING
    return total(WRITES, touching(files, PathUse.WRITE), recursive)


def _attributes(invocation: Invocation) -> Verdict:
    """``chattr``: an immutable file resists repair, one that no longer is may be replaced."""
    files = [word for word in invocation.arguments if not re.fullmatch(r"[-+=][a-zA-Z]+", word.text)]
    return total(WRITES, RULES, touching(files, PathUse.WRITE))


def _access_lists(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-m:x:M<X<bkndRLPs: modify: remove: modify-file< remove-file< set: set-file< remove-all
            remove-default no-mask mask default restore< test recursive logical physical"""),
    )
    return total(RULES, touching(parsed.operands, PathUse.WRITE))


def _block_copy(invocation: Invocation) -> Verdict:
    """``dd``: ``if=`` is read, ``of=`` is written."""
    reads: list[Word] = []
    writes: list[Word] = []
    for word in invocation.arguments:
        name, equals, value = word.text.partition("=")
        if not equals and not word.literal:
            return opaque("what dd is told is not known")
        if name in ("if", "of"):
            (reads if name == "if" else writes).append(Word(value, word.literal, word.glob))
    return total(READS, touching(reads, PathUse.READ), touching(writes, PathUse.WRITE))


def _make_directory(invocation: Invocation) -> Verdict:
    """An empty directory does nothing, wherever it is."""
    parsed = parse(invocation.arguments, grammar("-m:pvZ mode: parents verbose context?"))
    if parsed.informs:
        return READS
    return total(WRITES, _mode(parsed.values("m", "mode")), touching(parsed.operands, PathUse.WRITE, harmless=True))


def _special_file(invocation: Invocation) -> Verdict:
    """``mknod``: a device node gives access to the device."""
    parsed = parse(invocation.arguments, grammar("-m:Z mode: context?"))
    device = any(word.text in ("b", "c", "u") for word in parsed.operands[1:2])
    return total(WRITES, RULES if device else NOTHING, touching(parsed.operands[:1], PathUse.WRITE))


def _split(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-a:b:C:d?el:n:t:ux?f:k#sz suffix-length: additional-suffix: bytes: line-bytes: elide-empty-files
            filter! hex-suffixes? lines: number: separator: unbuffered verbose numeric-suffixes? prefix:
            suffix-format: keep-files quiet digits:"""),
    )
    prefixes = (
        parsed.operands[1:2]
        if invocation.program.text.endswith("/split") or invocation.program.text == "split"
        else parsed.values("f", "prefix")
    )
    return total(
        WRITES,
        of_options(parsed, strict=True, program="split"),
        touching(parsed.operands[:1], PathUse.READ),
        touching(prefixes, PathUse.WRITE),
    )


_HARMLESS_RENAMING = re.compile(r"(?:s|y|tr)/[\w .*+?^$\\\[\]()|-]*/[\w .\\$-]*/[gi]*|[\w .-]*")


def _rename(invocation: Invocation) -> Verdict:
    """``rename``: two words, or an expression in Perl, which is code unless it only substitutes."""
    parsed = parse(
        invocation.arguments, grammar("-vnfsoial0 verbose no-act force symlink no-overwrite interactive null")
    )
    told = parsed.operands[:1]
    if parsed.unknown or not all(word.literal and _HARMLESS_RENAMING.fullmatch(word.text) for word in told):
        return opaque("what rename is told may be code")
    return total(WRITES, touching(parsed.operands[1:], PathUse.WRITE))


def _patch(invocation: Invocation) -> Verdict:
    """``patch`` writes where the patch says; ``-e`` scripts are run by ``ed``."""
    parsed = parse(
        invocation.arguments,
        grammar("""-bB:cd>D:eEfF:g:i<lnNo>p:r>RstTuvV:x:Y:z:Z backup binary context directory> ed^ dry-run forward
            force fuzz: ignore-whitespace input< normal output> strip: reverse reject-file> silent batch unified
            verbose merge? posix remove-empty-files no-backup-if-mismatch get: prefix: suffix: quoting-style:"""),
    )
    if parsed.has("dry-run"):
        return READS
    files = parsed.operands[:1] or (() if parsed.has("d", "directory") else (Word("."),))
    return total(WRITES, of_options(parsed, strict=True, program="patch"), touching(files, PathUse.WRITE))


PROGRAMS: Programs = {
    "rm": _remove,
    "rmdir": _remove,
    "unlink": _remove,
    "srm": _remove,
    "rimraf": _remove,
    "trash": _remove,
    "trash-put": _remove,
    "shred": plain("x*", "-fn:s:uvxz iterations: random-source< size: remove? force exact zero verbose", _DESTRUCTIVE),
    "truncate": plain(">*", "-cor<s: no-create io-blocks reference< size:", _DESTRUCTIVE),
    "fallocate": plain(">*", "-cdil:no:pvxz length: offset: dig-holes punch-hole zero-range collapse-range", _WRITE),
    "cp": _copy,
    "mv": _copy,
    "ln": _copy,
    "install": _copy,
    "link": plain("<>", "", _WRITE),
    "rename": _rename,
    "rename.ul": plain("..>*", "-vsnoilap", _WRITE),
    "touch": plain(">*", "-acd:fhmr<t: no-create date: no-dereference reference< time:", _WRITE),
    "mkdir": _make_directory,
    "mkfifo": plain(">*", "-m:Z mode: context?", _WRITE),
    "mknod": _special_file,
    "mktemp": plain(".*", "-dup:qt directory dry-run quiet suffix: tmpdir?", _WRITE),
    "tempfile": plain(".*", "-d:m:n>p:s:", _WRITE),
    "tee": plain(">*", "-aip append ignore-interrupts output-error?"),
    "sponge": plain(">*", "-a", _WRITE),
    "chmod": _change_mode,
    "chown": _change_owner,
    "chgrp": _change_owner,
    "chattr": _attributes,
    "setfacl": _access_lists,
    "setfattr": plain(">*", "-n:v:x:h name: value: remove: restore<", _WRITE),
    "setcap": plain(".>*", "-qvn:r", _PRIVILEGE),
    "chcon": plain(".>*", "-hRu:r:t:l:v reference< user: role: type: range: recursive", _PRIVILEGE),
    "restorecon": plain(">*", "-RrFvnie:f<", _WRITE),
    "dd": _block_copy,
    "dcfldd": _block_copy,
    "split": _split,
    "csplit": _split,
    "patch": _patch,
    "sync": plain(".*", "-df", _READ),
    "dos2unix": plain(">*", "-kfnoqc: convmode: keepdate quiet force", _WRITE),
    "unix2dos": plain(">*", "-kfnoqc: convmode: keepdate quiet force", _WRITE),
    "convmv": plain(".*", "", _WRITE),
    "iconv": plain("<*", "-f:t:o>c from-code: to-code: output>", _READ),
    "uudecode": plain("<*", "-o>c", _WRITE),
    "logger": plain(
        ".*",
        "-t:p:f<in:P:T:ds tag: priority: file< id? server@ port: tcp udp",
        _WRITE,
        server=CommandClass.NETWORK,
        n=CommandClass.NETWORK,
    ),
    "systemd-tmpfiles": plain(".*", "", _WRITE, remove=_DESTRUCTIVE, purge=_DESTRUCTIVE),
    "updatedb": plain("", "-l:o>U: output>", _WRITE),
    "mandb": plain("", "", _WRITE),
    "wall": plain(".*", "", _WRITE),
    "write": plain(".*", "", _WRITE),
    "notify-send": plain(".*", "", _WRITE),
    "tabs": plain(".*", "", _READ),
    "stty": plain(".*", "", _READ),
    "mesg": plain(".*", "", _READ),
}
