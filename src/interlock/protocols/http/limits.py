"""What an HTTP session allows its client in size and time, and what it tells it of the gateway."""

import msgspec

from interlock.core.settings import PlainHttp


class HttpLimits(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes.

    ``public_url`` is where clients reach the listener, empty for what they say themselves; ``issuers`` give the tokens
    that are accepted.
    """

    plain: PlainHttp
    max_head_bytes: int
    head_timeout_s: float
    body_timeout_s: float
    idle_timeout_s: float
    public_url: str = ""
    issuers: tuple[str, ...] = ()
