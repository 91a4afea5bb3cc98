"""The check that keeps one machine's paths and registries out of the project."""

import re
from pathlib import Path

import pytest

from tools import check_files

PATHS = re.compile(re.escape("/somewhere/checkout"))


@pytest.fixture
def in_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check_files, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("pip install --index" + "-url=x", "package registry"),
        ("https://mirror.example" + "/simple/", "package registry"),
        ("see /somewhere/checkout/file", "path of a machine"),
    ],
)
def test_finds(in_root: Path, line: str, what: str) -> None:
    path = in_root / "notes.txt"
    path.write_text(f"harmless\n{line}\n")
    assert list(check_files.findings(path, PATHS)) == [f"notes.txt:2: {what}: {line}"]


def test_lets_ordinary_and_binary_files_pass(in_root: Path) -> None:
    text, binary = in_root / "text", in_root / "binary"
    text.write_text("https://example.com/simpler and /usr/lib/postgresql\n")
    binary.write_bytes(b"\xff\xfe/somewhere/checkout")
    assert not [*check_files.findings(text, PATHS), *check_files.findings(binary, PATHS)]


def test_homes_are_refused() -> None:
    paths = check_files.machine_paths()
    assert paths.search("/" + "Users/someone")
    assert not paths.search("/usr/share/doc")
