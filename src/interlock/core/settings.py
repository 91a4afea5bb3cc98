"""The gateway's settings: the shape of its one TOML file, with a description of every key.

Values only: nothing in here reads a file, an environment variable or a secret. Secrets never appear in settings,
only references to them. The descriptions are the source of ``docs/reference/configuration.md``. Paths are relative to
the file they are written in; the loader makes them absolute (fields marked with ``PATH``).
"""

import enum
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from interlock.core.notification import NotifiedEvent

PATH: Final = {"path": True}
"""Marks a field whose value is a path (or a list of paths), through ``Meta(extra=PATH)``."""

RoutineName = Annotated[str, Meta(pattern=r"^[^.]+\.[^.]+$")]
JsonPointer = Annotated[str, Meta(pattern="^(/([^~/]|~[01])+)+$")]
SUPPORTED_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
VariableName = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
MailAddress = Annotated[str, Meta(pattern=r"^[^\s<>,;:\"@]+@[^\s<>,;:\"@]+$")]
MailServerAddress = Annotated[str, Meta(pattern=r"^(smtps://)?([^\s:/@]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]
Arguments = Annotated[tuple[str, ...], Meta(min_length=1)]
_LOOPBACK_URL: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/.*)?")


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all settings tables. Subclasses raise ``ValueError`` for values that contradict one another."""


class Durability(enum.Enum):
    """When a record counts as written: after fsync, or when the operating system has it."""

    STANDARD = "standard"
    STRICT = "strict"


class LogFormat(enum.Enum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(enum.Enum):
    """The least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class PlainConnections(enum.Enum):
    """What a client without TLS may do."""

    REFUSE = "refuse"
    SCRAM_ONLY = "scram-only"


class TlsMode(enum.Enum):
    """TLS towards a target; the words and meanings of libpq's ``sslmode``."""

    DISABLE = "disable"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class Detection(enum.Enum):
    """What becomes of sensitive content that no rule names."""

    OFF = "off"
    REPORT = "report"
    MASK = "mask"


class Notifications(enum.Enum):
    """What an identity under a mask sees of other sessions' NOTIFY."""

    HIDE = "hide"
    SHOW = "show"


class AlertLock(enum.Enum):
    """The lock that an alert trips."""

    NONE = "none"
    FREEZE = "freeze"
    REFUSE = "refuse"


class AlertLockSubject(enum.Enum):
    """Whom the lock is on that an alert trips."""

    IDENTITY = "identity"
    RUN = "run"


class IdentityKind(enum.Enum):
    """What a token's holder is."""

    AGENT = "agent"
    USER = "user"


class GatewaySettings(Table, frozen=True):
    """The process: where it keeps its data, how it logs, how it ends."""

    node: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_.-]{1,63}$", description="Name of this gateway in the ledger, logs and metrics."),
    ] = "gateway"
    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory for the ledger, recordings, state and keys. Created with mode 0700.",
            extra=PATH,
        ),
    ] = "interlock-data"
    durability: Annotated[
        Durability,
        Meta(
            description="When a record of the ledger counts as written: `strict` waits for the disk, "
            "`standard` for the operating system."
        ),
    ] = Durability.STANDARD
    log_format: Annotated[LogFormat, Meta(description="Log lines for people or for machines.")] = LogFormat.CONSOLE
    log_level: Annotated[LogLevel, Meta(description="The least severe log line that is written.")] = LogLevel.INFO
    admin_listen: Annotated[
        str,
        Meta(
            description="Address of `/healthz`, `/readyz` and `/metrics`, as `host:port`. Empty: none. "
            "They need no login, so keep it on loopback or on a private network."
        ),
    ] = "127.0.0.1:9464"
    drain_timeout_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long sessions may go on after the gateway was asked to end.")
    ] = 10.0


