"""Statements that wait for people, in tests: runs them in a thread and tells when they wait."""

import os
import pwd
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import psycopg

from interlock.core.approval import ApprovalRequest, ApprovalStatus
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayServer
from tests.servers.postgres import PostgresServer

OPERATOR = f"os:{pwd.getpwuid(os.geteuid()).pw_name}"
"""Who gives commands at the gateway's own machine."""

DEADLINE_S = 20.0

POLICY = """
@id("everything") permit (principal, action, resource);

@id("deletes-need-a-dba")
@approval("dba") @expires("10m")
forbid (principal, action in [Action::"delete", Action::"delete-all"], resource);
"""


class HeldStatement:
    """One statement of a session of its own, in the background. Use it as a context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        statement: str,
        parameters: tuple[object, ...] | None = None,
        *,
        before: str = "",
        rows: Sequence[tuple[object, ...]] = (),
    ) -> None:
        """``before`` runs first; ``rows`` are copied in."""
        self.connection = psycopg.connect(**endpoint.parameters(), autocommit=True)
        self.notices: queue.Queue[str] = queue.Queue()
        self.connection.add_notice_handler(lambda notice: self.notices.put(notice.message_primary or ""))
        if before:
            self.connection.execute(before.encode())
        self.result: object = None
        self.error: psycopg.Error | None = None
        self._work = threading.Thread(target=self._run, args=(statement, parameters, rows), daemon=True)
        self._work.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._work.join(DEADLINE_S)
        assert not self._work.is_alive(), "the statement still waits"

    def _run(self, statement: str, parameters: tuple[object, ...] | None, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            if not rows:
                self.result = self.connection.execute(statement.encode(), parameters).statusmessage
                return
            cursor = self.connection.cursor()
            with cursor.copy(statement.encode()) as copy:
                for row in rows:
                    copy.write_row(row)
            self.result = cursor.statusmessage
        except psycopg.Error as error:
            self.error = error

    def notice(self) -> str:
        """The next notice that the client was given."""
        return self.notices.get(timeout=DEADLINE_S)

    @property
    def waits(self) -> bool:
        return self._work.is_alive()

    def finish(self) -> object:
        """Wait for its end: the completion, or the error is raised."""
        self._work.join(DEADLINE_S)
        assert not self._work.is_alive(), "the statement still waits"
        if self.error is not None:
            raise self.error
        return self.result


def requests(gateway: GatewayServer, status: ApprovalStatus | None = None) -> list[ApprovalRequest]:
    """The requests on the board, the newest first."""
    import json

    import msgspec

    words = ["approvals", "list", "--json", *(["--status", status.value] if status else [])]
    page: dict[str, Any] = json.loads(gateway.command(*words).stdout)
    return msgspec.convert(page["items"], list[ApprovalRequest], strict=False)


def until(condition: Callable[[], bool], what: str) -> None:
    """Return when ``condition`` holds."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def make_dba(gateway: GatewayServer, *groups: str) -> None:
    """Put the operator of this machine into groups that may answer."""
    words = [word for group in (groups or ("dba",)) for word in ("--group", group)]
    gateway.command("identities", "add", OPERATOR, "--kind", "user", *words, "--replace")


@contextmanager
def table_of_ten(postgres: PostgresServer, name: str, columns: str = "n AS id") -> Iterator[str]:
    """A table of ten rows for as long as it is needed; ``n`` in ``columns`` is a row's number."""
    postgres.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM generate_series(1, 10) n", database="shop")
    postgres.execute(f"ALTER TABLE {name} OWNER TO app", database="shop")
    yield name
    postgres.execute(f"DROP TABLE {name}", database="shop")


def count(postgres: PostgresServer, table: str) -> int:
    """How many rows a table has, asked past the gateway."""
    return int(postgres.execute(f"SELECT count(*) FROM {table}", database="shop")[0][0])


def newest(gateway: GatewayServer) -> str:
    """The id of the newest request that waits for an answer, once there is one."""
    until(lambda: bool(requests(gateway, ApprovalStatus.PENDING)), "nobody was asked")
    return requests(gateway, ApprovalStatus.PENDING)[0].id
