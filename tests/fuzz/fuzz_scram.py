"""Messages of SCRAM at both ends. The only rejection is ``ScramError``; nobody gets in without the password."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.postgres.scram"]):
    from interlock.protocols.postgres.scram import (
        SCRAM,
        SCRAM_PLUS,
        ScramClient,
        ScramError,
        ScramServer,
        make_verifier,
    )

from tests.fuzz.target import run

VERIFIER = make_verifier("password", b"0123456789abcdef", 1)


def test_one_input(data: bytes) -> None:
    mechanism = SCRAM_PLUS if data[:1] == b"p" else SCRAM
    first, _, rest = data[1:].partition(b"\0")
    second, _, third = rest.partition(b"\0")
    server = ScramServer(VERIFIER, mechanism, b"binding", b"nonce of the server")
    try:
        server.first(first)
        server.final(second)
    except ScramError:
        pass
    else:
        raise AssertionError("a client without the password was let in")
    client = ScramClient("password", mechanism, b"binding", b"nonce")
    try:
        client.final(b"r=" + client.first().partition(b"r=")[2] + first)
        client.verify(third)
    except ScramError:
        return
    raise AssertionError("a server without the verifier was believed")


if __name__ == "__main__":
    run("scram", test_one_input)
