"""Client certificates: X.509-SVIDs of trust domains, and certificates of other authorities."""

import datetime
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.certificates import ClientCertificates
from interlock.adapters.identity.kept import COOLDOWN_S
from interlock.adapters.identity.proofs import KEY_WITHDRAWN
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.core.errors import LoginRefused
from interlock.core.identity import PrincipalKind, RegisteredIdentity
from interlock.core.settings import CertificateNames, IdentityRule, TrustDomainSettings
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import other_signature
from tests.adapters.identity.spire import WORKLOAD, Holder, Spire
from tests.clocks import ManualClock

RULES = (
    IdentityRule(
        issuer="spiffe://example.org", when={"sub": "spiffe://example.org/ns/agents/*"}, identity="spiffe:crm-reader"
    ),
    IdentityRule(issuer="x509:corp", when={"dns": "*.bots.example.org"}, identity="bot:{sub}"),
    IdentityRule(issuer="x509:corp", when={"uri": "urn:example:bot"}, identity="bot:urn"),
)
_OTHER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


@pytest.fixture
def spire(clock: ManualClock) -> Spire:
    return Spire(clock.now_s())


def logins(
    clock: ManualClock, *settings: TrustDomainSettings, identities: KnownIdentities | None = None
) -> ClientCertificates:
    domains = [TrustDomain(each, clock) for each in settings]
    registry = Registry(identities or KnownIdentities())
    authenticator = TokenAuthenticator([], RULES, registry, clock, trust_domains=domains)
    return ClientCertificates(domains, authenticator, clock)


@pytest.fixture
def certificates(spire: Spire, clock: ManualClock, tmp_path: Path) -> ClientCertificates:
    return logins(clock, spire.settings(tmp_path / "bundle.json"))


async def reason(certificates: ClientCertificates, holder: Holder) -> str:
    with pytest.raises(LoginRefused) as caught:
        await certificates.certificate_principal(holder.der)
    return caught.value.reason


async def test_a_workload_is_who_its_certificate_says(
    certificates: ClientCertificates, spire: Spire, clock: ManualClock
) -> None:
    holder = spire.holder()
    principal = await certificates.certificate_principal(holder.der)
    assert (principal.kind, principal.name) == (PrincipalKind.AGENT, "spiffe:crm-reader")
    assert (principal.issuer, principal.subject) == ("spiffe://example.org", WORKLOAD)
    assert principal.expires_at_s == holder.chain[0].not_valid_after_utc.timestamp()
    assert principal.issued_at_s == holder.chain[0].not_valid_before_utc.timestamp()
    assert principal.token_id == f"x509:{hashlib.sha256(holder.chain[0].tbs_certificate_bytes).hexdigest()[:32]}"


async def test_another_signature_makes_no_other_certificate(certificates: ClientCertificates, spire: Spire) -> None:
    """Whoever has a certificate that was revoked can change its ECDSA signature so that it still holds."""
    holder = spire.holder()
    leaf = holder.chain[0]
    signature = _der(0x03, b"\0" + other_signature(leaf.signature))
    changed = _der(0x30, leaf.tbs_certificate_bytes + _ECDSA_WITH_SHA256 + signature)
    assert changed != holder.der[0]
    principal = await certificates.certificate_principal(holder.der)
    assert (await certificates.certificate_principal([changed, *holder.der[1:]])).token_id == principal.token_id


_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x82, *length.to_bytes(2)])
    return bytes([tag]) + size + content


async def test_further_names_that_are_no_uris_do_not_matter(certificates: ClientCertificates, spire: Spire) -> None:
    holder = spire.holder([uri(WORKLOAD), x509.DNSName("crm-reader.agents.svc")])
    assert (await certificates.certificate_principal(holder.der)).subject == WORKLOAD


async def test_a_chain_through_an_intermediate(certificates: ClientCertificates, spire: Spire) -> None:
    holder = spire.holder(through_intermediate=True)
    assert (await certificates.certificate_principal(holder.der)).subject == WORKLOAD
    hidden = spire.holder(through_intermediate=True, shows_intermediate=False)
    assert "not a certificate of spiffe://example.org" in await reason(certificates, hidden)


NAMES: dict[str, tuple[list[str], str]] = {
    "two URIs": ([WORKLOAD, "spiffe://example.org/admin"], "2 URIs in subjectAltName"),
    "two URIs, one of another kind": ([WORKLOAD, "https://example.org"], "2 URIs in subjectAltName"),
    "the same twice": ([WORKLOAD, WORKLOAD], "2 URIs in subjectAltName"),
    "another trust domain": (["spiffe://example.com/ns/agents/sa/x"], "unknown trust domain 'example.com'"),
    "the trust domain itself": (["spiffe://example.org"], "no SPIFFE ID of a workload"),
    "capitals": (["spiffe://Example.org/ns/agents/sa/x"], "no SPIFFE ID of a workload"),
    "another scheme": (["https://example.org/ns/agents/sa/x"], "no SPIFFE ID of a workload"),
    "a way up": (["spiffe://example.org/ns/agents/../admin"], "no SPIFFE ID of a workload"),
    "an encoded slash": (["spiffe://example.org/ns/agents%2fadmin"], "no SPIFFE ID of a workload"),
    "a slash at the end": ([WORKLOAD + "/"], "no SPIFFE ID of a workload"),
    "a NUL": ([WORKLOAD + "\0.evil"], "no SPIFFE ID of a workload"),
    "a path that begins alike": (["spiffe://example.org/ns/agents-x/sa/y"], "no identity rule applies"),
}


