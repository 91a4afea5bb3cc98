"""Words as bash makes them: what is said to be literal is what a program gets, byte for byte."""

import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.protocols.ssh.commands.expanding import expanded
from interlock.protocols.ssh.commands.grammar.commands import Parser
from interlock.protocols.ssh.commands.grammar.dialects import COMMON, UnreadableError
from interlock.protocols.ssh.commands.grammar.facts import Facts
from interlock.protocols.ssh.commands.grammar.syntax import Simple
from interlock.protocols.ssh.commands.invocation import CommandClass, Word
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.reading import read_command

_BASH = shutil.which("bash")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "~", "LC_ALL": "C.UTF-8"}
_PIECES = st.one_of(
    st.sampled_from(
        ["'", '"', "\\", "$'", '$"', "$", "{", "}", ",", "..", "~", "/", "=", "#", "!", " ", "\t", "a", "1", "é"]
    ),
    st.sampled_from(
        ["\\n", "\\x41", "\\101", "\\\\", "\\'", '\\"', "'b c'", '"b c"', "{a,b}", "{1..3}", "{c..a}", "$HOME"]
    ),
    st.sampled_from(
        ["{08..10}", "{3..1}", "{1..9..4}", "\\e", "\\u00e9", "{x,{y,z}}", "{,a}", "{}", "~/x", "''", "*", "[x]"]
    ),
)


def words_of(text: str) -> list[Word] | None:
    """The words of one simple command; None for a text that is not read as one."""
    try:
        script = Parser(text, COMMON, Facts()).text_script()
        match [pipeline for each in script.lists for pipeline in (each.first, *(rest for _, rest in each.rest))]:
            case [only] if len(only.commands) == 1 and isinstance(only.commands[0], Simple):
                return expanded(only.commands[0].words, {"HOME": ""})
            case _:
                return None
    except UnreadableError:
        return None


@pytest.mark.skipif(_BASH is None, reason="needs bash")
@given(st.lists(_PIECES, max_size=12).map("".join))
@example("a'b'\"c\"\\d$'\\x65'")
@example("{a,b}{c,d} {1..3} x{,y}")
@example("'a\\' \"\\a\\\\\" \\\\")
def test_literal_words_are_those_of_bash(text: str) -> None:
    words = words_of(f"printf '%s\\0' . {text}")
    if words is None or not all(word.literal for word in words):
        return
    script = f"set -f +H; printf '%s\\0' . {text}"
    assert _BASH is not None
    found = subprocess.run([_BASH, "-c", script], capture_output=True, env=_ENVIRONMENT, check=False, timeout=60)
    if found.returncode == 0:
        assert [word.text for word in words[2:]] == found.stdout.decode().split("\0")[:-1]


def _quoted(letter: str) -> st.SearchStrategy[str]:
    ways = [letter, f"'{letter}'", f'"{letter}"', f"$'{letter}'", f"$'\\x{ord(letter):02x}'", f"$'\\{ord(letter):03o}'"]
    return st.sampled_from(
        [*ways, f"''{letter}", f'{letter}""', f'$"{letter}"', *([f"\\{letter}"] if letter not in "xXuUc" else [])]
    )


def _spelled(text: str) -> st.SearchStrategy[str]:
    blank = st.sampled_from([" ", "  ", "\t", " \\\n "])
    return st.tuples(*(blank if letter == " " else _quoted(letter) for letter in text)).map("".join)


@given(
    _spelled("rm -rf /srv"),
    st.sampled_from(["", "ls; ", "ls | ", "x=1 ", "! ", "{ ", "command ", "sudo ", "$(", "eval "]),
)
def test_no_spelling_hides_what_is_destructive(spelled: str, before: str) -> None:
    closing = {"{ ": "; }", "$(": ")"}.get(before, "")
    found = read_command(f"{before}{spelled}{closing}", 16384)
    if before != "eval ":
        assert CommandClass.DESTRUCTIVE in found.classes
        assert any(each.path == "/srv" for each in found.paths)
    assert found.classes & {CommandClass.DESTRUCTIVE, CommandClass.OPAQUE}


_TOKENS = names(
    """
    ' " \\ $ ` ( ) { } [ ] ; & | < > # ! ~ * ? = $( $(( )) ${ <( << <<< && || ;; [[ ]] if then fi while do done case in
    esac for function eval cd exec rm sh -c export x= a[ <<E $' ! time coproc
    """
)
_SHELL_TEXT = st.lists(st.text(max_size=4) | st.sampled_from([*sorted(_TOKENS), "\n", "\nE\n"]), max_size=40).map(
    " ".join
)


@given(st.one_of(st.text(), _SHELL_TEXT, _SHELL_TEXT.map(lambda text: text.replace(" ", ""))))
def test_never_raises(text: str) -> None:
    found = read_command(text, 16384)
    assert (CommandClass.OPAQUE in found.classes) == bool(found.why_opaque)
