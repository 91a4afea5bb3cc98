"""The gateway's keys for SSH: its host key, and the three authorities that sign certificates.

Each authority vouches for one kind of thing only, with a key of its own: clients of this gateway, this gateway's host
key, and this gateway's sessions at targets. So what a target trusts lets no client certificate in, and what the gateway
trusts lets no target certificate in. The keys are made on first start and stay in files of the data directory that
only the gateway's user may read; none of them is in an answer, a log or a record.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_identity,
)

from interlock.adapters.ssh_key_files import PrivateKey, open_own_key, private_text, public_line, read_host_key
from interlock.core.addresses import read_address
from interlock.core.errors import CredentialUnavailable, LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings.ssh import SshSettings
from interlock.core.ssh_key import SignedKey, SshPublicKey
from interlock.services.ports import Clock

USER_AUTHORITY_FILE: Final = "ssh-user-authority.key"
TARGET_AUTHORITY_FILE: Final = "ssh-target-authority.key"
HOST_AUTHORITY_FILE: Final = "ssh-host-authority.key"
HOST_KEY_FILE: Final = "ssh-host.key"

PRINCIPAL_EXTENSION: Final = b"principal@interlock"
"""Whom a user certificate is for, as JSON. It is ours alone: other servers ignore it."""
MAX_PRINCIPAL_BYTES: Final = 32_768
HOST_CERTIFICATE_LIFE_S: Final = 90 * 86_400
SKEW_S: Final = 120
"""By how much the clock of whoever reads a certificate may be behind."""
_SOURCE_ADDRESS: Final = b"source-address"
_PERMIT_PTY: Final = b"permit-pty"
_PERMITS: Final = (_PERMIT_PTY, b"permit-port-forwarding", b"permit-agent-forwarding", b"permit-X11-forwarding")
"""A certificate for the gateway forbids nothing of this: policy decides, and that is on record."""
_NOT_ACCEPTED: Final = "the certificate is not accepted; get a new one with interlock ssh-cert"


class SshKeys(NamedTuple):
    """The private keys of one gateway."""

    host: PrivateKey
    users: Ed25519PrivateKey
    hosts: Ed25519PrivateKey
    targets: Ed25519PrivateKey

    def __repr__(self) -> str:
        return "SshKeys(...)"


class SshAuthority:
    """Signs with the gateway's keys, and reads what it signed."""

    def __init__(self, keys: SshKeys, host_names: Sequence[str], clock: Clock) -> None:
        self._keys = keys
        self._host_names = tuple(host_names)
        self._clock = clock

    # ------------------------------------------------------------ the gateway as a host

    def host_key(self) -> bytes:
        """The private host key, as OpenSSH writes it (PEM)."""
        return private_text(self._keys.host)

    def host_key_public(self) -> str:
        """The public host key: ``ssh-ed25519 AAAA…``."""
        return public_line(self._keys.host)

    def host_certificate(self) -> bytes:
        """A certificate for the host key, made out to the host names. It counts for ``HOST_CERTIFICATE_LIFE_S``."""
        builder = (
            _builder(self._keys.host, SSHCertificateType.HOST, "interlock")
            .valid_principals([name.encode() for name in self._host_names])
            .valid_after(self._now_s() - SKEW_S)
            .valid_before(self._now_s() + HOST_CERTIFICATE_LIFE_S)
        )
        return builder.sign(self._keys.hosts).public_bytes()

    def known_hosts_line(self, names: Sequence[str], port: int) -> str:
        """What clients add to ``known_hosts``: a line that trusts the authority, and one with the key itself."""
        shown = ",".join(name if port == 22 else f"[{name}]:{port}" for name in names)
        return f"@cert-authority {shown} {public_line(self._keys.hosts)}\n{shown} {self.host_key_public()}\n"

    # ------------------------------------------------------------ clients of the gateway

    def user_authority_public(self) -> str:
        """Whose certificates let clients in at this gateway."""
        return public_line(self._keys.users)

    def sign_user(
        self, key: SshPublicKey, principal: Principal, lifetime_s: int, addresses: Sequence[str] = ()
    ) -> SignedKey:
        """A certificate by which the holder of the key is the principal, at most for as long as the principal's proof.

        ``addresses`` are networks that it counts from, all when empty. Raises ``ValueError`` for what cannot be signed,
        ``OSError`` when there is no time.
        """
        now_s = self._now_s()
        ends_s = now_s + lifetime_s
        if principal.expires_at_s is not None:
            ends_s = min(ends_s, int(principal.expires_at_s))
        if ends_s <= now_s:
            raise ValueError("the token has expired; get a new one")
        snapshot = msgspec.json.encode(principal)
        if len(snapshot) > MAX_PRINCIPAL_BYTES:
            raise ValueError("the identity has too many groups and claims for a certificate; log in with the token")
        serial = secrets.randbits(63)
        builder: SSHCertificateBuilder = (
            _builder(key.line, SSHCertificateType.USER, principal.name)
            .serial(serial)
            .valid_after(now_s - SKEW_S)
            .valid_before(ends_s)
            .add_extension(PRINCIPAL_EXTENSION, snapshot)
            .valid_for_all_principals()  # type: ignore[no-untyped-call]
        )  # for any user name: that is the name of a connection, and policy says who may use which
        for permit in _PERMITS:
            builder = builder.add_extension(permit, b"")
        if addresses:
            builder = builder.add_critical_option(_SOURCE_ADDRESS, ",".join(addresses).encode())
        signed = builder.sign(self._keys.users)
        return SignedKey(signed.public_bytes().decode(), serial, key.fingerprint, float(ends_s))

    def read_user(self, certificate: str, client_address: str) -> tuple[Principal, SignedKey]:
        """Whom a certificate of ``sign_user`` is for, at the time it was signed. Raises ``LoginRefused``.

        Whether the client has the private key is not asked in here. ``client_address`` is ``host:port``.
        """
        read = _read_certificate(certificate)
        self._check(read, client_address)
        try:
            principal = msgspec.json.decode(read.extensions[PRINCIPAL_EXTENSION], type=Principal)
        except (KeyError, msgspec.DecodeError):
            raise LoginRefused(_NOT_ACCEPTED, "it says nobody's name") from None
        key = SshPublicKey(*public_line(read.public_key()).split())
        return principal, SignedKey(certificate, read.serial, key.fingerprint, float(read.valid_before))

    def _check(self, certificate: SSHCertificate, client_address: str) -> None:
        if certificate.type is not SSHCertificateType.USER:
            raise LoginRefused(_NOT_ACCEPTED, "not a user certificate")
        self._check_signature(certificate)
        try:
            now_s = self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None
        if now_s >= certificate.valid_before:
            raise LoginRefused(
                "the certificate has expired; get a new one with interlock ssh-cert", "certificate expired"
            )
        if now_s < certificate.valid_after:
            raise LoginRefused("the certificate is not valid yet; check the clocks", "certificate not valid yet")
        unknown = certificate.critical_options.keys() - {_SOURCE_ADDRESS}
        if unknown:
            raise LoginRefused(_NOT_ACCEPTED, "it has options that are not known")
        networks = certificate.critical_options.get(_SOURCE_ADDRESS)
        if networks is not None and not _is_within(client_address, networks):
            raise LoginRefused("the certificate does not count from this address", "source-address")

    def _check_signature(self, certificate: SSHCertificate) -> None:
        try:
            if public_line(certificate.signature_key()) != self.user_authority_public():
                raise LoginRefused(_NOT_ACCEPTED, "another authority signed it")
            certificate.verify_cert_signature()
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            raise LoginRefused(_NOT_ACCEPTED, "the signature does not hold") from None

    # ------------------------------------------------------------ the gateway as a client of targets

    def target_authority_public(self) -> str:
        """Whose certificates let sessions of this gateway in at targets (``TrustedUserCAKeys``)."""
        return public_line(self._keys.targets)

    def mint_for_target(
        self, session_id: str, principal_name: str, login: str, lifetime_s: int, *, forwarding: bool = False
    ) -> tuple[bytes, bytes]:
        """A new private key (as OpenSSH writes it) and its certificate for one login at a target.

        The target's log names the session and the principal. ``forwarding`` lets the target take forwardings, for
        sessions that policy grants some. Raises ``CredentialUnavailable``.
        """
        key = Ed25519PrivateKey.generate()
        try:
            now_s = self._now_s()
        except OSError:
            raise CredentialUnavailable("the gateway cannot tell the time, so it signs no certificate") from None
        builder = (
            _builder(key, SSHCertificateType.USER, f"{session_id} {principal_name}")
            .serial(secrets.randbits(63))
            .valid_principals([login.encode()])
            .valid_after(now_s - SKEW_S)
            .valid_before(now_s + lifetime_s)
            .add_extension(_PERMIT_PTY, b"")
        )
        if forwarding:
            builder = builder.add_extension(b"permit-port-forwarding", b"")
        return private_text(key), builder.sign(self._keys.targets).public_bytes()

    def _now_s(self) -> int:
        return int(self._clock.now_s())


