"""A SPIFFE authority for tests: signs JWT-SVIDs and X.509-SVIDs, also wrong ones, and writes its bundle."""

import base64
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc.jwk import ECKey

from interlock.core.settings import TrustDomainSettings
from tests.adapters.identity.issuer_server import assemble, signer

AUDIENCE = "interlock.example.org"
WORKLOAD = "spiffe://example.org/ns/agents/sa/crm-reader"
Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
_SIGNS = x509.KeyUsage(*(index == 0 for index in range(9)))
_SIGNS_CERTIFICATES = x509.KeyUsage(*(index in (5, 6) for index in range(9)))


class Holder:
    """A certificate, the chain behind it, and its key."""

    def __init__(self, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> None:
        self.chain = tuple(chain)
        self.key = key

    @property
    def der(self) -> tuple[bytes, ...]:
        return tuple(certificate.public_bytes(serialization.Encoding.DER) for certificate in self.chain)

    def write(self, directory: Path, name: str = "client") -> tuple[Path, Path]:
        """Files with the chain and the key, in PEM."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.chain))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key.chmod(0o600)
        return certificate, key


class Spire:
    """The authority of one trust domain. ``now`` is its time."""

    def __init__(self, now_s: float, trust_domain: str = "example.org") -> None:
        self.trust_domain = trust_domain
        self.now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
        self.token_keys = {"jwt-1": ECKey.generate_key("P-256")}
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = self.authority(self.root_key)

    # ------------------------------------------------------------ the bundle

    def bundle(self, **more: object) -> dict[str, object]:
        keys: list[dict[str, Any]] = [
            {**key.as_dict(private=False), "kid": key_id, "use": "jwt-svid"} for key_id, key in self.token_keys.items()
        ]
        der = base64.b64encode(self.root.public_bytes(serialization.Encoding.DER)).decode()
        public = ECKey.import_key(self.root.public_key()).as_dict(private=False)  # type: ignore[arg-type]
        keys.append({**public, "use": "x509-svid", "x5c": [der]})
        return {"keys": keys, "spiffe_sequence": 1, **more}

    def write_bundle(self, file: Path, **more: object) -> Path:
        file.write_text(json.dumps(self.bundle(**more)))
        return file

    def write_authorities(self, file: Path) -> Path:
        file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        return file

    def settings(self, file: Path, **changes: Any) -> TrustDomainSettings:
        """A trust domain whose bundle is in this file."""
        self.write_bundle(file)
        known = {"name": self.trust_domain, "bundle_file": str(file), "audience": AUDIENCE}
        return TrustDomainSettings(**{**known, **changes})

    # ------------------------------------------------------------ tokens

    def token(self, key_id: str = "jwt-1", header: dict[str, object] | None = None, **changes: object) -> str:
        """A JWT-SVID; a change to None removes a claim."""
        now_s = int(self.now.timestamp())
        claims: dict[str, object] = {"sub": WORKLOAD, "aud": [AUDIENCE], "iat": now_s, "exp": now_s + 300, **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        full_header = {"alg": "ES256", "kid": key_id, "typ": "JWT", **(header or {})}
        sign = signer("ES256", self.token_keys[key_id])
        return assemble(json.dumps(full_header).encode(), json.dumps(kept).encode(), sign)

    # ------------------------------------------------------------ certificates

    def authority(
        self,
        key: ec.EllipticCurvePrivateKey,
        signed_by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    ) -> x509.Certificate:
        """A signing certificate, its own or signed by another."""
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"SPIFFE {self.trust_domain}")])
        issuer, issuer_key = (signed_by[0].subject, signed_by[1]) if signed_by else (name, key)
        if signed_by:
            name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIFFE intermediate")])
        builder = self._begin(key, name, issuer, datetime.timedelta(days=30))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}")]), False
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(_SIGNS_CERTIFICATES, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
        return builder.sign(issuer_key, hashes.SHA256())

    def holder(
        self,
        names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(WORKLOAD),),
        *,
        life: datetime.timedelta = datetime.timedelta(hours=1),
        begins: datetime.timedelta = datetime.timedelta(minutes=-1),
        constraints: x509.BasicConstraints | None = _NO_AUTHORITY,
        usage: x509.KeyUsage | None = _SIGNS,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        through_intermediate: bool = False,
        shows_intermediate: bool = True,
    ) -> Holder:
        """A workload with a certificate, as SPIRE makes them unless told otherwise."""
        key, authority, authority_key = ec.generate_private_key(ec.SECP256R1()), self.root, self.root_key
        chain: list[x509.Certificate] = []
        if through_intermediate:
            authority_key = ec.generate_private_key(ec.SECP256R1())
            authority = self.authority(authority_key, (self.root, self.root_key))
            chain = [authority] if shows_intermediate else []
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIRE")])
        builder = self._begin(key, subject, authority.subject, life, begins)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        if constraints is not None:
            builder = builder.add_extension(constraints, True)
        if usage is not None:
            builder = builder.add_extension(usage, True)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False
        )
        return Holder([builder.sign(authority_key, hashes.SHA256()), *chain], key)

    def _begin(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        issuer: x509.Name,
        life: datetime.timedelta,
        begins: datetime.timedelta = datetime.timedelta(minutes=-1),
    ) -> x509.CertificateBuilder:
        start = self.now + begins
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(start).not_valid_after(start + life)
