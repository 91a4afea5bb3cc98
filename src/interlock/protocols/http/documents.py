"""Documents that were delivered, read for people: every plain value with its path, also of what was cut off.

This reads evidence: it takes whatever it can and refuses nothing. What is decided on is read by the dialects.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from interlock.protocols.http.dialects.json_facts import escaped

Fields = tuple[tuple[str, str | None], ...]

MAX_FIELDS: Final = 100_000
"""Values of one document that are told; the rest are not."""
_MAX_DEPTH: Final = 200
_MARKS: Final = re.compile(r'["{}\[\],]')
_STRING_END: Final = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)


def pretty(text: str) -> str | None:
    """A JSON text with line breaks, its numbers and the order of its keys as they are. None for what is no JSON."""
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def json_fields(text: str) -> Fields:
    """The plain values of a JSON text. Of one that was cut off, those in front of the cut; none for what is no JSON."""
    for candidate in (text, closed(text)):
        try:
            return _first(_walk("", _DECODER.decode(candidate), 0))
        except (ValueError, RecursionError):
            continue
    return ()


def csv_fields(text: str) -> Fields:
    """The cells of a table under the names in its first line."""
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        names = [f"/{escaped(name.strip())}" for name in next(rows, [])]
        return _first((name, cell) for row in rows for name, cell in zip(names, row, strict=False))
    except csv.Error:
        return ()


class _Members(list[tuple[str, object]]):
    """An object's members in order, also those with one name."""


def _first(found: Iterator[tuple[str, str | None]]) -> Fields:
    return tuple(field for _, field in zip(range(MAX_FIELDS), found, strict=False))


def _walk(path: str, value: object, depth: int) -> Iterator[tuple[str, str | None]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, _Members):
        for name, member in value:
            yield from _walk(f"{path}/{escaped(name)}", member, depth + 1)
    elif isinstance(value, list):
        for element in value:
            yield from _walk(f"{path}/*", element, depth + 1)
    else:
        yield path, value if isinstance(value, str) else None if value is None else json.dumps(value)


def closed(text: str) -> str:
    """A JSON text that was cut off, made whole: up to its last whole member or element, with the brackets closed."""
    open_brackets: list[str] = []
    end = position = 0
    while (mark := _MARKS.search(text, position)) is not None:
        position = mark.end()
        sign = mark[0]
        if sign == '"':
            string = _STRING_END.match(text, position)
            if string is None:
                break
            position = string.end()
            continue
        if sign in "{[":
            open_brackets.append("}" if sign == "{" else "]")
            end = position
        elif sign in "}]":
            if not open_brackets or open_brackets.pop() != sign:
                break
            end = position
        else:
            end = position - 1
    return text[:end] + "".join(reversed(open_brackets))


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Members, parse_float=str, parse_int=str, strict=False)
