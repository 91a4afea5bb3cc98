"""Settings of HTTP: what is listened on for clients, and what an HTTP target is like."""

import enum
import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from interlock.core.settings.table import PATH, Table, addresses_of, check_tls_files

OWN_CONNECTION: Final = "interlock"
"""The connection to the gateway's own MCP server, which is there without being in the settings."""

EndpointName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,63}$")]

FieldSelector = Annotated[str, Meta(pattern=r"^(/.+|[^/*].*|\*)$", max_length=256)]
"""A key at any depth (``email``), or a path from the root (``/customer/*/email``)."""

HostPattern = Annotated[str, Meta(pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)]


_NOT_FOR_CREDENTIALS: Final = re.compile(
    "connection|content-(encoding|length|type)|expect|host|keep-alive|proxy-(authorization|connection)|te|trailer"
    "|transfer-encoding|upgrade"
)


class PlainHttp(enum.Enum):
    """Who may come without TLS."""

    REFUSE = "refuse"
    LOOPBACK = "loopback"
    ALLOW = "allow"


class HttpApi(enum.Enum):
    """How requests to a target are read."""

    HTTP = "http"
    GRAPHQL = "graphql"
    OPENAI = "openai"
    MCP = "mcp"


class Uninspectable(enum.Enum):
    """What becomes of a body that a mask applies to and that cannot be looked into."""

    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105 - a word, not a secret


class ToolPins(enum.Enum):
    """When a tool of an MCP server is one that may be used."""

    FIRST_USE = "first-use"
    APPROVE = "approve"
    OFF = "off"


class ServerRequest(enum.Enum):
    """What an MCP server may ask a client for; the word is that of the client's capability."""

    SAMPLING = "sampling"
    ELICITATION = "elicitation"
    ROOTS = "roots"


class HostedTools(enum.Enum):
    """What becomes of a request that declares a hosted tool which policy denies."""

    DECIDE = "decide"
    REMOVE = "remove"


class EndpointSettings(Table, frozen=True):
    """A named group of paths of a target, which policy can refer to as `Endpoint::"CONNECTION/NAME"`."""

    path: Annotated[
        str,
        Meta(
            pattern=r"^/[^?#]*$",
            max_length=1024,
            description="Path template: `{name}` stands for one segment, `**` at the end for any number of them.",
        ),
    ]
    tags: Annotated[tuple[str, ...], Meta(description="Words that policy can refer to.")] = ()


