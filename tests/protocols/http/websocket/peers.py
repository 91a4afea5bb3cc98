"""What an independent implementation reads in a stream of frames, to compare with."""

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import Protocol, Side, State

from interlock.protocols.http.websocket.closing import BAD_DATA, PROTOCOL_ERROR, TOO_BIG, read_close
from interlock.protocols.http.websocket.messages import MessageReader
from interlock.protocols.http.websocket.values import Control, Deflate, Fault, Kind

Read = tuple[list[tuple[Kind, bytes]], int | None]
"""Whole messages, pings and pongs in order, and the status code with which the stream ends, None when it goes on."""


def read_here(stream: bytes, cut: int, *, from_client: bool, deflates: bool) -> Read:
    """What the gateway reads, up to a close frame."""
    reader = MessageReader(masked=from_client, deflate=Deflate() if deflates else None)
    found: list[tuple[Kind, bytes]] = []
    within = b""
    for at in range(0, len(stream), cut):
        reader.feed(stream[at : at + cut])
        while (one := reader.next()) is not None:
            if isinstance(one, Fault):
                return found, one.code
            if isinstance(one, Control):
                if one.kind is Kind.CLOSE:
                    said = read_close(one.payload)
                    return found, said.code if isinstance(said, Fault) else said[0]
                found.append((one.kind, one.payload))
                continue
            within += one.data
            if one.final:
                found.append((one.kind, within))
                within = b""
    return found, None


def read_there(stream: bytes, *, from_client: bool, deflates: bool) -> Read:
    """What ``websockets`` reads. It looks at the encoding of texts only when they are taken from it."""
    extensions = [PerMessageDeflate(True, True, 15, 15)] if deflates else []
    party = Protocol(Side.SERVER if from_client else Side.CLIENT, state=State.OPEN, max_size=1 << 24)
    party.extensions = list(extensions)
    party.receive_data(stream)
    found: list[tuple[Kind, bytes]] = []
    begun: tuple[Kind, bytes] | None = None
    for event in party.events_received():
        assert isinstance(event, Frame)
        opcode, data = int(event.opcode), bytes(event.data)
        if opcode == Kind.CLOSE:
            continue
        if opcode > Kind.CLOSE:
            found.append((Kind(opcode), data))
            continue
        begun = (Kind(opcode), data) if begun is None else (begun[0], begun[1] + data)
        if event.fin:
            found.append(begun)
            begun = None
    close = party.close_rcvd or party.close_sent
    return found, None if close is None else int(close.code)


def assert_read_alike(stream: bytes, cut: int, *, from_client: bool, deflates: bool) -> None:
    """What is read here is what is read there, up to where here it is refused; there some of that is let pass."""
    found, code = read_here(stream, cut, from_client=from_client, deflates=deflates)
    there, their_code = read_there(stream, from_client=from_client, deflates=deflates)
    if code in (PROTOCOL_ERROR, BAD_DATA):
        assert found == there[: len(found)]
    elif their_code != TOO_BIG:
        assert (found, code) == (there, their_code)
