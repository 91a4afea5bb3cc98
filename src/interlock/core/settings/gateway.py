"""Settings of the gateway itself: its data, its policy, its recordings, its key."""

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.core.settings.references import KeyReference
from interlock.core.settings.table import PATH, Table


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


class PolicySettings(Table, frozen=True):
    """What is allowed. Without a policy everything is refused."""

    files: Annotated[
        tuple[str, ...], Meta(description="Cedar policy files; read again when they change.", extra=PATH)
    ] = ()
    tags: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description='Words for resources that policy can refer to, as `"crm/app/public/users" = ["pii"]`.'),
    ] = msgspec.field(default_factory=dict)


class RecordingSettings(Table, frozen=True):
    """How much of what is said is kept. What is beyond a limit is counted and digested, and the gap is recorded."""

    max_session_bytes: Annotated[
        int, Meta(ge=0, description="The most that is kept of one session's answers and streamed data.")
    ] = 64 << 20
    max_operation_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="The most that is kept of the answer to one operation. Of a shell it is `max_session_bytes`.",
        ),
    ] = 1 << 20
    max_request_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 20, description="The most that is kept of one request's text and bound values.")
    ] = 64 << 10


class SecretsSettings(Table, frozen=True):
    """The key that encrypts stored credentials and recordings."""

    key: Annotated[
        KeyReference | None,
        Meta(description="The key in use. Absent: made on first start, as `sealing.key` in the data directory."),
    ] = None
    old_keys: Annotated[
        tuple[KeyReference, ...], Meta(description="Earlier keys, still needed to read what they encrypted.")
    ] = ()


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
