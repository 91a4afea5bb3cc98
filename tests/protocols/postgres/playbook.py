"""A session between a scripted client and a scripted target, written down as a dialogue.

``Playbook`` plays the gateway around a ``PostgresSession``: it answers Authorize with a policy function, and everything
else as a gateway would whose caller is known. Each line of a test says who speaks (``client``, ``target``), or what the
other side must have heard since it was last asked (``client_hears``, ``target_hears``).
"""

from collections import deque
from collections.abc import Callable
from typing import Self

from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.operation import Operation, Outcome
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from interlock.protocols.postgres.session import ENTROPY_BYTES, PostgresLimits, PostgresSession
from tests.protocols.conformance import Observed
from tests.protocols.postgres import wire

ENTROPY = bytes(range(ENTROPY_BYTES))
PERMIT = Permit(("tests",), "0" * 64)

Policy = Callable[[Operation], Decision]


def denial(operation: Operation) -> Denial:
    sentence = operation.meaning.refusal or operation.text.decode(errors="replace")[:60]
    return Denial(DenialReason.FORBIDDEN, f"denied: {sentence}")


def permit_everything(operation: Operation) -> Decision:
    return PERMIT if operation.meaning.refusal is None else denial(operation)


def refuse(*words: str) -> Policy:
    """Refuses operations whose text or verb has one of the words in it, and what cannot be classified."""

    def decide(operation: Operation) -> Decision:
        said = f"{operation.meaning.verb} {operation.text.decode(errors='replace')}"
        return denial(operation) if any(word in said for word in words) else permit_everything(operation)

    return decide


def refuse_tables(*tables: str) -> Policy:
    """Refuses operations that touch one of the tables, given as ``schema.table``, or something unclassified."""

    def decide(operation: Operation) -> Decision:
        touched = {".".join(access.path) for access in operation.meaning.accesses}
        unclassified = any(access.action == "unclassified" for access in operation.meaning.accesses)
        return denial(operation) if unclassified or touched & set(tables) else permit_everything(operation)

    return decide


def gateway(
    policy: Policy, search_path: tuple[str, ...] = ("public",), masking: Masking | None = None
) -> Callable[[Effect], Event | None]:
    """The surroundings of a session whose caller is known and whose target can be reached without TLS."""

    def answer(effect: Effect) -> Event | None:
        match effect:
            case base.StartTls():
                return base.TlsEstablished(effect.side, "postgresql", b"binding")
            case base.DescribeLogin():
                return base.LoginDescribed(None)
            case base.Authenticate():
                return base.Authenticated("session", search_path, masking)
            case base.ConnectTarget():
                return base.TargetConnected("app", "target-password", "shop", "disable")
            case base.Authorize():
                return base.Decided(tuple(map(policy, effect.operations)))
            case base.Compute():
                return base.Computed(effect.work())
        return None

    return answer


CLIENT_LOGIN = wire.startup(user="agent", database="shop"), wire.password("token")


