"""Lists, pipelines and compound commands (XCU 2.9, 2.10)."""

import re

from interlock.protocols.ssh.commands.grammar.conditions import Conditions
from interlock.protocols.ssh.commands.grammar.dialects import Dialect, UnreadableError
from interlock.protocols.ssh.commands.grammar.facts import MAX_COMMANDS, Facts
from interlock.protocols.ssh.commands.grammar.simple import is_inert
from interlock.protocols.ssh.commands.grammar.syntax import (
    AndOr,
    Command,
    Compound,
    Function,
    Part,
    Pipeline,
    Runs,
    Script,
    ShellWord,
)

_RESERVED = re.compile(r"[a-z{}!\[]+(?=[\s;&|<>()]|$)")
_NOT_FIRST = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "in", "}", "]]", "coproc", "always", "end"})
_DEFINED = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*\([ \t]*\)", re.ASCII)
_FUNCTION = re.compile(r"function[ \t]+([A-Za-z_][\w.-]*)[ \t]*(?:\([ \t]*\))?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*(?=[\s;]|$)", re.ASCII)
_SPECIAL_BUILTINS = frozenset(
    {
        *(
            "break",
            ":",
            "continue",
            ".",
            "eval",
            "exec",
            "exit",
            "export",
            "readonly",
            "return",
            "set",
            "shift",
            "source",
        ),
        *("times", "trap", "unset", "command", "builtin"),
    }
)
"""Found before functions of the same name by shells that keep to POSIX (XCU 2.9.1.1)."""


