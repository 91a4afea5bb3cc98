"""Regenerates the reference pages under ``docs/`` from the code; with ``--check`` it only names those out of date.

A page is a function that returns its whole text: add it to ``PAGES``, by its path below ``docs/``.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import reference_api, reference_commands, reference_configuration, reference_events, reference_metrics

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "reference/api.md": reference_api.render,
    "reference/commands.md": reference_commands.render,
    "reference/configuration.md": reference_configuration.render,
    "reference/events.md": reference_events.render,
    "reference/metrics.md": reference_metrics.render,
}


def outdated(pages: Mapping[str, Callable[[], str]], docs: Path) -> dict[Path, str]:
    """The pages whose file is missing or differs from what the code says now, with their new text."""
    texts = {docs / name: render() for name, render in pages.items()}
    return {path: text for path, text in texts.items() if not path.is_file() or path.read_text() != text}


def main() -> int:
    parser = argparse.ArgumentParser(description="Regenerate the reference pages.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a page is out of date")
    check = parser.parse_args().check
    stale = outdated(PAGES, DOCS)
    for path, text in stale.items():
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
