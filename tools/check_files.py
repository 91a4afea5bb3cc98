"""Refuses files that belong to one machine: absolute paths of a checkout or a home, addresses of package registries.

Looks at what git tracks or would add. Prints one line for every finding and exits with 1 when there are any.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_REGISTRY = re.compile(r"https?://[^\s\"']*/simple\b|--(?:extra-)?index[-]url|--find[-]links|\"resolved\": *\"http")
_HOMES = re.compile(r"/(?:root|Users)/[\w.]")


def project_files() -> list[Path]:
    """Every file that is tracked, or that is new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return [_ROOT / name for name in output.split("\0") if name and (_ROOT / name).is_file()]


def machine_paths() -> re.Pattern[str]:
    """Paths of this checkout and of the present user's home, and of homes in general."""
    own = {str(_ROOT), os.path.expanduser("~")} - {"/", "~"}  # noqa: PTH111
    return re.compile("|".join([_HOMES.pattern, *(re.escape(path) + r"\b" for path in sorted(own))]))


def findings(path: Path, paths: re.Pattern[str]) -> Iterator[str]:
    """One line for every place in a text file that names a registry or a machine's path."""
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(lines, 1):
        for what, pattern in (("package registry", _REGISTRY), ("path of a machine", paths)):
            if pattern.search(line):
                yield f"{path.relative_to(_ROOT)}:{number}: {what}: {line.strip()[:100]}"


def main() -> int:
    paths = machine_paths()
    found = [finding for path in project_files() for finding in findings(path, paths)]
    sys.stdout.writelines(f"{finding}\n" for finding in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
