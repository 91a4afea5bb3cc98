"""One Keycloak for all tests in here. They are skipped, with the reason, where there is none."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.keycloak import Keycloak
from tests.servers import sample
from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer

TOOL = Path(__file__).parents[2] / "tools" / "keycloak.sh"
UNAVAILABLE = 69
"""EX_UNAVAILABLE, in the tool's exit status."""


@pytest.fixture(scope="session")
def keycloak(certificate_authority: CertificateAuthority) -> Iterator[Keycloak]:
    if "INTEROP" not in os.environ:
        pytest.skip("takes minutes: make interop")
    brought = subprocess.run([TOOL], check=False, capture_output=True, text=True)
    if brought.returncode == UNAVAILABLE:
        pytest.skip(brought.stderr.strip())
    assert brought.returncode == 0, brought.stderr
    with Keycloak(certificate_authority) as running:
        yield running


@pytest.fixture(scope="session")
def target(postgres: PostgresServer) -> Endpoint:
    """The sample database ``shop`` as its owner."""
    return sample.endpoint(postgres)
