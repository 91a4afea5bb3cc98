"""The authority for TLS interception: what it issues, to whom it answers, and when it refuses to work."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from interlock.adapters import interception_authority
from interlock.adapters.interception_authority import (
    AUTHORITY_FILE,
    LEAF_LIFE,
    InterceptionAuthority,
    open_interception_authority,
)
from interlock.core.errors import ConfigurationError
from interlock.runtime.tls import TlsFailed, TlsPump
from tests.clocks import ManualClock
from tests.servers.certificates import CertificateAuthority

DAY_S = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.datetime.now(datetime.UTC).timestamp())


@pytest.fixture
def authority(tmp_path: Path, clock: ManualClock) -> InterceptionAuthority:
    return open_interception_authority(tmp_path, "test", clock)


def handshake(
    authority: InterceptionAuthority, host: str, named: str, client: ssl.SSLContext | None = None
) -> x509.Certificate:
    """What a client that trusts the authority is shown for ``host`` when it asks for ``named``. Raises TlsFailed."""
    client = client or ssl.create_default_context(cadata=authority.certificate_pem)
    client.set_alpn_protocols(["h2", "http/1.1"])
    near = TlsPump(client, server_side=False, host=named)
    far = TlsPump(authority.context_for(host), server_side=True)
    near.advance()
    for _ in range(4):
        far.receive(near.outgoing())
        near.receive(far.outgoing())
    assert near.established
    assert far.established
    assert near.alpn == "http/1.1"
    der = near._object.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.mark.parametrize("host", ["api.example.com", "10.0.0.1", "::1", "my_service", "a" * 60 + "." + "b" * 60])
def test_a_client_that_trusts_it(authority: InterceptionAuthority, host: str) -> None:
    leaf = handshake(authority, host, host)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [host]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert LEAF_LIFE < life <= LEAF_LIFE + datetime.timedelta(days=1)


def test_a_client_that_does_not_trust_it(authority: InterceptionAuthority) -> None:
    with pytest.raises(TlsFailed, match="certificate not accepted"):
        handshake(authority, "api.example.com", "api.example.com", ssl.create_default_context())


def test_a_client_that_asks_for_another_host(authority: InterceptionAuthority) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(TlsFailed):
        handshake(authority, "api.example.com", "other.example.com", careless)
    handshake(authority, "api.example.com", "API.example.com", careless)
    handshake(authority, "api.example.com", "10.0.0.1", careless)  # addresses are not named in the greeting


def test_old_versions_of_tls_are_turned_away(authority: InterceptionAuthority) -> None:
    assert authority.context_for("a.example").minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("host", ["", "*", "*.example.com", "127.1", "a b", "EXAMPLE.com", "example.com."])
def test_what_is_no_host_gets_no_certificate(authority: InterceptionAuthority, host: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        authority.context_for(host)


def test_contexts_are_kept_and_renewed(authority: InterceptionAuthority, clock: ManualClock) -> None:
    first = authority.context_for("a.example")
    assert authority.context_for("a.example") is first
    assert authority.context_for("b.example") is not first
    clock.advance(5.9 * DAY_S)
    assert authority.context_for("a.example") is first
    clock.advance(0.2 * DAY_S)
    assert authority.context_for("a.example") is not first


def test_only_so_many_contexts_are_kept(authority: InterceptionAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interception_authority, "MAX_CONTEXTS", 2)
    first = authority.context_for("a.example")
    second = authority.context_for("b.example")
    assert authority.context_for("a.example") is first
    authority.context_for("c.example")
    assert authority.context_for("a.example") is first
    assert authority.context_for("b.example") is not second


def test_it_is_the_same_after_a_restart(tmp_path: Path, clock: ManualClock, authority: InterceptionAuthority) -> None:
    again = open_interception_authority(tmp_path, "test", clock)
    assert (again.certificate_pem, again.fingerprint) == (authority.certificate_pem, authority.fingerprint)
    assert "PRIVATE" not in authority.certificate_pem
    assert (tmp_path / AUTHORITY_FILE).stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / AUTHORITY_FILE]


def test_a_file_that_others_may_read(tmp_path: Path, clock: ManualClock, authority: InterceptionAuthority) -> None:
    (tmp_path / AUTHORITY_FILE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_interception_authority(tmp_path, "test", clock)


def foreign_file(tmp_path: Path, authority_pem: bytes) -> list[bytes]:
    other = CertificateAuthority(tmp_path)
    server = other.issue_server()
    certificate, key = server.certificate_file.read_bytes(), server.key_file.read_bytes()
    own_certificate, own_key = authority_pem.split(b"-----BEGIN PRIVATE")
    return [
        b"",
        b"nonsense",
        certificate + key,
        own_certificate + key,
        own_certificate,
        b"-----BEGIN PRIVATE" + own_key,
        authority_pem[:-20],
    ]


@pytest.mark.parametrize("number", range(7))
def test_a_file_that_is_none(number: int, tmp_path: Path, clock: ManualClock, authority: InterceptionAuthority) -> None:
    file = tmp_path / AUTHORITY_FILE
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    file.write_bytes(foreign_file(elsewhere, file.read_bytes())[number])
    with pytest.raises(ConfigurationError, match="is not an authority of this gateway"):
        open_interception_authority(tmp_path, "test", clock)


def test_an_authority_that_ends(authority: InterceptionAuthority, clock: ManualClock) -> None:
    clock.at_s = authority.ends_at_s - 3600
    context = authority.context_for("a.example")
    clock.advance(3599)
    assert authority.context_for("a.example") is context
    clock.advance(2)
    with pytest.raises(ConfigurationError, match="has ended"):
        authority.context_for("a.example")


def test_without_a_clock_nothing_is_issued(authority: InterceptionAuthority, clock: ManualClock) -> None:
    authority.context_for("a.example")
    clock.broken = True
    with pytest.raises(OSError, match="no clock"):
        authority.context_for("a.example")
