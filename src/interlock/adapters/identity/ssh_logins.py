"""Turns what SSH clients hold into principals: registered keys, and user certificates of this gateway.

Implements ``services.ports.SshLogins``. A certificate stands for the token that it was given for: it names the same
token, ends no later, and what is registered for the identity counts as it is at login, as for a token.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import Principal, RegisteredIdentity
from interlock.core.ssh_key import RegisteredSshKey, SignedKey
from interlock.services.ports import Clock


class Certificates(Protocol):
    """Reads what this gateway signed."""

    def read_user(self, certificate: str, client_address: str) -> tuple[Principal, SignedKey]:
        """Whom a certificate is for, and what it is. Raises LoginRefused."""


class Keys(Protocol):
    """The keys that were registered."""

    def find(self, fingerprint: str) -> RegisteredSshKey | None:
        """The key with this fingerprint, None when there is none. Raises StateUnavailable."""


class SshLogins:
    """One for the whole gateway. ``trusts`` says whether an issuer's tokens are accepted now."""

    def __init__(
        self,
        certificates: Certificates,
        keys: Keys,
        registry: Registry,
        trusts: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._certificates = certificates
        self._keys = keys
        self._registry = registry
        self._trusts = trusts
        self._clock = clock

    def key_principal(self, fingerprint: str) -> Principal:
        """Who has registered the key. Raises LoginRefused."""
        key, identity = self._look_up(fingerprint)
        if key is None or identity is None:
            raise LoginRefused("the key is not registered here", "no such key")
        if key.expires_at_s is not None and key.expires_at_s <= self._now_s():
            raise LoginRefused("the key has expired; have it registered again", "key expired")
        return self._registry.own(identity, fingerprint, key.expires_at_s)

    def certificate_principal(self, certificate: str, client_address: str) -> Principal:
        """Whom the certificate is for. Raises LoginRefused."""
        principal, signed = self._certificates.read_user(certificate, client_address)
        if not self._trusts(principal.issuer):
            raise LoginRefused("the certificate was given for a token that is not accepted any more", "unknown issuer")
        if principal.expires_at_s is None or principal.expires_at_s <= self._now_s():
            raise LoginRefused("the token has expired; get a new one", "exp is past")
        evidence = {"ssh_certificate": str(signed.serial), "ssh_key": signed.fingerprint}
        claims = tuple(sorted((dict(principal.claims) | evidence).items()))
        return self._registry.admit(msgspec.structs.replace(principal, claims=claims))

    def _look_up(self, fingerprint: str) -> tuple[RegisteredSshKey | None, RegisteredIdentity | None]:
        try:
            key = self._keys.find(fingerprint)
        except StateUnavailable:
            raise LoginRefused("the gateway cannot look keys up; try again later", "state store") from None
        return key, self._registry.find(key.identity) if key is not None else None

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None
