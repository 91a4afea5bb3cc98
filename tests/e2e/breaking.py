"""Breaks one part of a running gateway after the other, in tests, and puts it right again."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.servers.gateway import GatewayServer


@contextmanager
def full_disk(gateway: GatewayServer) -> Iterator[None]:
    """No file of the gateway's can grow: neither ledger, recordings, store nor log."""
    hard = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def table_away(gateway: GatewayServer, name: str) -> Iterator[None]:
    damage(gateway, f"ALTER TABLE {name} RENAME TO away")
    try:
        yield
    finally:
        damage(gateway, f"ALTER TABLE away RENAME TO {name}")


def damage(gateway: GatewayServer, sql: str) -> None:
    with closing(sqlite3.connect(gateway.data_dir / "state.db", timeout=10)) as store, store:
        store.execute(sql)


@contextmanager
def moved_away(path: Path, stands_in: str = "") -> Iterator[None]:
    """A file or directory is somewhere else, and a file with a text is in its place where there is a text."""
    path.rename(path.with_name("away"))
    try:
        if stands_in:
            path.write_text(stands_in)
        yield
    finally:
        path.unlink(missing_ok=True)
        path.with_name("away").rename(path)
