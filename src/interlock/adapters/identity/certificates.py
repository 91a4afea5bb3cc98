"""Who holds a client certificate: a workload of a SPIFFE trust domain (X.509-SVID section 5), or a client of other
authorities.

That the client holds the private key was proved by TLS. The chain is checked in here, against the authorities of the
one trust domain that the certificate names. Certificates are public, but nothing of them is in a message to the caller.
"""

import datetime
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.proofs import AcceptedProof
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import CertificateNames
from interlock.core.spiffe import SCHEME, SpiffeId, workload_id
from interlock.services.ports import Clock

NOT_ACCEPTED: Final = "the client certificate is not accepted"
MAX_CHAIN: Final = 8
MAX_CERTIFICATE_BYTES: Final = 32_768
_MAX_INTERMEDIATES: Final = 4
_DNS_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class UsedAuthority(msgspec.Struct, frozen=True):
    """The authority that vouched for a certificate that was accepted; see ``proofs.Voucher``."""

    domain: TrustDomain
    authority: x509.Certificate

    async def is_withdrawn(self) -> bool:
        """Whether it is not the trust domain's any more; not while that cannot be told."""
        try:
            return self.authority not in await self.domain.authorities()
        except LoginRefused:
            return False


class _Leaf(msgspec.Struct, frozen=True):
    """A client's certificate, what it is behind, and its names."""

    certificate: x509.Certificate
    intermediates: list[x509.Certificate]
    uris: list[str]
    dns: list[str]


class ClientCertificates:
    """Implements ``services.ports.CertificateLogins``. The identity rules are those of the authenticator."""

    def __init__(self, domains: Iterable[TrustDomain], authenticator: TokenAuthenticator, clock: Clock) -> None:
        domains = tuple(domains)
        self._spiffe = {
            domain.settings.name: domain for domain in domains if domain.settings.names is CertificateNames.SPIFFE
        }
        self._others = [domain for domain in domains if domain.settings.names is not CertificateNames.SPIFFE]
        self._authenticator = authenticator
        self._clock = clock

    async def certificate_principal(self, chain: Sequence[bytes]) -> Principal:
        """Whom a chain is for, the client's own certificate first, with what is registered. Raises LoginRefused."""
        leaf = _read(chain)
        now = self._now()
        domain, subject, authority = await self._verified(leaf, now)
        _check_life(leaf.certificate, domain.settings.max_certificate_age_s, now)
        claims = _claims(leaf, domain.settings.label, subject)
        principal = self._authenticator.rules.principal(claims, _id(leaf.certificate), claims["exp"])
        self._authenticator.accepted.remember(principal, AcceptedProof(UsedAuthority(domain, authority)))
        return self._authenticator.admit(principal)

    async def _verified(self, leaf: _Leaf, now: datetime.datetime) -> tuple[TrustDomain, str, x509.Certificate]:
        """The trust domain that vouches for the certificate, whom it names, and the authority behind it."""
        if any(uri.lower().startswith(SCHEME) for uri in leaf.uris) or not self._others:
            workload = _workload(leaf)
            domain = self._spiffe.get(workload.trust_domain)
            if domain is None:
                raise LoginRefused(NOT_ACCEPTED, f"unknown trust domain {workload.trust_domain!r}")
            return domain, str(workload), await _verify(leaf, domain, now)
        refused = LoginRefused(NOT_ACCEPTED, "no authorities")
        for domain in self._others:
            try:
                authority = await _verify(leaf, domain, now)
            except LoginRefused as refusal:
                refused = refusal
            else:
                return domain, _only_name(leaf), authority
        raise refused

    def _now(self) -> datetime.datetime:
        try:
            return datetime.datetime.fromtimestamp(self._clock.now_s(), datetime.UTC)
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


def _read(chain: Sequence[bytes]) -> _Leaf:
    if not 0 < len(chain) <= MAX_CHAIN or max(map(len, chain)) > MAX_CERTIFICATE_BYTES:
        raise LoginRefused(NOT_ACCEPTED, "a chain of too many certificates, or too large ones")
    try:
        leaf, *intermediates = map(x509.load_der_x509_certificate, chain)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise LoginRefused(NOT_ACCEPTED, "no subjectAltName") from None
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise LoginRefused(NOT_ACCEPTED, "a certificate that cannot be read") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return _Leaf(leaf, intermediates, uris, names.get_values_for_type(x509.DNSName))


