"""The gateway's settings: the shape of its one TOML file, with a description of every key.

Values only: nothing in here reads a file, an environment variable or a secret. Secrets never appear in settings,
only references to them. The descriptions are the source of ``docs/reference/configuration.md``. Paths are relative to
the file they are written in; the loader makes them absolute (fields marked with ``PATH``).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.core.settings.agents import AgentSettings
from interlock.core.settings.connections import (
    ConnectionSettings,
    Detection,
    MaskingSettings,
    Notifications,
    TlsMode,
)
from interlock.core.settings.gateway import (
    DevelopmentSettings,
    Durability,
    GatewaySettings,
    LogFormat,
    LogLevel,
    PolicySettings,
    RecordingSettings,
    SecretsSettings,
)
from interlock.core.settings.http import (
    OWN_CONNECTION,
    EndpointSettings,
    HostedTools,
    HttpApi,
    HttpSettings,
    HttpTarget,
    OAuthAuthentication,
    OAuthClient,
    PlainHttp,
    ProxySettings,
    ServerRequest,
    ToolPins,
    Uninspectable,
)
from interlock.core.settings.identities import (
    ClaimCondition,
    IdentityKind,
    IdentityRule,
    IssuerSettings,
    LoginSettings,
    TokenUse,
    Trust,
)
from interlock.core.settings.listeners import ApiSettings, PlainConnections, PostgresSettings
from interlock.core.settings.oversight import (
    AlertLock,
    AlertLockSubject,
    AlertSettings,
    ApprovalSettings,
    NotificationSettings,
)
from interlock.core.settings.references import (
    CredentialReference,
    KeyReference,
    SecretReference,
)
from interlock.core.settings.saml import NAME_ID_FORMATS, SamlSettings
from interlock.core.settings.security_events import EventStreamSettings, IntrospectionSettings, OnError
from interlock.core.settings.sessions import AtExpiry, SessionSettings
from interlock.core.settings.ssh import SshAuthentication, SshSettings, SshTarget
from interlock.core.settings.table import NAME_PATTERN, PATH, Table
from interlock.core.settings.tokens import TokenSettings
from interlock.core.settings.workloads import CertificateNames, TrustDomainSettings

__all__ = [
    "NAME_ID_FORMATS",
    "NAME_PATTERN",
    "OWN_CONNECTION",
    "PATH",
    "AgentSettings",
    "AlertLock",
    "AlertLockSubject",
    "AlertSettings",
    "ApiSettings",
    "ApprovalSettings",
    "AtExpiry",
    "CertificateNames",
    "ClaimCondition",
    "ConnectionSettings",
    "CredentialReference",
    "Detection",
    "DevelopmentSettings",
    "Durability",
    "EndpointSettings",
    "EventStreamSettings",
    "GatewaySettings",
    "HostedTools",
    "HttpApi",
    "HttpSettings",
    "HttpTarget",
    "IdentityKind",
    "IdentityRule",
    "IntrospectionSettings",
    "IssuerSettings",
    "KeyReference",
    "LogFormat",
    "LogLevel",
    "LoginSettings",
    "MaskingSettings",
    "NotificationSettings",
    "Notifications",
    "OAuthAuthentication",
    "OAuthClient",
    "OnError",
    "PlainConnections",
    "PlainHttp",
    "PolicySettings",
    "PostgresSettings",
    "ProxySettings",
    "RecordingSettings",
    "SamlSettings",
    "SecretReference",
    "SecretsSettings",
    "ServerRequest",
    "SessionSettings",
    "Settings",
    "SshAuthentication",
    "SshSettings",
    "SshTarget",
    "Table",
    "TlsMode",
    "TokenSettings",
    "TokenUse",
    "ToolPins",
    "Trust",
    "TrustDomainSettings",
    "Uninspectable",
]


class Settings(Table, frozen=True):
    """The whole file."""

    gateway: Annotated[GatewaySettings, Meta(description="The process.")] = GatewaySettings()
    postgres: Annotated[PostgresSettings, Meta(description="The PostgreSQL listener.")] = PostgresSettings()
    http: Annotated[HttpSettings, Meta(description="The HTTP listener.")] = HttpSettings()
    proxy: Annotated[ProxySettings, Meta(description="The forward proxy.")] = ProxySettings()
    ssh: Annotated[SshSettings, Meta(description="The SSH listener.")] = SshSettings()
    issuers: Annotated[tuple[IssuerSettings, ...], Meta(description="Who vouches for callers.")] = ()
    saml: Annotated[tuple[SamlSettings, ...], Meta(description="Where people sign in with SAML.")] = ()
    trust_domains: Annotated[
        tuple[TrustDomainSettings, ...], Meta(description="Who vouches for workloads by certificate.")
    ] = ()
    identities: Annotated[tuple[IdentityRule, ...], Meta(description="From tokens to identities.")] = ()
    tokens: Annotated[TokenSettings, Meta(description="The gateway's own tokens.")] = TokenSettings()
    sessions: Annotated[SessionSettings, Meta(description="Sessions that are open.")] = SessionSettings()
    logins: Annotated[LoginSettings, Meta(description="How people stay logged in.")] = LoginSettings()
    agents: Annotated[AgentSettings, Meta(description="What has to be known of agents.")] = AgentSettings()
    connections: Annotated[dict[str, ConnectionSettings], Meta(description="The targets, by name.")] = msgspec.field(
        default_factory=dict
    )
    policy: Annotated[PolicySettings, Meta(description="What is allowed.")] = PolicySettings()
    recording: Annotated[RecordingSettings, Meta(description="What is kept.")] = RecordingSettings()
    secrets: Annotated[SecretsSettings, Meta(description="The gateway's own key.")] = SecretsSettings()
    api: Annotated[ApiSettings, Meta(description="The HTTP API.")] = ApiSettings()
    approvals: Annotated[ApprovalSettings, Meta(description="How people are asked.")] = ApprovalSettings()
    notifications: Annotated[dict[str, NotificationSettings], Meta(description="Where messages go, by name.")] = (
        msgspec.field(default_factory=dict)
    )
    alerts: Annotated[AlertSettings, Meta(description="What the gateway notices by itself.")] = AlertSettings()
    development: Annotated[DevelopmentSettings, Meta(description="For trying things out.")] = DevelopmentSettings()
