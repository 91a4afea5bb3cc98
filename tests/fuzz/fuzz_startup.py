"""Startup packets and their ``options``. The only rejection is ``StartupRefused``."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(
    include=["interlock.protocols.postgres.startup", "interlock.protocols.postgres.messages"]
):
    from interlock.protocols.postgres.messages import startup_message
    from interlock.protocols.postgres.startup import StartupRefused, parse_startup

from tests.fuzz.target import run


def test_one_input(data: bytes) -> None:
    if data[:1] == b"o":
        body = b"user\0agent\0options\0" + data[1:].replace(b"\0", b" ") + b"\0\0"
    else:
        body = data[1:]
    packet = (len(body) + 8).to_bytes(4, "big") + b"\0\3\0\0" + body
    try:
        request = parse_startup(packet)
    except StartupRefused:
        return
    assert request.user
    assert not {"user", "database", "replication", "options", "role", "search_path"} & set(request.settings)
    sent = startup_message({"user": "app", "database": "shop"} | dict(request.settings))
    assert sent.count(b"\0user\0app\0") == 1
    again = parse_startup(sent)
    assert dict(again.settings) == dict(request.settings), "the target reads other settings than were judged"


if __name__ == "__main__":
    run("startup", test_one_input)