def open_ssh_authority(data_dir: Path, settings: SshSettings, clock: Clock) -> SshAuthority:
    """The keys in the data directory, made when they are not there. Raises ``ConfigurationError``, ``OSError``."""
    host = read_host_key(Path(settings.host_key)) if settings.host_key else open_own_key(data_dir / HOST_KEY_FILE)
    users, hosts, targets = (
        open_own_key(data_dir / file) for file in (USER_AUTHORITY_FILE, HOST_AUTHORITY_FILE, TARGET_AUTHORITY_FILE)
    )
    return SshAuthority(SshKeys(host, users, hosts, targets), settings.host_names, clock)


def _builder(key: PrivateKey | str, kind: SSHCertificateType, key_id: str) -> SSHCertificateBuilder:
    """A certificate for the public part of a key. Raises ``ValueError`` for keys that cannot be certified."""
    line = key if isinstance(key, str) else public_line(key)
    if line.startswith("sk-"):
        raise ValueError("keys of security devices get no certificate: register the key with interlock ssh keys add")
    public = load_ssh_public_identity(line.encode())
    if isinstance(public, SSHCertificate):
        raise ValueError("a certificate is not signed again")
    builder = SSHCertificateBuilder().public_key(public)  # type: ignore[arg-type]
    return builder.type(kind).key_id(key_id.encode())


def _read_certificate(certificate: str) -> SSHCertificate:
    try:
        read = load_ssh_public_identity(certificate.encode())
    except (ValueError, UnsupportedAlgorithm, TypeError):
        raise LoginRefused(_NOT_ACCEPTED, "it cannot be read") from None
    if not isinstance(read, SSHCertificate):
        raise LoginRefused(_NOT_ACCEPTED, "a key without a certificate")
    return read


def _is_within(client_address: str, networks: bytes) -> bool:
    """Whether ``host:port`` is in one of the networks. What cannot be read is not."""
    host = read_address(client_address.rpartition(":")[0].strip("[]"))
    try:
        return host is not None and any(host in ipaddress.ip_network(one) for one in networks.decode().split(","))
    except ValueError:
        return False
