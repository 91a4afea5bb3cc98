"""Settings of SSH: what is listened on for clients, and what a host is like."""

import enum
from typing import Annotated

from msgspec import Meta

from interlock.core.settings.table import PATH, Table, addresses_of

HostKey = Annotated[str, Meta(pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?$", max_length=8192)]
"""A public key as OpenSSH writes it: ``ssh-ed25519 AAAA… comment``."""

Login = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\$?$", max_length=64)]

HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)]
"""As clients write it, without a port."""

VariablePattern = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\*?$", max_length=128)]


class SshAuthentication(enum.Enum):
    """How the gateway logs in at a host."""

    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    KEY = "key"
    CERTIFICATE = "certificate"


class SshTarget(Table, frozen=True):
    """What is particular about an SSH host."""

    authenticate: Annotated[
        SshAuthentication,
        Meta(
            description="How the gateway logs in: with the `credential` as password, with the `credential` as private "
            "key, or with a certificate that its own authority makes for each session (`interlock ssh authority` "
            "prints what the host has to trust)."
        ),
    ] = SshAuthentication.KEY
    logins: Annotated[
        tuple[Login, ...],
        Meta(description="Other logins at the host that clients may ask for (`ssh LOGIN+CONNECTION@gateway`)."),
    ] = ()
    host_keys: Annotated[
        tuple[HostKey, ...],
        Meta(description="The host's public keys, as `ssh-keyscan` prints them without the name. Others are refused."),
    ] = ()
    host_authorities: Annotated[
        tuple[HostKey, ...],
        Meta(description="Public keys of authorities that vouch for the host's key with a certificate."),
    ] = ()
    environment: Annotated[
        tuple[VariablePattern, ...],
        Meta(description="Environment variables that clients may set; a `*` at the end stands for anything."),
    ] = ("LANG", "LC_*")
    keep_content: Annotated[
        bool, Meta(description="Whether what is in transferred files is kept in the recording, within its limits.")
    ] = False
    detect_in_files: Annotated[
        bool,
        Meta(
            description="Whether content detection looks into files that are read (`masking.detect`). What it masks "
            "changes the file that arrives."
        ),
    ] = False
    max_command_bytes: Annotated[
        int, Meta(ge=256, le=1 << 17, description="The longest command that is read; longer ones are opaque.")
    ] = 16 << 10


class SshSettings(Table, frozen=True):
    """The listener for SSH clients. Without an address there is none."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(description="Address, or list of addresses, as `host:port`. Port 0 picks a free one. Empty: none."),
    ] = ""
    host_key: Annotated[
        str | None,
        Meta(
            description="File with the gateway's private host key. Absent: one is made in the data directory.",
            extra=PATH,
        ),
    ] = None
    host_names: Annotated[
        tuple[HostName, ...],
        Meta(
            min_length=1,
            description="Names under which clients reach the listener: what the host certificate is made out to.",
        ),
    ] = ("localhost", "127.0.0.1")
    max_connections: Annotated[
        int, Meta(ge=1, le=100_000, description="Client connections at one time; more are turned away.")
    ] = 2000
    max_channels: Annotated[
        int, Meta(ge=1, le=1000, description="Channels of one connection at one time; more are refused.")
    ] = 32
    login_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long a client may take from connecting to being logged in.")
    ] = 60.0
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long reaching and logging in to a host may take.")
    ] = 15.0
    keepalive_s: Annotated[
        float,
        Meta(ge=1, le=3600, description="How long a side may say nothing before it is asked whether it is there."),
    ] = 30.0
    failures_per_minute: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Failed logins of one source address in a minute; more are turned away."),
    ] = 20
    certificate_lifetime_s: Annotated[
        int, Meta(ge=30, le=86_400, description="How long a user certificate counts, at most as long as the token.")
    ] = 600

    @property
    def addresses(self) -> tuple[str, ...]:
        """``listen`` as a tuple, however it was written."""
        return addresses_of(self.listen)

    @property
    def port(self) -> int:
        """The port of the first address, 0 when there is none or any free one."""
        port = self.addresses[0].rpartition(":")[2] if self.addresses else ""
        return int(port) if port.isdecimal() else 0
