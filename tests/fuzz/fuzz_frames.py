"""Both cutters of streams: the same in one piece and in many, and nothing lost or made up."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.postgres.frames"]):
    from interlock.protocols.postgres.frames import STREAM_HEAD_BYTES, BackendFrames, FramingError, FrontendFrames

from tests.fuzz.target import run


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def backend(parts: list[bytes]) -> tuple[bytes, list[int], int, str]:
    frames, passed, kinds, rows = BackendFrames(), bytearray(), [], 0
    for part in parts:
        for message in frames.scan(part):
            assert 0 <= message.start <= message.end <= len(frames.chunk) or not message.whole
            kinds.append(message.kind)
            rows += message.rows
        rows += frames.rows_after
        passed += frames.chunk
        if frames.broken:
            break
    return bytes(passed), kinds, rows, frames.broken


def frontend(parts: list[bytes]) -> tuple[list[bytes], str]:
    frames, found = FrontendFrames(STREAM_HEAD_BYTES * 2), []
    try:
        for part in parts:
            frames.feed(part)
            while True:
                message = frames.next_part() if frames.streaming else frames.next_message()
                if message is None:
                    break
                found.append(message)
    except FramingError as error:
        return found, str(error)
    return found, ""


def test_one_input(data: bytes) -> None:
    size, stream = (data[0] or 1, data[1:]) if data else (1, b"")
    whole = backend([stream])
    assert backend(pieces(stream, size)) == whole
    assert stream.startswith(whole[0])
    messages, error = frontend([stream])
    cut, cut_error = frontend(pieces(stream, size))
    assert (b"".join(cut), cut_error) == (b"".join(messages), error)
    assert stream.startswith(b"".join(messages))


if __name__ == "__main__":
    run("frames", test_one_input)
