"""From a command line to what it does. Runs nothing, and takes what it cannot read for opaque.

The text is read as the language that sh, dash, bash, ksh and zsh share, with what bash adds to it, because it is not
known which of them the target starts. Where a shell that takes the same text for valid would find other words or
commands in it, both readings count (quotations in dash, fish and csh) or the text is opaque (the rest). csh and fish
are covered as far as that: their own statements are names of unknown programs here.

What is not known here: aliases and functions of the login, the links of a target, what variables are set to at the
target, and files that programs obey.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from interlock.protocols.ssh.commands.builtins import Call, is_builtin, judged
from interlock.protocols.ssh.commands.directories import UNKNOWN, Directories, changes_directory
from interlock.protocols.ssh.commands.expanding import expanded, word_of
from interlock.protocols.ssh.commands.findings import Findings
from interlock.protocols.ssh.commands.grammar.commands import Parser
from interlock.protocols.ssh.commands.grammar.cursor import MAX_DEPTH
from interlock.protocols.ssh.commands.grammar.dialects import (
    COMMON,
    OTHERS,
    Dialect,
    UnreadableError,
    UnterminatedError,
)
from interlock.protocols.ssh.commands.grammar.facts import MAX_COMMANDS, Facts
from interlock.protocols.ssh.commands.grammar.syntax import (
    AndOr,
    Assignment,
    Command,
    Compound,
    Expansion,
    Function,
    Part,
    Pipeline,
    Redirect,
    Runs,
    Script,
    ShellWord,
    Simple,
    Substitutes,
    Substitution,
    Text,
)
from interlock.protocols.ssh.commands.invocation import (
    UNKNOWN_PATH,
    CommandClass,
    CommandReading,
    Input,
    Invocation,
    PathUse,
    TouchedPath,
    Verdict,
    Word,
)
from interlock.protocols.ssh.commands.outputs import printed
from interlock.protocols.ssh.commands.programs import judge
from interlock.protocols.ssh.commands.programs.judging import PROGRAMS, base_name, builds_projects
from interlock.protocols.ssh.commands.programs.listings import names_listed
from interlock.protocols.ssh.commands.redirections import Streams, redirected
from interlock.protocols.ssh.commands.scope import Scope
from interlock.protocols.ssh.commands.variables import assigning

_READINGS = 4
"""How often the text may be read again: inside of it, and in the ways of other shells."""
_RUNS = 1024
"""Simple commands, and lists of them, counted again in each pass of a loop."""
_PASSES = 8
"""How many values of a loop's variable are told apart."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CSH_HISTORY = re.compile(r"(?<!\\)!\{?#")
_EXIT = re.compile(r"exit (?:\d+ )?", re.ASCII)
_CACHED_READINGS = 128


@lru_cache(maxsize=_CACHED_READINGS)
def read_command(text: str, max_bytes: int) -> CommandReading:
    """What a command line does, whatever shell the target has. Never raises.

    Paths are absolute or begin with ``~``; one whose place is not known is reported as ``UNKNOWN_PATH``. After a ``cd``
    that may fail, a relative path is reported for both directories.
    """
    reader = _Reader(max_bytes)
    try:
        reader.read(text)
    except Exception:  # noqa: BLE001 - whatever a text may do to its reader, it is not permitted for that
        reader.found.opaque("the command cannot be read: write it in a plainer way")
    return reader.found.reading()