def _workload(leaf: _Leaf) -> SpiffeId:
    """The SPIFFE ID: the only URI (X.509-SVID section 2), and that of a workload (section 4.1)."""
    if len(leaf.uris) != 1:
        raise LoginRefused(NOT_ACCEPTED, f"{len(leaf.uris)} URIs in subjectAltName; an X.509-SVID has exactly one")
    workload = workload_id(leaf.uris[0])
    if workload is None:
        raise LoginRefused(NOT_ACCEPTED, "the URI in subjectAltName is no SPIFFE ID of a workload")
    return workload


def _only_name(leaf: _Leaf) -> str:
    names = [*leaf.uris, *leaf.dns]
    if len(names) != 1:
        raise LoginRefused(NOT_ACCEPTED, f"{len(names)} names in subjectAltName; there must be exactly one")
    if leaf.dns and not _DNS_NAME.fullmatch(names[0]):
        raise LoginRefused(NOT_ACCEPTED, "the name in subjectAltName is no host's, in small letters")
    return names[0]


async def _verify(leaf: _Leaf, domain: TrustDomain, now: datetime.datetime) -> x509.Certificate:
    """The authority that a chain leads to; before there is none, new ones are looked for. Raises LoginRefused."""
    _check_usage(leaf.certificate)
    authorities = await domain.authorities()
    found = _authority(leaf, authorities, now)
    if isinstance(found, str) and (newer := await domain.authorities(anew=True)) != authorities:
        found = _authority(leaf, newer, now)
    if isinstance(found, str):
        raise LoginRefused(NOT_ACCEPTED, f"not a certificate of {domain.settings.label}: {found}")
    return found


def _authority(leaf: _Leaf, authorities: Sequence[x509.Certificate], now: datetime.datetime) -> x509.Certificate | str:
    """The authority that a chain leads to (RFC 5280 section 6, extendedKeyUsage for clients), or why to none."""
    if not authorities:
        return "it has no authorities"
    builder = PolicyBuilder().store(Store(list(authorities))).time(now).max_chain_depth(_MAX_INTERMEDIATES)
    try:
        return builder.build_client_verifier().verify(leaf.certificate, leaf.intermediates).chain[-1]
    except (VerificationError, ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return str(error)[:200] or type(error).__name__


def _check_usage(certificate: x509.Certificate) -> None:
    """The key signs, and nothing but handshakes (X.509-SVID sections 4.1 and 4.3). Raises LoginRefused."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise LoginRefused(NOT_ACCEPTED, "no keyUsage") from None
    if not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise LoginRefused(NOT_ACCEPTED, "keyUsage is not that of a leaf: digitalSignature, and no signing of others")


def _check_life(certificate: x509.Certificate, max_age_s: int, now: datetime.datetime) -> None:
    life_s = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds()
    if life_s > max_age_s:
        raise LoginRefused(
            f"the client certificate lives too long; at most {max_age_s} seconds are accepted", "notAfter - notBefore"
        )
    if certificate.not_valid_after_utc <= now:
        raise LoginRefused("the client certificate has expired; get a new one", "notAfter is past")


def _claims(leaf: _Leaf, issuer: str, subject: str) -> dict[str, Any]:
    """What identity rules read of it."""
    certificate = leaf.certificate
    return {
        "iss": issuer,
        "sub": subject,
        "dns": leaf.dns,
        "uri": leaf.uris,
        "iat": certificate.not_valid_before_utc.timestamp(),
        "exp": certificate.not_valid_after_utc.timestamp(),
    }


def _id(certificate: x509.Certificate) -> str:
    """Stands for the certificate where a token has its id.

    The signature is no part of it: of one ECDSA signature anybody can make another one that holds as well.
    """
    return f"x509:{hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()[:32]}"
