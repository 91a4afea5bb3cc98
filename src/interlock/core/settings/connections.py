"""Settings of the targets, and of what is masked on their way."""

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.core.addresses import host_problem
from interlock.core.settings.http import HttpTarget
from interlock.core.settings.references import CredentialReference
from interlock.core.settings.ssh import SshAuthentication, SshTarget
from interlock.core.settings.table import PATH, Table

RoutineName = Annotated[str, Meta(pattern=r"^[^.]+\.[^.]+$")]

JsonPointer = Annotated[str, Meta(pattern="^(/([^~/]|~[01])+)+$")]


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
    ] = msgspec.field(default_factory=dict)
    notifications: Annotated[
        Notifications,
        Meta(description="Payloads of other sessions' NOTIFY for identities under a mask: hidden or shown."),
    ] = Notifications.HIDE

    def __post_init__(self) -> None:
        if self.max_stale_s < self.refresh_s:
            raise ValueError("max_stale_s must not be less than refresh_s")


class ConnectionSettings(Table, frozen=True, kw_only=True):
    """A target that clients reach by this table's name."""

    protocol: Annotated[str, Meta(description="The target's protocol: `postgres`, `http` or `ssh`.")]
    host: Annotated[
        str, Meta(max_length=255, description="Host name or address of the target. Only tunnels go without one.")
    ] = ""
    port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="Port of the target. Absent: 5432; HTTP 443, without TLS 80; SSH 22."),
    ] = 0
    databases: Annotated[
        tuple[str, ...],
        Meta(description="Databases that may be reached. The first is used when a client names none."),
    ] = ()
    user: Annotated[str, Meta(max_length=255, description="Who the gateway logs in as at the target.")] = ""
    credential: Annotated[
        CredentialReference | None,
        Meta(description="Where the password or key is. Absent: the gateway logs in without one (certificate, trust)."),
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
    http: Annotated[HttpTarget, Meta(description="What is particular about an HTTP target.")] = HttpTarget()
    ssh: Annotated[SshTarget, Meta(description="What is particular about an SSH host.")] = SshTarget()

    def __post_init__(self) -> None:
        if not self.port:
            msgspec.structs.force_setattr(self, "port", self._usual_port())
        if not self.host and not self.http.tunnel:
            raise ValueError("host is missing")
        if self.protocol == "postgres" and not (self.databases and self.user):
            raise ValueError("a PostgreSQL connection needs user, and at least one of databases")
        if self.protocol == "http" and self.host and (problem := host_problem(self.host.lower())):
            raise ValueError(f"host {self.host!r}: {problem}")
        if self.protocol == "http" and self.databases:
            raise ValueError("an HTTP connection has no databases")
        if self.protocol == "ssh":
            self._check_ssh()
        if self.http.tunnel and not self.http.hosts:
            raise ValueError("http.tunnel needs http.hosts")
        if (self.http.credential_as == "oauth") != (self.http.oauth is not None):
            raise ValueError('http.credential_as = "oauth" and the table http.oauth are given together, or neither')
        if self.http.oauth is not None and self.credential is None:
            raise ValueError("http.oauth needs a credential: the client's secret")
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key are given together, or neither")

    def _check_ssh(self) -> None:
        if not self.user or self.databases:
            raise ValueError("an SSH connection needs user, the login at the host, and has no databases")
        if (self.ssh.authenticate is SshAuthentication.CERTIFICATE) != (self.credential is None):
            raise ValueError('an SSH connection needs a credential, except with ssh.authenticate = "certificate"')

    @property
    def places(self) -> tuple[str, ...]:
        """What clients may ask for within the target, the usual one first: databases, or logins at an SSH host."""
        if self.protocol == "ssh":
            return (self.user, *self.ssh.logins)
        return self.databases or ("",)

    def _usual_port(self) -> int:
        if self.protocol == "ssh":
            return 22
        if self.protocol != "http":
            return 5432
        return 80 if self.tls is TlsMode.DISABLE else 443
