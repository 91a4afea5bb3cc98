"""What a program on somebody's own machine knows of a gateway: where it is, a login there, and session tokens.

Values only. No ``repr`` shows a token.
"""

import msgspec

from interlock.core.identity import API_AUDIENCE


class GatewayAddress(msgspec.Struct, frozen=True):
    """Where a gateway is asked: ``url`` is ``https://host:port``, or empty for the one with this ``data_dir`` here.

    ``ca_file`` has the authorities for its certificate, empty for the system's.
    """

    url: str = ""
    ca_file: str = ""
    data_dir: str = ""

    @property
    def label(self) -> str:
        """How it is named to people, and what is kept of it by."""
        return self.url or f"the gateway in {self.data_dir}"


class ClientLogin(msgspec.Struct, frozen=True):
    """A login at a gateway, as the person's own machine keeps it. ``refresh_token`` is what proves it.

    ``ends_at_s`` is Unix time by the gateway's clock, None when it has not said.
    """

    url: str
    refresh_token: str
    name: str = ""
    ends_at_s: float | None = None

    def __repr__(self) -> str:
        return f"ClientLogin({self.url!r}, {self.name!r})"


class TokenRequest(msgspec.Struct, frozen=True):
    """A session token that is wanted: for these connections, and with ``api`` for the gateway itself.

    ``source`` is ``self`` or a network that it is to count from.
    """

    connections: tuple[str, ...] = ()
    api: bool = False
    jwt: bool = False
    lifetime_s: int | None = None
    source: str = ""
    run: str = ""

    @property
    def audience(self) -> tuple[str, ...]:
        """As the gateway has it."""
        return (*sorted(set(self.connections)), *((API_AUDIENCE,) if self.api else ()))


class HeldToken(msgspec.Struct, frozen=True):
    """A session token. ``ends_at_s`` is Unix time by this machine's clock."""

    token: str
    ends_at_s: float
    token_id: str = ""
    audience: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"HeldToken({self.token_id!r})"
