"""Where commands really run: every file that a shell touches by a relative path is among the paths of the reading."""

import posixpath
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.protocols.ssh.commands.invocation import UNKNOWN_PATH
from interlock.protocols.ssh.commands.reading import read_command

_ATOMS = st.sampled_from(
    [
        "cd a",
        "cd ..",
        "cd none",
        "cd",
        "cd ~/b",
        "cd a/../b",
        "true",
        "false",
        "exit",
        "! true",
        "cat x",
        "cat ../x",
        "cat ~/x",
    ]
)


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(parts, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(several, st.sampled_from(["; ", " && ", " || ", "\n", " | "])).map(
            lambda both: both[1].join(both[0])
        ),
        parts.map("( {} )".format),
        parts.map("{{ {}; }}".format),
        parts.map("! {{ {}; }}".format),
        parts.map("if {}; then cat x; fi".format),
        st.tuples(parts, parts).map(lambda both: f"if {both[0]}; then {both[1]}; else cat x; fi"),
        parts.map("{} & wait".format),
        parts.map("f() {{ {}; }}; f".format),
        parts.map("for i in 1 2; do {}; done".format),
    )


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "ksh"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(text=st.recursive(_ATOMS, _joined, max_leaves=12))
def test_relative_paths_are_where_the_shell_is(text: str, shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    home = tmp_path / "home"
    for directory in (home / "a/a/a", home / "a/b", home / "b/a", tmp_path / "bin"):
        directory.mkdir(parents=True, exist_ok=True)
    touched = tmp_path / "touched"
    touched.write_text("")
    stub = tmp_path / "bin/cat"
    stub.write_text(f'#!/bin/sh\ncase "$1" in /*) echo "$1";; *) echo "$PWD/$1";; esac >> {touched}\n')
    stub.chmod(0o755)
    script = f"{text}\ncat x"
    subprocess.run(
        [program, "-c", script],
        check=False,
        cwd=home,
        env={"PATH": str(tmp_path / "bin"), "HOME": str(home)},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    paths = {each.path.replace("~", str(home), 1) for each in read_command(script, 16384).paths}
    real = {posixpath.normpath(line) for line in touched.read_text().splitlines()}
    assert UNKNOWN_PATH in paths or real <= paths, text
