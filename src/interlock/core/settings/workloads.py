"""Settings of who vouches for workloads by certificate: SPIFFE trust domains, and other authorities for clients."""

import enum
import re
from typing import Annotated, Final

from msgspec import Meta

from interlock.core.settings.identities import TokenUse
from interlock.core.settings.table import PATH, Table

_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_BUNDLE_URL: Final = re.compile(r"https://[^/@?#\\\s]+(/[^@?#\\\s]*)?")


class CertificateNames(enum.Enum):
    """What names the holder of a client certificate."""

    SPIFFE = "spiffe"
    DNS_OR_URI = "dns-or-uri"


class TrustDomainSettings(Table, frozen=True):
    """Authorities for workloads: a SPIFFE trust domain, or others that sign certificates of clients.

    Rules name it `spiffe://NAME`, or `x509:NAME` with `names = "dns-or-uri"`.
    """

    name: Annotated[
        str, Meta(min_length=1, max_length=255, description="The trust domain as in SPIFFE IDs: `example.org`.")
    ]
    bundle_url: Annotated[
        str | None,
        Meta(description="SPIFFE bundle endpoint (`https_web`) with the trust domain's keys and authorities."),
    ] = None
    bundle_file: Annotated[
        str | None, Meta(description="The same document as a file. It is read again when it changes.", extra=PATH)
    ] = None
    authorities_file: Annotated[
        str | None,
        Meta(
            description="PEM file with the authorities that sign certificates, where there is no bundle. It is read "
            "again when it changes.",
            extra=PATH,
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file with the authorities that vouch for `bundle_url`. Absent: the system's.", extra=PATH
        ),
    ] = None
    audience: Annotated[
        str,
        Meta(description="What the `aud` of JWT-SVIDs must contain. Empty: the trust domain gives no tokens for here."),
    ] = ""
    names: Annotated[
        CertificateNames,
        Meta(
            description="What names the holder of a certificate: `spiffe`, its SPIFFE ID; `dns-or-uri`, the only DNS "
            "name or URI that it has, for authorities that are no trust domain."
        ),
    ] = CertificateNames.SPIFFE
    refresh_s: Annotated[
        Annotated[int, Meta(ge=10, le=86_400)] | None,
        Meta(
            description="How often the bundle is fetched again, in seconds. Absent: as it says itself, or every 300; "
            "never less often than every hour. Files are looked at every 10 seconds."
        ),
    ] = None
    max_stale_s: Annotated[
        int,
        Meta(
            ge=0,
            le=604_800,
            description="How long a bundle stays in use, counted from when it was read, while it cannot be read again.",
        ),
    ] = 14_400
    max_token_age_s: Annotated[
        int, Meta(ge=60, le=86_400, description="The longest life a JWT-SVID may have, in seconds.")
    ] = 3600
    max_certificate_age_s: Annotated[
        int, Meta(ge=60, le=34_560_000, description="The longest life a certificate may have, in seconds.")
    ] = 604_800

    def __post_init__(self) -> None:
        if not _TRUST_DOMAIN.fullmatch(self.name):
            raise ValueError("name: a trust domain has small letters, digits, '.', '-' and '_'")
        sources = [self.bundle_url, self.bundle_file, self.authorities_file]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("exactly one of bundle_url, bundle_file and authorities_file is needed")
        if self.bundle_url is not None and not _BUNDLE_URL.fullmatch(self.bundle_url):
            raise ValueError("bundle_url: must be an https URL without user name, query or fragment")
        if self.audience and self.authorities_file is not None:
            raise ValueError("audience: tokens need keys, which are in a bundle")
        if self.audience and self.names is not CertificateNames.SPIFFE:
            raise ValueError("audience: only a SPIFFE trust domain gives tokens")

    @property
    def url(self) -> str:
        """The ``iss`` that its tokens are given, for they have none; see ``label``."""
        return self.label

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Of its tokens (JWT-SVID section 2.1), as far as they are supported."""
        return ("RS256", "PS256", "ES256", "ES384")

    @property
    def longest_life_s(self) -> int:
        """Of its tokens."""
        return self.max_token_age_s

    @property
    def use(self) -> TokenUse:
        """What its proofs are good for."""
        return TokenUse.LOGIN

    def may_fetch(self, url: str) -> bool:
        """Whether this may be fetched: its bundle."""
        return url == self.bundle_url

    @property
    def label(self) -> str:
        """The name that identity rules use; the issuer of principals from here."""
        scheme = "spiffe://" if self.names is CertificateNames.SPIFFE else "x509:"
        return scheme + self.name
