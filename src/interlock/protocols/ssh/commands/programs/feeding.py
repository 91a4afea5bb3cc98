"""Programs that start another one for what they read or watch: its words are known in part, unless the input is."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Invocation, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options
from interlock.protocols.ssh.commands.programs.verdicts import (
    NOTHING,
    READS,
    opaque,
    shelling,
    starting,
    total,
)
from interlock.protocols.ssh.commands.programs.wrappers import joined

UNKNOWN = Word("", literal=False)


def _xargs(invocation: Invocation) -> Verdict:
    """The words of the program, and others that are filled in: which those are is not known."""
    parsed = parse(
        invocation.arguments,
        grammar(
            """-0a<d:E:e?I:i?L:l?n:oP:prR:s:txJ: null arg-file< delimiter: eof? replace? max-lines? max-args:
            max-procs: interactive process-slot-var: no-run-if-empty max-chars: show-limits verbose exit
            open-tty""",
            in_order=True,
        ),
    )
    if parsed.informs:
        return READS
    if parsed.unknown:
        return opaque("xargs has an option that is not known")
    files = of_options(parsed, strict=False, program="xargs")
    if not parsed.operands:
        return total(READS, files)
    given = _given(invocation, parsed)
    if given is None:
        return total(files, starting(invocation, _filled(parsed), own_input=False))
    return total(files, *(starting(invocation, words, own_input=False) for words in given))


def _given(invocation: Invocation, parsed: Parsed) -> list[Sequence[Word]] | None:
    """The programs with the words of an input that is known; None when it is not, or is taken apart in other ways."""
    text = invocation.input_text
    if text is None or parsed.has("d", "delimiter", "E", "e", "eof", "a", "arg-file") or re.search(r"[\\'\"]", text):
        return None
    apart = parsed.has("0", "null")
    replaced = parsed.values("I", "replace", "J")
    if replaced:
        lines = filter(None, map(str.strip, text.split("\0") if apart else text.splitlines()))
        return [[_replaced(word, replaced[-1].text, line) for word in parsed.operands] for line in lines]
    words = text.rstrip("\n").split("\0") if apart else text.split()
    return None if parsed.has("i") else [(*parsed.operands, *map(_named, words))]


def _named(text: str) -> Word:
    return Word(text, glob="*" in text)


def _replaced(word: Word, mark: str, line: str) -> Word:
    """A pattern of names inside of another word may be any text."""
    if word.text == mark:
        return _named(line)
    return Word(word.text.replace(mark, line), word.literal and not ("*" in line and mark in word.text))


def _filled(parsed: Parsed) -> Sequence[Word]:
    replaced = parsed.values("I", "i", "replace", "J") or ((Word("{}"),) if parsed.has("i", "replace") else ())
    if not replaced:
        return (*parsed.operands, UNKNOWN)
    mark = replaced[-1].text or "{}"
    return [Word(word.text.replace(mark, ""), literal=False) if mark in word.text else word for word in parsed.operands]


def _parallel(invocation: Invocation) -> Verdict:
    """Its words are a text for a shell with places to fill in; what fills them in is quoted by it."""
    parsed = parse(
        invocation.arguments,
        grammar(
            """-0a<d:j:P:N:n:L:I:kmqXvtuS@C: jobs: arg-file< colsep: dry-run keep-order bar eta progress halt:
            joblog> results> retries: timeout: delay: max-args: max-procs: null verbose will-cite no-notice
            sshlogin@ tag pipe block: gnu load: ungroup linebuffer line-buffer no-run-if-empty quote""",
            in_order=True,
        ),
    )
    if parsed.informs or parsed.has("dry-run"):
        return READS
    end = next((at for at, word in enumerate(parsed.operands) if word.text.startswith(":::")), None)
    words = parsed.operands[:end]
    values = parsed.operands[end + 1 :] if end is not None else ()
    by_options = of_options(parsed, strict=True, program="parallel")
    if not words:
        texts = [shelling(value) for value in values]
        return total(by_options, *texts) if texts else opaque("the commands that parallel runs are not known")
    if len(words) == 1 and re.search(r"[^\w./{}+-]", words[0].text):
        return total(
            by_options,
            shelling(Word(re.sub(r"\{[^ {}]*\}", "", words[0].text), words[0].literal)),
            NOTHING if _places_are_operands(words[0].text) else opaque("a value is filled into a shell text"),
        )
    filled = [
        Word(re.sub(r"\{[^ {}]*\}", "", word.text), literal=False) if "{" in word.text else word for word in words
    ]
    own = filled if any("{" in word.text for word in words) else [*filled, UNKNOWN]
    return total(by_options, starting(invocation, own, own_input=False))


def _places_are_operands(text: str) -> bool:
    """``{}`` is never the program and never inside quotes."""
    return not re.search(r"(?:^|[|;&(`]\s*)\{|['\"`$]", text)


def _entr(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-acdnprsxz", in_order=True))
    return shelling(joined(parsed.operands)) if parsed.has("s") else starting(invocation, parsed.operands)


PROGRAMS: Programs = {
    "xargs": _xargs,
    "parallel": _parallel,
    "entr": _entr,
}