@pytest.mark.parametrize(("names", "expected"), NAMES.values(), ids=NAMES.keys())
async def test_names_that_are_none(
    names: list[str], expected: str, certificates: ClientCertificates, spire: Spire
) -> None:
    assert expected in await reason(certificates, spire.holder([uri(name) for name in names]))


async def test_no_name_at_all(certificates: ClientCertificates, spire: Spire) -> None:
    assert await reason(certificates, spire.holder([])) == "no subjectAltName"
    assert "0 URIs" in await reason(certificates, spire.holder([x509.DNSName("example.org")]))


async def test_what_is_no_leaf(certificates: ClientCertificates, spire: Spire) -> None:
    authority = spire.holder(constraints=x509.BasicConstraints(ca=True, path_length=None))
    assert "cA must not be asserted" in await reason(certificates, authority)
    signs_others = x509.KeyUsage(*(index in (0, 5) for index in range(9)))
    assert "keyUsage is not that of a leaf" in await reason(certificates, spire.holder(usage=signs_others))
    only_agrees = x509.KeyUsage(*(index == 4 for index in range(9)))
    assert "keyUsage is not that of a leaf" in await reason(certificates, spire.holder(usage=only_agrees))
    assert await reason(certificates, spire.holder(usage=None)) == "no keyUsage"
    servers = spire.holder(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    assert "required EKU not found" in await reason(certificates, servers)
    root = Holder([spire.root], spire.root_key)
    assert "no SPIFFE ID of a workload" in await reason(certificates, root)


async def test_times(certificates: ClientCertificates, spire: Spire, clock: ManualClock) -> None:
    hour = datetime.timedelta(hours=1)
    assert "not valid at validation time" in await reason(certificates, spire.holder(begins=-2 * hour))
    assert "not valid at validation time" in await reason(certificates, spire.holder(begins=hour))
    assert await reason(certificates, spire.holder(life=datetime.timedelta(days=8))) == "notAfter - notBefore"
    holder = spire.holder()
    await certificates.certificate_principal(holder.der)
    clock.advance(3600)
    assert "not valid at validation time" in await reason(certificates, holder)


async def test_foreign_authorities(
    certificates: ClientCertificates, spire: Spire, clock: ManualClock, tmp_path: Path
) -> None:
    impostor = Spire(clock.now_s())
    assert "not a certificate of spiffe://example.org" in await reason(certificates, impostor.holder())
    neighbour = Spire(clock.now_s(), "example.com")
    both = logins(clock, spire.settings(tmp_path / "a.json"), neighbour.settings(tmp_path / "b.json"))
    forged = neighbour.holder([uri(WORKLOAD)])
    assert "not a certificate of spiffe://example.org" in await reason(both, forged)
    assert "no identity rule applies" in await reason(both, neighbour.holder([uri("spiffe://example.com/ns/a/sa/b")]))


async def test_a_workload_signs_nobody(certificates: ClientCertificates, spire: Spire) -> None:
    workload, key = spire.holder(), ec.generate_private_key(ec.SECP256R1())
    issuer = workload.chain[0]
    builder = x509.CertificateBuilder().subject_name(_OTHER_NAME).issuer_name(issuer.subject)
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(issuer.not_valid_before_utc).not_valid_after(issuer.not_valid_after_utc)
    builder = builder.add_extension(x509.SubjectAlternativeName([uri(WORKLOAD)]), critical=False)
    builder = builder.add_extension(x509.KeyUsage(*(index == 0 for index in range(9))), critical=True)
    forged = Holder([builder.sign(workload.key, hashes.SHA256()), issuer], key)
    assert "not a certificate of spiffe://example.org" in await reason(certificates, forged)


@pytest.mark.parametrize("chain", [(), (b"",), (b"x" * 40_000,), (b"\x30\x03\x02\x01\x01",)])
async def test_what_cannot_be_read(chain: tuple[bytes, ...], certificates: ClientCertificates) -> None:
    with pytest.raises(LoginRefused, match="client certificate is not accepted"):
        await certificates.certificate_principal(chain)


async def test_a_chain_of_many(certificates: ClientCertificates, spire: Spire) -> None:
    with pytest.raises(LoginRefused, match="client certificate is not accepted"):
        await certificates.certificate_principal(spire.holder().der * 9)


async def test_authorities_that_come_and_go(
    certificates: ClientCertificates, spire: Spire, clock: ManualClock, tmp_path: Path
) -> None:
    old = spire.holder()
    await certificates.certificate_principal(old.der)
    spire.root_key = ec.generate_private_key(ec.SECP256R1())
    spire.root = spire.authority(spire.root_key)
    spire.write_bundle(tmp_path / "bundle.json")
    clock.advance(COOLDOWN_S)
    await certificates.certificate_principal(spire.holder().der)
    assert "not a certificate of spiffe://example.org" in await reason(certificates, old)
    (tmp_path / "bundle.json").write_text('{"keys": []}')
    clock.advance(COOLDOWN_S)
    assert "it has no authorities" in await reason(certificates, spire.holder())


async def test_a_session_ends_with_the_authority_that_vouched_for_it(
    spire: Spire, clock: ManualClock, tmp_path: Path
) -> None:
    domain = TrustDomain(spire.settings(tmp_path / "bundle.json"), clock)
    authenticator = TokenAuthenticator([], RULES, Registry(KnownIdentities()), clock, trust_domains=[domain])
    principal = await ClientCertificates([domain], authenticator, clock).certificate_principal(spire.holder().der)
    (tmp_path / "bundle.json").write_text("{")
    clock.advance(COOLDOWN_S)
    assert await authenticator.accepted.refusal(principal) is None
    spire.root = spire.authority(ec.generate_private_key(ec.SECP256R1()))
    spire.write_bundle(tmp_path / "bundle.json")
    clock.advance(COOLDOWN_S)
    assert await authenticator.accepted.refusal(principal) == KEY_WITHDRAWN


async def test_no_bundle_lets_nobody_in(certificates: ClientCertificates, spire: Spire, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").unlink()
    assert await reason(certificates, spire.holder()) == "no current keys of the issuer"


async def test_what_is_registered_counts(spire: Spire, clock: ManualClock, tmp_path: Path) -> None:
    identities = KnownIdentities()
    certificates = logins(clock, spire.settings(tmp_path / "bundle.json"), identities=identities)
    registered = RegisteredIdentity("spiffe:crm-reader", PrincipalKind.AGENT, "ada", frozenset({"readers"}))
    identities.by_name[registered.name] = registered
    principal = await certificates.certificate_principal(spire.holder().der)
    assert (principal.owner, principal.groups) == ("ada", frozenset({"readers"}))
    identities.by_name[registered.name] = RegisteredIdentity(registered.name, PrincipalKind.AGENT, disabled=True)
    assert await reason(certificates, spire.holder()) == "identity disabled"
    identities.broken = True
    assert await reason(certificates, spire.holder()) == "state store"


async def test_authorities_that_are_no_trust_domain(spire: Spire, clock: ManualClock, tmp_path: Path) -> None:
    corp = Spire(clock.now_s(), "corp.example.org")
    pem = corp.write_authorities(tmp_path / "corp.pem")
    plain = TrustDomainSettings(name="corp", authorities_file=str(pem), names=CertificateNames.DNS_OR_URI)
    certificates = logins(clock, plain, spire.settings(tmp_path / "bundle.json"))
    holder = corp.holder([x509.DNSName("nightly.bots.example.org")])
    principal = await certificates.certificate_principal(holder.der)
    assert (principal.name, principal.issuer) == ("bot:nightly.bots.example.org", "x509:corp")
    assert (await certificates.certificate_principal(corp.holder([uri("urn:example:bot")]).der)).name == "bot:urn"
    assert (await certificates.certificate_principal(spire.holder().der)).issuer == "spiffe://example.org"
    for names, expected in (
        ([x509.DNSName("nightly.bots.example.org"), x509.DNSName("x.bots.example.org")], "2 names"),
        ([x509.DNSName("nightly.bots.example.org"), uri("urn:example:bot")], "2 names"),
        ([x509.RFC822Name("a@example.org")], "0 names"),
        ([x509.DNSName("*.bots.example.org")], "no host's"),
        ([x509.DNSName("Nightly.bots.example.org")], "no host's"),
        ([x509.DNSName("nightly.example.org")], "no identity rule applies"),
        ([uri(WORKLOAD)], "not a certificate of spiffe://example.org"),
    ):
        assert expected in await reason(certificates, corp.holder(names))
    assert "not a certificate of x509:corp" in await reason(
        certificates, spire.holder([x509.DNSName("nightly.bots.example.org")])
    )


async def test_authorities_in_a_file_that_is_none(clock: ManualClock, spire: Spire, tmp_path: Path) -> None:
    (tmp_path / "corp.pem").write_text("no certificate")
    plain = TrustDomainSettings(name="example.org", authorities_file=str(tmp_path / "corp.pem"))
    assert await reason(logins(clock, plain), spire.holder()) == "no current keys of the issuer"
    (tmp_path / "corp.pem").write_bytes(spire.root.public_bytes(serialization.Encoding.PEM))
    clock.advance(COOLDOWN_S)
    assert (await logins(clock, plain).certificate_principal(spire.holder().der)).subject == WORKLOAD
