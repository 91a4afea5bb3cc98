"""``constraints.txt`` pins whatever ``pyproject.toml`` asks for, and names no place to get it from."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([A-Za-z0-9_.-]+)==[0-9][A-Za-z0-9.]*(; python_version [<>=]+ '3\.\d+')?")


def pinned() -> set[str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    matches = [PIN.fullmatch(line) for line in lines]
    assert all(matches), "a line is not an exact pin"
    return {_normal(match[1]) for match in matches if match}


def required() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = (re.match(r"[A-Za-z0-9_.-]+", requirement) for requirements in lists for requirement in requirements)
    return {_normal(name[0]) for name in names if name}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned() -> None:
    assert required() <= pinned()
