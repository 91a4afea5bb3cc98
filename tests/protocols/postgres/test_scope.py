"""The search path as the gateway knows it, against a tiny model of what PostgreSQL does with SET in transactions.

Whatever happens, the true path is among the schemas that the gateway takes for possible; when it says that it is
certain, the path is exactly that.
"""

import random
from collections.abc import Iterator

import pytest

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres.scope import SchemaScope, combine, resolve
from interlock.protocols.postgres.statements.interpretation import SearchPath
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import Playbook
from tests.protocols.postgres.wire import BOUND, NO_DATA, PARSED, SYNC, complete, error, ready

Path = tuple[str, ...]
DEFAULT: Path = ("public",)
SCHEMAS = ("a", "b", "c", "d", "e")


class Server:
    """The search path of one session, as guc.c keeps it: a value, and a stack of what to put back."""

    def __init__(self) -> None:
        self.value = self._lasting = DEFAULT
        self.open = self.failed = False
        self._at_begin = DEFAULT
        self._savepoints: list[tuple[str, Path, Path]] = []

    @property
    def status(self) -> str:
        return "E" if self.failed else "T" if self.open else "I"

    def run(self, text: str) -> str:
        """The tag of a statement, "" when it fails."""
        word, *rest = text.split()
        if self.failed and word not in ("ROLLBACK", "COMMIT"):
            return ""
        implicit = not self.open
        if implicit:
            self._begin()
        done = getattr(self, f"_{word.lower()}")(*rest)
        if not done:
            self._fail(implicit)
            return ""
        if implicit and not self.open:
            self._end(commit=True)
        return word

    def _begin(self, *_: str) -> bool:
        self._at_begin = self._lasting
        self._savepoints = []
        return True

    def _set(self, *words: str) -> bool:
        local = words[0] == "LOCAL"
        self.value = DEFAULT if words[-1] == "DEFAULT" else tuple(words[-1].split(","))
        if not local:
            self._lasting = self.value
        return True

    def _select(self, *words: str) -> bool:
        return words != ("1/0",)

    def _savepoint(self, name: str) -> bool:
        if self.open:
            self._savepoints.append((name, self.value, self._lasting))
        return self.open

    def _release(self, name: str) -> bool:
        return self._back_to(name, keep=False) is not None

    def _back_to(self, name: str, *, keep: bool) -> tuple[Path, Path] | None:
        for at in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[at][0] == name:
                found = self._savepoints[at][1:]
                del self._savepoints[at + keep :]
                return found
        return None

    def _rollback(self, *words: str) -> bool:
        if words[:1] != ("TO",):
            self._end(commit=False)
            return True
        found = self._back_to(words[-1], keep=True)
        if found is None:
            return False
        self.value, self._lasting = found
        self.failed = False
        return True

    def _commit(self, *words: str) -> bool:
        self._end(commit=not self.failed)
        if words == ("AND", "CHAIN"):
            self._begin()
            self.open = True
        return True

    def _end(self, *, commit: bool) -> None:
        if not commit:
            self._lasting = self._at_begin
        self.value = self._lasting
        self.open = self.failed = False

    def _fail(self, implicit: bool) -> None:
        if implicit:
            self._end(commit=False)
        else:
            self.failed = True


class Explicit(Server):
    """BEGIN opens a transaction; what a statement outside of one does is its own."""

    def _begin(self, *words: str) -> bool:
        if words == ("explicit",):
            if not self.open:
                super()._begin()
            self.open = True
            return True
        return super()._begin()

    def run(self, text: str) -> str:
        return super().run("BEGIN explicit" if text == "BEGIN" else text)


def as_sql(text: str) -> str:
    return text.replace("SET LOCAL ", "SET LOCAL search_path = ", 1).replace("SET SESSION ", "SET search_path = ", 1)


