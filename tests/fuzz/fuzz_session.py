"""A whole PostgreSQL session: the input says who speaks next, how much, and how the gateway decides.

The input is a list of pieces: a byte that chooses the speaker and the event, a length, and that many bytes. Nothing may
raise; the session ends at most once and says nothing afterwards; what it sends is bounded by what it got.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols"]):
    from interlock.protocols import base
    from interlock.protocols.base import Side
    from interlock.protocols.postgres.client_login import PlainText
    from interlock.protocols.postgres.session import PostgresLimits, PostgresSession

from tests.fuzz.target import run
from tests.protocols import conformance
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import ENTROPY, PERMIT, denial, gateway

LOGIN = (
    base.DataReceived(Side.CLIENT, wire.SSL_REQUEST),
    base.DataReceived(Side.CLIENT, wire.startup(user="agent", database="shop")),
    base.DataReceived(Side.CLIENT, wire.password("token")),
    base.DataReceived(Side.TARGET, wire.greeting()),
)
MAX_ANSWER_BYTES = 1 << 16


def test_one_input(data: bytes) -> None:
    refused = data[:1] or b"\0"
    answer = gateway(lambda one: denial(one) if one.meaning.refusal or one.number & refused[0] else PERMIT)
    session, observed = PostgresSession(PostgresLimits(PlainText.REFUSE, 2000), ENTROPY), conformance.Observed()
    if refused[0] & 0x80:
        for event in LOGIN:
            conformance.feed(session, event, answer, observed)
    position = 1
    while position + 2 <= len(data):
        choice, size = data[position], data[position + 1]
        piece = data[position + 2 : position + 2 + size]
        position += 2 + size
        conformance.feed(session, chosen(choice, piece), answer, observed)
        assert len(observed.ends) <= 1
    said = sum(map(len, observed.sent.values()))
    assert said <= 20 * len(data) + MAX_ANSWER_BYTES + 512 * len(observed.operations)
    if not observed.ends and "CancelTarget" not in observed.others:
        conformance.feed(session, base.EofReceived(Side.CLIENT), answer, observed)
        assert observed.ends or "CancelTarget" in observed.others
    assert not session.handle(base.DataReceived(Side.CLIENT, b"more"))


def chosen(choice: int, piece: bytes) -> base.Event:
    if choice == 0xFF:
        return base.Killed("57P01", "ended by the fuzzer")
    if choice == 0xFE:
        return base.EofReceived(Side.TARGET)
    return base.DataReceived(Side.TARGET if choice & 1 else Side.CLIENT, piece)


if __name__ == "__main__":
    run("session", test_one_input)
