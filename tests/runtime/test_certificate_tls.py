"""TLS that asks for a client certificate, with a client that is not the gateway's code."""

import datetime
import ssl
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from interlock.runtime.certificate_tls import CertificateContext, CertificateTls
from interlock.runtime.tls import TlsFailed
from tests.adapters.identity.spire import Holder, Spire
from tests.runtime.test_inner_tls import Client
from tests.servers.certificates import CertificateAuthority

PLENTY = b"0123456789abcdef" * 40_000


@pytest.fixture
def server(certificate_authority: CertificateAuthority) -> CertificateContext:
    files = certificate_authority.issue_server(("localhost",))
    return CertificateContext(files.certificate_file, files.key_file, ("h2", "http/1.1"))


@pytest.fixture
def trusting(certificate_authority: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate_authority.certificate_file))


def talk(client: Client, end: CertificateTls) -> bytes:
    """Both ends until neither has anything to say; what the client sent in clear."""
    clear, data = b"", client.step(b"")
    while data:
        clear += end.receive(data)
        data = client.step(end.outgoing())
    return clear


def holding(trusting: ssl.SSLContext, holder: Holder, directory: Path) -> Client:
    trusting.load_cert_chain(*holder.write(directory))
    return Client(trusting, "localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_shows_its_chain(
    server: CertificateContext, trusting: ssl.SSLContext, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    trusting.maximum_version = version
    holder = Spire(time.time()).holder(through_intermediate=True)
    end = server.begin()
    assert talk(holding(trusting, holder, tmp_path), end) == b""
    assert end.established
    assert end.peer_chain() == tuple(each.public_bytes(Encoding.DER) for each in holder.chain)


def test_whatever_is_wrong_with_a_certificate_is_found_out_later(
    server: CertificateContext, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    expired = Spire(0).holder(life=datetime.timedelta(minutes=5))
    end = server.begin()
    talk(holding(trusting, expired, tmp_path), end)
    assert end.established
    assert len(end.peer_chain()) == 1


def test_a_certificate_without_its_key_shows_nothing(
    server: CertificateContext, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    spire = Spire(time.time())
    stolen, own = spire.holder(), spire.holder()
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        holding(trusting, Holder(stolen.chain, own.key), tmp_path)


def test_a_client_without_a_certificate(server: CertificateContext, trusting: ssl.SSLContext) -> None:
    end = server.begin()
    talk(Client(trusting, "localhost"), end)
    assert end.established
    assert end.peer_chain() == ()
    assert end.peer_end_point() == b""


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["x"], None), ([], None)]
)
def test_the_application_protocol(
    server: CertificateContext, trusting: ssl.SSLContext, offered: list[str], chosen: str | None
) -> None:
    if offered:
        trusting.set_alpn_protocols(offered)
    end = server.begin()
    talk(Client(trusting, "localhost"), end)
    assert end.alpn == chosen


def test_plenty_either_way_and_an_end(server: CertificateContext, trusting: ssl.SSLContext) -> None:
    client, end = Client(trusting, "localhost"), server.begin()
    talk(client, end)
    encrypted = client.write(PLENTY)
    middle = len(encrypted) // 2
    assert end.receive(encrypted[:middle]) + end.receive(encrypted[middle:]) == PLENTY
    client.step(end.encrypt(PLENTY))
    assert client.received == PLENTY
    assert end.encrypt(b"") == b""
    assert not end.ended
    assert end.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 100])
def test_what_is_no_handshake(server: CertificateContext, garbage: bytes) -> None:
    end = server.begin()
    with pytest.raises(TlsFailed):
        end.receive(garbage)
    assert end.close() == b""


def test_what_is_no_record(server: CertificateContext, trusting: ssl.SSLContext) -> None:
    end = server.begin()
    talk(Client(trusting, "localhost"), end)
    with pytest.raises(TlsFailed):
        end.receive(b"\x17\x03\x03\x00\x20" + b"x" * 32)


def test_old_versions(server: CertificateContext, trusting: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((TlsFailed, ssl.SSLError)):
        talk(Client(trusting, "localhost"), server.begin())


def test_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(ValueError, match="cannot be used"):
        CertificateContext(tmp_path / "x.pem", tmp_path / "x.pem", ())
