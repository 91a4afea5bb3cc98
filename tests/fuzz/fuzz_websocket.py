"""Frames of WebSockets: read in any cut as another implementation reads them, and a relay that takes whatever comes.

The first byte chooses the side and whether there is compression, the second the size of the pieces.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.websocket"]):
    from interlock.protocols.base import Send, Side
    from interlock.protocols.http.websocket.messages import MessageReader
    from interlock.protocols.http.websocket.relay import WebSocketRelay
    from interlock.protocols.http.websocket.values import Deflate, Fault, Filtered
    from tests.protocols.http.websocket.peers import assert_read_alike

from tests.fuzz.target import run

ENTROPY = bytes(32)


def test_one_input(data: bytes) -> None:
    choice, size, stream = (data[0], data[1] or 1, data[2:]) if len(data) > 1 else (0, 1, data)
    from_client, deflates, filters = bool(choice & 1), bool(choice & 2), bool(choice & 4)
    assert_read_alike(stream, size, from_client=from_client, deflates=deflates)
    deflate = Deflate() if deflates else None
    relay = WebSocketRelay(
        ENTROPY,
        client_deflate=deflate,
        target_deflate=deflate,
        filter_answers=Filtered if filters else None,
        asks=(lambda text: text.startswith(b"a")) if filters else None,
    )
    readers = {Side.CLIENT: MessageReader(masked=False, deflate=deflate)}
    readers[Side.TARGET] = MessageReader(masked=True, deflate=deflate)
    for at in range(0, len(stream), size):
        for effect in relay.receive(Side.CLIENT if from_client else Side.TARGET, stream[at : at + size]):
            if isinstance(effect, Send):
                readers[effect.side].feed(effect.data)
    for reader in readers.values():
        while (found := reader.next()) is not None:
            assert not isinstance(found, Fault), found


if __name__ == "__main__":
    run("websocket", test_one_input)
