"""The worlds, a gateway that redacts, and the two ways to try cases on them: one set for a test process."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.masking.servers import Masked, Worlds, run_gateway, run_worlds
from tests.masking.trial import Trial


@pytest.fixture(scope="session")
def worlds() -> Iterator[Worlds]:
    with run_worlds() as running:
        yield running


@pytest.fixture(scope="session")
def redacting(worlds: Worlds) -> Iterator[Masked]:
    """A gateway that redacts and lets equality with constants be asked, which is what policy says by default."""
    with run_gateway(worlds.server) as masked:
        yield masked


@pytest.fixture(scope="session")
def directly(worlds: Worlds) -> Iterator[Trial]:
    with closing(Trial(worlds, worlds)) as trial:
        yield trial


@pytest.fixture(scope="session")
def through_the_gateway(worlds: Worlds, redacting: Masked) -> Iterator[Trial]:
    with closing(Trial(worlds, redacting)) as trial:
        yield trial
