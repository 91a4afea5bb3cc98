"""pg_dump and pg_restore in their formats, parallel ones included."""

import re
import tempfile
from pathlib import Path

from tests.clients.programs import run
from tests.clients.scratch import Scenario, fresh_schema
from tests.servers.endpoint import Endpoint

_RANDOM_KEY = re.compile(r"^(\\(?:un)?restrict) \w+$", re.MULTILINE)


def _dump(endpoint: Endpoint, *arguments: str) -> object:
    outcome = run(endpoint, "pg_dump", "--schema=scratch", *arguments)
    return outcome.status, _RANDOM_KEY.sub(r"\1 KEY", outcome.output), outcome.errors


def plain(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    return _dump(endpoint), _dump(endpoint, "--data-only", "--inserts", "--rows-per-insert=5")


def refused_options(endpoint: Endpoint) -> object:
    """A role without rights, and a table that is not there, fail in the same words."""
    fresh_schema(endpoint)
    return _dump(endpoint, "--table=nowhere"), _dump(endpoint, "--role=postgres")


def custom(endpoint: Endpoint) -> object:
    return _round_trip(endpoint, ["--format=custom"], [])


def directory_in_parallel(endpoint: Endpoint) -> object:
    """Two workers share the first one's snapshot, each on a connection of its own."""
    return _round_trip(endpoint, ["--format=directory", "--jobs=2"], ["--jobs=2"])


def _round_trip(endpoint: Endpoint, dump_options: list[str], restore_options: list[str]) -> object:
    """Dump, restore over what is there, and dump again as text."""
    fresh_schema(endpoint)
    with tempfile.TemporaryDirectory() as directory:
        archive = str(Path(directory) / "archive")
        dumped = _dump(endpoint, *dump_options, f"--file={archive}")
        restored = run(
            endpoint, "pg_restore", "--clean", "--if-exists", f"--dbname={endpoint.database}", *restore_options, archive
        )
    return dumped, restored, _dump(endpoint)


SCENARIOS: tuple[Scenario, ...] = (plain, refused_options, custom, directory_in_parallel)
