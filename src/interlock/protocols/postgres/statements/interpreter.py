"""``interpret``: text in, Interpretation out, remembered by exact text. It never raises and keeps no clock
or I/O.
"""

import threading
from collections import OrderedDict

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.statements.dispatch import Interpreter
from interlock.protocols.postgres.statements.findings import Findings, union
from interlock.protocols.postgres.statements.interpretation import Interpretation, Statement
from interlock.protocols.postgres.statements.settings import note_parameter

MAX_CACHED_TEXT_BYTES = 16 * 1024
MAX_CACHED_TEXTS = 2_000
MAX_CACHED_BYTES = 4 * 1024 * 1024
"""Bytes of text; an interpretation takes a small multiple of its text."""

EMPTY = Interpretation(
    Meaning("", (), {"verb": "", "has_where": False, "tables": (), "functions": (), "statements": 0})
)


def interpret(text: bytes) -> Interpretation:
    """What ``text`` means; what cannot be parsed or understood has the one access ``unclassified``.

    ``text`` must be the exact bytes that will be forwarded. Blocks for about 0.15 ms per KiB the first time.
    """
    known = _cache.get(text)
    if known is None:
        known = _interpret(text)
        _cache.put(text, known)
    return known


def _interpret(text: bytes) -> Interpretation:
    try:
        trees = grammar.parse(text)
    except grammar.GrammarError as error:
        return unparsed(str(error))
    if not trees:
        return EMPTY
    try:
        statements = tuple(Interpreter().read(tree) for tree in trees)
        return Interpretation(union([statement.meaning for statement in statements]), statements)
    except RecursionError:
        return unparsed("The statement is nested too deeply to be analysed.")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, StopIteration):
        return unparsed("The statement's tree has an unexpected shape.")


def interpret_parameter(name: str, value: str) -> Statement:
    """What giving a parameter outside of SQL means (startup packet, ``options``): the same as SET name = value."""
    findings = Findings()
    note_parameter(findings, name, value)
    return findings.statement("SET")


def unparsed(error: str) -> Interpretation:
    """The interpretation of a text that could not be understood; ``error`` is what the parser says."""
    facts = {
        "verb": "UNPARSED",
        "has_where": False,
        "tables": (),
        "functions": (),
        "statements": 0,
        "error": error,
    }
    return Interpretation(Meaning("UNPARSED", (Access("unclassified", ResourceKind.CONNECTION),), facts))


class _Cache:
    """Least recently used texts go first; large texts are never kept."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, Interpretation] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, text: bytes) -> Interpretation | None:
        with self._lock:
            known = self._entries.get(text)
            if known is not None:
                self._entries.move_to_end(text)
            return known

    def put(self, text: bytes, interpretation: Interpretation) -> None:
        if len(text) > MAX_CACHED_TEXT_BYTES:
            return
        with self._lock:
            if text in self._entries:
                return
            self._entries[text] = interpretation
            self._bytes += len(text)
            while len(self._entries) > MAX_CACHED_TEXTS or self._bytes > MAX_CACHED_BYTES:
                dropped, _ = self._entries.popitem(last=False)
                self._bytes -= len(dropped)


_cache = _Cache()
