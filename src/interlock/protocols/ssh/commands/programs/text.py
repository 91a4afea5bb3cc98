"""Programs that search and transform text: most print, ``sed`` and ``awk`` may also write and run."""

import re

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import awk
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.sed import effects
from interlock.protocols.ssh.commands.programs.verdicts import (
    NOTHING,
    READS,
    WRITES,
    contacting,
    opaque,
    total,
    touching,
)

_READ, _WRITE = CommandClass.READ, CommandClass.WRITE

_GREP = """-EFGPe:f<iyvwxcLlm:oqsbHhnTZA:B:C:#aUzrRID:d: regexp: file< ignore-case invert-match word-regexp count
    files-with-matches max-count: only-matching quiet silent no-messages with-filename no-filename line-number
    after-context: before-context: context: color? colour? text binary-files: devices: directories: exclude:
    exclude-from< exclude-dir: include: recursive dereference-recursive label: null null-data extended-regexp
    fixed-strings perl-regexp basic-regexp line-regexp files-without-match line-buffered initial-tab byte-offset
    no-ignore-case"""
_RIPGREP = """-e:f<A:B:C:E:g:j:m:M:r:t:T:d:iSsvwxcLlnNoHIFPUaz0uqp regexp: file< after-context: before-context: context:
    glob: iglob: max-count: max-depth: type: type-not: replace: sort: sortr: color: colors: threads: encoding:
    pre! hostname-bin! pre-glob: ignore-file< path-separator: type-add: max-filesize: max-columns: engine:
    search-zip^"""


def _sed(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-bnre:f:EI?i?l:suz expression: file: in-place? line-length: posix quiet silent regexp-extended
            separate unbuffered null-data follow-symlinks debug sandbox binary zero-terminated"""),
    )
    if parsed.informs:
        return READS
    if parsed.unknown or parsed.has("f", "file"):
        return opaque("what sed is told is in a file, or an option that is not known")
    texts = parsed.values("e", "expression")
    scripts, files = (texts, parsed.operands) if texts else (parsed.operands[:1], parsed.operands[1:])
    in_place = parsed.has("i", "in-place", "I")
    touched = touching(files, PathUse.WRITE if in_place else PathUse.READ)
    return total(WRITES if in_place else READS, touched, _sed_script(scripts, sandbox=parsed.has("sandbox")))


def _sed_script(scripts: tuple[Word, ...], *, sandbox: bool) -> Verdict:
    if sandbox:
        return NOTHING
    if not all(script.literal for script in scripts):
        return opaque("what sed is told is not known")
    told = effects("\n".join(script.text for script in scripts))
    if told is None:
        return opaque("what sed is told runs programs, or is not understood")
    return total(touching(map(Word, told.written), PathUse.WRITE), touching(map(Word, told.read), PathUse.READ))


def _awk(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            """-F:v:f!E!i!l!e:bcCd?gGhIkL?MnNo?OPp?rsStVW: field-separator: assign: file! exec! include! load!
            source: sandbox posix traditional re-interval non-decimal-data csv lint? characters-as-bytes optimize
            no-optimize use-lc-numeric bignum gen-pot copyright dump-variables? pretty-print? profile? debug?
            debug^""",
            in_order=True,
        ),
    )
    if parsed.informs or parsed.has("V"):
        return READS
    sources = parsed.values("e", "source")
    programs, files = (sources, parsed.operands) if sources else (parsed.operands[:1], parsed.operands[1:])
    read = [word for word in files if not re.match(r"[A-Za-z_]\w*=", word.text)]
    dumping = any(
        parsed.has(name) for name in ("d", "o", "p", "D", "dump-variables", "pretty-print", "profile", "debug")
    )
    return total(
        READS,
        of_options(parsed, strict=True, program="awk"),
        opaque("awk writes a file of its own or is debugged") if dumping else NOTHING,
        touching(read, PathUse.READ),
        *(NOTHING if parsed.has("S", "sandbox") else _awk_program(program) for program in programs),
    )


def _awk_program(program: Word) -> Verdict:
    """A program that only prints is read; one that prints to files is written."""
    if not program.literal:
        return opaque("what awk is told is not known")
    written = awk.files_written(program.text)
    if written is None:
        return opaque("what awk is told runs programs, or is not understood")
    return touching(map(Word, written), PathUse.WRITE)


def _sort(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-bdfgiMhnRrVk:mo>sS:t:T:uzcC ignore-leading-blanks dictionary-order ignore-case
            general-numeric-sort ignore-nonprinting month-sort human-numeric-sort numeric-sort random-sort
            random-source< reverse sort: version-sort batch-size: check? compress-program! debug files0-from< key:
            merge output> stable buffer-size: field-separator: temporary-directory: parallel: unique
            zero-terminated"""),
    )
    return total(READS, of_options(parsed, strict=True, program="sort"), touching(parsed.operands, PathUse.READ))


