"""Settings of what is listened on: for clients, and for the API."""

import enum
from typing import Annotated

from msgspec import Meta

from interlock.core.settings.table import PATH, Table, addresses_of, check_tls_files


class PlainConnections(enum.Enum):
    """What a client without TLS may do."""

    REFUSE = "refuse"
    SCRAM_ONLY = "scram-only"


class PostgresSettings(Table, frozen=True):
    """The listener for PostgreSQL clients. Without this table the gateway listens on `127.0.0.1:5432`."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(description="Address, or list of addresses, as `host:port`. Port 0 picks a free one."),
    ] = "127.0.0.1:5432"
    public_address: Annotated[
        str,
        Meta(
            pattern=r"^([^\s/@?#:]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$|^$",
            description="Where clients reach the listener, as `host:port`, for `interlock env` and `connect`. "
            "Absent: the first address of `listen`.",
        ),
    ] = ""
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
        check_tls_files(self.tls_certificate, self.tls_key)

    @property
    def addresses(self) -> tuple[str, ...]:
        """``listen`` as a tuple, however it was written."""
        return addresses_of(self.listen)


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
        check_tls_files(self.tls_certificate, self.tls_key)