def random_text(source: random.Random, server: Server) -> str:
    path = source.choice((*SCHEMAS, "a,b", "b,a", "DEFAULT"))
    choices = [f"SET SESSION {path}", f"SET LOCAL {path}", "BEGIN", "SELECT 1", "SELECT 1/0"]
    if server.open or source.random() < 0.1:
        name = source.choice(("s", "t"))
        choices += ["COMMIT", "ROLLBACK", f"SAVEPOINT {name}", f"ROLLBACK TO {name}", f"RELEASE {name}", "SELECT 1/0"]
    if server.open:
        choices.append("COMMIT AND CHAIN")
    return source.choice(choices)


def scope_of(book: Playbook) -> SchemaScope:
    relay = book.session._relay
    assert relay is not None
    return relay._scope


def check(book: Playbook, server: Server, told: list[str]) -> None:
    scope = scope_of(book)
    assert set(server.value) <= set(scope.schemas), f"{told}: is {server.value}, thought {scope.schemas}"
    if scope.certain:
        assert scope.schemas == server.value, f"{told}: is {server.value}, thought {scope.schemas}"


def simple(book: Playbook, server: Server, texts: list[str]) -> None:
    """Several statements in one Query message. Outside of a block they are one transaction."""
    told: list[str] = []
    book.client(wire.query("; ".join(map(as_sql, texts))))
    answers = b""
    for text in texts:
        told.append(text)
        check(book, server, told)
        tag = server.run(text)
        answers += complete(tag) if tag else error()
        if not tag:
            break
    book.target(answers, ready(server.status))


def extended(book: Playbook, server: Server, text: str) -> None:
    book.client(wire.extended(as_sql(text)))
    check(book, server, [text])
    tag = server.run(text)
    answer = PARSED + BOUND + NO_DATA + complete(tag) if tag else PARSED + error()
    book.target(answer + ready(server.status))


@pytest.mark.parametrize("batch", range(20))
def test_the_true_path_is_always_possible(batch: int) -> None:
    certain = checks = 0
    for seed in range(batch * 20, (batch + 1) * 20):
        source, server, book, told = random.Random(seed), Explicit(), Playbook(), list[str]()
        for _ in range(25):
            text = random_text(source, server)
            told.append(text)
            if source.random() < 0.5:
                extended(book, server, text)
            else:
                simple(book, server, [text])
            check(book, server, told)
            certain += scope_of(book).certain
            checks += 1
        book.goes_on()
    assert certain > checks // 3


@pytest.mark.parametrize("seed", range(100))
def test_statements_that_are_on_their_way_together(seed: int) -> None:
    """Several messages are sent before any is answered: at every moment each path that may come is possible."""
    source, server, book = random.Random(seed), Explicit(), Playbook()
    for _ in range(6):
        texts = [random_text(source, server) for _ in range(source.randint(1, 4))]
        book.client(*(wire.query(as_sql(text)) for text in texts))
        for told, text in enumerate(texts):
            check(book, server, texts[:told])
            tag = server.run(text)
            book.target(complete(tag) if tag else error(), ready(server.status))
            check(book, server, texts[: told + 1])
    book.goes_on()


# ---------------------------------------------------------------- by example


def known(*texts: str) -> tuple[Path, bool]:
    """What is known after these texts, each sent when the one before is answered; a text that begins with ! fails."""
    book, server = Playbook(), Explicit()
    for text in texts:
        simple(book, server, [text])
        check(book, server, list(texts))
    return scope_of(book).schemas, scope_of(book).certain


