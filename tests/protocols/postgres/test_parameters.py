"""Bound parameters under masks: what must not be written over a value, and how many values may be compared."""

import random
import struct
from collections.abc import Sequence

import pytest

from interlock.protocols.postgres.masking.predicates import MAX_COMPARED
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.messages import Malformed
from interlock.protocols.postgres.parameters import parameter_problem, read_parameters

ARRAY = Rewriting(b"", array_parameters=frozenset({1}))
WRITTEN = Rewriting(b"", written_parameters=frozenset({2}))
KEPT = Rewriting(b"", written_parameters=frozenset({2}), kept_parameters=frozenset({2}))


def bind(*values: bytes | None, formats: Sequence[int] = ()) -> bytes:
    """A Bind message behind its two names."""
    body = struct.pack(f">H{len(formats)}H", len(formats), *formats) + struct.pack(">H", len(values))
    for value in values:
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return body + struct.pack(">H", 0)


def problem(rewriting: Rewriting, *values: bytes | None, formats: Sequence[int] = ()) -> str:
    return parameter_problem(rewriting, bind(*values, formats=formats), complete=True)


def binary_array(*lengths: int, value: bytes = b"x") -> bytes:
    count = 1
    for length in lengths:
        count *= length
    head = struct.pack(">III", len(lengths), 0, 25) + b"".join(struct.pack(">Ii", length, 1) for length in lengths)
    return head + (struct.pack(">i", len(value)) + value) * min(count, 3)


# ---------------------------------------------------------------- reading


def test_values_with_one_format_none_or_one_each() -> None:
    assert list(read_parameters(bind(b"a", None, b""))) == [(0, b"a"), (0, None), (0, b"")]
    assert list(read_parameters(bind(b"a", b"b", formats=[1]))) == [(1, b"a"), (1, b"b")]
    assert list(read_parameters(bind(b"a", b"b", formats=[0, 1]))) == [(0, b"a"), (1, b"b")]
    assert list(read_parameters(bind())) == []


def test_a_value_that_reaches_beyond_its_message() -> None:
    data = struct.pack(">HHi", 0, 1, 100) + b"short"
    with pytest.raises(Malformed):
        list(read_parameters(data))


@pytest.mark.parametrize("seed", range(50))
def test_garbage_is_a_problem_and_never_raises(seed: int) -> None:
    source = random.Random(seed)
    whole = bind(b"first", b"second", formats=[0, 1])
    cut = whole[: source.randrange(4, len(whole) - 10)]
    assert "$2" in parameter_problem(WRITTEN, cut, complete=True)
    assert parameter_problem(WRITTEN, b"", complete=True)
    assert isinstance(parameter_problem(WRITTEN, source.randbytes(30), complete=True), str)


# ---------------------------------------------------------------- what is refused


def test_without_need_nothing_is_looked_at() -> None:
    assert parameter_problem(Rewriting(b""), b"garbage", complete=False) == ""


@pytest.mark.parametrize("rewriting", [ARRAY, WRITTEN])
def test_what_is_not_known_whole_is_a_problem(rewriting: Rewriting) -> None:
    assert "could not be looked at" in parameter_problem(rewriting, bind(b"a", b"b"), complete=False)


def test_a_parameter_that_was_not_bound_is_a_problem() -> None:
    assert "$2 could not be looked at" in problem(WRITTEN, b"a")


@pytest.mark.parametrize("value", [b"***", b"x***", b"***@example.com", b"hash:" + b"0a" * 12])
@pytest.mark.parametrize("format_code", [0, 1])
def test_what_stands_for_a_value_is_not_written(value: bytes, format_code: int) -> None:
    found = problem(WRITTEN, b"a", value, formats=[format_code])
    assert "What $2 sets is masked" in found
    assert value.decode() not in found
    assert problem(WRITTEN, value, b"real", formats=[format_code]) == ""


def test_null_over_what_is_shown_as_null() -> None:
    assert problem(WRITTEN, b"a", None) == ""
    assert "What $2 sets" in problem(KEPT, b"a", None)
    assert problem(KEPT, b"a", b"b") == ""


@pytest.mark.parametrize(
    ("value", "format_code", "fits"),
    [
        (b"{" + b",".join([b"x"] * MAX_COMPARED) + b"}", 0, True),
        (b"{" + b",".join([b"x"] * (MAX_COMPARED + 1)) + b"}", 0, False),
        (b"{{a,b},{c,d}}", 0, True),
        (binary_array(MAX_COMPARED), 1, True),
        (binary_array(MAX_COMPARED + 1), 1, False),
        (binary_array(10, 10), 1, True),
        (binary_array(2, 51), 1, False),
        (binary_array(), 1, True),
        (b"", 1, True),
        (struct.pack(">III", 7, 0, 25), 1, True),  # no array has so many dimensions
        (struct.pack(">III", 2, 0, 25) + b"\xff" * 4, 1, False),
        (binary_array(0xFFFFFFFF, 0xFFFFFFFF), 1, False),
        (None, 0, True),
    ],
)
def test_how_many_values_are_compared(value: bytes | None, format_code: int, fits: bool) -> None:
    found = problem(ARRAY, value, formats=[format_code])
    assert (found == "") is fits
    assert fits or "$1 has more than" in found


def test_the_first_problem_is_told() -> None:
    both = Rewriting(b"", array_parameters=frozenset({1}), written_parameters=frozenset({2}))
    assert problem(both, b"{a}", b"real") == ""
    assert problem(both, b"{" + b"," * MAX_COMPARED + b"}", b"***").startswith("$1")
