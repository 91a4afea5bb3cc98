"""Settings of who is believed and who that makes them."""

import enum
import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from interlock.core.settings.http import OAuthAuthentication
from interlock.core.settings.oversight import _LOOPBACK_URL
from interlock.core.settings.references import SecretReference
from interlock.core.settings.security_events import EventStreamSettings, IntrospectionSettings
from interlock.core.settings.table import NAME_PATTERN, PATH, Table

SUPPORTED_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")


SignInAge = Annotated[int, Meta(ge=0, le=86_400)]

ClientId = Annotated[str, Meta(min_length=1, max_length=256)]

AcrValue = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[!-~]+$")]

ClaimCondition = str | int | bool | tuple[str | int | bool, ...]


class IdentityKind(enum.Enum):
    """What a token's holder is."""

    AGENT = "agent"
    USER = "user"


class TokenUse(enum.Enum):
    """What an issuer's tokens are good for."""

    LOGIN = "login"
    EXCHANGE = "exchange"
    EXCHANGE_ONCE = "exchange-once"


class Trust(enum.Enum):
    """Whose tokens they are: what is known of such issuers holds for their rules (``core.trust_templates``)."""

    GITHUB = "github"
    GITLAB = "gitlab"
    KUBERNETES = "kubernetes"
    AWS = "aws"
    GCP = "gcp"
    ENTRA = "entra"
    SPIFFE = "spiffe"


_LONGEST_LIFE_S: Final = {Trust.KUBERNETES: 600, Trust.ENTRA: 5400}
"""Of tokens, unless configured. A pod that is gone is not noticed here; Entra gives tokens of up to 90 minutes."""


class IssuerSettings(Table, frozen=True):
    """A token issuer that is trusted (OpenID Connect). Only tokens of listed issuers are looked at."""

    url: Annotated[
        str, Meta(min_length=1, description="The issuer exactly as in the tokens' `iss` claim. `https` only.")
    ]
    audience: Annotated[
        str,
        Meta(
            min_length=1,
            description="What the tokens' `aud` claim must contain: this gateway's own identifier. May be absent with "
            "`client_id`: then the issuer's tokens are no passwords here, and people sign in only.",
        ),
    ] = ""
    name: Annotated[
        str | None, Meta(description="Short name used in identity rules. Absent: the `url` is the name.")
    ] = None
    trust: Annotated[
        Trust | None,
        Meta(
            description="What kind of issuer it is. Rules that do not pin what has to be pinned there are refused, and "
            "tokens that are never to be trusted there. Absent: the rules are all there is."
        ),
    ] = None
    jwks_url: Annotated[
        str | None, Meta(description="Where the issuer publishes its keys. Absent: found by OpenID Connect discovery.")
    ] = None
    jwks_file: Annotated[
        str | None,
        Meta(
            description="File with the issuer's keys (a JWK set), for issuers that cannot be reached from here. It is "
            "read again every `jwks_ttl_s`, and when a token names a key that is not in it.",
            extra=PATH,
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file with the authorities that vouch for the issuer's TLS certificate.", extra=PATH),
    ] = None
    algorithms: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description=f"Signature algorithms accepted, out of {', '.join(SUPPORTED_ALGORITHMS)}."),
    ] = SUPPORTED_ALGORITHMS
    max_token_age_s: Annotated[
        Annotated[int, Meta(ge=60, le=86_400)] | None,
        Meta(
            description="The longest life (`exp - iat`) a token may have, in seconds. Absent: an hour, but 600 with "
            '`trust = "kubernetes"` and 5400 with `"entra"`.'
        ),
    ] = None
    jwks_ttl_s: Annotated[
        int, Meta(ge=10, le=86_400, description="How long the issuer's keys are used before they are fetched again.")
    ] = 600
    jwks_max_stale_s: Annotated[
        int,
        Meta(
            ge=0,
            le=604_800,
            description="How long keys stay in use, counted from their fetch, while the issuer cannot be reached.",
        ),
    ] = 14_400
    use: Annotated[
        TokenUse,
        Meta(
            description="What its tokens are good for: `login` everywhere, `exchange` only to get session tokens for "
            "them, `exchange-once` to get one, once."
        ),
    ] = TokenUse.LOGIN
    client_id: Annotated[
        ClientId | None,
        Meta(
            description="The gateway's client at this issuer for people who sign in with a browser (OpenID Connect, "
            "code flow with PKCE). Needs `name` and `api.public_url`; the issuer sends browsers back to "
            "`PUBLIC_URL/login/callback/NAME`. Absent: nobody signs in there.",
        ),
    ] = None
    client_secret: Annotated[
        SecretReference | None, Meta(description="Where the secret of `client_id` is. Absent: it is a public client.")
    ] = None
    client_authentication: Annotated[
        OAuthAuthentication, Meta(description="How the client's secret is shown to the issuer.")
    ] = OAuthAuthentication.BASIC
    scope: Annotated[
        str,
        Meta(
            max_length=1024,
            pattern=r"^([!-~]+ )*openid( [!-~]+)*$",
            description="The `scope` that a person's sign-in asks for. It has `openid` in it.",
        ),
    ] = "openid"
    acr_values: Annotated[
        tuple[AcrValue, ...],
        Meta(
            max_length=16,
            description="How people have to prove who they are, in the issuer's words, such as one for a second "
            "factor. They are asked for, and a sign-in with another `acr` claim is refused.",
        ),
    ] = ()
    max_age_s: Annotated[
        SignInAge | None,
        Meta(
            description="For how long, in seconds, a sign-in at the issuer counts before the person has to prove again "
            "who it is. Absent: as long as the issuer likes.",
        ),
    ] = None
    device_client_id: Annotated[
        ClientId | None,
        Meta(
            description="The gateway's public client at this issuer for logins with a browser elsewhere (RFC 8628): "
            "SSH clients are shown a link. Absent: they are asked for a token.",
        ),
    ] = None
    device_scope: Annotated[str, Meta(max_length=1024, description="The `scope` that such a login asks for.")] = (
        "openid"
    )
    events: Annotated[
        EventStreamSettings | None, Meta(description="Security events that the issuer sends. Absent: none are taken.")
    ] = None
    introspection: Annotated[
        IntrospectionSettings | None,
        Meta(description="Ask the issuer whether its tokens still count. Absent: its tokens are checked here only."),
    ] = None
    allow_http_loopback: Annotated[
        bool, Meta(description="Accept `http` URLs on loopback addresses. For development only.")
    ] = False

    def __post_init__(self) -> None:
        for algorithm in self.algorithms:
            if algorithm not in SUPPORTED_ALGORITHMS:
                allowed = ", ".join(SUPPORTED_ALGORITHMS)
                raise ValueError(f"algorithms: {algorithm!r} is not supported; allowed: {allowed}")
        if self.jwks_url is not None and self.jwks_file is not None:
            raise ValueError("jwks_url and jwks_file: only one of them")
        for key, url in self._fetched:
            if url is not None and not self.may_fetch(url):
                raise ValueError(f"{key}: must be an https URL without user name, query or fragment")
        self._check_client()

    def _check_client(self) -> None:
        if not self.audience and (self.client_id is None or self.device_client_id is not None):
            raise ValueError("audience is missing; it may be absent only with client_id, without device_client_id")
        if self.client_id is None and self.client_secret is not None:
            raise ValueError("client_secret: is that of client_id, which is missing")
        if (self.client_id or self.events) and not NAME_PATTERN.fullmatch(self.name or ""):
            raise ValueError(
                "name: is needed with client_id and events; allowed: letters, digits, '_', '.', '-', at most 63"
            )

    @property
    def _fetched(self) -> list[tuple[str, str | None]]:
        """The URLs that are asked, by their keys."""
        fetched = [("url", self.url), ("jwks_url", self.jwks_url)]
        if self.events is not None:
            events = self.events
            fetched.append(("events.transmitter", events.transmitter))
            fetched += [("events.jwks_url", events.jwks_url), ("events.poll_url", events.poll_url)]
        if self.introspection is not None:
            fetched.append(("introspection.url", self.introspection.url))
        return fetched

    @property
    def label(self) -> str:
        """The name that identity rules use."""
        return self.name or self.url

    @property
    def longest_life_s(self) -> int:
        """``max_token_age_s``, or what holds without it."""
        if self.max_token_age_s is not None:
            return self.max_token_age_s
        return 3600 if self.trust is None else _LONGEST_LIFE_S.get(self.trust, 3600)

    def may_fetch(self, url: str) -> bool:
        """Whether keys may be fetched from this URL: https, or http on loopback when that is allowed."""
        if any(character in url for character in "@?#\\") or any(character <= " " for character in url):
            return False
        if self.allow_http_loopback and _LOOPBACK_URL.fullmatch(url):
            return True
        return re.fullmatch(r"https://[^/]+(/.*)?", url) is not None

    def may_show(self, url: str) -> bool:
        """Whether people may be shown this URL to open it: as for ``may_fetch``, but it may have a query."""
        address = url.partition("?")[0]
        return len(url) <= 2048 and self.may_fetch(address) and all("!" <= letter <= "~" for letter in url)


