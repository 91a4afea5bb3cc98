"""Random clients against the session and a small reference server (``model_server``).

Whatever the client sends, however bytes and answers interleave, however long decisions take:

* the server never runs or prepares what policy refuses, judged by what it truly runs and truly touches;
* the client sees what it would see from the server itself, with refused statements replaced by errors;
* everything that runs was decided once, under its true text, and is reported once.

``HYPOTHESIS_PROFILE=deep`` looks longer.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from interlock.core.decision import Decision, Permit
from interlock.core.operation import Operation, Outcome, OutcomeStatus, Phase
from interlock.protocols.base import Side
from tests.protocols.postgres import wire
from tests.protocols.postgres.model_server import ModelServer, Run
from tests.protocols.postgres.playbook import PERMIT, Playbook, denial

_EXAMPLES = {"deep": (2000, 80)}
_COUNT, _STEPS = _EXAMPLES.get(os.environ.get("HYPOTHESIS_PROFILE", ""), (400, 40))

TABLE = st.sampled_from(["t", "u", "a.t", "b.t", "b.u"])
NAME = st.sampled_from(["s", "q"])
CURSOR = st.sampled_from(["c", "p"])
PORTAL = st.sampled_from(["", "", "p", "c"])
PREPARED = st.sampled_from(["", "", "s", "q"])

SELECT = st.builds("SELECT {} FROM {}".format, st.sampled_from([0, 1, 2, 3]), TABLE)
GOOD_SELECT = st.builds("SELECT {} FROM {}".format, st.sampled_from([1, 2, 3]), TABLE)
INSERT = st.builds("INSERT INTO {} VALUES (1)".format, TABLE)
ROWS = SELECT | INSERT
NAMED = (
    st.builds("PREPARE {} AS {}".format, NAME, ROWS)
    | st.builds("EXECUTE {}".format, NAME)
    | st.builds("DEALLOCATE {}".format, NAME)
    | st.just("DEALLOCATE ALL")
    | st.builds("DECLARE {} CURSOR {}FOR {}".format, CURSOR, st.sampled_from(["", "WITH HOLD "]), GOOD_SELECT)
    | st.builds("FETCH 1 FROM {}".format, CURSOR)
    | st.builds("CLOSE {}".format, CURSOR)
    | st.just("CLOSE ALL")
)
CONTROL = st.sampled_from(["BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "ROLLBACK TO x"])
PATHS = st.builds(
    "SET {}search_path TO {}".format, st.sampled_from(["", "LOCAL "]), st.sampled_from(["a", "b"])
) | st.just("RESET search_path")
STATEMENT = ROWS | NAMED | CONTROL | PATHS | st.just("THIS IS WRONG")


class Sessions(RuleBasedStateMachine):
    """One client, one session, one server; nothing moves unless a rule moves it."""

    chunks: Bundle[bytes] = Bundle("chunks")

    @initialize(refused=st.sets(st.sampled_from(["a.t", "a.u", "b.t", "b.u"]), max_size=3), patient=st.booleans())
    def begin(self, refused: set[str], patient: bool) -> None:
        self.refused = refused
        self.decisions: dict[int, Decision] = {}
        self.server = ModelServer()
        self.book = Playbook(self.decide, deciding=not patient, search_path=("a",))
        self.sent: list[bytes] = []
        self.unsent = bytearray()
        self.undelivered = bytearray()
        self.texts = 0
        self.book.heard(Side.TARGET)
        self.book.heard(Side.CLIENT)
        self.client_heard = bytearray()

    def decide(self, operation: Operation) -> Decision:
        touched = {".".join(access.path) for access in operation.meaning.accesses}
        unclassified = any(access.action == "unclassified" for access in operation.meaning.accesses)
        bad = operation.meaning.refusal is not None or (unclassified and operation.meaning.verb != "UNPARSED")
        decision = denial(operation) if bad or touched & self.refused else PERMIT
        assert operation.number not in self.decisions, "an operation is decided twice"
        self.decisions[operation.number] = decision
        return decision

    # ------------------------------------------------------------ the client

    def say(self, *messages: bytes) -> None:
        self.sent += messages
        self.unsent += b"".join(messages)

    def mark(self, sql: str) -> str:
        """Every text is one of a kind, so that what ran can be told apart."""
        self.texts += 1
        return f"{sql} /*{self.texts}*/"

    @rule(statements=st.lists(STATEMENT, max_size=3))
    def query(self, statements: list[str]) -> None:
        self.say(wire.query(self.mark("; ".join(statements))))

    @rule(sql=STATEMENT, name=PREPARED)
    def parse(self, sql: str, name: str) -> None:
        self.say(wire.parse(self.mark(sql), name))

    @rule(statement=PREPARED, portal=PORTAL)
    def bind(self, statement: str, portal: str) -> None:
        self.say(wire.bind(statement, portal))

    @rule(portal=PORTAL, limit=st.sampled_from([0, 0, 1, 2]))
    def execute(self, portal: str, limit: int) -> None:
        self.say(wire.execute(portal, limit))

    @rule(name=PREPARED, kind=st.sampled_from("SP"))
    def describe(self, name: str, kind: str) -> None:
        self.say(wire.describe(name, kind))

    @rule(name=PREPARED, kind=st.sampled_from("SP"))
    def close(self, name: str, kind: str) -> None:
        self.say(wire.close(name, kind))

    @rule(sql=STATEMENT, name=PREPARED, portal=PORTAL)
    def whole_statement(self, sql: str, name: str, portal: str) -> None:
        self.say(wire.parse(self.mark(sql), name), wire.bind(name, portal), wire.execute(portal), wire.SYNC)

    @rule(statement=PREPARED, portal=PORTAL)
    def run_prepared(self, statement: str, portal: str) -> None:
        self.say(wire.bind(statement, portal), wire.execute(portal), wire.SYNC)

    @rule(first=STATEMENT, name=PREPARED, again=STATEMENT)
    def skipped_definition(self, first: str, name: str, again: str) -> None:
        """The shape of an attack: define, fail, define again where it is skipped, run."""
        self.say(wire.parse(self.mark(first), name), wire.SYNC)
        self.say(wire.bind("nothing"), wire.parse(self.mark(again), name), wire.SYNC)
        self.say(wire.bind(name), wire.execute(), wire.SYNC)

    @rule(first=ROWS, change=NAMED | PATHS, name=NAME, last=ROWS, wait=st.booleans())
    def uncertain_change(self, first: str, change: str, name: str, last: str, wait: bool) -> None:
        """What runs may change what a name means, or may have been skipped; then the name is used."""
        self.say(wire.parse(self.mark(first)), wire.SYNC)
        self.say(wire.bind("nothing"), wire.parse(self.mark(change)), wire.SYNC)
        self.say(wire.bind(), wire.execute(), wire.SYNC)
        if wait:
            self.settle()
        self.say(wire.parse(self.mark(last), name), wire.SYNC, wire.bind(name), wire.execute(), wire.SYNC)

    @rule(first=ROWS, change=NAMED, last=ROWS)
    def unnamed_statement_survives(self, first: str, change: str, last: str) -> None:
        sql = self.mark(change)
        name = f"n{self.texts}"
        self.say(
            wire.parse(sql, name), wire.parse(self.mark(first)), wire.bind(name, name), wire.execute(name), wire.SYNC
        )
        self.settle()
        self.say(wire.bind("nothing"), wire.parse(self.mark(last)), wire.SYNC, wire.bind(), wire.execute(), wire.SYNC)

    @rule(first=ROWS, refused=TABLE, portal=st.sampled_from(["p", "c"]), simple=st.booleans())
    def work_behind_a_flush(self, first: str, refused: str, portal: str, simple: bool) -> None:
        """Answered, but not yet committed: what comes next decides on it."""
        self.say(wire.parse(self.mark(first)), wire.bind("", portal), wire.FLUSH)
        self.settle()
        sql = self.mark(f"SELECT 1 FROM {refused}")
        self.say(*([wire.query(sql)] if simple else [wire.parse(sql), wire.SYNC]))
        self.say(wire.execute(portal, 1), wire.SYNC)

    @rule(
        change=PATHS,
        end=st.sampled_from(["COMMIT", "ROLLBACK", "SELECT 1 FROM t"]),
        block=st.booleans(),
        one=st.booleans(),
    )
    def path_changes(self, change: str, end: str, block: bool, one: bool) -> None:
        """A change of the search path, kept or undone, in one text or in several; then it is over, and relied on."""
        statements = ["BEGIN"] * block + [change, end]
        for sql in ["; ".join(statements)] if one else statements:
            self.say(wire.query(self.mark(sql)))
        self.settle()
        self.say(wire.query(self.mark("SELECT 1 FROM t")))

    @rule(messages=st.sampled_from([(wire.SYNC,), (wire.FLUSH,)]))
    def boundary(self, messages: tuple[bytes, ...]) -> None:
        self.say(*messages)

    @rule(table=TABLE, end=st.sampled_from([wire.COPY_DONE, wire.copy_fail()]), extended=st.booleans())
    def copy(self, table: str, end: bytes, extended: bool) -> None:
        sql = self.mark(f"COPY {table} FROM STDIN")
        name = f"copy{self.texts}"  # nobody else runs it: a COPY without its data would be the client's error
        start = [wire.parse(sql, name), wire.bind(name, name), wire.execute(name)] if extended else [wire.query(sql)]
        self.say(*start, wire.copy_data(b"1\n"), end, *([wire.SYNC] if extended else []))

    @rule(first=TABLE, second=TABLE)
    def two_copies(self, first: str, second: str) -> None:
        self.say(wire.query(self.mark(f"COPY {first} FROM STDIN; COPY {second} FROM STDIN")))
        self.say(wire.copy_data(b"1\n"), wire.COPY_DONE, wire.copy_data(b"2\n"), wire.COPY_DONE)

    # ------------------------------------------------------------ time passes

    @rule(part=st.integers(1, 400))
    def some_bytes_arrive(self, part: int) -> None:
        data, self.unsent = bytes(self.unsent[:part]), self.unsent[part:]
        self.book.client(data)
        self.collect()

    @rule()
    def all_bytes_arrive(self) -> None:
        self.some_bytes_arrive(len(self.unsent))

    @rule(count=st.integers(1, 6))
    def server_works(self, count: int) -> None:
        for _ in range(count):
            self.undelivered += self.server.step() or b""

    @rule(part=st.integers(1, 200))
    def some_answers_arrive(self, part: int) -> None:
        data, self.undelivered = bytes(self.undelivered[:part]), self.undelivered[part:]
        self.book.target(data)
        self.collect()

    @rule()
    def everything_so_far(self) -> None:
        self.settle()

    @rule()
    def a_decision_is_taken(self) -> None:
        if self.book.waiting:
            self.book.decide()
            self.collect()

    def collect(self) -> None:
        """Bytes that the session sends go where they belong."""
        self.server.feed(self.book.heard(Side.TARGET))
        self.client_heard += self.book.heard(Side.CLIENT)
        assert not self.book.observed.ends, self.book.observed.ends

    def settle(self) -> None:
        """Let everything that is on its way arrive."""
        self.all_bytes_arrive()
        moved = True
        while moved:
            moved = bool(self.book.waiting)
            while self.book.waiting:
                self.book.decide()
                self.collect()
            answer = self.server.step()
            moved = moved or answer is not None or bool(self.undelivered)
            self.undelivered += answer or b""
            self.some_answers_arrive(len(self.undelivered))

    # ------------------------------------------------------------ what must hold in the end

    def teardown(self) -> None:
        if not hasattr(self, "book"):
            return
        self.say(wire.SYNC)
        self.settle()
        self.check_nothing_refused_ran()
        self.check_client_saw_the_server()
        self.check_runs_were_decided()

    def check_nothing_refused_ran(self) -> None:
        for run in self.server.runs:
            assert not set(run.touched) & self.refused, f"{run} was refused"
        for sql, touched in self.server.parsed:
            assert not set(touched) & self.refused, f"{sql} was refused"

    def check_client_saw_the_server(self) -> None:
        """The same messages to a server of their own, which refuses where the gateway refused."""
        heard = wire.split(bytes(self.client_heard))
        position = 0

        def refused_here() -> bool:
            return position < len(heard) and heard[position][:1] == b"E" and b"denied" in heard[position]

        direct = ModelServer(refused_here)
        for message in self.sent:
            direct.feed(message)
            for expected in wire.split(direct.step() or b""):
                assert position < len(heard), f"{message!r}: the client still waits for {expected!r}"
                seen = heard[position]
                if not (refused_here() and expected[:1] == b"E"):
                    assert seen == expected, f"{message!r}: {seen!r} instead of {expected!r}"
                position += 1
        assert position == len(heard), f"more answers than questions: {heard[position:]}"

    def check_runs_were_decided(self) -> None:
        operations = {operation.number: operation for operation in self.book.observed.operations}
        assert list(operations) == sorted(operations)
        ran = [
            (operations[outcome.number], outcome)
            for outcome in self.book.reports
            if outcome.status in (OutcomeStatus.COMPLETED, OutcomeStatus.FAILED, OutcomeStatus.SUSPENDED)
            and operations[outcome.number].phase is Phase.EXECUTE
        ]
        assert all(isinstance(self.decisions[operation.number], Permit) for operation, _ in ran)
        runs = [run for run in self.server.runs if run.text != "interlock: this statement was refused"]
        ended = iter(ran)
        for run in runs:
            # A report without a run is a Parse that failed in place of its Execute.
            fitting = (pair for pair in ended if ran_as(run, *pair))
            assert next(fitting, None), f"{run} was not decided under its text, and reported"
        numbers = [outcome.number for outcome in self.book.reports]
        assert len(numbers) == len(set(numbers)), "an operation is reported twice"


def ran_as(run: Run, operation: Operation, outcome: Outcome) -> bool:
    texts = operation.text.split(b"\n-- or --\n")
    return (run.text is None or run.text.encode() in texts) and outcome.code == run.code


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=_COUNT,
    stateful_step_count=_STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    report_multiple_bugs=False,
)