class Parser(Conditions):
    """Rules for lists and compound commands; it has all rules."""

    def __init__(self, text: str, dialect: Dialect, facts: Facts, depth: int = 0) -> None:
        super().__init__(text, dialect, facts, depth)
        facts.texts_left -= 1
        if facts.texts_left < 0:
            raise UnreadableError("too many texts between backquotes or for shells: run a simpler command")
        self.pending = []
        self._top: list[AndOr] = []
        self._ended = 0

    def text_script(self) -> Script:
        """The whole text."""
        self.descend()
        self._lists(self._top)
        if self.next:
            raise UnreadableError(f"{self.text[self.at : self.at + 10]!r} is not expected there")
        self.ascend()
        return Script(tuple(self._top))

    def whole_lines(self) -> Script:
        """After an error: the lists of the lines before it, which a shell has run by then."""
        return Script(tuple(self._top[: self._ended]))

    def so_far(self) -> Script:
        """After an error: the lists before it."""
        return Script(tuple(self._top))

    def substituted(self) -> Script:
        """The script up to the parenthesis that closes it."""
        outer, self.pending = self.pending, []
        self.descend()
        script = self._script("")
        self.expect(")", "a substitution or subshell")
        self.ascend()
        self.pending = outer
        return script

    def nested(self, text: str) -> Script:
        return Parser(text, self.dialect, self.facts, self.depth).text_script()

    def expandable_body(self, text: str) -> list[Part]:
        return Parser(text, self.dialect, self.facts, self.depth).expandable("$`\\")

    def _script(self, inside: str) -> Script:
        lists: list[AndOr] = []
        self._lists(lists)
        if inside and not lists:
            raise UnreadableError(f"there is no command in {inside}")
        return Script(tuple(lists))

    def _lists(self, lists: list[AndOr]) -> None:
        """And-or lists up to a word or character that does not begin one."""
        self._newlines()
        while and_or := self._and_or():
            self.skip_blanks()
            background = self.sees("&") and not self.sees("&&")
            lists.append(AndOr(and_or.first, and_or.rest, background))
            separated = self._separator()
            if self._newlines():
                self._ended = len(self._top)
                separated = True
            if not separated:
                break
        if self.pending:
            raise UnreadableError("a here-document does not begin: its command does not end with its line")

    def _separator(self) -> bool:
        if self.sees(";;") or self.sees(";&") or self.sees("&&"):
            return False
        return self.take(";") or self.take("&")

    def _newlines(self) -> bool:
        """Goes over line breaks, and reads the here-documents that begin behind the first."""
        found = False
        self.skip_blanks()
        while self.take("\n"):
            found = True
            self.read_bodies()
            self.skip_blanks()
        return found

    def _and_or(self) -> AndOr | None:
        first = self._pipeline()
        if first is None:
            return None
        rest: list[tuple[str, Pipeline]] = []
        while operator := self._operator("&&", "||"):
            self._newlines()
            following = self._pipeline()
            if following is None:
                raise UnreadableError(f"a command is missing behind {operator}")
            rest.append((operator, following))
        return AndOr(first, tuple(rest))

    def _operator(self, *operators: str) -> str:
        self.skip_blanks()
        return next((operator for operator in operators if self.take(operator)), "")

    def _pipeline(self) -> Pipeline | None:
        negated = self._prefixes()
        first = self._command()
        if first is None:
            if negated is not None:
                raise UnreadableError("a command is missing behind ! or time")
            return None
        commands = [first]
        with_errors = False
        while not self.sees("||") and (operator := self._operator("|&", "|")):
            with_errors = with_errors or operator == "|&"
            self._newlines()
            following = self._command()
            if following is None:
                raise UnreadableError("a command is missing behind |")
            commands.append(following)
            self.skip_blanks()
        return Pipeline(tuple(commands), bool(negated), with_errors)

    def _prefixes(self) -> bool | None:
        """``!`` and ``time``; None when there are none."""
        negated: bool | None = None
        self.skip_blanks()
        while (word := self._reserved()) in ("!", "time"):
            self.at += len(word)
            self.skip_blanks()
            negated = bool(negated) != (word == "!")
            if word == "time" and self.sees("-"):
                if not self.match(re.compile(r"-p(?=[ \t])")):
                    raise UnreadableError("options of time: some shells run a program of that name")
                self.skip_blanks()
        return negated

    def _reserved(self) -> str:
        """The word that is next if it may be a reserved one; goes nowhere."""
        found = _RESERVED.match(self.text, self.at)
        return found[0] if found else ""

    def _command(self) -> Command | None:
        self.skip_blanks()
        word = self._reserved()
        if word in _NOT_FIRST:
            if word in ("coproc", "always", "end", "in", "]]"):
                raise UnreadableError(f"{word} is not read alike by all shells")
            return None
        if self.sees("((") or self.sees("(") or word in _COMPOUNDS:
            compound = self._compound(word)
            return Compound(compound.runs, compound.scripts, compound.words, compound.binds, self.redirects())
        if word == "function" or _DEFINED.match(self.text, self.at):
            return self._function()
        return self._simple_command()

    def _simple_command(self) -> Command | None:
        self.facts.commands_left -= 1
        if self.facts.commands_left < 0:
            raise UnreadableError(f"more than {MAX_COMMANDS} commands: run fewer at once")
        command = self.simple()
        if self.sees("("):
            raise UnreadableError("a parenthesis in a word: write it between quotes")
        return command

    def _compound(self, word: str) -> Compound:
        self.descend()
        if self.take("(("):
            compound = self.statement_of_arithmetic()
        elif self.take("("):
            compound = Compound(Runs.APART, (self.substituted(),))
        else:
            self.at += len(word)
            compound = _COMPOUNDS[word](self)
        self.ascend()
        return compound

    def _function(self) -> Function:
        found = _DEFINED.match(self.text, self.at) or _FUNCTION.match(self.text, self.at)
        if found is None or found[1] in _SPECIAL_BUILTINS or found[1] in _COMPOUNDS:
            raise UnreadableError("a function of that name is not read alike by all shells")
        self.at = found.end()
        self._newlines()
        body = self._command()
        if not isinstance(body, Compound):
            raise UnreadableError("a function without { … } is not read alike by all shells")
        return Function(found[1], body)

    def group(self) -> Compound:
        script = self._script("{ … }")
        self.expect("}", "{ … }")
        return Compound(Runs.ALL, (script,))

    def branches(self) -> Compound:
        scripts = [self._script("if")]
        self.expect("then", "if")
        scripts.append(self._script("then"))
        while self.take("elif"):
            scripts.append(self._script("elif"))
            self.expect("then", "elif")
            scripts.append(self._script("then"))
        if self.take("else"):
            scripts.append(self._script("else"))
        self.expect("fi", "if")
        return Compound(Runs.SOME, tuple(scripts))

    def loop(self) -> Compound:
        condition = self._script("while")
        return Compound(Runs.AGAIN, (condition, self._body()))

    def _body(self) -> Script:
        self.expect("do", "a loop")
        script = self._script("a loop")
        self.expect("done", "a loop")
        return script

    def loop_over_words(self) -> Compound:
        self.skip_blanks()
        if self.take("(("):
            return self._loop_over_numbers()
        name = self.match(_NAME)
        if not name:
            raise UnreadableError("a loop has no variable")
        self._newlines()
        words = self._items() if self._reserved() == "in" else []
        if not self._newlines() and self.take(";"):
            self._newlines()
        if not words or not all(is_inert(part) for word in words for part in word.parts):
            self.facts.unchecked.add(name)
        return Compound(Runs.AGAIN, (self._body(),), tuple(words), (name,))

    def choice(self) -> Compound:
        """``select``: its variable is empty after an answer that is none of the words."""
        loop = self.loop_over_words()
        self.facts.unfollowed.update(loop.binds)
        return loop

    def _items(self) -> list[ShellWord]:
        self.at += len("in")
        self.skip_blanks()
        words: list[ShellWord] = []
        while word := self.word():
            words.append(word)
            self.skip_blanks()
        if self.next not in (";", "\n"):
            raise UnreadableError("the words of a loop do not end with ; or a new line")
        return words

    def _loop_over_numbers(self) -> Compound:
        words = [ShellWord((self.arithmetic(end, quoted=True),)) for end in (";", ";", "))")]
        self.skip_blanks()
        self.take(";")
        self._newlines()
        return Compound(Runs.AGAIN, (self._body(),), tuple(words))

    def cases(self) -> Compound:
        self.skip_blanks()
        subject = self.word()
        self._newlines()
        self.expect("in", "case")
        words = [subject] if subject else []
        scripts: list[Script] = []
        self._newlines()
        while self._reserved() != "esac":
            words += self._patterns()
            scripts.append(self._script(""))
            self.skip_blanks()
            ended = self.take(";;&") or self.take(";;") or self.take(";&")
            self._newlines()
            if not ended and self._reserved() != "esac":
                raise UnreadableError("a branch of case does not end with ;;")
        self.at += len("esac")
        return Compound(Runs.SOME, tuple(scripts), tuple(words))

    def _patterns(self) -> list[ShellWord]:
        self.take("(")
        words: list[ShellWord] = []
        while True:
            self.skip_blanks()
            word = self.word()
            if word is None:
                raise UnreadableError("a pattern of case is not known")
            words.append(word)
            self.skip_blanks()
            if not self.take("|"):
                break
        self.expect(")", "case")
        return words


_COMPOUNDS = {
    "{": Parser.group,
    "if": Parser.branches,
    "while": Parser.loop,
    "until": Parser.loop,
    "for": Parser.loop_over_words,
    "select": Parser.choice,
    "case": Parser.cases,
    "[[": Parser.condition,
}
