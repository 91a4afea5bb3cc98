"""A small PostgreSQL server in memory: the reference that the gateway's session is measured against.

Speaks the protocol for a handful of statements with the semantics that matter to a gateway: which text a name stands
for, what is skipped after an error, what a transaction's end undoes, when the search path decides. Behaviour was taken
from the manual ("Message Flow", PREPARE, DECLARE, SET); ``test_model_server`` compares it with a real server.

Statements: ``SELECT n FROM table`` (n rows; 0 fails at run time), ``INSERT INTO table VALUES (1)``, transactions,
PREPARE/EXECUTE/DEALLOCATE, DECLARE/FETCH/CLOSE, SET/RESET search_path, ``COPY table FROM STDIN``; anything else is a
syntax error. Tables ``t`` and ``u`` are in schemas ``a`` and ``b``.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tests.protocols.postgres import wire

TABLES = frozenset({"a.t", "a.u", "b.t", "b.u"})
DEFAULT_PATH = ("a",)

_TABLE = r"(\w+(?:\.\w+)?)"
_FORMS = {
    "select": re.compile(rf"SELECT (\d) FROM {_TABLE}"),
    "insert": re.compile(rf"INSERT INTO {_TABLE} VALUES \(1\)"),
    "copy": re.compile(rf"COPY {_TABLE} FROM STDIN"),
    "begin": re.compile("BEGIN"),
    "commit": re.compile("COMMIT"),
    "rollback": re.compile("ROLLBACK"),
    "savepoint": re.compile("SAVEPOINT x"),
    "rollback to": re.compile("ROLLBACK TO x"),
    "prepare": re.compile(r"PREPARE (\w+) AS (.*)"),
    "execute": re.compile(r"EXECUTE (\w+)"),
    "deallocate all": re.compile("DEALLOCATE ALL"),
    "deallocate": re.compile(r"DEALLOCATE (\w+)"),
    "declare": re.compile(r"DECLARE (\w+) CURSOR (WITH HOLD )?FOR (.*)"),
    "fetch": re.compile(r"FETCH 1 FROM (\w+)"),
    "close all": re.compile("CLOSE ALL"),
    "close": re.compile(r"CLOSE (\w+)"),
    "set": re.compile(r"SET search_path TO (\w+)"),
    "set local": re.compile(r"SET LOCAL search_path TO (\w+)"),
    "reset": re.compile("RESET search_path"),
}
_ENDS_ABORTED = ("rollback", "rollback to", "commit")


class Failed(Exception):
    """A statement fails with an SQLSTATE."""


class Statement(NamedTuple):
    """One parsed statement and the whole text that it came with."""

    kind: str
    words: tuple[str, ...]
    text: str


class Portal(NamedTuple):
    """``reads`` are the tables as they were resolved when the portal was made."""

    statement: Statement
    reads: tuple[str, ...]
    rows: deque[int]
    holdable: bool
    declared: bool
    spent: list[bool]
    """Not empty once it has run, where it cannot run again."""


class Run(NamedTuple):
    """A statement that the server really ran: its true text, what it touched, and how it ended."""

    text: str | None
    touched: tuple[str, ...]
    code: str
    """The SQLSTATE when it failed, else empty."""


def parse_sql(sql: str) -> list[Statement]:
    """The statements of a text, comments taken out. Raises ``Failed``."""
    pieces = [piece.strip() for piece in re.sub(r"/\*.*?\*/", "", sql).split(";")]
    statements = []
    for piece in filter(None, pieces):
        for kind, form in _FORMS.items():
            match = form.fullmatch(piece)
            if match:
                statements.append(Statement(kind, tuple(word or "" for word in match.groups()), sql))
                break
        else:
            raise Failed("42601")
    return statements


class ModelServer:
    """Bytes in with ``feed``, one message at a time with ``step``, which returns the answer to it.

    ``refuse`` is asked before each Parse, Execute and Query: True makes it fail as a gateway's denial would. With
    ``drops_unnamed`` a Query drops the unnamed statement, as on a real server; a Query that the gateway refuses by
    itself cannot, so without it the model is more permissive.
    """

    def __init__(self, refuse: Callable[[], bool] = lambda: False, *, drops_unnamed: bool = False) -> None:
        self._drops_unnamed = drops_unnamed
        self._refuse = refuse
        self._inbox = bytearray()
        self.status = "I"
        self.skipping = False
        self.runs: list[Run] = []
        self.parsed: list[tuple[str, tuple[str, ...]]] = []
        self._prepared: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}
        self._path: tuple[str, ...] = DEFAULT_PATH
        self._session_path: tuple[str, ...] = DEFAULT_PATH
        self._path_before: tuple[str, ...] = DEFAULT_PATH
        self._savepoint: tuple[tuple[str, ...], tuple[str, ...], frozenset[str]] | None = None
        self._copies: deque[Statement] = deque()
        self._copy_is_simple = False
        self._touched: list[str] = []
        self._several = False
        """A text of several statements runs, which are one transaction."""
        self._extended = {
            "P": self._parse,
            "B": self._bind,
            "D": self._describe,
            "E": self._run,
            "C": self._forget,
        }
        self._active: str | None = None
        """The portal that is being run, which cannot be closed or fetched from."""

    def feed(self, data: bytes) -> None:
        self._inbox += data

    def step(self) -> bytes | None:
        """Handle one message; None when there is no whole one."""
        if len(self._inbox) < 5:
            return None
        end = 1 + int.from_bytes(self._inbox[1:5], "big")
        if len(self._inbox) < end:
            return None
        kind, body = chr(self._inbox[0]), bytes(self._inbox[5:end])
        del self._inbox[:end]
        return self._message(kind, body)

    def _message(self, kind: str, body: bytes) -> bytes:
        if self._copies:
            return self._in_copy(kind)
        if kind in "dcf" or (self.skipping and kind != "S"):
            return b""
        if kind == "Q":
            return self._query(body[:-1].decode())
        if kind == "S":
            return self._sync()
        if kind == "H":
            return b""
        try:
            return self._extended[kind](body)
        except Failed as failed:
            return self._fail(str(failed))

    # ------------------------------------------------------------ transactions

    def _fail(self, code: str) -> bytes:
        """An error in the extended protocol."""
        self.skipping = True
        self._abort()
        return wire.error(code)

    def _abort(self) -> None:
        if self.status == "I":
            self._end_transaction(committed=False)
        else:
            self.status = "E"

    def _sync(self) -> bytes:
        self.skipping = False
        if self.status == "I":
            self._end_transaction(committed=True)
        return wire.ready(self.status)

    def _end_transaction(self, *, committed: bool) -> None:
        self.status = "I"
        if not committed:
            self._session_path = self._path_before
        self._path = self._path_before = self._session_path
        self._savepoint = None
        self._portals = {
            name: portal
            for name, portal in self._portals.items()
            if portal.declared and portal.holdable and (committed or name in self._held)
        }
        self._held = frozenset(self._portals)

    _held: frozenset[str] = frozenset()

    # ------------------------------------------------------------ messages

    def _query(self, sql: str) -> bytes:
        if self._refuse():
            return self._failed_query("42501", [])
        if self._drops_unnamed:
            self._prepared.pop("", None)
        self._touched = []
        out: list[bytes] = []
        try:
            statements = parse_sql(sql)
            if not statements:
                out.append(wire.EMPTY)
            self._several = len(statements) > 1
            for at, statement in enumerate(statements):
                self._check_aborted(statement)
                if statement.kind == "copy":
                    self._resolve(statement, touch=True)
                    self._copies = deque(statements[at:])
                    self._copy_is_simple = True
                    return b"".join([*out, wire.COPY_IN])
                out.append(self._simple(statement))
        except Failed as failed:
            return self._failed_query(str(failed), out, sql)
        self._note(sql)
        return b"".join([*out, self._end_query()])

    def _end_query(self) -> bytes:
        if self.status == "I":
            self._end_transaction(committed=True)
        return wire.ready(self.status)

    def _failed_query(self, code: str, out: list[bytes], sql: str | None = None) -> bytes:
        self._abort()
        if sql is not None:
            self._note(sql, code)
        return b"".join([*out, wire.error(code), wire.ready(self.status)])

    def _note(self, text: str | None, code: str = "") -> None:
        self.runs.append(Run(text, tuple(self._touched), code))
        self._touched = []

    def _simple(self, statement: Statement) -> bytes:
        if statement.kind not in ("select", "execute", "fetch"):
            return wire.complete(self._do(statement))
        portal = self._portal(statement)
        return self._rows(portal, 0, described=True)

    def _parse(self, body: bytes) -> bytes:
        if self._refuse():
            raise Failed("42501")
        name, sql = body[:-2].decode().split("\0")[:2]
        if name == "":
            self._prepared.pop("", None)
        statements = parse_sql(sql)
        if len(statements) != 1:
            raise Failed("42601")
        self._check_aborted(statements[0])
        if name in self._prepared:
            raise Failed("42P05")
        self.parsed.append((sql, self._resolve(statements[0], touch=False)))
        self._prepared[name] = statements[0]
        return wire.PARSED

    def _bind(self, body: bytes) -> bytes:
        portal, name = body.split(b"\0")[:2]
        statement = self._prepared.get(name.decode())
        if statement is None:
            raise Failed("26000")
        self._check_aborted(statement)
        if portal and portal.decode() in self._portals:
            raise Failed("42P03")
        self._portals[portal.decode()] = self._portal(statement)
        return wire.BOUND

    def _describe(self, body: bytes) -> bytes:
        name = body[1:-1].decode()
        if body[:1] == b"S":
            if name not in self._prepared:
                raise Failed("26000")
            return wire.parameters_described() + wire.NO_DATA
        if name not in self._portals:
            raise Failed("34000")
        return wire.NO_DATA

    def _run(self, body: bytes) -> bytes:
        if self._refuse():
            raise Failed("42501")
        name, limit = body[:-5].decode(), int.from_bytes(body[-4:], "big")
        portal = self._portals.get(name)
        self._active = name
        self._several = False
        text = portal.statement.text if portal else None
        self._touched = []
        try:
            if portal is None:
                raise Failed("34000")
            self._check_aborted(portal.statement)
            if portal.statement.kind == "copy":
                self._touched += portal.reads
                self._copies, self._copy_is_simple = deque([portal.statement]), False
                self._active = None
                return wire.COPY_IN
            if portal.statement.kind in ("select", "execute", "fetch"):
                answer = self._rows(portal, limit, described=False)
            elif portal.spent:
                raise Failed("34000")
            else:
                portal.spent.append(True)
                answer = wire.complete(self._do(portal.statement))
        except Failed as failed:
            self._note(text, str(failed))
            self._active = None
            raise
        self._note(text)
        self._active = None
        return answer

    def _forget(self, body: bytes) -> bytes:
        table: dict[str, Statement] | dict[str, Portal] = self._prepared if body[:1] == b"S" else self._portals
        table.pop(body[1:-1].decode(), None)
        return wire.CLOSED

    # ------------------------------------------------------------ COPY

    def _in_copy(self, kind: str) -> bytes:
        if kind in "dHS":
            return b""
        statement = self._copies[0]
        if kind == "c":
            return self._copied()
        self._copies.clear()
        if self._copy_is_simple:
            return self._failed_query("57014", [], statement.text)
        self._note(statement.text, "57014")
        return self._fail("57014")

    def _copied(self) -> bytes:
        statement = self._copies.popleft()
        out = [wire.complete("COPY 1")]
        if not self._copy_is_simple:
            self._note(statement.text)
            return out[0]
        rest = list(self._copies)
        self._copies.clear()
        try:
            for at, later in enumerate(rest):
                self._check_aborted(later)
                if later.kind == "copy":
                    self._resolve(later, touch=True)
                    self._copies = deque(rest[at:])
                    return b"".join([*out, wire.COPY_IN])
                out.append(self._simple(later))
        except Failed as failed:
            return self._failed_query(str(failed), out, statement.text)
        self._note(statement.text)
        return b"".join([*out, self._end_query()])

    # ------------------------------------------------------------ statements

    def _check_aborted(self, statement: Statement) -> None:
        if self.status == "E" and statement.kind not in _ENDS_ABORTED:
            raise Failed("25P02")

    def _resolve(self, statement: Statement, *, touch: bool) -> tuple[str, ...]:
        """The table that the statement itself names, by today's search path. Raises ``Failed``."""
        if statement.kind in ("prepare", "declare"):
            return self._resolve(parse_sql(statement.words[-1])[0], touch=touch)
        if statement.kind not in ("select", "insert", "copy"):
            return ()
        table = statement.words[-1]
        places = [table] if "." in table else [f"{schema}.{table}" for schema in self._path]
        found = [place for place in places if place in TABLES][:1]
        if not found:
            raise Failed("42P01")
        if touch:
            self._touched += found
        return tuple(found)

    def _portal(self, statement: Statement) -> Portal:
        """A portal for a statement; FETCH and EXECUTE find out what they read when they run."""
        count = int(statement.words[0]) if statement.kind == "select" else 0
        reads = self._resolve(statement, touch=False)
        return Portal(statement, reads, deque(range(count)), holdable=False, declared=False, spent=[])

    def _rows(self, portal: Portal, limit: int, *, described: bool) -> bytes:
        """Run a portal. What returns no rows can run once; what does goes on where it was."""
        tag = portal.statement.kind.upper()
        if portal.statement.kind in ("execute", "fetch") and not portal.spent:
            no_rows = self._fill(portal)
            portal.spent.append(True)
            if no_rows:
                return wire.complete(tag)
        elif portal.statement.kind == "select":
            self._touched += portal.reads
            if portal.statement.words[0] == "0":
                raise Failed("22012")
        count = min(limit, len(portal.rows)) if limit else len(portal.rows)
        rows = [portal.rows.popleft() for _ in range(count)]
        if limit and count == limit:
            return b"".join(wire.row(str(one)) for one in rows) + wire.SUSPENDED
        return self._shown(rows, f"{tag} {count}", described)

    def _fill(self, portal: Portal) -> bool:
        """Run the EXECUTE or FETCH of a portal, which keeps the rows; whether it returns none."""
        name = portal.statement.words[0]
        if portal.statement.kind == "fetch":
            source = self._portals.get(name)
            if source is None or name == self._active or source.statement.kind != "select":
                raise Failed("34000")
            self._touched += source.reads
            if source.statement.words[0] == "0":
                raise Failed("22012")
            portal.rows.extend(source.rows.popleft() for _ in range(min(1, len(source.rows))))
            return False
        inner = self._prepared.get(name)
        if inner is None:
            raise Failed("26000")
        self._check_aborted(inner)
        if inner.kind == "insert":
            self._do(inner)
            return True
        if inner.kind != "select":
            raise Failed("0A000")  # the model does not follow these any further
        source = self._portal(inner)
        self._touched += source.reads
        if inner.words[0] == "0":
            raise Failed("22012")
        portal.rows.extend(source.rows)
        return False

    @staticmethod
    def _shown(rows: list[int], tag: str, described: bool) -> bytes:
        return (wire.columns("n") if described else b"") + b"".join(wire.row(str(n)) for n in rows) + wire.complete(tag)

    def _do(self, statement: Statement) -> str:
        """Run a statement that returns no rows; its tag."""
        getattr(self, "_do_" + statement.kind.replace(" ", "_"))(statement)
        return statement.kind.upper()

    def _do_insert(self, statement: Statement) -> None:
        self._resolve(statement, touch=True)

    def _do_begin(self, _: Statement) -> None:
        if self.status == "I":
            self.status = "T"

    def _do_commit(self, _: Statement) -> None:
        self._end_transaction(committed=self.status != "E")

    def _do_rollback(self, _: Statement) -> None:
        self._end_transaction(committed=False)

    def _do_savepoint(self, _: Statement) -> None:
        if self.status != "T":
            raise Failed("25P01")
        self._savepoint = (self._path, self._session_path, frozenset(self._portals))

    def _do_rollback_to(self, _: Statement) -> None:
        if self.status == "I":
            raise Failed("25P01")
        if self._savepoint is None:
            raise Failed("3B001")
        self.status = "T"
        self._path, self._session_path, kept = self._savepoint
        self._portals = {name: portal for name, portal in self._portals.items() if name in kept}

    def _do_prepare(self, statement: Statement) -> None:
        name, body = statement.words
        inner = parse_sql(body)[0]
        if inner.kind not in ("select", "insert"):
            raise Failed("42601")
        self.parsed.append((statement.text, self._resolve(inner, touch=False)))
        if name in self._prepared:
            raise Failed("42P05")
        self._prepared[name] = inner._replace(text=statement.text)

    def _do_deallocate(self, statement: Statement) -> None:
        if self._prepared.pop(statement.words[0], None) is None:
            raise Failed("26000")

    def _do_deallocate_all(self, _: Statement) -> None:
        self._prepared = {name: value for name, value in self._prepared.items() if not name}

    def _do_declare(self, statement: Statement) -> None:
        name, hold, body = statement.words
        inner = parse_sql(body)[0]
        if inner.kind != "select":
            raise Failed("42601")
        if not hold and self.status == "I" and not self._several:
            raise Failed("25P01")
        if name in self._portals:
            raise Failed("42P03")
        reads = self._resolve(inner, touch=False)
        rows = deque(range(int(inner.words[0])))
        self._portals[name] = Portal(
            inner._replace(text=statement.text), reads, rows, bool(hold), declared=True, spent=[]
        )

    def _do_close(self, statement: Statement) -> None:
        if statement.words[0] == self._active:
            raise Failed("24000")
        if self._portals.pop(statement.words[0], None) is None:
            raise Failed("34000")

    def _do_close_all(self, _: Statement) -> None:
        self._portals = {name: portal for name, portal in self._portals.items() if name == self._active}

    def _do_set(self, statement: Statement) -> None:
        self._path = self._session_path = statement.words

    def _do_set_local(self, statement: Statement) -> None:
        self._path = statement.words

    def _do_reset(self, _: Statement) -> None:
        self._path = self._session_path = DEFAULT_PATH
