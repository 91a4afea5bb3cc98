"""Interpretations as one readable line, and the corpus files that are written in that form.

A corpus file holds cases: a statement, then an indented line that begins with ``->`` and says what it means.
Lines that begin with ``#`` are headings. An access reads ``select public.users (id name)``; a resource that is no
table has its kind in front (``call Function f``). ``nothing`` is no access, ``REFUSED`` in front says that the
gateway refuses by itself.
"""

from collections.abc import Iterator
from pathlib import Path

from interlock.core.operation import Access, Meaning, ResourceKind

CORPUS = Path(__file__).parent / "corpus"


def render(meaning: Meaning) -> str:
    """All accesses of a meaning in one line."""
    accesses = ", ".join(render_access(access) for access in meaning.accesses) or "nothing"
    return f"REFUSED {accesses}" if meaning.refusal else accesses


def render_access(access: Access) -> str:
    """``action [Kind] path (columns)``."""
    kind = "" if access.kind is ResourceKind.TABLE else f" {access.kind.value}"
    path = ".".join(part for part in access.path if part)
    columns = f" ({' '.join(access.columns)})" if access.columns else ""
    return f"{access.action}{kind}{' ' if path else ''}{path}{columns}"


def cases(name: str) -> Iterator[tuple[str, str]]:
    """Statement and expected line of each case of a corpus file."""
    statement: list[str] = []
    for line in (CORPUS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("    -> "):
            yield "\n".join(statement), line.removeprefix("    -> ")
            statement = []
        elif line and not line.startswith("#"):
            statement.append(line)
