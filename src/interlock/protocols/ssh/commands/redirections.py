"""What redirections do: files read and written, hosts behind ``/dev/tcp``, where standard input comes from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from interlock.protocols.ssh.commands.expanding import SUBSTITUTED_FILE, expanded, word_of
from interlock.protocols.ssh.commands.grammar.syntax import Redirect, ShellWord, Text
from interlock.protocols.ssh.commands.invocation import UNKNOWN_PATH, Input, PathUse, TouchedPath, Word

_DUPLICATE = re.compile(r"\d+-?|-", re.ASCII)
_USES = {
    "<": (PathUse.READ,),
    "<>": (PathUse.READ, PathUse.WRITE),
    **dict.fromkeys((">", ">>", ">|", "&>", "&>>", ">&"), (PathUse.WRITE,)),
}


@dataclass(frozen=True, slots=True)
class Streams:
    """Where commands read from, and whether another program reads what they print."""

    input: Input = Input.CLIENT
    text: str | None = None
    output_piped: bool = False

    def shared(self) -> "Streams":
        """For commands of which each may read a part of the input."""
        return self if self.text is None else replace(self, input=Input.PIPE, text=None)

    def unclear(self) -> "Streams":
        return replace(self, input=Input.PIPE, text=None)


@dataclass(frozen=True, slots=True)
class Redirected:
    """``unknown``: a file or host may be meant that nobody knows."""

    streams: Streams
    touched: tuple[TouchedPath, ...] = ()
    unknown: bool = False
    takes_input: bool = False


def redirected(redirects: Sequence[Redirect], values: Mapping[str, str], streams: Streams) -> Redirected:
    """What redirections do to a command that has ``streams`` without them.

    Where there is more than one input nobody knows what is read: zsh reads one after the other.
    """
    inputs: list[Streams] = []
    touched: list[TouchedPath] = []
    unknown = False
    for redirect in redirects:
        words = _targets(redirect, values)
        is_input = redirect.operator.startswith("<") and redirect.descriptor in (None, 0)
        if is_input:
            inputs.append(_input(redirect, words, values, streams))
        if redirect.operator in _USES and not _duplicates(redirect, words):
            unknown = unknown or (not all(word.literal for word in words) and not _is_plain_file(redirect))
            touched += [
                TouchedPath(word.text if word.literal and word.text else UNKNOWN_PATH, use)
                for word in words
                for use in _USES[redirect.operator]
            ]
        elif redirect.operator == "<&" and not _duplicates(redirect, words):
            unknown = True
    if inputs:
        only = len(inputs) == 1 and streams.input is not Input.PIPE and streams.text is None
        streams = inputs[0] if only else streams.unclear()
    return Redirected(streams, tuple(touched), unknown, bool(inputs))


def _targets(redirect: Redirect, values: Mapping[str, str]) -> list[Word]:
    return expanded([redirect.target], values) if redirect.operator in _USES or redirect.operator == "<&" else []


def _duplicates(redirect: Redirect, words: Sequence[Word]) -> bool:
    """``2>&1``, ``<&-``: another descriptor, no file."""
    return redirect.operator in (">&", "<&") and all(w.literal and _DUPLICATE.fullmatch(w.text) for w in words)


def _is_plain_file(redirect: Redirect) -> bool:
    """A file that is only read, and certainly none of ``/dev``."""
    first = redirect.target.parts[0]
    if redirect.operator != "<" or not isinstance(first, Text) or not first.text:
        return False
    return not first.text.startswith("/") or (len(first.text) > 4 and not first.text.startswith("/dev"))


def _input(redirect: Redirect, words: Sequence[Word], values: Mapping[str, str], streams: Streams) -> Streams:
    text: str | None = None
    match redirect.operator:
        case "<<<":
            word = word_of(redirect.target, values, splits=False)
            source, text = Input.TEXT, word.text + "\n" if word.literal else None
        case "<<" | "<<-":
            word = _body(redirect, values)
            source, text = Input.TEXT, word.text if word.literal else None
        case "<&":
            source = Input.NOTHING if [word.text for word in words] == ["-"] else Input.PIPE
        case _ if [word.text for word in words] == ["/dev/null"]:
            source = Input.NOTHING
        case _ if [word.text for word in words] == [SUBSTITUTED_FILE]:
            source = Input.PIPE
        case _:
            source = Input.FILE
    return Streams(source, text, streams.output_piped)


def _body(redirect: Redirect, values: Mapping[str, str]) -> Word:
    parts = tuple(redirect.here.body) if redirect.here is not None else ()
    # An empty text in front keeps a tilde from being read as one.
    return word_of(ShellWord((Text("", quoted=True), *parts)), values, splits=False)
