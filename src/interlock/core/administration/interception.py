"""The authority for TLS interception: what can be asked of it and what is answered. Its key is in no answer."""

from typing import ClassVar

import msgspec

from interlock.core.administration.base import Command, Route


class InterceptionAuthorityView(msgspec.Struct, frozen=True):
    """What clients of the forward proxy have to trust. ``fingerprint`` is SHA-256 of the certificate, hexadecimal."""

    certificate_pem: str
    fingerprint: str
    ends_at_s: float


class ShowInterceptionAuthority(Command[InterceptionAuthorityView], frozen=True, tag="ca.show"):
    """The certificate of the gateway's authority for TLS interception."""

    route: ClassVar = Route("GET", "/v1/ca", ())