class _Reader:
    """Goes through one command line. ``depth`` counts scripts and texts inside of one another."""

    def __init__(self, max_bytes: int) -> None:
        self.found = Findings()
        self.facts = Facts()
        self.max_bytes = max_bytes
        self.bytes_left = max_bytes * _READINGS
        self.scripts_left = _RUNS
        self.runs_left = _RUNS
        self.depth = 0

    def read(self, text: str) -> None:
        size = len(text.encode(errors="replace"))
        if size > self.max_bytes:
            self.found.opaque(f"the command has more than {self.max_bytes} bytes: run a shorter one")
            return
        self.text(text, Scope(), Streams())
        if (name := self.facts.unsound()) is not None:
            self.found.opaque(f"arithmetic evaluates {name}, whose value is not known to be a number")

    def text(self, text: str, scope: Scope, streams: Streams) -> None:
        """A text that a shell is given."""
        if _CONTROL.search(text) or _CSH_HISTORY.search(text):
            self.found.opaque("control characters such as carriage returns, or !# : leave them out")
            return
        outer, self.facts.disagreements = self.facts.disagreements, set()
        before = scope.copy()
        self._in_dialect(text, COMMON, scope, streams)
        disagreements, self.facts.disagreements = self.facts.disagreements, outer
        for disagreement in sorted(disagreements, key=lambda each: each.name):
            self._in_dialect(text, OTHERS[disagreement], before.copy(), streams)

    def _in_dialect(self, text: str, dialect: Dialect, scope: Scope, streams: Streams) -> None:
        self.bytes_left -= len(text)
        if self.bytes_left < 0:
            self.found.opaque("too much text is handed from shell to shell: run a simpler command")
            return
        try:
            parser = Parser(text, dialect, self.facts, self.depth)
        except UnreadableError as error:
            self.found.opaque(error.why)
            return
        try:
            script = parser.text_script()
        except UnterminatedError as error:
            script = parser.whole_lines()
            if dialect is COMMON:
                self.found.opaque(error.why)
        except UnreadableError as error:
            script = parser.so_far()
            self.found.opaque(error.why)
        for name in [name for name in scope.values if not self.facts.followed(name)]:
            del scope.values[name]
        self.script(script, scope, streams)

    def script(self, script: Script, scope: Scope, streams: Streams) -> None:
        self.depth += 1
        self.scripts_left -= 1
        if self.scripts_left < 0:
            self.found.opaque("loops inside of one another, over many words: write fewer of them")
        elif self.depth > MAX_DEPTH:
            self.found.opaque("commands are nested too deep: write fewer of them inside of one another")
        else:
            for each in script.lists:
                own = scope.copy() if each.background else scope
                self._and_or(each, own, streams)
                if each.background:
                    scope.lose(own)
        self.depth -= 1

    def _and_or(self, and_or: AndOr, scope: Scope, streams: Streams) -> None:
        """``succeeded`` and ``failed`` are where the shell is afterwards; None when it does not get there."""
        start = scope.directories
        succeeded, failed = self._outcomes(and_or.first, scope, streams)
        scope.conditional += 1
        for operator, pipeline in and_or.rest:
            scope.directories = (succeeded if operator == "&&" else failed) or start
            then_succeeded, then_failed = self._outcomes(pipeline, scope, streams)
            if operator == "&&":
                succeeded, failed = then_succeeded, _either(failed, then_failed)
            else:
                succeeded, failed = _either(succeeded, then_succeeded), then_failed
        scope.conditional -= 1
        scope.directories = _either(succeeded, failed) or start

    def _outcomes(
        self, pipeline: Pipeline, scope: Scope, streams: Streams
    ) -> tuple[Directories | None, Directories | None]:
        before = scope.directories
        self._pipeline(pipeline, scope, streams)
        if _leaves(pipeline):
            return None, None
        succeeded, failed = scope.directories, before.or_in(scope.directories)
        return (failed, succeeded) if pipeline.negated else (succeeded, failed)

    def _pipeline(self, pipeline: Pipeline, scope: Scope, streams: Streams) -> None:
        last = len(pipeline.commands) - 1
        if not last:
            self._command(pipeline.commands[0], scope, streams)
            return
        incoming = streams
        for at, command in enumerate(pipeline.commands):
            piped = Streams(incoming.input, incoming.text, at < last or streams.output_piped)
            own = scope.copy()
            text = self._command(command, own, piped)
            known = text is not None and not pipeline.with_errors
            incoming = Streams(Input.TEXT, text) if known else Streams(Input.PIPE)
            if at == last:
                scope.lose(own)

    def _command(self, command: Command, scope: Scope, streams: Streams) -> str | None:
        """What it does; what it prints, if that is known."""
        try:
            match command:
                case Simple():
                    return self._simple(command, scope, streams)
                case Compound():
                    self._compound(command, scope, streams)
                case Function():
                    self._function(command, scope)
        except UnreadableError as error:
            self.found.opaque(error.why)
        return None

    def _simple(self, command: Simple, scope: Scope, streams: Streams) -> str | None:
        self.runs_left -= 1
        if self.runs_left < 0:
            self.found.opaque("loops over many words: write fewer of them")
            return None
        for word in _all_words(command):
            self._substitutions(word.parts, scope)
        words = tuple(expanded(command.words, scope.values))
        streams, takes_input = self._redirections(command.redirects, scope, streams)
        if _empties(words, command.redirects, scope):
            self.found.add({CommandClass.DESTRUCTIVE})
        assignments = tuple((each.name, self._assigned(each, scope, words)) for each in command.assignments)
        if not words:
            return None
        if words[0].text == "exec" and takes_input:
            self.found.opaque("exec changes the input of the commands behind it")
        invocation = Invocation(words, assignments, streams.input, streams.text, streams.output_piped)
        if words[0].literal and words[0].text in scope.functions:
            scope.forget_all()
            return None
        self._invocation(invocation, command.words, scope)
        writes = any(redirect.operator.endswith((">", ">&")) for redirect in command.redirects)
        return None if writes else printed(invocation) or names_listed(invocation)

    def _assigned(self, assignment: Assignment, scope: Scope, words: Sequence[Word]) -> Word:
        """Gives the variable its value. In front of a command that is only for the command, to most shells."""
        value = word_of(assignment.value, scope.values, splits=False)
        plain = assignment.plain and not assignment.words
        written = assignment.value if plain else None
        program = words[0].text if words and words[0].literal else ""
        building = builds_projects(program)
        self._apply(assigning(assignment.name, value, written, building=building), None, scope)
        certain = not words and plain and value.literal and ":~" not in value.text
        followed = certain and self.facts.followed(assignment.name)
        if not (assignment.name == "IFS" and program == "read"):
            scope.assign(assignment.name, value.text if followed else None)
        return value

    def _redirections(self, redirects: Sequence[Redirect], scope: Scope, streams: Streams) -> tuple[Streams, bool]:
        if not redirects:
            return streams, False
        result = redirected(redirects, scope.values, streams)
        for touched in result.touched:
            self.found.touch(touched, scope.directories)
        if result.unknown:
            self.found.opaque("it is not known which file a redirection means: write its path in full")
        return result.streams, result.takes_input

    def _substitutions(self, parts: Iterable[Part], scope: Scope) -> None:
        """The scripts in a word are run by shells of their own."""
        for part in parts:
            match part:
                case Substitution(script=script, kind=Substitutes.OUTPUT_FILE):
                    self.script(script, scope.copy(), Streams(Input.PIPE))
                case Substitution(script=script):
                    self.script(script, scope.copy(), Streams(output_piped=True))
                case Expansion(parts=inner):
                    self._substitutions(inner, scope)
                case _:
                    pass

    def _compound(self, command: Compound, scope: Scope, streams: Streams) -> None:
        for word in (*command.words, *_redirect_words(command.redirects)):
            self._substitutions(word.parts, scope)
        streams, _ = self._redirections(command.redirects, scope, streams)
        scope = scope.copy() if command.runs is Runs.APART else scope
        passes = self._passes(command, scope)
        if command.runs is Runs.AGAIN:
            scope.forget_all()
        for name in command.binds:
            self._apply(assigning(name, Word("", literal=False), None), None, scope)
            scope.assign(name, None)
        conditional = command.runs in (Runs.SOME, Runs.AGAIN)
        scope.conditional += conditional
        moved, scope.moved = scope.moved, False
        for value in passes:
            for name in command.binds:
                scope.hold(name, value)
            for script in command.scripts:
                before = scope.directories
                self.script(script, scope, streams.shared())
                if conditional:
                    scope.directories = before.or_in(scope.directories)
        for name in command.binds:
            scope.hold(name, None)
        scope.conditional -= conditional
        if command.runs is Runs.AGAIN and scope.moved:
            self._lost("a loop changes the directory it runs in: write paths in full", scope)
        scope.moved = scope.moved or moved

    def _lost(self, why: str, scope: Scope) -> None:
        """Nobody knows where relative paths are, those that have been read included."""
        self.found.opaque(why)
        self.found.touch(TouchedPath(UNKNOWN_PATH, PathUse.WRITE), UNKNOWN)
        scope.directories = UNKNOWN

    def _passes(self, command: Compound, scope: Scope) -> Sequence[str | None]:
        """The values of a loop's variable, if few and known: the loop is read for each. Else it is read once."""
        if command.runs is not Runs.AGAIN or len(command.binds) != 1 or not self.facts.followed(command.binds[0]):
            return (None,)
        words = expanded(command.words, scope.values)
        known = all(word.literal and not word.glob and not word.text.startswith("~") for word in words)
        return [word.text for word in words] if known and 0 < len(words) <= _PASSES else (None,)

    def _function(self, command: Function, scope: Scope) -> None:
        """Its body counts whether it is called or not, from any directory and on any input."""
        if command.name in PROGRAMS or is_builtin(command.name):
            self.found.opaque(f"a function has the name of a program, {command.name}: use another name")
        inner = scope.copy()
        inner.forget_all()
        inner.directories = UNKNOWN
        inner.conditional += 1
        self._compound(command.body, inner, Streams(Input.PIPE, None, output_piped=True))
        if inner.moved:
            self._lost("a function changes the directory: write paths in full", scope)
        scope.define(command.name)
        if command.name == "date":
            self.found.opaque("a function has the name of date, whose output is relied on: use another name")

    def _invocation(self, invocation: Invocation, written: tuple[ShellWord, ...], scope: Scope) -> None:
        """A program or builtin is started."""
        self.depth += 1
        program = invocation.program
        if self.depth > MAX_DEPTH:
            self.found.opaque("commands are nested too deep: write fewer of them inside of one another")
        elif not program.literal or program.glob or not program.text:
            self.found.opaque("the name of a program has expansions in it: write it out")
        else:
            name = base_name(program.text) or program.text
            own = judged(Call(invocation, written, scope, self.facts))
            self._apply(own or judge(invocation), name, scope, invocation, in_shell=own is not None)
        self.depth -= 1

    def _apply(
        self,
        verdict: Verdict,
        program: str | None,
        scope: Scope,
        invocation: Invocation | None = None,
        *,
        in_shell: bool = False,
    ) -> None:
        """Adds what a program does, and reads what it starts: builtins start it in the shell that they are part of."""
        self.found.add(verdict.classes, program)
        if verdict.why_opaque:
            self.found.opaque(verdict.why_opaque, program)
        for touched in verdict.paths:
            self.found.touch(touched, scope.directories, program)
        for host in verdict.hosts:
            self.found.hosts[host] = None
        streams = Streams(invocation.input, invocation.input_text, invocation.output_piped) if invocation else Streams()
        elsewhere = scope.copy()
        if invocation is not None and changes_directory(invocation):
            elsewhere.directories = UNKNOWN
        for text in verdict.shell_texts:
            self._shell_text(text, _scope_of_text(program, scope, elsewhere, in_shell=in_shell), streams.shared())
        for started in verdict.invocations:
            self._started(started, scope if in_shell else elsewhere)

    def _shell_text(self, text: Word, scope: Scope, streams: Streams) -> None:
        self.depth += 1
        if not text.literal:
            self.found.opaque("a shell is given a text with expansions in it: write it out")
        elif self.depth <= MAX_DEPTH:
            self.text(text.text, scope, streams)
        else:
            self.found.opaque("commands are nested too deep: write fewer of them inside of one another")
        self.depth -= 1

    def _started(self, invocation: Invocation, scope: Scope) -> None:
        self.facts.commands_left -= 1
        if self.facts.commands_left < 0:
            self.found.opaque(f"more than {MAX_COMMANDS} commands: run fewer at once")
        elif invocation.words:
            self._invocation(invocation, (), scope)


