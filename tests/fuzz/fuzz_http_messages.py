"""HTTP/1.1 both ways: the same in every cut, and the same message as h11 and llhttp read.

The first byte chooses the direction and the method that is answered, the second the size of the pieces. The only
rejection is a ``BadMessage``.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.wire"]):
    from tests.protocols.http.wire.reading import read_requests, read_response
    from tests.protocols.http.wire.references import check_request, check_response

from tests.fuzz.target import run

METHODS = (b"GET", b"HEAD", b"CONNECT")


def test_one_input(data: bytes) -> None:
    choice, size, stream = (data[0], data[1] or 1, data[2:]) if len(data) > 1 else (0, 1, data)
    if choice & 1:
        method = METHODS[(choice >> 1) % len(METHODS)]
        assert read_response(stream, method, [size]) == read_response(stream, method)
        check_response(stream, method)
    else:
        assert read_requests(stream, [size]) == read_requests(stream)
        check_request(stream)


if __name__ == "__main__":
    run("http_messages", test_one_input)