class OAuthAuthentication(enum.Enum):
    """How the gateway proves at a token endpoint who it is; the words of OpenID Connect registration."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"


class OAuthClient(Table, frozen=True):
    """How the gateway gets a token for the target (RFC 6749, client credentials). The secret is the `credential`."""

    token_url: Annotated[
        str,
        Meta(
            pattern=r"^(https://[^/\s?#@\\]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)(/[^\s#]*)?$",
            description="The token endpoint. Plain HTTP on this machine only.",
        ),
    ]
    client_id: Annotated[str, Meta(min_length=1, max_length=1024, description="Who the gateway is there.")]
    scope: Annotated[str, Meta(description="Scopes, separated by blanks.")] = ""
    audience: Annotated[str, Meta(description="The `audience` parameter, where the server wants one.")] = ""
    resource: Annotated[str, Meta(description="The `resource` parameter (RFC 8707), where the server wants one.")] = ""
    authentication: Annotated[
        OAuthAuthentication, Meta(description="Where the secret goes: into `Authorization`, or into the form.")
    ] = OAuthAuthentication.BASIC
    ca_file: Annotated[
        str | None, Meta(description="PEM file with the authorities for the token endpoint.", extra=PATH)
    ] = None


class HttpTarget(Table, frozen=True):
    """What is particular about an HTTP target."""

    api: Annotated[
        HttpApi,
        Meta(description="How requests are read: plain HTTP, GraphQL, an OpenAI-compatible model API, or MCP."),
    ] = HttpApi.HTTP
    base_path: Annotated[
        str, Meta(pattern=r"^(/[^?#]*[^/?#])?$", description="Put in front of each path, as in `/v2`.")
    ] = ""
    host_header: Annotated[str, Meta(description="`Host` that the target is sent. Absent: its host and port.")] = ""
    server_names: Annotated[
        tuple[HostPattern, ...],
        Meta(description="Host names of the gateway under which clients reach this target without `/c/CONNECTION`."),
    ] = ()
    hosts: Annotated[
        tuple[HostPattern, ...],
        Meta(
            description="Through the proxy, host names that mean this target besides its own; "
            "`*.example.com` stands for every name below."
        ),
    ] = ()
    tunnel: Annotated[
        bool,
        Meta(
            description="`true`: through the proxy, `hosts` are reached by tunnels that the gateway cannot look into, "
            "where policy permits `http-tunnel`."
        ),
    ] = False
    allow_private: Annotated[
        bool, Meta(description="Whether `hosts` may have private or loopback addresses. Link-local ones never.")
    ] = False
    credential_as: Annotated[
        str,
        Meta(
            pattern=r"^(bearer|basic|oauth|none|header:[A-Za-z0-9-]+|query:[A-Za-z0-9_.-]+)$",
            max_length=255,
            description="How the credential is shown to the target: `bearer`; `basic` (with `user`, or as it is when "
            "it is `user:password`); `header:NAME`; `query:NAME`; `oauth` (see `oauth`); or `none`.",
        ),
    ] = "bearer"
    oauth: Annotated[OAuthClient | None, Meta(description="Where a token for the target comes from.")] = None
    endpoints: Annotated[
        dict[EndpointName, EndpointSettings], Meta(description="Named path templates. The most specific one counts.")
    ] = msgspec.field(default_factory=dict)
    fields: Annotated[
        dict[FieldSelector, tuple[str, ...]],
        Meta(
            description="Fields of bodies, with their tags: a key at any depth (`email`), or a path from the root "
            "(`/customer/*/email`)."
        ),
    ] = msgspec.field(default_factory=dict)
    graphql_paths: Annotated[tuple[str, ...], Meta(description='Where GraphQL is answered, for `api = "graphql"`.')] = (
        "/graphql",
    )
    graphql_documents: Annotated[
        tuple[str, ...],
        Meta(
            description="GraphQL documents that clients may name by their SHA-256 instead of sending them "
            "(`extensions.persistedQuery`). Other names of documents are refused."
        ),
    ] = ()
    outside: Annotated[
        bool,
        Meta(description="`true`: the target is not ours, so that what is masked is also masked in requests to it."),
    ] = False
    uninspectable: Annotated[
        Uninspectable,
        Meta(description="Bodies that a mask applies to and that cannot be looked into: refused, or passed."),
    ] = Uninspectable.REFUSE
    tool_pins: Annotated[
        ToolPins,
        Meta(description="Tools of an MCP server: pinned when first seen, only after a person's approval, or never."),
    ] = ToolPins.FIRST_USE
    mcp_paths: Annotated[
        tuple[str, ...],
        Meta(description='Where the MCP server answers, for `api = "mcp"`. The connection has no other paths then.'),
    ] = ("/mcp",)
    server_requests: Annotated[
        tuple[ServerRequest, ...],
        Meta(
            description="What an MCP server may ask of clients: `sampling` (to run the client's model), `elicitation` "
            "(to ask its user), `roots` (for its directories). Everything else is left out of the traffic."
        ),
    ] = ()
    hosted_tools: Annotated[
        HostedTools,
        Meta(description="A hosted tool that policy denies: the request is refused, or the tool is taken out of it."),
    ] = HostedTools.DECIDE
    hold_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long a held request waits for people before it is answered with status 403.",
        ),
    ] = 3.0
    answer_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="How long the target may say nothing while an answer is due.")
    ] = 600.0
    max_held_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=1 << 28,
            description="The longest request body that is read as a whole before it is decided, and the longest "
            "part of an answer that is held to be masked.",
        ),
    ] = 4 << 20

    def __post_init__(self) -> None:
        if _NOT_FOR_CREDENTIALS.fullmatch(self.credential_as.lower().removeprefix("header:")):
            raise ValueError(f"credential_as: {self.credential_as} has a meaning of its own in HTTP")


class HttpSettings(Table, frozen=True):
    """The listener for HTTP clients. Without an address there is none."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(description="Address, or list of addresses, as `host:port`. Port 0 picks a free one. Empty: none."),
    ] = ""
    tls_certificate: Annotated[
        str | None,
        Meta(description="PEM file with the certificate chain. Absent: that of the PostgreSQL listener.", extra=PATH),
    ] = None
    tls_key: Annotated[
        str | None, Meta(description="PEM file with the private key of `tls_certificate`.", extra=PATH)
    ] = None
    plain: Annotated[
        PlainHttp,
        Meta(description="Clients without TLS: turned away, let in from this machine, or let in from anywhere."),
    ] = PlainHttp.LOOPBACK
    http2: Annotated[bool, Meta(description="Whether HTTP/2 is offered to clients with TLS.")] = True
    public_url: Annotated[
        str,
        Meta(
            pattern="^(https?://[^?#]+[^/?#])?$",
            description="Where clients reach the listener. Absent: what each request says in `Host`.",
        ),
    ] = ""
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Client connections at one time; more are turned away.")
    ] = 20_000
    head_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long a client may take to send the head of a request.")
    ] = 20.0
    idle_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="How long a connection may be idle between requests.")
    ] = 120.0
    connect_timeout_s: Annotated[float, Meta(gt=0, le=600, description="How long reaching a target may take.")] = 10.0
    max_head_bytes: Annotated[
        int, Meta(ge=4096, le=1 << 20, description="The longest head of a request or an answer.")
    ] = 64 << 10

    def __post_init__(self) -> None:
        check_tls_files(self.tls_certificate, self.tls_key)

    @property
    def addresses(self) -> tuple[str, ...]:
        """``listen`` as a tuple, however it was written."""
        return addresses_of(self.listen)


class ProxySettings(Table, frozen=True):
    """The forward proxy (`HTTPS_PROXY`). Without an address there is none. Limits are those of `[http]`."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(description="Address, or list of addresses, as `host:port`. Port 0 picks a free one. Empty: none."),
    ] = ""
    plain: Annotated[
        PlainHttp,
        Meta(
            description="Clients that speak to the proxy itself without TLS, and so show their token to the network: "
            "turned away, let in from this machine, or let in from anywhere."
        ),
    ] = PlainHttp.LOOPBACK

    @property
    def addresses(self) -> tuple[str, ...]:
        """``listen`` as a tuple, however it was written."""
        return addresses_of(self.listen)
