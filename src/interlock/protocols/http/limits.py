"""What an HTTP session allows its client in size and time."""

import msgspec

from interlock.core.settings import PlainHttp


class HttpLimits(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes."""

    plain: PlainHttp
    max_head_bytes: int
    head_timeout_s: float
    body_timeout_s: float
    idle_timeout_s: float