class IdentityRule(Table, frozen=True):
    """Turns a verified token into an identity. The first rule of the token's issuer whose conditions hold is used."""

    issuer: Annotated[
        str, Meta(description="Name (or URL) of the issuer whose tokens this rule reads, or name of a SAML provider.")
    ]
    when: Annotated[
        dict[str, ClaimCondition],
        Meta(
            description="Conditions on claims, all of which must hold: a value, a list of accepted values, or a text "
            'with `*` for any characters. Nested claims are written with dots (`"kubernetes.io.namespace"`). '
            "`{}` takes every token of the issuer."
        ),
    ]
    identity: Annotated[
        str,
        Meta(
            min_length=1,
            description="Name of the identity: fixed, or with claims in braces (`ci:{repository}`). "
            "Begin it differently for each issuer, or two issuers can name the same identity.",
        ),
    ]
    kind: Annotated[IdentityKind, Meta(description="What the token's holder is.")] = IdentityKind.AGENT
    groups: Annotated[tuple[str, ...], Meta(description="Groups that the identity belongs to.")] = ()
    groups_claim: Annotated[
        str | None, Meta(description="Claim with a list of further groups. A token without it adds none.")
    ] = None
    owner: Annotated[str | None, Meta(description="Who answers for an agent: fixed, or with claims in braces.")] = None
    keep: Annotated[
        tuple[str, ...], Meta(description="Claims kept as evidence in the ledger, besides the usual ones.")
    ] = ()
    unless: Annotated[
        dict[str, ClaimCondition],
        Meta(
            description="Conditions of the same form, none of which may hold. A claim that is not there does not hold."
        ),
    ] = msgspec.field(default_factory=dict)


class LoginSettings(Table, frozen=True):
    """Logins of people by `/login` and `interlock login`."""

    lifetime_s: Annotated[
        int,
        Meta(
            ge=60,
            le=86_400,
            description="How long somebody stays logged in at most, in seconds. The provider may end it before.",
        ),
    ] = 28_800
