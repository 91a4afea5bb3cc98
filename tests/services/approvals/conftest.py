"""A board of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.approvals.bench import ApprovalsBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ApprovalsBench]:
    bench = ApprovalsBench(tmp_path)
    yield bench
    bench.close()