class PostgresSettings(Table, frozen=True):
    """The listener for PostgreSQL clients. Without this table the gateway listens on `127.0.0.1:5432`."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(description="Address, or list of addresses, as `host:port`. Port 0 picks a free one."),
    ] = "127.0.0.1:5432"
    tls_certificate: Annotated[
        str | None,
        Meta(
            description="PEM file with the certificate chain shown to clients. "
            "Absent: a self-signed certificate is made in the data directory, with a warning.",
            extra=PATH,
        ),
    ] = None
    tls_key: Annotated[
        str | None, Meta(description="PEM file with the private key of `tls_certificate`.", extra=PATH)
    ] = None
    plain: Annotated[
        PlainConnections,
        Meta(
            description="Clients without TLS: `refuse` turns them away before a password is asked, `scram-only` "
            "lets identities with a generated secret in, never tokens."
        ),
    ] = PlainConnections.REFUSE
    max_connections: Annotated[
        int, Meta(ge=1, le=100_000, description="Client connections at one time; more are refused (SQLSTATE 53300).")
    ] = 1000
    startup_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long a client may take from connecting to being logged in.")
    ] = 30.0
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long reaching and logging in to a target may take.")
    ] = 15.0
    max_statement_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=1 << 30,
            description="The longest statement text that is parsed; longer ones are refused. "
            "Bound values and COPY data are not counted.",
        ),
    ] = 1 << 20

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together, or neither")

    @property
    def addresses(self) -> tuple[str, ...]:
        """``listen`` as a tuple, however it was written."""
        return (self.listen,) if isinstance(self.listen, str) else self.listen


class IssuerSettings(Table, frozen=True):
    """A token issuer that is trusted (OpenID Connect). Only tokens of listed issuers are looked at."""

    url: Annotated[
        str, Meta(min_length=1, description="The issuer exactly as in the tokens' `iss` claim. `https` only.")
    ]
    audience: Annotated[
        str,
        Meta(min_length=1, description="What the tokens' `aud` claim must contain: this gateway's own identifier."),
    ]
    name: Annotated[
        str | None, Meta(description="Short name used in identity rules. Absent: the `url` is the name.")
    ] = None
    jwks_url: Annotated[
        str | None, Meta(description="Where the issuer publishes its keys. Absent: found by OpenID Connect discovery.")
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
        int, Meta(ge=60, le=86_400, description="The longest life (`exp - iat`) a token may have, in seconds.")
    ] = 3600
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
    allow_http_loopback: Annotated[
        bool, Meta(description="Accept `http` URLs on loopback addresses. For development only.")
    ] = False

    def __post_init__(self) -> None:
        for algorithm in self.algorithms:
            if algorithm not in SUPPORTED_ALGORITHMS:
                allowed = ", ".join(SUPPORTED_ALGORITHMS)
                raise ValueError(f"algorithms: {algorithm!r} is not supported; allowed: {allowed}")
        for key, url in (("url", self.url), ("jwks_url", self.jwks_url)):
            if url is not None and not self.may_fetch(url):
                raise ValueError(f"{key}: must be an https URL without user name, query or fragment")

    @property
    def label(self) -> str:
        """The name that identity rules use."""
        return self.name or self.url

    def may_fetch(self, url: str) -> bool:
        """Whether keys may be fetched from this URL: https, or http on loopback when that is allowed."""
        if any(character in url for character in "@?#\\") or any(character <= " " for character in url):
            return False
        if self.allow_http_loopback and _LOOPBACK_URL.fullmatch(url):
            return True
        return re.fullmatch(r"https://[^/]+(/.*)?", url) is not None


ClaimCondition = str | int | bool | tuple[str | int | bool, ...]


class IdentityRule(Table, frozen=True):
    """Turns a verified token into an identity. The first rule of the token's issuer whose conditions hold is used."""

    issuer: Annotated[str, Meta(description="Name (or URL) of the issuer whose tokens this rule reads.")]
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


