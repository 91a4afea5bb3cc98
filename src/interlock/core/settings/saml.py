"""Settings of SAML 2.0 identity providers, at which people sign in with a browser."""

import re
from typing import Annotated, Final

from msgspec import Meta

from interlock.core.settings.oversight import _LOOPBACK_URL
from interlock.core.settings.table import NAME_PATTERN, PATH, Table

_HTTPS_URL: Final = re.compile(r"https://[!-~]+")
_NAME_ID: Final = "urn:oasis:names:tc:SAML:{}:nameid-format:{}"
NAME_ID_FORMATS: Final = {
    "persistent": _NAME_ID.format("2.0", "persistent"),
    "transient": _NAME_ID.format("2.0", "transient"),
    "email": _NAME_ID.format("1.1", "emailAddress"),
    "unspecified": _NAME_ID.format("1.1", "unspecified"),
}
"""The short names of settings, and what SAML calls them (SAML core 8.3)."""

EntityId = Annotated[str, Meta(min_length=1, max_length=1024)]
AttributeName = Annotated[str, Meta(min_length=1, max_length=512)]


class SamlSettings(Table, frozen=True):
    """A SAML 2.0 identity provider that is trusted to say who a person is. `api.public_url` must be set."""

    name: Annotated[
        str, Meta(description="Short name: in identity rules as `issuer`, and in the addresses `/saml/NAME/…`.")
    ]
    provider_entity_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1024,
            description="What the provider calls itself, in its metadata and in assertions, letter by letter.",
        ),
    ]
    metadata_file: Annotated[str | None, Meta(description="The provider's metadata as a file.", extra=PATH)] = None
    metadata_url: Annotated[
        str | None, Meta(description="Where the provider publishes its metadata. `https` only, no redirects.")
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file with the authorities that vouch for the TLS certificate of `metadata_url`.",
            extra=PATH,
        ),
    ] = None
    metadata_refresh_s: Annotated[
        int, Meta(ge=60, le=604_800, description="How long metadata is used before it is read again.")
    ] = 3600
    metadata_max_stale_s: Annotated[
        int,
        Meta(
            ge=0,
            le=2_592_000,
            description="How long metadata stays in use, counted from when it was read, while it cannot be had again.",
        ),
    ] = 86_400
    entity_id: Annotated[
        EntityId | None, Meta(description="What the provider knows this gateway by. Absent: the URL of its metadata.")
    ] = None
    signing_certificate: Annotated[
        str | None,
        Meta(
            description="PEM file with the certificate for signed requests. Absent: made in the data directory.",
            extra=PATH,
        ),
    ] = None
    signing_key: Annotated[
        str | None, Meta(description="PEM file with the RSA key of `signing_certificate`.", extra=PATH)
    ] = None
    subject_attribute: Annotated[
        AttributeName | None,
        Meta(
            description="The attribute whose one value is the person's stable id. Absent: the NameID, which then must "
            "not be transient."
        ),
    ] = None
    groups_attribute: Annotated[
        AttributeName | None,
        Meta(description='The attribute that lists the person\'s groups; rules read it as `groups_claim = "groups"`.'),
    ] = None
    name_id_format: Annotated[
        str | None,
        Meta(
            description=f"The kind of NameID to ask for: {', '.join(NAME_ID_FORMATS)}. Absent: what the provider likes."
        ),
    ] = None
    authentication_contexts: Annotated[
        tuple[AttributeName, ...],
        Meta(
            max_length=20,
            description="How people must have been authenticated, one of these (`AuthnContextClassRef`): it is asked "
            "for, and whatever else is refused. Empty: as the provider likes.",
        ),
    ] = ()
    force_authentication: Annotated[
        bool, Meta(description="Ask the provider to have the person sign in again, each time (`ForceAuthn`).")
    ] = False
    allow_idp_initiated: Annotated[
        bool,
        Meta(
            description="Accept logins that began at the provider. Nothing then ties an assertion to the browser that "
            "shows it, so that somebody can be logged in as somebody else without noticing."
        ),
    ] = False
    clock_skew_s: Annotated[
        int, Meta(ge=0, le=300, description="How far the provider's clock may be ahead or behind.")
    ] = 60
    allow_http_loopback: Annotated[
        bool, Meta(description="Accept `http` URLs on loopback addresses. For development only.")
    ] = False

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ValueError("name: letters, digits, '_', '.', '-', at most 63")
        if (self.metadata_file is None) == (self.metadata_url is None):
            raise ValueError("exactly one of metadata_file, metadata_url")
        if self.metadata_url is not None and not self.may_ask(self.metadata_url):
            raise ValueError("metadata_url: must be an https URL without user name or fragment")
        if (self.signing_certificate is None) != (self.signing_key is None):
            raise ValueError("signing_certificate and signing_key are given together, or neither")
        if self.name_id_format is not None and self.name_id_format not in NAME_ID_FORMATS:
            raise ValueError(f"name_id_format: allowed: {', '.join(NAME_ID_FORMATS)}")

    def may_ask(self, url: str) -> bool:
        """Whether this URL may be fetched, or a browser sent to it: https, or http on loopback when that is allowed."""
        if len(url) > 2048 or any(letter in url for letter in '@#\\"<>') or not all("!" <= c <= "~" for c in url):
            return False
        if self.allow_http_loopback and _LOOPBACK_URL.fullmatch(url):
            return True
        return _HTTPS_URL.fullmatch(url) is not None
