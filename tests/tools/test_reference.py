"""Generated pages are written, compared, and in step with the code."""

from pathlib import Path

from tools import reference


def test_outdated_pages_are_those_missing_or_different(tmp_path: Path) -> None:
    (tmp_path / "same.md").write_text("same")
    (tmp_path / "old.md").write_text("old")
    pages = {"same.md": lambda: "same", "old.md": lambda: "new", "missing.md": lambda: "text"}
    assert reference.outdated(pages, tmp_path) == {tmp_path / "old.md": "new", tmp_path / "missing.md": "text"}


def test_the_projects_pages_are_in_step_with_the_code() -> None:
    assert not reference.outdated(reference.PAGES, reference.DOCS)
