"""Sockets with TLS: what their owner is told of the end."""

import asyncio
import contextlib
import ssl

from interlock.protocols.base import Side
from interlock.runtime.peer import Peer
from tests.servers.certificates import CertificateAuthority

TIMEOUT_S = 20


class Echo:
    """Begins TLS, says back what it hears, and closes when the other end has nothing more to say."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.peer = Peer(self, Side.CLIENT)
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()

    def connected(self, side: Side) -> None:
        self.peer.start_tls(self._context, b"", server_side=True, host=None)

    def data_received(self, side: Side, data: bytes) -> None:
        self.peer.write(data)

    def eof_received(self, side: Side) -> None:
        self.ended.set()
        self.peer.close()

    def tls_established(self, side: Side) -> None: ...

    def tls_refused(self, side: Side, reason: str) -> None:
        raise AssertionError(reason)

    def writing_paused(self, side: Side, paused: bool) -> None: ...

    def connection_lost(self, side: Side) -> None:
        self.lost.set()


async def test_the_end_of_tls_is_the_end(certificate_authority: CertificateAuthority) -> None:
    """A client may wait for the other end's close_notify before it closes the socket."""
    files = certificate_authority.issue_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    echo = Echo(context)
    server = await asyncio.get_running_loop().create_server(lambda: echo.peer, "127.0.0.1", 0)
    async with server:
        trusting = ssl.create_default_context(cafile=str(certificate_authority.certificate_file))
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, ssl_shutdown_timeout=600)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), TIMEOUT_S) == b"hello"
        assert not echo.ended.is_set()
        writer.close()
        with contextlib.suppress(OSError):
            await asyncio.wait_for(writer.wait_closed(), TIMEOUT_S)
        await asyncio.wait_for(echo.lost.wait(), TIMEOUT_S)
        assert echo.ended.is_set()
