"""The row kernel: the same in one piece and in many, rows stay rows, and bad ones are refused by name."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.postgres.rows", "interlock.core"]):
    from interlock.core.masking import DETECTOR_CLASSES
    from interlock.protocols.postgres.rows import ContentMask, MalformedRow, RowError, RowMasker, redact_message

from tests.fuzz.target import run

ALL = frozenset(DETECTOR_CLASSES)
CONTENT = ContentMask(ALL - {"ssn"}, frozenset({"ssn"}))


def masked(parts: list[bytes], transforms: bool) -> tuple[bytes, int, int, str]:
    masker, out = RowMasker({0: bytes.swapcase} if transforms else None, CONTENT), bytearray()
    try:
        for part in parts:
            out += masker.feed(part)
    except RowError as error:
        return bytes(out), 0, 0, type(error).__name__
    return bytes(out), masker.masked_values, masker.pending, ""


def test_one_input(data: bytes) -> None:
    size, stream = (data[0] or 1, data[1:]) if data else (1, b"")
    for transforms in (False, True):
        out, count, pending, error = masked([stream], transforms)
        cut_out, cut_count, cut_pending, cut_error = masked(
            [stream[at : at + size] for at in range(0, len(stream), size)], transforms
        )
        assert cut_error == error
        assert cut_out.startswith(out)
        assert error or (cut_out, cut_count, cut_pending) == (out, count, pending)
    if stream:
        try:
            body, _ = redact_message(stream[0], stream[1:], ALL)
        except MalformedRow:
            return
        assert body.count(b"\0") == stream[1:].count(b"\0")


if __name__ == "__main__":
    run("rows", test_one_input)