def _scope_of_text(program: str | None, scope: Scope, elsewhere: Scope, *, in_shell: bool) -> Scope:
    """``eval`` runs a text where it stands, ``trap`` wherever the shell is by then, others start a new shell."""
    if in_shell:
        return Scope(directories=UNKNOWN) if program == "trap" else scope
    return Scope(directories=elsewhere.directories)


def _either(one: Directories | None, other: Directories | None) -> Directories | None:
    if one is None or other is None:
        return one or other
    return one.or_in(other)


def _leaves(pipeline: Pipeline) -> bool:
    """It certainly ends the shell."""
    match pipeline.commands:
        case [Simple(words=words, assignments=(), redirects=())]:
            parts = [part for word in words for part in (*word.parts, Text(" ", quoted=True))]
            text = "".join(part.text for part in parts if isinstance(part, Text))
            return all(isinstance(part, Text) for part in parts) and _EXIT.fullmatch(text) is not None
        case [Compound(runs=Runs.ALL, scripts=[Script(lists=[*_, AndOr(rest=(), background=False) as last])])]:
            return _leaves(last.first)
        case _:
            return False


def _empties(words: Sequence[Word], redirects: Sequence[Redirect], scope: Scope) -> bool:
    """``> file`` and ``: > file`` leave nothing of a file."""
    if words and words[0].text not in (":", "true"):
        return False
    written = (word_of(each.target, scope.values, splits=False) for each in redirects if each.operator in (">", ">|"))
    return any(not word.text.startswith("/dev/") for word in written)


def _redirect_words(redirects: Sequence[Redirect]) -> list[ShellWord]:
    bodies = [ShellWord(tuple(redirect.here.body)) for redirect in redirects if redirect.here is not None]
    return [*(redirect.target for redirect in redirects), *bodies]


def _all_words(command: Simple) -> list[ShellWord]:
    assigned = [word for each in command.assignments for word in (each.value, *each.words)]
    return [*assigned, *command.words, *_redirect_words(command.redirects)]
