"""No command that a real shell runs is hidden from the reading.

Texts are put together at random (from a fixed seed) out of what shells quote and end in different ways. Each is read,
and run by the shells of this machine in an empty directory, where the only program is ``lscpu``, which leaves a mark.
When it has run, the reading must have it, or be opaque.
"""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.protocols.ssh.commands.invocation import CommandClass
from interlock.protocols.ssh.commands.reading import read_command

_TEXTS = 150
_SHELLS = {
    "bash": ("--norc", "-c"),
    "dash": ("-c",),
    "zsh": ("-f", "-c"),
    "ksh": ("-c",),
    "fish": ("--no-config", "-c"),
}
_TEMPLATES = r"""
: 'a'; lscpu
: 'x; lscpu; y'
: "x; lscpu; y" "$(lscpu)"
: $'x; lscpu' $"a" lscpu
: \; lscpu
: # lscpu
: <<E@lscpu@E@:
: <<'E'@lscpu@E@:
: <<-E@ lscpu@E@:
: <<E && lscpu@$(lscpu)@E@
: <<A <<B@lscpu@A@lscpu@B@
: <<E@\$(lscpu) \`lscpu\`@E@
[[ a && b ]]
[[ a =~ (x|lscpu) ]]
[[ -n a && -n lscpu ]] || :
((x=1))
: $((1+2)) lscpu
: ${x:-lscpu} "${x:-lscpu}" ${x#lscpu} ${#x}
: ${x%'}'} lscpu
case lscpu in lscpu) :;; esac
for x in lscpu; do :; done
if :; then : lscpu; fi
{ :; : lscpu; }
(: ; : lscpu)
: {a,lscpu} {lscpu}
x='lscpu'; : $x
x=(lscpu a)
: > lscpu 2>&1 lscpu
: &> lscpu
: <<< lscpu
: 'a\' lscpu
: "a\\" lscpu "a\" lscpu"
: '\'' ; lscpu # '
: $'\' ; lscpu # '
: a#lscpu '' ""
: `: \`: lscpu\`` "`: lscpu`"
! : lscpu
: && : || : lscpu
: $x[1] lscpu ~lscpu =lscpu %lscpu
time : lscpu
: \@ lscpu
: "$(: ")" lscpu)"
: $(: # ) lscpu@)
: $(case a in a) : lscpu;; esac)
trap : EXIT
test a = lscpu
export x=lscpu
x=lscpu :
: <&- lscpu ;
:@: lscpu@:
""".strip().splitlines()
_TOKENS = r"""
' " \ ; $' $( ` ) ( # { } , [[ ]] && || | & > < $ ! (( )) \\ \' \" \` $(( ${ * [ ] = ~ - << <<< <<-E@ &> >& $" ''
"" @ : 1 2> ^ % lscpu @E@ <<E@ \@ ;; do done then fi esac in
""".strip().split()


def texts() -> Iterator[str]:
    """Templates, one or two of them, with some tokens put in and some characters left out. ``@`` is a new line."""
    chance = random.Random(20)
    while True:
        text = chance.choice([" ", "; ", " | ", "@"]).join(chance.sample(_TEMPLATES, chance.choice([1, 1, 2])))
        for _ in range(chance.choice([0, 1, 2, 3])):
            at = chance.randrange(len(text) + 1)
            space = chance.choice(["", " "])
            text = (
                text[:at]
                + chance.choice([*(space + token for token in _TOKENS), ""])
                + text[at + chance.choice([0, 1]) :]
            )
        if not re.search(r"\(\s*\)", text):  # no functions, which may call themselves
            yield text.replace("@", "\n")


@pytest.mark.parametrize("shell", _SHELLS)
def test_no_command_is_hidden(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "empty").mkdir()
    mark = tmp_path / "mark"
    stub = tmp_path / "bin/lscpu"
    stub.write_text(f"#!/bin/sh\n: > {mark}\n")
    stub.chmod(0o755)
    read = 0
    for text in texts():
        reading = read_command(text, 16384)
        if CommandClass.OPAQUE in reading.classes or "lscpu" in reading.programs:
            continue
        read += 1
        subprocess.run(
            [program, *_SHELLS[shell], text],
            check=False,
            cwd=tmp_path / "empty",
            env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "empty")},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        assert not mark.exists(), text
        if read == _TEXTS:
            break
