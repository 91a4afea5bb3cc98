"""Archives and compression: listing reads, unpacking writes; ``tar`` may be told to run programs."""

import re

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    READS,
    WRITES,
    contacting,
    opaque,
    total,
    touching,
)

_READ, _WRITE, _DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE

_TAR = grammar(
    """-AcdrtuxBb:C:f:F!g>GhHi:I!jJKL:lMmN:nOoPpRSsT<UV:vWwX<zZak create extract get list append update diff compare
    delete concatenate catenate directory: file: force-local use-compress-program! to-command! checkpoint?
    checkpoint-action! info-script! new-volume-script! rmt-command! rsh-command! exclude: exclude-from< exclude-vcs
    exclude-caches strip-components: transform: xform: files-from< gzip gunzip bzip2 xz zstd lzma lzip lzop compress
    auto-compress verbose verify keep-old-files keep-newer-files skip-old-files overwrite overwrite-dir unlink-first
    recursive-unlink remove-files owner: group: mode: mtime: numeric-owner preserve-permissions same-permissions
    same-owner no-same-owner no-same-permissions wildcards no-wildcards anchored no-anchored ignore-case
    one-file-system dereference hard-dereference null newer: newer-mtime: after-date: sparse totals? to-stdout
    absolute-names show-transformed-names warning: format: posix record-size: blocking-factor: label: sort:
    listed-incremental> incremental level: xattrs acls selinux no-recursion recursion occurrence? ignore-failed-read
    ignore-zeros one-top-level? suffix: backup? index-file> block-number show-stored-names no-auto-compress
    delay-directory-restore touch interactive confirmation multi-volume tape-length: utc full-time quoting-style:
    exclude-ignore< exclude-tag: exclude-vcs-ignores exclude-backups clamp-mtime pax-option: check-links"""
)


def _tar(invocation: Invocation) -> Verdict:
    parsed = parse(_new_style(invocation.arguments), _TAR)
    if parsed.informs:
        return READS
    told = of_options(parsed, strict=True, program="tar")
    loose = [word for word in parsed.operands if not word.literal and not word.text]
    unsure = opaque("a word of tar is not known") if loose and not parsed.has("c", "create") else NOTHING
    return total(told, unsure, _tar_archives(parsed), _tar_mode(parsed))


