"""How long something is to last, as people write it."""

import re
from typing import Final

from interlock.surfaces.cli.answers import UNAVAILABLE, stop

_DURATION: Final = re.compile(r"([1-9][0-9]*)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str, option: str = "--for") -> int:
    """In seconds; ends the program when it is not written as it should be."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        stop(f"{option} is a number and one of s, m, h, d, such as 10m; not {duration!r}", UNAVAILABLE)
    return int(found[1]) * _SECONDS[found[2]]
