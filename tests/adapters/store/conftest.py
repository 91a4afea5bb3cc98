"""A state store in a file of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.adapters.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.db")
    yield database
    database.close()
