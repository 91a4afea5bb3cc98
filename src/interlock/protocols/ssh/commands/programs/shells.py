"""Shells, and interpreters that are given code. What a shell is told is read in turn, other languages are not."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Input, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    READS,
    WRITES,
    opaque,
    shelling,
    starting,
    total,
    touching,
    verdict,
)

_SHELL = grammar(
    """-abcefhiklmnprstuvxBCDEHPTo:O: login noprofile norc posix restricted verbose debugger dump-strings
    noediting rcfile! init-file!""",
    in_order=True,
)
_VERSIONS = names("--version -version -V -v version --help -h help -h")


def asks_version(invocation: Invocation) -> bool:
    """It is only asked for its version or its help."""
    return len(invocation.arguments) == 1 and invocation.arguments[0].text in _VERSIONS


def text_on_input(invocation: Invocation) -> Verdict:
    """A shell that reads its commands from standard input."""
    if invocation.input is Input.NOTHING:
        return READS
    if invocation.input_text is not None:
        return shelling(Word(invocation.input_text))
    return opaque("a shell reads its commands from somewhere that is not known")


def _shell(invocation: Invocation) -> Verdict:
    parsed = parse(_without_plus(invocation.arguments), _SHELL)
    if parsed.informs:
        return READS
    if parsed.unknown or parsed.has("rcfile", "init-file"):
        return opaque("a shell has an option that is not known")
    if parsed.has("n") and not parsed.has("c"):
        return total(READS, touching(parsed.operands, PathUse.READ))
    if parsed.has("c"):
        return shelling(*parsed.operands[:1]) if parsed.operands else READS
    if parsed.operands and not parsed.has("s"):
        return opaque(f"{parsed.operands[0].text or 'a file'} is a script, what it says is not known")
    return text_on_input(invocation)


def _without_plus(words: Sequence[Word]) -> list[Word]:
    """Without the ``+x`` among the options in front, which switch something off."""
    end = next((at for at, word in enumerate(words) if word.text[:1] not in ("-", "+")), len(words))
    return [word for word in words[:end] if not re.fullmatch(r"\+[a-zA-Z]*", word.text)] + list(words[end:])


def _foreign_shell(invocation: Invocation) -> Verdict:
    if asks_version(invocation):
        return READS
    return opaque(f"{invocation.program.text} has a language of its own")


def _interpreter(invocation: Invocation) -> Verdict:
    if asks_version(invocation):
        return READS
    return opaque(f"{invocation.program.text} runs code in a language that is not read")


_MODULES: dict[str, frozenset[CommandClass]] = {
    **dict.fromkeys(names("json.tool platform calendar sysconfig this site tokenize ast dis"), READS.classes),
    **dict.fromkeys(
        names(
            "venv virtualenv compileall py_compile pytest unittest build mypy ruff black isort flake8 pylint"
            " coverage tox nox pre_commit sphinx mkdocs ensurepip zipapp"
        ),
        WRITES.classes,
    ),
    "http.server": frozenset({CommandClass.NETWORK}),
}


def _python(invocation: Invocation) -> Verdict:
    """``python -m`` with modules that are known; any other code is opaque."""
    front, module, rest = _module_of(invocation.arguments)
    parsed = parse(front, grammar("-bBdEhiIOPqRsSuvVxc:W:X: check-hash-based-pycs:", in_order=True))
    if parsed.informs or asks_version(invocation) or (not module and parsed.has("V", "h")):
        return READS
    if module is None or not module.literal or parsed.has("c", "i") or parsed.unknown or parsed.operands:
        return _interpreter(invocation)
    if module.text in ("pip", "pytest", "coverage", "tox", "mypy", "ruff", "black"):
        return starting(invocation, (module, *rest))
    known = _MODULES.get(module.text)
    if known is None:
        return opaque(f"python runs the module {module.text}")
    files = [word for word in rest if not word.text.startswith("-")] if module.text == "json.tool" else []
    return total(verdict(*known), touching(files[:1], PathUse.READ), touching(files[1:2], PathUse.WRITE))


def _module_of(words: Sequence[Word]) -> tuple[Sequence[Word], Word | None, Sequence[Word]]:
    """The options in front of ``-m``, the module, and what belongs to the module, whatever it looks like."""
    for at, word in enumerate(words):
        found = re.fullmatch(r"(-[bBdEIOPqRsSuvx]*)m(.*)", word.text)
        if found and word.literal:
            front = [*words[:at], *([Word(found[1])] if found[1] != "-" else [])]
            if found[2]:
                return front, Word(found[2]), words[at + 1 :]
            return front, (*words[at + 1 : at + 2], None)[0], words[at + 2 :]
    return words, None, ()


def _php(invocation: Invocation) -> Verdict:
    first = invocation.arguments[0].text if invocation.arguments else ""
    if first in ("-v", "-i", "-m", "--ini", "--version", "-h", "-l", "--syntax-check"):
        return total(READS, touching(invocation.arguments[1:], PathUse.READ))
    return _interpreter(invocation)


def _node(invocation: Invocation) -> Verdict:
    first = invocation.arguments[0].text if invocation.arguments else ""
    if first in ("-c", "--check") and len(invocation.arguments) == 2:
        return total(READS, touching(invocation.arguments[1:], PathUse.READ))
    return _interpreter(invocation)


_SHELLS = names("sh bash dash ash zsh ksh ksh93 mksh pdksh yash rbash lksh posh bosh")
_FOREIGN = names("fish csh tcsh pwsh powershell xonsh nu elvish rc es ion")
_INTERPRETERS = names(
    """
    perl perl5 ruby irb lua luajit lua5.1 lua5.3 lua5.4 R Rscript julia tclsh wish expect ghci runghc
    runhaskell groovy scala kotlin kotlinc-jvm guile racket sbcl clisp ocaml erl escript elixir iex osascript
    java jshell jjs jrunscript dotnet-script bun deno ts-node tsx gdb lldb r2 radare2 octave maxima gnuplot
    swipl gforth crash pry rails_console emacs vim vi nvim vimdiff view rview rvim ed red ex joe pico nano
    micro hx helix mg ne mcedit mc ranger nnn vifm cscope ipython ipython3 jupyter bpython ptpython d8 qjs
    mono wine msgfilter ginsh genie gimp inkscape blender latex pdflatex xelatex lualatex tex pdftex vipw vigr
    facter puppet chef-client salt-call salt cfagent ansible ansible-console hydra msfconsole msfvenom
    metasploit sqlmap linpeas pwncat systemd-nspawn debugfs cdist fzf sk irssi weechat pidgin slsh yorick
    docker-entrypoint.sh byebug cowthink easy_install vagrant run-mailcap run-parts sash start-stop-daemon
    tasksh torify torsocks proxychains proxychains4 valgrind perf bpftrace stap sysdig dtrace ld.so multitime
    openvpn openvt pic pandoc pexec logrotate knife jjs c89
    """
)

PROGRAMS: Programs = {
    **dict.fromkeys(_SHELLS, _shell),
    **dict.fromkeys(_FOREIGN, _foreign_shell),
    **dict.fromkeys(_INTERPRETERS, _interpreter),
    **dict.fromkeys(
        names(
            "python python2 python3 pypy pypy3 python2.7 python3.8 python3.9 python3.10 python3.11 python3.12"
            " python3.13 python3.14"
        ),
        _python,
    ),
    "php": _php,
    "node": _node,
    "nodejs": _node,
}
