"""Where a gateway's API is, and what proves who asks."""

import msgspec


class RemoteGateway(msgspec.Struct, frozen=True):
    """``url`` is ``https://host:port``; ``ca_file`` has the authorities for its certificate, empty for the system's."""

    url: str
    token: str
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"RemoteGateway(url={self.url!r})"
