"""Queries of agents go to the gateway's own listener, and to nothing that only looks like it."""

import asyncio
import ssl
from pathlib import Path

import pytest

from interlock.adapters.gateway_queries import GatewayQueries
from interlock.services.self_service.queries import QueryFailed, Statement
from tests.servers.certificates import Certificate, CertificateAuthority

STATEMENT = Statement("secret-token", "shop", "", "SELECT 1", 10)


class FakeListener:
    """Agrees to TLS as PostgreSQL does, with a certificate of its own, and keeps what it is told then."""

    def __init__(self, certificate: Certificate) -> None:
        self.told = b""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate.certificate_file, certificate.key_file)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        try:
            await writer.start_tls(self._tls)
            self.told += await reader.read(4096)
        except (OSError, ssl.SSLError):
            pass
        writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


async def test_only_the_listeners_own_certificate_is_spoken_to(authority: CertificateAuthority) -> None:
    own, other = authority.issue_server(), authority.issue_server()
    fake = FakeListener(other)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        queries = GatewayQueries("127.0.0.1", port, own.certificate_file.read_text())
        with pytest.raises(QueryFailed):
            await queries.run(STATEMENT, lambda notice: None)
        assert fake.told == b""
        trusted = GatewayQueries("127.0.0.1", port, other.certificate_file.read_text())
        with pytest.raises(QueryFailed):
            await trusted.run(STATEMENT, lambda notice: None)
        assert b"shop" in fake.told


async def test_a_listener_that_is_gone_is_said(authority: CertificateAuthority) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    queries = GatewayQueries("127.0.0.1", port, authority.issue_server().certificate_file.read_text())
    with pytest.raises(QueryFailed) as failed:
        await queries.run(STATEMENT, lambda notice: None)
    assert "secret" not in str(failed.value)
