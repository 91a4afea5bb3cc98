"""What the gateway shows an HTTP target with each request. It is a value; ``repr`` shows nothing of it."""

import msgspec


class HttpCredential(msgspec.Struct, frozen=True):
    """Header fields to set (names in lower case) in the place of what the client sent, and query parameters to add.

    ``caller``: the caller's own token goes with it. Only the gateway's own server is shown that.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    caller: bool = False

    def __repr__(self) -> str:
        return "HttpCredential(...)"