def _new_style(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """``tar czf x`` -> ``tar -c -z -f x``: every letter in turn takes its value from the words that follow."""
    if not words or not re.fullmatch(r"[A-Za-z]+", words[0].text) or not words[0].literal:
        return words
    rest = list(words[1:])
    spelled: list[Word] = []
    for letter in words[0].text:
        kind = _TAR.kinds.get(letter)
        spelled.append(Word(f"-{letter}"))
        if kind is not None and kind.takes_value and rest:
            spelled.append(rest.pop(0))
    return (*spelled, *rest)


def _tar_archives(parsed: Parsed) -> Verdict:
    """The archive; ``host:file`` is at another host unless ``--force-local``."""
    verdicts = []
    creates = parsed.has("c", "r", "u", "A", "create", "append", "update", "delete", "concatenate")
    for word in parsed.values("f", "file"):
        remote = hosts.of_remote_path(word.text)
        if remote and not parsed.has("force-local"):
            verdicts.append(contacting([(word, remote)]))
        else:
            verdicts.append(touching([word], PathUse.WRITE if creates else PathUse.READ))
    return total(*verdicts)


def _tar_mode(parsed: Parsed) -> Verdict:
    target = parsed.values("C", "directory") or (Word("."),)
    if parsed.has("x", "extract", "get"):
        if parsed.has("O", "to-stdout"):
            return READS
        absolute = DESTROYS if parsed.has("P", "absolute-names", "recursive-unlink") else NOTHING
        return total(WRITES, absolute, touching([*target, *_inside(target, parsed)], PathUse.WRITE))
    if parsed.has("c", "r", "u", "create", "append", "update", "A", "concatenate", "catenate"):
        removed = DESTROYS if parsed.has("remove-files") else NOTHING
        to_output = not parsed.values("f", "file") or all(word.text == "-" for word in parsed.values("f", "file"))
        use = PathUse.REMOVE if parsed.has("remove-files") else PathUse.READ
        listed = [Word("", literal=False)] if parsed.has("T", "files-from") else []
        members = [*parsed.operands, *parsed.values("C", "directory"), *listed]
        return total(READS if to_output else WRITES, removed, touching(members, use))
    return DESTROYS if parsed.has("delete") else READS


def _inside(targets: tuple[Word, ...], parsed: Parsed) -> list[Word]:
    return [
        Word(f"{target.text.rstrip('/')}/{member.text}")
        for target in targets[-1:]
        for member in parsed.operands
        if target.literal and member.literal and target.text
    ]


def _zip(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-0123456789b:cdDeEfFgi:jJkKlLmn:oP:qrRSs:t:T?uUvVwWx:XyzZ:A$ unzip-command! TT! test^ recurse-paths
            encrypt password: delete move freshen update exclude: include: junk-paths quiet out> split-size: symlinks
            output-file> filesync"""),
    )
    removed = DESTROYS if parsed.has("m", "d", "move", "delete") else NOTHING
    runs = [word for word in invocation.arguments if word.text.startswith(("-TT", "--unzip"))]
    return total(
        WRITES,
        removed,
        opaque("zip runs a program") if runs else NOTHING,
        of_options(parsed, strict=True, program="zip"),
        touching(parsed.operands[:1], PathUse.WRITE),
        touching(parsed.operands[1:], PathUse.REMOVE if parsed.has("m", "move") else PathUse.READ),
    )


def _unzip(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-lvtpczZqnojaACd:x:P:LXfuKVW:Ii1O:"))
    archive = touching(parsed.operands[:1], PathUse.READ)
    if parsed.has("l", "v", "t", "p", "c", "z", "Z"):
        return total(READS, archive)
    return total(WRITES, archive, touching(parsed.values("d") or (Word("."),), PathUse.WRITE))


def _compress(levels: str) -> Judge:
    """``gzip`` and its like replace a file, or print with ``-c``."""
    rules = grammar(
        f"""-{levels}cdfhklLnNqrS:tvVT:M:b:o>D<aezsp: stdout to-stdout decompress uncompress force keep list quiet
        recursive suffix: test verbose fast best name no-name rsyncable threads: memlimit: format: check: extreme rm
        long? ultra single-thread output-dir-flat> train"""
    )

    def judge(invocation: Invocation) -> Verdict:
        parsed = parse(invocation.arguments, rules)
        prints = parsed.has("c", "l", "t", "stdout", "to-stdout", "list", "test") or not parsed.operands
        use = PathUse.READ if prints else PathUse.WRITE
        return total(
            READS if prints else WRITES,
            of_options(parsed, strict=False, program="gzip"),
            touching(parsed.operands, use),
        )

    return judge


def _seven_zip(invocation: Invocation) -> Verdict:
    words = [word for word in invocation.arguments if not word.text.startswith("-")]
    verb = words[0].text if words and words[0].literal else ""
    target = [Word(word.text[2:], word.literal) for word in invocation.arguments if word.text.startswith("-o")]
    if verb in ("l", "t", "b", "i", "h"):
        return total(READS, touching(words[1:2], PathUse.READ))
    if verb in ("x", "e"):
        return total(WRITES, touching(words[1:2], PathUse.READ), touching(target or [Word(".")], PathUse.WRITE))
    if verb in ("a", "u"):
        gone = DESTROYS if any(word.text == "-sdel" for word in invocation.arguments) else NOTHING
        return total(WRITES, gone, touching(words[1:2], PathUse.WRITE), touching(words[2:], PathUse.READ))
    return (
        total(DESTROYS, touching(words[1:2], PathUse.WRITE)) if verb == "d" else opaque("what 7z is told is not known")
    )


def _cpio(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-oipt0acdfuvmBLVAH:F:I<O>E<D>R:C:M: create extract pass-through list file: make-directories
            unconditional preserve-modification-time format: to-stdout null quiet absolute-filenames
            no-absolute-filenames rsh-command! directory> owner: verbose dot reset-access-time no-preserve-owner"""),
    )
    told = of_options(parsed, strict=True, program="cpio")
    remote = [word for word in parsed.values("F", "file", "I", "O") if ":" in word.text]
    told = total(told, contacting([(word, hosts.of_remote_path(word.text)) for word in remote]) if remote else NOTHING)
    if parsed.has("t", "list", "o", "create"):
        return total(
            READS, told, touching(parsed.values("F", "file") if parsed.has("o", "create") else (), PathUse.WRITE)
        )
    return total(WRITES, told, touching(parsed.operands[:1] if parsed.has("p") else (), PathUse.WRITE))


def _ar(invocation: Invocation) -> Verdict:
    words = invocation.arguments
    verb = words[0].text.lstrip("-") if words else ""
    if re.match(r"[a-zA-Z]*[tp]", verb) and not re.search(r"[dmqrx]", verb):
        return total(READS, touching(words[1:2], PathUse.READ))
    removed = DESTROYS if "d" in verb else NOTHING
    return total(WRITES, removed, touching(words[1:2], PathUse.READ if "x" in verb else PathUse.WRITE))


PROGRAMS: Programs = {
    "tar": _tar,
    "gtar": _tar,
    "bsdtar": _tar,
    "zip": _zip,
    "unzip": _unzip,
    **dict.fromkeys(
        (
            "gzip",
            "gunzip",
            "bzip2",
            "bunzip2",
            "xz",
            "unxz",
            "lzma",
            "unlzma",
            "zstd",
            "unzstd",
            "lz4",
            "unlz4",
            "lzop",
            "compress",
            "uncompress",
            "pigz",
            "pbzip2",
            "pixz",
            "brotli",
        ),
        _compress("0123456789"),
    ),
    "7z": _seven_zip,
    "7za": _seven_zip,
    "7zr": _seven_zip,
    "7zz": _seven_zip,
    "cpio": _cpio,
    "ar": _ar,
    "unrar": plain(".<>", "", _WRITE),
    "unsquashfs": plain("<*", "-d>l", _WRITE, single_dash=True),
    "mksquashfs": plain("<>", "", _WRITE, single_dash=True),
    "genisoimage": plain("<*", "-o>", _WRITE, single_dash=True),
}