class CredentialReference(Table, frozen=True):
    """Where a target's password is. Exactly one key. The password itself is never written in the file."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it, read at each use.")] = (
        None
    )
    file: Annotated[
        str | None,
        Meta(description="File that holds it (one trailing newline is ignored), read at each use.", extra=PATH),
    ] = None
    sealed: Annotated[
        bool,
        Meta(description="`true`: kept encrypted by the gateway; set it with `interlock connections set-credential`."),
    ] = False

    def __post_init__(self) -> None:
        if (self.env is not None) + (self.file is not None) + self.sealed != 1:
            raise ValueError("exactly one of env, file, sealed = true")


class MaskingSettings(Table, frozen=True):
    """How masking works on a target. What is masked for whom, says policy."""

    refresh_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="How old the catalogue in use may be before it is read again. "
            "A catalogue that takes long to read is read less often: at most a tenth of the time.",
        ),
    ] = 5.0
    max_stale_s: Annotated[
        float,
        Meta(
            ge=1,
            le=604_800,
            description="How old it may become while it cannot be read again; then who is under a mask is refused.",
        ),
    ] = 600.0
    functions: Annotated[
        tuple[RoutineName, ...],
        Meta(
            description="Functions of the target, as `schema.name`, that you vouch for: "
            "they compute from their arguments only and show them to nobody else."
        ),
    ] = ()
    detect: Annotated[
        Detection,
        Meta(
            description="Sensitive content (card numbers, keys, …) in what no rule names: not looked for, "
            "counted in the record, or masked."
        ),
    ] = Detection.OFF
    documents: Annotated[
        dict[str, tuple[JsonPointer, ...]],
        Meta(
            description="Of masked `json` and `jsonb` columns, what is to be masked in them, as JSON Pointers: "
            '`{ "public.users.profile" = ["/contact/email"] }`. Arrays on the way are gone through. '
            "A column that is not named here is masked as a whole."
        ),
    ] = {}
    notifications: Annotated[
        Notifications,
        Meta(description="Payloads of other sessions' NOTIFY for identities under a mask: hidden or shown."),
    ] = Notifications.HIDE

    def __post_init__(self) -> None:
        if self.max_stale_s < self.refresh_s:
            raise ValueError("max_stale_s must not be less than refresh_s")


class ConnectionSettings(Table, frozen=True, kw_only=True):
    """A target that clients reach by this table's name."""

    protocol: Annotated[str, Meta(description="The target's protocol: `postgres`.")]
    host: Annotated[str, Meta(min_length=1, max_length=255, description="Host name or address of the target.")]
    port: Annotated[int, Meta(ge=1, le=65_535, description="Port of the target.")] = 5432
    databases: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Databases that may be reached. The first is used when a client names none."),
    ]
    user: Annotated[str, Meta(min_length=1, max_length=255, description="Who the gateway logs in as at the target.")]
    credential: Annotated[
        CredentialReference | None,
        Meta(description="Where the password is. Absent: the gateway logs in without one (client certificate, trust)."),
    ] = None
    tls: Annotated[
        TlsMode,
        Meta(description="TLS towards the target. Only `verify-full` proves that it is the right server."),
    ] = TlsMode.VERIFY_FULL
    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file with the authorities for the target's certificate. Absent: the system's.", extra=PATH
        ),
    ] = None
    client_certificate: Annotated[
        str | None, Meta(description="PEM file with the certificate the gateway logs in with.", extra=PATH)
    ] = None
    client_key: Annotated[
        str | None, Meta(description="PEM file with the private key of `client_certificate`.", extra=PATH)
    ] = None
    search_path: Annotated[
        tuple[str, ...],
        Meta(description="Schemas in which unqualified names are looked up, as the target's role has them."),
    ] = ("public",)
    tags: Annotated[tuple[str, ...], Meta(description="Words that policy can refer to (`production`, `pii`).")] = ()
    masking: Annotated[MaskingSettings, Meta(description="How masking works on this target.")] = MaskingSettings()

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key are given together, or neither")


class PolicySettings(Table, frozen=True):
    """What is allowed. Without a policy everything is refused."""

    files: Annotated[
        tuple[str, ...], Meta(description="Cedar policy files; read again when they change.", extra=PATH)
    ] = ()
    tags: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description='Words for resources that policy can refer to, as `"crm/app/public/users" = ["pii"]`.'),
    ] = {}


class RecordingSettings(Table, frozen=True):
    """How much of what is said is kept. What is beyond a limit is counted and digested, and the gap is recorded."""

    max_session_bytes: Annotated[
        int, Meta(ge=0, description="The most that is kept of one session's answers and streamed data.")
    ] = 64 << 20
    max_operation_bytes: Annotated[
        int, Meta(ge=0, description="The most that is kept of the answer to one operation.")
    ] = 1 << 20
    max_request_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 20, description="The most that is kept of one request's text and bound values.")
    ] = 64 << 10


