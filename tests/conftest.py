"""Fixtures for every test: throw-away servers, made once per test process and stopped with it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import hypothesis
import pytest

from tests.servers import sample
from tests.servers.certificates import CertificateAuthority
from tests.servers.fault_proxy import FaultProxy, Faults
from tests.servers.openssh import OpenSshServer
from tests.servers.postgres import PostgresServer, ServerTls

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("interlock", deadline=None)
hypothesis.settings.load_profile("interlock")


@pytest.fixture(scope="session")
def certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """An authority trusted by the tests that ask for it."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The sample cluster (see ``tests.servers.sample``): plain TCP, SCRAM passwords, every statement logged."""
    with PostgresServer(log_statements=True) as server:
        sample.fill(server)
        yield server


@pytest.fixture(scope="session")
def postgres_tls(certificate_authority: CertificateAuthority) -> Iterator[PostgresServer]:
    """The sample cluster behind TLS only. Role ``app`` may also come with a client certificate to ``warehouse``."""
    tls = ServerTls(certificate_authority.issue_server(), certificate_authority.certificate_file)
    hba_lines = [
        "hostssl warehouse app 127.0.0.1/32 cert",
        "hostssl all all 127.0.0.1/32 scram-sha-256",
        "hostnossl all all 127.0.0.1/32 reject",
    ]
    with PostgresServer(tls=tls, hba_lines=hba_lines, log_statements=True) as server:
        sample.fill(server)
        yield server


@pytest.fixture(scope="session")
def openssh() -> Iterator[OpenSshServer]:
    """An OpenSSH server that lets in who runs the tests."""
    with OpenSshServer() as server:
        yield server


@pytest.fixture
def make_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Start further servers for one test: takes the arguments of ``PostgresServer``, returns it running."""
    with ExitStack() as stack:

        def make(**options: Any) -> PostgresServer:
            return stack.enter_context(PostgresServer(**options))

        yield make


@pytest.fixture
async def make_fault_proxy() -> AsyncIterator[Callable[..., Any]]:
    """Put a fault proxy in front of a port: ``proxy = await make_fault_proxy(port, Faults(...))``."""
    async with AsyncExitStack() as stack:

        async def make(target_port: int, faults: Faults | None = None) -> FaultProxy:
            return await stack.enter_async_context(FaultProxy(target_port, faults or Faults()))

        yield make
