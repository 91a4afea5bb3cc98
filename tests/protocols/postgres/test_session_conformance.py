"""The conformance helper on conversations as real clients and servers have them."""

from pathlib import Path

import msgspec
import pytest

from interlock.protocols import base
from interlock.protocols.base import Side
from interlock.protocols.postgres.client_login import PlainText
from interlock.protocols.postgres.scram import SCRAM, ScramClient, ScramServer, make_verifier
from interlock.protocols.postgres.session import PostgresLimits, PostgresSession
from tests.protocols import conformance
from tests.protocols.conformance import Step
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import ENTROPY, gateway, permit_everything, refuse
from tests.protocols.postgres.wire import BOUND, COPY_DONE, COPY_IN, FLUSH, PARSED, SYNC, answer, complete, error, ready

CLIENT, TARGET = Side.CLIENT, Side.TARGET
VERIFIER = make_verifier("client-password", b"salt" * 4, 4096)


def _proofs() -> tuple[bytes, bytes]:
    """A login with SCRAM, so that conversations need no TLS: the server's nonce is the same in each."""
    client = ScramClient("client-password", SCRAM, b"", b"client")
    server = ScramServer(VERIFIER, SCRAM, b"", ENTROPY[:18])
    first = client.first()
    final = client.final(server.first(first))
    initial = wire.text(SCRAM) + len(first).to_bytes(4, "big") + first
    return wire.message("p", initial), wire.message("p", final)


FIRST_PROOF, SECOND_PROOF = _proofs()
LOGIN: list[Step] = [
    (CLIENT, wire.GSS_REQUEST),
    (CLIENT, wire.startup(user="agent", database="shop", application_name="tests")),
    (CLIENT, FIRST_PROOF),
    (CLIENT, SECOND_PROOF),
    (TARGET, wire.AUTHENTICATION_OK),
    (TARGET, wire.greeting()[9:]),
]
MIXED: list[Step] = [
    (CLIENT, wire.query("SELECT 1") + wire.query("DROP TABLE t") + wire.query("")),
    (TARGET, wire.notice() + answer("one", "two") + ready()),
    (TARGET, error("42601") + ready() + wire.EMPTY + ready()),
    (CLIENT, wire.parse("SELECT $1", "s") + wire.describe("s", "S") + FLUSH),
    (TARGET, PARSED + wire.parameters_described(25) + wire.columns("a")),
    (CLIENT, wire.bind("s", values=[b"v"]) + wire.execute("", 1) + wire.extended("SELEC", "x")),
    (TARGET, BOUND + wire.row("v") + wire.SUSPENDED + error() + ready()),
    (TARGET, wire.notification()),
    (CLIENT, wire.query("COPY t FROM STDIN; SELECT 1")),
    (TARGET, COPY_IN),
    (CLIENT, wire.copy_data(b"1\n") + wire.copy_data(b"2\n") + COPY_DONE),
    (TARGET, complete("COPY 2") + answer("x") + ready()),
    (CLIENT, wire.query("BEGIN") + wire.parse("DROP TABLE t") + wire.bind() + wire.execute() + SYNC),
    (TARGET, complete("BEGIN") + ready("T") + error("26000") + ready("E")),
    (CLIENT, wire.query("COPY t TO STDOUT")),
    (TARGET, wire.COPY_OUT + wire.copy_data(b"row\n") * 3 + COPY_DONE + complete("COPY 3") + ready()),
    (CLIENT, wire.query("SELECT 9") + wire.TERMINATE),
]
VIOLATIONS: dict[str, list[Step]] = {
    "unknown message of the target": [(CLIENT, wire.query("SELECT 1")), (TARGET, answer("1") + wire.message("z"))],
    "impossible length of the target": [(CLIENT, wire.query("SELECT 1")), (TARGET, answer("1") + b"Z\0\0\0\1")],
    "rows after the end": [(CLIENT, wire.query("SELECT 1")), (TARGET, answer("1") + ready() + wire.row("x"))],
    "completion after the end": [(CLIENT, wire.query("SELECT 1")), (TARGET, answer("1") + ready() + complete("X"))],
    "unknown message of the client": [(CLIENT, wire.query("SELECT 1") + wire.message("z"))],
    "more behind the greeting": [(TARGET, wire.notice() + wire.parameter("TimeZone", "UTC"))],
}
CAPTURES = Path(__file__).parent / "captures"


MAX_STATEMENT_BYTES = 100_000


def new_session() -> PostgresSession:
    return PostgresSession(PostgresLimits(PlainText.SCRAM_ONLY, MAX_STATEMENT_BYTES), ENTROPY)


_SURROUNDINGS = gateway(refuse("DROP"))


def surroundings(effect: base.Effect) -> base.Event | None:
    """A gateway that knows the user's SCRAM verifier and refuses to drop anything."""
    return base.LoginDescribed(VERIFIER) if isinstance(effect, base.DescribeLogin) else _SURROUNDINGS(effect)


def captured(name: str) -> list[Step]:
    return msgspec.json.decode((CAPTURES / f"{name}.json").read_bytes(), type=list[tuple[Side, bytes]])


CAPTURED = sorted(file.stem for file in CAPTURES.glob("*.json"))
CONVERSATIONS = {"mixed": MIXED} | VIOLATIONS | {name: captured(name) for name in CAPTURED}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_cut_of_the_input_does_not_matter(name: str) -> None:
    conformance.check_cuts(new_session, surroundings, [*LOGIN, *CONVERSATIONS[name]])


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_conversations_pass_unchanged(name: str) -> None:
    def permit(effect: base.Effect) -> base.Event | None:
        if isinstance(effect, base.Authorize):
            return base.Decided(tuple(map(permit_everything, effect.operations)))
        return surroundings(effect)

    observed = conformance.observe(new_session, permit, [*LOGIN, *captured(name)])[1]
    for side, other in ((CLIENT, TARGET), (TARGET, CLIENT)):
        said = b"".join(data for speaker, data in captured(name) if speaker is side)
        heard = bytes(observed.sent[other])
        assert without_flushes(heard).endswith(without_flushes(said))
    assert [type(end) for end in observed.ends] == [base.Close]
    assert len(observed.reports) >= len({operation.number for operation in observed.operations})


def without_flushes(stream: bytes) -> bytes:
    """The gateway adds a Flush behind the Execute of a COPY, and reads over a Sync within it."""
    return stream.replace(FLUSH, b"").replace(SYNC, b"")


@pytest.mark.parametrize("name", ["mixed", *CAPTURED])
def test_every_end_ends_the_session(name: str) -> None:
    steps = [*LOGIN, *CONVERSATIONS[name]]
    length = sum(len(data) for _, data in steps)
    conformance.check_ends(new_session, surroundings, steps, every=max(1, length // 250))


def test_every_end_of_every_byte_of_the_login() -> None:
    conformance.check_ends(new_session, surroundings, [*LOGIN, (CLIENT, wire.query("SELECT 1"))])


@pytest.mark.parametrize("seed", range(3))
def test_garbage_at_any_point(seed: int) -> None:
    conformance.check_garbage(new_session, surroundings, [*LOGIN, *MIXED], seed, every=7)