class KeyReference(Table, frozen=True):
    """Where a key-encryption key is: 32 bytes in base64. Exactly one key."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it.")] = None
    file: Annotated[
        str | None, Meta(description="File that holds it; must be readable by its owner only.", extra=PATH)
    ] = None
    command: Annotated[
        Arguments | None,
        Meta(description="Program and arguments that print it (a key service's client). No shell is used."),
    ] = None

    def __post_init__(self) -> None:
        if sum(reference is not None for reference in (self.env, self.file, self.command)) != 1:
            raise ValueError("exactly one of env, file, command")


class SecretsSettings(Table, frozen=True):
    """The key that encrypts stored credentials and recordings."""

    key: Annotated[
        KeyReference | None,
        Meta(description="The key in use. Absent: made on first start, as `sealing.key` in the data directory."),
    ] = None
    old_keys: Annotated[
        tuple[KeyReference, ...], Meta(description="Earlier keys, still needed to read what they encrypted.")
    ] = ()


class ApiSettings(Table, frozen=True):
    """The HTTP API. The gateway's own operators reach it through a socket in the data directory in any case."""

    listen: Annotated[
        str, Meta(description="Address of the API, as `host:port`, with TLS. Empty: on the local socket only.")
    ] = ""
    tls_certificate: Annotated[
        str | None,
        Meta(description="PEM file with the certificate chain. Absent: that of the PostgreSQL listener.", extra=PATH),
    ] = None
    tls_key: Annotated[
        str | None, Meta(description="PEM file with the private key of `tls_certificate`.", extra=PATH)
    ] = None
    public_url: Annotated[
        str,
        Meta(
            pattern="^(https://[^?#]+[^/?#])?$",
            description="Where people reach the API or the console: the beginning of the links in messages.",
        ),
    ] = ""
    requests_per_minute: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests that one caller may make in a minute; more get status 429.")
    ] = 600

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together, or neither")


class ApprovalSettings(Table, frozen=True):
    """How people are asked. Who is asked, and about what, says policy."""

    wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How long a held statement waits on the wire. After that the client is told to send it again "
            "within the life of the request.",
        ),
    ] = 600.0
    max_open_per_session: Annotated[
        int, Meta(ge=1, le=1000, description="Requests that one session may have open; more are refused.")
    ] = 10
    max_open_per_identity: Annotated[
        int, Meta(ge=1, le=10_000, description="Requests that one identity may have open over all its sessions.")
    ] = 50
    requests_per_minute: Annotated[
        int, Meta(ge=1, le=10_000, description="New requests that one identity may cause in a minute.")
    ] = 30
    rehearsal_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="How long the transaction of a rehearsal is held open; then it is rolled back, "
            "and an approval runs the statement anew.",
        ),
    ] = 120.0