@pytest.mark.parametrize(
    ("texts", "path"),
    [
        ((), ("public",)),
        (("SET SESSION a",), ("a",)),
        (("SET SESSION a,b", "SELECT 1/0"), ("a", "b")),
        (("SET SESSION a", "SET SESSION DEFAULT"), ("public",)),
        (("SET LOCAL a",), ("public",)),
        (("BEGIN", "SET SESSION a"), ("a",)),
        (("BEGIN", "SET LOCAL a"), ("a",)),
        (("BEGIN", "SET SESSION a", "COMMIT"), ("a",)),
        (("BEGIN", "SET LOCAL a", "ROLLBACK"), ("public",)),
        (("BEGIN", "SET SESSION a", "ROLLBACK"), ("public",)),
        (("SET SESSION b", "BEGIN", "SET SESSION a", "ROLLBACK"), ("b",)),
        (("BEGIN", "SET SESSION a", "SET SESSION b", "COMMIT", "SELECT 1"), ("b",)),
        (("BEGIN", "SELECT 1/0", "ROLLBACK", "SET SESSION a"), ("a",)),
    ],
)
def test_what_is_certain(texts: tuple[str, ...], path: Path) -> None:
    assert known(*texts) == (path, True)


@pytest.mark.parametrize(
    "texts",
    [
        ("BEGIN", "SET SESSION a", "SAVEPOINT s", "SET SESSION b", "ROLLBACK TO s"),
        ("BEGIN", "SET SESSION a", "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s"),
        ("BEGIN", "SAVEPOINT s", "SET SESSION a", "SELECT 1/0", "ROLLBACK TO s", "COMMIT"),
    ],
)
def test_what_is_in_doubt(texts: tuple[str, ...]) -> None:
    path, certain = known(*texts)
    assert not certain
    assert {"public", "a"} <= set(path)


def test_a_change_is_possible_from_the_moment_it_is_sent() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path = a"))
    assert (scope_of(book).schemas, scope_of(book).certain) == (("public", "a"), False)
    book.target(error(), ready())
    assert (scope_of(book).schemas, scope_of(book).certain) == (("public",), True)


def test_an_implicit_transaction_of_several_statements_is_undone_as_a_whole() -> None:
    book = Playbook()
    book.client(wire.query("SET search_path = a; SELECT 1/0"))
    book.target(complete("SET"), error(), ready())
    assert set(scope_of(book).schemas) >= {"public"}
    assert not scope_of(book).certain or scope_of(book).schemas == ("public",)


def test_a_pipeline_without_sync_is_undone_as_a_whole() -> None:
    book = Playbook()
    parts = [wire.parse(text) + wire.bind() + wire.execute() for text in ("SET search_path = a", "SELECT 1/0")]
    book.client(*parts, SYNC)
    book.target(PARSED, BOUND, complete("SET"), PARSED, BOUND, error(), ready())
    assert "public" in scope_of(book).schemas


def test_names_of_the_path() -> None:
    scope = SchemaScope(("$user", "public", "pg_catalog", "", "public", "pg_temp"), "app")
    assert scope.schemas == ("app", "public")
    scope.changed(SearchPath((), False))
    scope.settle()
    assert not scope.schemas
    assert scope.certain
    scope.changed(SearchPath(None, False))
    scope.settle()
    assert scope.schemas == ("app", "public")


# ---------------------------------------------------------------- meanings


def select(*path: str) -> Meaning:
    return Meaning("SELECT", (Access("select", ResourceKind.TABLE, path, ("a",)),), {"tables": ()})


def paths(meaning: Meaning) -> Iterator[Path]:
    return (access.path for access in meaning.accesses)


def test_unqualified_names_are_resolved_in_every_schema() -> None:
    resolved = resolve(select("", "t"), ("a", "b"))
    assert list(paths(resolved)) == [("a", "t"), ("b", "t")]
    assert resolved.facts["tables"] == ("a.t", "b.t")
    assert all(access.columns == ("a",) for access in resolved.accesses)
    qualified = select("a", "t")
    assert resolve(qualified, ("b",)) is qualified
    assert list(paths(resolve(select("", "t"), ()))) == [("", "t")]


def test_meanings_combined() -> None:
    one, two = select("a", "t"), Meaning("DELETE", (), {"tables": ("x",)}, refusal="no")
    both = combine((one, two, one))
    assert (both.verb, list(paths(both)), both.refusal) == ("SELECT", [("a", "t")], "no")
    assert both.facts["tables"] == ("x",)
