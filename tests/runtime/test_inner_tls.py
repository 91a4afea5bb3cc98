"""TLS inside of TLS, with a client that is not the gateway's code."""

import ssl

import pytest

from interlock.runtime.inner_tls import InnerTls
from interlock.runtime.tls import TlsFailed, TlsPump
from tests.servers.certificates import CertificateAuthority


class Client:
    """One layer of a client's TLS over memory; ``below`` is the layer that it is in."""

    def __init__(self, context: ssl.SSLContext, host: str, below: "Client | None" = None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._below = below
        self.received = b""

    def step(self, data: bytes) -> bytes:
        """Take what came from the other end; what goes there."""
        self._in.write(self._below.unwrap(data) if self._below is not None else data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            self._read()
        return self._wrapped()

    def unwrap(self, data: bytes) -> bytes:
        self._in.write(data)
        self.received = b""
        self._read()
        return self.received

    def write(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._wrapped()

    def _wrapped(self) -> bytes:
        data = self._out.read()
        return self._below.write(data) if self._below is not None and data else data

    def _read(self) -> None:
        try:
            while part := self._tls.read(1 << 16):
                self.received += part
        except ssl.SSLWantReadError:
            pass


@pytest.fixture
def server(certificate_authority: CertificateAuthority) -> ssl.SSLContext:
    files = certificate_authority.issue_server(("localhost", "inner.example"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    return context


@pytest.fixture
def trusting(certificate_authority: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate_authority.certificate_file)


def outer_ends(server: ssl.SSLContext, trusting: ssl.SSLContext) -> tuple[Client, TlsPump]:
    near, far = Client(trusting, "localhost"), TlsPump(server, server_side=True)
    to_near = b""
    while not far.established:
        far.receive(near.step(to_near))
        to_near = far.outgoing()
    near.unwrap(to_near)
    return near, far


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
def test_both_layers(server: ssl.SSLContext, trusting: ssl.SSLContext, cut: int) -> None:
    outer, far = outer_ends(server, trusting)
    inner = Client(trusting, "inner.example", outer)
    hello = far.receive(inner.step(b""))
    pump = InnerTls(far, server, hello)
    assert pump.receive(b"") == b""
    while not pump.established:
        answer = inner.step(pump.outgoing())
        for start in range(0, len(answer), cut):
            pump.receive(answer[start : start + cut])
    request = inner.write(b"GET / HTTP/1.1\r\n\r\n" * 2000)
    got = b"".join(pump.receive(request[start : start + 4096]) for start in range(0, len(request), 4096))
    assert got == b"GET / HTTP/1.1\r\n\r\n" * 2000
    inner.step(pump.outgoing())
    inner.received = b""
    inner.step(pump.encrypt(b"answer" * 10_000))
    assert inner.received == b"answer" * 10_000
    assert pump.close()


def test_garbage_inside(server: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    outer, far = outer_ends(server, trusting)
    pump = InnerTls(far, server, b"")
    with pytest.raises(TlsFailed):
        pump.receive(outer.write(b"GET / HTTP/1.1\r\n\r\n"))


def test_garbage_outside(server: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    _, far = outer_ends(server, trusting)
    pump = InnerTls(far, server, b"")
    with pytest.raises(TlsFailed):
        pump.receive(b"garbage garbage garbage")