class SecretReference(Table, frozen=True):
    """Where a secret is. Exactly one key. The secret itself is never written in the file."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it, read at each use.")] = (
        None
    )
    file: Annotated[
        str | None,
        Meta(description="File that holds it (one trailing newline is ignored), read at each use.", extra=PATH),
    ] = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of env, file")


class NotificationSettings(Table, frozen=True, kw_only=True):
    """A channel that messages go to. Exactly one of `webhook`, `email`, `slack` and `apprise` is given."""

    webhook: Annotated[
        str | None,
        Meta(description="URL that gets every message as JSON, signed with `secret`. `http` on this machine only."),
    ] = None
    email: Annotated[
        MailAddress | None, Meta(description="Address that messages are mailed to, through `smtp`, from `sender`.")
    ] = None
    slack: Annotated[SecretReference | None, Meta(description="Where the URL of a Slack incoming webhook is.")] = None
    apprise: Annotated[
        SecretReference | None, Meta(description="Where a URL for Apprise is (needs the extra `notify`).")
    ] = None
    secret: Annotated[
        SecretReference | None,
        Meta(description="Where the key that signs webhooks (`whsec_…`), or the password of `smtp_user`, is."),
    ] = None
    smtp: Annotated[
        MailServerAddress | None,
        Meta(
            description="Mail server, as `host:port` for STARTTLS or `smtps://host:port` for TLS at once. "
            "Without TLS only one on this machine is used.",
        ),
    ] = None
    smtp_user: Annotated[str | None, Meta(description="User at the mail server. Absent: no login.")] = None
    sender: Annotated[MailAddress | None, Meta(description="Sender of the mail.")] = None
    ca_file: Annotated[
        str | None,
        Meta(
            description="Authorities (PEM) for the certificate of the webhook or the mail server. "
            "Absent: the system's.",
            extra=PATH,
        ),
    ] = None
    events: Annotated[tuple[NotifiedEvent, ...], Meta(min_length=1, description="Which messages go here.")] = tuple(
        NotifiedEvent
    )
    include_statement: Annotated[
        bool,
        Meta(description="Put the beginning of the statement into messages that ask for an approval."),
    ] = False
    per_minute: Annotated[
        int,
        Meta(ge=1, le=1000, description="Messages that go here within a minute; what is more is told as one message."),
    ] = 20

    def __post_init__(self) -> None:
        places = (self.webhook, self.email, self.slack, self.apprise)
        if sum(place is not None for place in places) != 1:
            raise ValueError("exactly one of webhook, email, slack, apprise")
        if self.webhook is not None:
            _check_webhook(self.webhook)
        if (self.webhook is not None or self.smtp_user is not None) != (self.secret is not None):
            raise ValueError("secret goes with webhook or with smtp_user, and each of them needs it")
        if (self.email is not None) != (self.smtp is not None and self.sender is not None):
            raise ValueError("email needs smtp and sender, which go with nothing else")
        if self.smtp_user is not None and self.email is None:
            raise ValueError("smtp_user goes with email")
        if self.ca_file is not None and self.webhook is None and self.email is None:
            raise ValueError("ca_file goes with webhook or email")


def _check_webhook(url: str) -> None:
    place = urlsplit(url)
    if place.username is not None or place.password is not None:
        raise ValueError("the URL of a webhook holds no user and no password: it is signed with the secret")
    if not place.hostname or (place.scheme != "https" and not _LOOPBACK_URL.fullmatch(url)):
        raise ValueError("the URL of a webhook begins with https:// (http:// on this machine only)")


class AlertSettings(Table, frozen=True):
    """What the gateway notices by itself."""

    denials: Annotated[
        int, Meta(ge=0, le=1_000_000, description="So many denials of one identity raise one alert. 0: never.")
    ] = 50
    denials_window_s: Annotated[float, Meta(ge=1, le=86_400, description="Within so many seconds.")] = 60.0
    lock: Annotated[
        AlertLock, Meta(description="Lock that such an alert adds by itself: `none`, `freeze` or `refuse`.")
    ] = AlertLock.NONE
    lock_on: Annotated[
        AlertLockSubject,
        Meta(
            description="Whom that lock is on: the `identity`, or only the `run` in which something was denied last. "
            "Where the client names no run, the identity."
        ),
    ] = AlertLockSubject.IDENTITY
    lock_s: Annotated[
        float, Meta(ge=1, le=86_400 * 30, description="How long that lock stays, unless somebody lifts it.")
    ] = 3600.0


class DevelopmentSettings(Table, frozen=True):
    """Conveniences that must not reach production."""

    issuer: Annotated[
        str | None,
        Meta(
            description="Address of a built-in issuer that gives a token to whoever asks, as `127.0.0.1:port` "
            "(0: any free port). Loopback only. Absent: there is none."
        ),
    ] = None
    audience: Annotated[str, Meta(min_length=1, description="The `aud` claim of its tokens.")] = "interlock"


class Settings(Table, frozen=True):
    """The whole file."""

    gateway: Annotated[GatewaySettings, Meta(description="The process.")] = GatewaySettings()
    postgres: Annotated[PostgresSettings, Meta(description="The PostgreSQL listener.")] = PostgresSettings()
    issuers: Annotated[tuple[IssuerSettings, ...], Meta(description="Who vouches for callers.")] = ()
    identities: Annotated[tuple[IdentityRule, ...], Meta(description="From tokens to identities.")] = ()
    connections: Annotated[dict[str, ConnectionSettings], Meta(description="The targets, by name.")] = {}
    policy: Annotated[PolicySettings, Meta(description="What is allowed.")] = PolicySettings()
    recording: Annotated[RecordingSettings, Meta(description="What is kept.")] = RecordingSettings()
    secrets: Annotated[SecretsSettings, Meta(description="The gateway's own key.")] = SecretsSettings()
    api: Annotated[ApiSettings, Meta(description="The HTTP API.")] = ApiSettings()
    approvals: Annotated[ApprovalSettings, Meta(description="How people are asked.")] = ApprovalSettings()
    notifications: Annotated[dict[str, NotificationSettings], Meta(description="Where messages go, by name.")] = {}
    alerts: Annotated[AlertSettings, Meta(description="What the gateway notices by itself.")] = AlertSettings()
    development: Annotated[DevelopmentSettings, Meta(description="For trying things out.")] = DevelopmentSettings()
