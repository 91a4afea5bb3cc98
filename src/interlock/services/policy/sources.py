"""Policy texts as they come from files, and what identifies a set of them.

A *source* is one text with the name under which problems are reported. Sources are read by adapters; nothing in here
touches a file.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import msgspec

_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|\s+|;|.', re.DOTALL)

Tags = Mapping[str, Sequence[str]]
"""Names of tags by the pattern of the resources that have them (see ``resources.TagRules``)."""

NO_TAGS: Tags = MappingProxyType({})


class PolicySource(msgspec.Struct, frozen=True):
    """One policy text. ``name`` is its file's name, for people."""

    name: str
    text: str


class PolicyReader(Protocol):
    """Reads policy texts for the commands."""

    def read(self, paths: Sequence[str] = ()) -> tuple[PolicySource, ...]:
        """The texts of these files or glob patterns; of the configured ones when none is given.

        Raises ``ConfigurationError`` when one cannot be read or a name matches nothing.
        """


class Statement(msgspec.Struct, frozen=True):
    """One ``permit`` or ``forbid`` with its annotations, and the line (from 1) on which it begins."""

    line: int
    text: str


def statements(text: str) -> Iterator[Statement]:
    """Cut a policy text into statements, for naming lines only: what counts is what Cedar's own parser says."""
    line, start, first_line = 1, 0, 0
    for token in _TOKEN.finditer(text):
        word = token.group()
        if not first_line and not word.isspace() and not word.startswith("//"):
            start, first_line = token.start(), line
        if word == ";":
            yield Statement(first_line, text[start : token.end()])
            first_line = 0
        line += word.count("\n")
    if first_line:
        yield Statement(first_line, text[start:])


def canonical_text(sources: Sequence[PolicySource], tags: Tags, schema: str) -> str:
    """The whole policy as one Cedar text whose SHA-256 is its version.

    Independent of the order and the names of files and of line endings. Tags and the schema's digest are in the first
    line, as a comment: they decide, too.
    """
    texts = sorted("\n".join(source.text.splitlines()) + "\n" for source in sources)
    facts = {
        "schema": hashlib.sha256(schema.encode()).hexdigest(),
        "tags": {pattern: sorted(set(names)) for pattern, names in sorted(tags.items())},
    }
    return "".join([f"// {json.dumps(facts)}\n", *texts])


def version_of(canonical: str) -> str:
    """The version (64 hexadecimal digits) of a canonical text."""
    return hashlib.sha256(canonical.encode()).hexdigest()