def _jq(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-nRrjascCMSef<L:0h null-input raw-input slurp compact-output raw-output raw-output0 join-output
            ascii-output sort-keys color-output monochrome-output tab indent: unbuffered stream stream-errors seq
            from-file< exit-status arg: argjson: slurpfile: rawfile: args jsonargs binary build-configuration"""),
    )
    operands = list(parsed.operands)
    # ``--arg NAME VALUE`` takes two words.
    for _ in parsed.values("arg", "argjson", "slurpfile", "rawfile"):
        if operands:
            del operands[0]
    if parsed.has("args", "jsonargs"):
        return total(READS, of_options(parsed, strict=False, program="jq"))
    files = operands if parsed.has("f", "from-file") else operands[1:]
    given = [word for option in ("slurpfile", "rawfile") for word in _second_words(invocation, f"--{option}")]
    return total(READS, of_options(parsed, strict=False, program="jq"), touching([*files, *given], PathUse.READ))


def _second_words(invocation: Invocation, option: str) -> list[Word]:
    words = invocation.arguments
    return [words[at + 2] for at, word in enumerate(words[:-2]) if word.text == option]


def _yq(invocation: Invocation) -> Verdict:
    """``yq``: ``-i`` writes; its language reads files and the environment."""
    parsed = parse(
        invocation.arguments,
        grammar("""-iNPCMrjceynsI:o:p:f:F:S inplace in-place prettyPrint output-format: input-format: indent: from-file<
            null-input exit-status no-colors colors no-doc front-matter: split-exp! unwrapScalar? raw-output
            yaml-output toml-output xml-output tojson arg: argjson: security-disable-env-ops"""),
    )
    operands = [word for word in parsed.operands if word.text not in ("eval", "e", "eval-all", "ea")]
    writes = parsed.has("i", "inplace", "in-place")
    files = touching(operands[1:], PathUse.WRITE if writes else PathUse.READ)
    dangerous = any("system(" in word.text for word in operands[:1])
    found = opaque("yq runs a program") if dangerous or (parsed.has("s") and "-s" in _texts(invocation)) else NOTHING
    return total(WRITES if writes else READS, of_options(parsed, strict=False, program="yq"), files, found)


def _texts(invocation: Invocation) -> tuple[str, ...]:
    return tuple(word.text for word in invocation.arguments)


def _uniq(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            "-cdDf:is:uw:z# count repeated all-repeated? skip-fields: group? ignore-case"
            " skip-chars: unique check-chars: zero-terminated"
        ),
    )
    return total(READS, touching(parsed.operands[:1], PathUse.READ), touching(parsed.operands[1:2], PathUse.WRITE))


def _xxd(invocation: Invocation) -> Verdict:
    """``xxd [infile [outfile]]``, and the like."""
    parsed = parse(invocation.arguments, grammar("-abc:Ceg:hil:n:o:prs:uvd ps revert? cols: len: seek:"))
    return total(READS, touching(parsed.operands[:1], PathUse.READ), touching(parsed.operands[1:2], PathUse.WRITE))


def _xmllint(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            """-o> output> xpath: schema: format noout valid shell^ encode: html
        noblanks nonet pretty: path: dtdvalid: relaxng: pattern: stream""",
            single_dash=True,
        ),
    )
    urls = [(word, None) for word in parsed.operands if "://" in word.text]
    return total(
        READS,
        of_options(parsed, strict=True, program="xmllint"),
        touching(parsed.operands, PathUse.READ),
        contacting(urls) if urls else NOTHING,
    )


def _pager(invocation: Invocation) -> Verdict:
    """``less`` and ``more``: options that log write, ``+`` commands may run a shell."""
    parsed = parse(
        invocation.arguments,
        grammar("""-?aABcCdeEfFgGiIJLmMnNqQrRsSuUVwWXb:h:j:k!o>O>p:P:t:T<x:y:z:#D:K log-file> LOG-FILE> lesskey-file!
            lesskey-src! lesskey-content! pattern: prompt: tag: tag-file< window: tabs: chop-long-lines
            RAW-CONTROL-CHARS raw-control-chars quit-if-one-screen no-init LINE-NUMBERS line-numbers squeeze-blank-lines
            ignore-case IGNORE-CASE quit-at-eof QUIT-AT-EOF follow-name mouse wheel-lines: use-color color: header:
            incsearch silent QUIET quiet clear-screen no-number-headers"""),
    )
    commands = [word for word in parsed.operands if word.text.startswith("+") or (not word.literal and not word.text)]
    odd = [word for word in commands if not re.fullmatch(r"\+(?:G|F|\d+|/[^!|]*)?", word.text) and word.literal]
    files = [word for word in parsed.operands if not word.text.startswith("+")]
    found = opaque(f"a pager is given commands: {odd[0].text}") if odd else NOTHING
    return total(READS, found, of_options(parsed, strict=False, program="less"), touching(files, PathUse.READ))


def _man(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-C!P!H!X?T?ZadDfkwWlKuciIrR:L:m:M:S:s:e:p!7tE: config-file! pager! html! local-file^ whatis apropos
            where path all sections: manpath: locale: systems: extension: encoding: preprocessor! troff-device?
            browser! regex wildcard names-only"""),
    )
    return total(
        READS,
        of_options(parsed, strict=True, program="man"),
        opaque("man reads a file as a page") if parsed.has("l") else NOTHING,
    )