class Playbook:
    """A dialogue, from behind the login on, or with ``logged_in=False`` from the first byte.

    With ``deciding=False`` decisions wait for ``decide``.
    """

    def __init__(
        self,
        policy: Policy = permit_everything,
        *,
        deciding: bool = True,
        logged_in: bool = True,
        limits: PostgresLimits | None = None,
        search_path: tuple[str, ...] = ("public",),
        startup: dict[str, str] | None = None,
        masking: Masking | None = None,
    ) -> None:
        self.session = PostgresSession(limits or PostgresLimits(), ENTROPY)
        self.observed = Observed()
        self.effects: list[Effect] = []
        self.policy = policy
        self.waiting: deque[tuple[Operation, ...]] = deque()
        self._deciding = deciding
        self._answer = gateway(self._decide_now, search_path, masking)
        self._heard = dict.fromkeys(Side, 0)
        self._asked = self._reported = 0
        if logged_in:
            self._log_in(startup or {})

    def _log_in(self, parameters: dict[str, str]) -> None:
        self.client(wire.SSL_REQUEST)
        self.client(wire.startup(user="agent", database="shop", **parameters), wire.password("token"))
        self.target(wire.greeting())
        assert not self.observed.ends, self.observed.ends
        self._heard = {side: len(data) for side, data in self.observed.sent.items()}

    def _decide_now(self, operation: Operation) -> Decision:
        return self.policy(operation)

    # ------------------------------------------------------------ who speaks

    def client(self, *data: bytes) -> Self:
        return self.event(base.DataReceived(Side.CLIENT, b"".join(data)))

    def target(self, *data: bytes) -> Self:
        return self.event(base.DataReceived(Side.TARGET, b"".join(data)))

    def event(self, event: Event) -> Self:
        events = deque([event])
        while events:
            for effect in self.session.handle(events.popleft()):
                self.effects.append(effect)
                self.observed.note(effect)
                if isinstance(effect, base.Authorize) and not self._deciding:
                    self.waiting.append(effect.operations)
                elif (reply := self._answer(effect)) is not None:
                    events.append(reply)
        return self

    def decide(self) -> Self:
        """The oldest waiting decision is taken."""
        return self.event(base.Decided(tuple(map(self.policy, self.waiting.popleft()))))

    # ------------------------------------------------------------ what must have happened

    def client_hears(self, *expected: bytes) -> Self:
        return self._hears(Side.CLIENT, b"".join(expected))

    def target_hears(self, *expected: bytes) -> Self:
        return self._hears(Side.TARGET, b"".join(expected))

    def _hears(self, side: Side, expected: bytes) -> Self:
        heard = self.heard(side)
        assert heard == expected, f"the {side.value} hears\n{wire.show(heard)}\ninstead of\n{wire.show(expected)}"
        return self

    def heard(self, side: Side) -> bytes:
        """What a side has heard since it was last asked."""
        heard = bytes(self.observed.sent[side][self._heard[side] :])
        self._heard[side] += len(heard)
        return heard

    def asked(self, *texts: str) -> Self:
        """The operations that were asked about since the last time, by text."""
        new = [operation.text.decode() for operation in self.observed.operations[self._asked :]]
        self._asked += len(new)
        assert new == list(texts)
        return self

    def reported(self, *expected: tuple[int, str]) -> Self:
        """The reports since the last time, as number and status."""
        new = [(outcome.number, outcome.status.value) for outcome in self.observed.reports[self._reported :]]
        self._reported += len(new)
        assert new == list(expected)
        return self

    @property
    def reports(self) -> list[Outcome]:
        return self.observed.reports

    def goes_on(self) -> Self:
        assert not self.observed.ends, self.observed.ends
        return self

    def ended(self, word: str = "") -> Self:
        """The session has ended, for a reason that has ``word`` in it."""
        assert len(self.observed.ends) == 1, self.observed.ends
        end = self.observed.ends[0]
        assert isinstance(end, base.Close | base.Refuse)
        assert word in end.reason, end.reason
        return self

    def client_is_told(self, code: str, word: str = "") -> Self:
        """The last thing that the client hears is an error."""
        fields = wire.fields(wire.split(self.heard(Side.CLIENT))[-1])
        assert fields["C"] == code, fields
        assert word in fields["M"], fields
        return self

    def denial_of(self, sql: str) -> bytes:
        """The ErrorResponse with which ``refuse`` and its like refuse a text."""
        fields = [("S", "ERROR"), ("V", "ERROR"), ("C", "42501"), ("M", f"denied: {sql[:60]}")]
        return wire.message("E", b"".join(kind.encode() + wire.text(value) for kind, value in fields) + b"\0")


REFUSED_QUERY = wire.query("interlock: this statement was refused")
REFUSED_BIND = wire.bind("interlock: this statement was refused")
