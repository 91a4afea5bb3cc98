"""Bound parameters under masks: what must not be written over a masked value, or compared with too many at once.

Source: PostgreSQL manual, "Bind". Looks at values; what it says about them holds none of them.
"""

import struct
from collections.abc import Iterator
from typing import Final

from interlock.protocols.postgres.masking.predicates import MAX_COMPARED
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.masking.writes import STANDS_FOR_VALUE, written_back
from interlock.protocols.postgres.messages import Malformed

_TEXT: Final = 0
_MAX_DIMENSIONS: Final = 6
"""Of an array (utils/array.h): what has more is a single value, or the target refuses it."""


def parameter_problem(rewriting: Rewriting, bind: bytes, *, complete: bool) -> str:
    """Why these parameters must not go with this text, "" when they may.

    ``bind`` is the Bind message behind its two names. ``complete`` says that it is known whole.
    """
    wanted = rewriting.array_parameters | rewriting.written_parameters
    if not wanted:
        return ""
    try:
        values = dict(enumerate(read_parameters(bind), 1)) if complete else {}
    except (Malformed, struct.error):
        values = {}
    for number in sorted(wanted):
        if number not in values:
            return (
                f"Parameter ${number} could not be looked at, which its masked column needs: send it alone, and short."
            )
        problem = _problem(rewriting, number, *values[number])
        if problem:
            return problem
    return ""


def _problem(rewriting: Rewriting, number: int, format_code: int, value: bytes | None) -> str:
    if number in rewriting.written_parameters:
        if value is None:
            if number in rewriting.kept_parameters:
                return written_back(f"What ${number} sets")
        elif STANDS_FOR_VALUE.search(value):
            return written_back(f"What ${number} sets")
    if number in rewriting.array_parameters and value is not None and _length(format_code, value) > MAX_COMPARED:
        return (
            f"${number} has more than {MAX_COMPARED} values to compare with a masked column: ask for fewer at a time."
        )
    return ""


def _length(format_code: int, value: bytes) -> int:
    """How many values an array has, or more."""
    if format_code == _TEXT:
        return value.count(b",") + 1
    if len(value) < 12:
        return 0
    (dimensions,) = struct.unpack_from(">I", value)
    if dimensions > _MAX_DIMENSIONS:
        return 1
    if len(value) < 12 + 8 * dimensions:
        return MAX_COMPARED + 1
    length = 1
    for position in range(dimensions):
        length *= struct.unpack_from(">I", value, 12 + 8 * position)[0]
    return length


def read_parameters(bind: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Each parameter's format code and value. Raises ``Malformed`` and ``struct.error``."""
    (count,) = struct.unpack_from(">H", bind, 0)
    formats = struct.unpack_from(f">{count}H", bind, 2)
    position = 2 + 2 * count
    (values,) = struct.unpack_from(">H", bind, position)
    position += 2
    for number in range(values):
        (size,) = struct.unpack_from(">i", bind, position)
        position += 4
        if size > len(bind) - position:
            raise Malformed("a value reaches beyond its message")
        format_code = formats[number] if count > 1 else formats[0] if count else _TEXT
        yield format_code, None if size < 0 else bind[position : position + size]
        position += max(size, 0)