def _dc(invocation: Invocation) -> Verdict:
    """``dc`` runs what follows ``!``."""
    texts = [word.text for word in invocation.arguments] + [invocation.input_text or ""]
    known = all(word.literal for word in invocation.arguments)
    if not known or any(re.search(r"!(?![<>=])|\?", text) for text in texts) or "-f" in texts:
        return opaque("dc runs programs")
    return READS


def _printing(program: str) -> Judge:
    def judge(invocation: Invocation) -> Verdict:
        return READS

    judge.__name__ = program
    return judge


PROGRAMS: Programs = {
    **dict.fromkeys(
        (
            "grep",
            "egrep",
            "fgrep",
            "zgrep",
            "zegrep",
            "zfgrep",
            "bzgrep",
            "xzgrep",
            "zstdgrep",
            "pcregrep",
            "pcre2grep",
            "ugrep",
        ),
        plain(".<*", _GREP, _READ, unless="e f regexp file"),
    ),
    "ag": plain(".<*", "-A:B:C:G:m:p: depth: ignore: pager!", _READ),
    "ack": plain(".<*", "-A:B:C:m: type: pager! output:", _READ),
    "rg": plain(".<*", _RIPGREP, _READ, unless="e f regexp file files type-list"),
    "sed": _sed,
    "gsed": _sed,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "nawk": _awk,
    "sort": _sort,
    "uniq": _uniq,
    "shuf": plain(
        "<*", "-ei:n:o>rz echo input-range: head-count: output> random-source< repeat zero-terminated", _READ
    ),
    "tr": plain(".*", "", _READ),
    "jq": _jq,
    "gojq": _jq,
    "jaq": _jq,
    "yq": _yq,
    "xxd": _xxd,
    "xmllint": _xmllint,
    "xmlstarlet": plain(".*", "", _READ, strict=False),
    "less": _pager,
    "more": _pager,
    "most": _pager,
    "pg": _pager,
    "zless": _pager,
    "zmore": _pager,
    "man": _man,
    "dc": _dc,
    "printf": _printing("printf"),
    "tidy": plain("<*", "-o>mfe", _READ, m=_WRITE),
    "envsubst": plain(".*", "", _READ),
    "msgcat": plain("<*", "-o>", _READ),
}
