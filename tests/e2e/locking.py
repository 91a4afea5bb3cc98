"""Locks from the responder's side, and what agents and the target show of them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import psycopg

from interlock.bootstrap.bench import Bench
from interlock.core.administration import AddLock, AnswerT, Command, ListLocks, RemoveLock
from interlock.core.lock import LockMode, LockReceipt, LockSubject
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer

TIMEOUT_S = 20.0


class Responder:
    """Gives commands to a gateway, running or not."""

    def __init__(self, gateway: GatewayServer) -> None:
        self._gateway = gateway

    def give(self, command: Command[AnswerT]) -> AnswerT:
        """The answer. Raises ``InterlockError``."""
        with contextlib.chdir(self._gateway.directory):
            return Bench(self._gateway.config_file).administer(command)

    def lock(
        self, kind: LockSubject, name: str = "", mode: LockMode = LockMode.REFUSE, reason: str = "being looked at"
    ) -> LockReceipt:
        return self.give(AddLock(kind, reason, name, mode))

    def lift(self, receipt: LockReceipt) -> None:
        self.give(RemoveLock(receipt.lock.id, "looked at"))

    def lift_all(self) -> None:
        """Lift what a test has left behind."""
        for lock in self.give(ListLocks(limit=1000)).items:
            self.give(RemoveLock(lock.id, "the test is over"))


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when it is so."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {TIMEOUT_S:g} s: {what}"
        time.sleep(0.01)


def connect(endpoint: Endpoint, **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(**(endpoint.parameters() | options), autocommit=True)


class Statement:
    """A statement that runs in a thread of its own, on a connection of its own."""

    def __init__(self, connection: psycopg.Connection[Any], text: str) -> None:
        self._connection = connection
        self.outcome: Future[list[Any]] = Future()
        self._thread = threading.Thread(target=self._run, args=(text,), daemon=True)
        self._thread.start()

    def _run(self, text: str) -> None:
        try:
            cursor = self._connection.execute(text.encode())
            self.outcome.set_result(cursor.fetchall() if cursor.description else [])
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome.set_exception(error)

    def error(self) -> BaseException | None:
        return self.outcome.exception(TIMEOUT_S)

    def rows(self) -> list[Any]:
        return self.outcome.result(TIMEOUT_S)


def is_cut(connection: psycopg.Connection[Any]) -> bool:
    """Whether the next statement finds the session ended."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


@contextlib.contextmanager
def all_closed(*connections: psycopg.Connection[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.close()
