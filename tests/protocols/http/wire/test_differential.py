"""What is accepted here, h11 and llhttp read as the same message with the same end.

They may refuse it only for what they do not know: h11 an empty line before a request, llhttp a method.
"""

import random

import pytest

from tests.protocols.http.wire.references import check_request, check_response
from tests.protocols.http.wire.streams import REQUESTS, RESPONSES, mutated

ROUNDS = 1500


@pytest.mark.parametrize("stream", REQUESTS)
def test_requests_are_read_alike(stream: bytes) -> None:
    check_request(stream)


@pytest.mark.parametrize("stream", RESPONSES)
def test_answers_are_read_alike(stream: bytes) -> None:
    for method in (b"GET", b"HEAD", b"CONNECT"):
        check_response(stream, method)


@pytest.mark.parametrize("seed", range(3))
def test_changed_requests_are_read_alike(seed: int) -> None:
    source, accepted = random.Random(seed), 0
    for _ in range(ROUNDS):
        accepted += check_request(mutated(source.choice(REQUESTS) + source.choice(REQUESTS), source))
    assert accepted > ROUNDS // 10


@pytest.mark.parametrize("seed", range(3))
def test_changed_answers_are_read_alike(seed: int) -> None:
    source, accepted = random.Random(seed), 0
    for _ in range(ROUNDS):
        method = source.choice((b"GET", b"GET", b"HEAD", b"CONNECT"))
        accepted += check_response(mutated(source.choice(RESPONSES), source), method)
    assert accepted > ROUNDS // 10
