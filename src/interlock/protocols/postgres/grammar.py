"""PostgreSQL's own grammar: SQL text in, raw statement trees out.

The parser is libpg_query, reached through ``postgast``'s ctypes handle. This module is the only one that knows it.
It never looks at what a tree means, and it never lets a text take the process down: libpg_query recurses on the C
stack without a guard, so texts above ``MAX_INLINE_BYTES`` are parsed by one thread with a stack large enough for
anything below ``MAX_BYTES``. One thing that PostgreSQL accepts is rejected: a comment inside a pair of words that
the grammar takes together (``NOT /* c */ IN``).

    GrammarError
    ├── SyntaxRejected     the grammar does not accept the text
    ├── NotText            a NUL byte, or bytes that are not UTF-8
    ├── TooLarge           more bytes than the limit
    ├── TooDeep            nested deeper than a tree can be decoded
    ├── TooSlow            a run of operator characters that would keep the lexer busy
    └── ParserUnavailable  the parser's thread cannot be started
"""

import ctypes
import importlib
import queue
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
from postgast.native import lib

# Its type stubs are not valid Python, so that mypy must not see them.
_ScanResult = importlib.import_module("postgast.pg_query_pb2").ScanResult

MAX_BYTES = 4 * 1024 * 1024
"""Texts above this are refused; see STACK_BYTES."""

MAX_INLINE_BYTES = 16 * 1024
"""Texts up to this are parsed on the caller's stack: a quarter of what an 8 MiB stack was seen to survive."""

STACK_BYTES = 512 * 1024 * 1024
"""Enough for MAX_BYTES of any nesting the grammar accepts. Reserved, not committed: only deep texts touch it."""

MAX_STATEMENTS = 10_000
"""Texts with more statements are refused."""

MAX_TREE_BYTES = 32 * 1024 * 1024
"""Trees that are larger, in JSON, are refused: decoded they take about ten times as much memory."""

Tree = dict[str, Any]
"""One statement: ``{"SelectStmt": {...}}``, in libpg_query's JSON form (defaults are left out)."""


class GrammarError(Exception):
    """Why a text has no tree. ``str()`` is a sentence without any of the text's values."""


class SyntaxRejected(GrammarError):
    """The grammar's own message; ``position`` counts characters from 1, 0 when unknown.

    The message quotes the token at the error, so it can hold a literal of the statement: it belongs to the client
    and the recording, not in a log.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class NotText(GrammarError):
    """The bytes are not UTF-8 text, or hold a NUL, behind which the C parser would not see."""


class TooLarge(GrammarError):
    """The text has more bytes, its tree is larger, or it has more statements than the limit."""


class TooDeep(GrammarError):
    """The text is nested deeper than its tree can be decoded."""


class TooSlow(GrammarError):
    """A run of operator characters on which PostgreSQL's lexer takes quadratic time."""


class ParserUnavailable(GrammarError):
    """The thread for large texts could not be started."""


def parse(text: bytes, max_bytes: int = MAX_BYTES) -> list[Tree]:
    """The statements of ``text``, in order; an empty text has none. Raises GrammarError and nothing else."""
    if len(text) > max_bytes:
        raise TooLarge(f"The statement has {len(text)} bytes; at most {max_bytes} can be analysed.")
    if b"\0" in text:
        raise NotText("The statement contains a NUL byte.")
    if not text.isascii():
        _require_utf8(text)
    _require_tame_operators(text)
    if len(text) <= MAX_INLINE_BYTES:
        return _parse(text)
    return _deep_parser.parse(text)


def _require_utf8(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise NotText("The statement is not valid UTF-8.") from error


_COMMENTS = frozenset((275, 276))  # SQL_COMMENT, C_COMMENT of libpg_query's token numbers


def scan(text: bytes) -> list[tuple[int, int]]:
    """Where the tokens of ``text`` begin and end, comments left out. ``text`` must be one that ``parse`` takes.

    Raises GrammarError.
    """
    result = lib.pg_query_scan(text)
    try:
        if result.error:
            error = result.error.contents
            raise SyntaxRejected((error.message or b"").decode(errors="replace"), error.cursorpos)
        tokens = _ScanResult.FromString(ctypes.string_at(result.pbuf.data, result.pbuf.len)).tokens
        return [(token.start, token.end) for token in tokens if token.token not in _COMMENTS]
    finally:
        lib.pg_query_free_scan_result(result)


_OPERATOR_RUN = re.compile(rb"[-+*/<>=~!@#%^&|`?]{128,}")
_MAX_RESCANS = 64


def _require_tame_operators(text: bytes) -> None:
    """``++++`` and ``/*/*/*`` are scanned to the end of the run again for each token in them: 16 KiB take 0.7 s."""
    if _rescans(text) <= _MAX_RESCANS:
        return
    if any(_rescans(run.group()) > _MAX_RESCANS for run in _OPERATOR_RUN.finditer(text)):
        raise TooSlow("The statement has too many operator characters in a row.")


def _rescans(text: bytes) -> int:
    return text.count(b"+") + text.count(b"/*") + text.count(b"*/")


class _ParseResult(msgspec.Struct):
    """The part of libpg_query's JSON document that is used: the wrapper is typed, the trees are not."""

    stmts: list["_RawStatement"] = []


class _RawStatement(msgspec.Struct):
    stmt: Tree


_decoder = msgspec.json.Decoder(_ParseResult)


def _parse(text: bytes) -> list[Tree]:
    result = lib.pg_query_parse(text)
    try:
        if result.error:
            error = result.error.contents
            raise SyntaxRejected((error.message or b"").decode(errors="replace"), error.cursorpos)
        document = result.parse_tree
        if len(document) > MAX_TREE_BYTES:
            raise TooLarge(f"The statement's tree has {len(document)} bytes; at most {MAX_TREE_BYTES} are decoded.")
        statements = [raw.stmt for raw in _decoder.decode(document).stmts]
    except RecursionError as error:
        raise TooDeep("The statement is nested too deeply to be analysed.") from error
    except msgspec.DecodeError as error:
        raise TooDeep("The statement's tree cannot be decoded.") from error
    finally:
        lib.pg_query_free_parse_result(result)
    if len(statements) > MAX_STATEMENTS:
        raise TooLarge(f"The text has {len(statements)} statements; at most {MAX_STATEMENTS} can be analysed.")
    return statements


class _DeepParser:
    """One daemon thread with a big stack, started by the first text that needs it and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._jobs: queue.SimpleQueue[tuple[bytes, Future[list[Tree]]]] = queue.SimpleQueue()

    def parse(self, text: bytes) -> list[Tree]:
        """As ``parse``; blocks the caller until the thread has answered."""
        self._ensure_thread()
        answer: Future[list[Tree]] = Future()
        self._jobs.put((text, answer))
        return answer.result()

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._jobs = queue.SimpleQueue()
            self._thread = _start_with_stack(self._run)

    def _run(self) -> None:
        jobs = self._jobs
        while True:
            text, answer = jobs.get()
            try:
                answer.set_result(_parse(text))
            except BaseException as error:  # noqa: BLE001  the waiting caller gets it, whatever it is
                answer.set_exception(error)
            del text, answer


def _start_with_stack(run: Callable[[], None]) -> threading.Thread:
    """The stack size is a process-wide setting: it is put back before anyone else can be expected to need it."""
    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=run, name="sql-parser", daemon=True)
        thread.start()
    except RuntimeError as error:
        raise ParserUnavailable("The parser for large statements could not be started.") from error
    finally:
        threading.stack_size(before)
    return thread


_deep_parser = _DeepParser()
