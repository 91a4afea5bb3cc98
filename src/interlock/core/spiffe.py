"""SPIFFE IDs (the SPIFFE ID standard, section 2): who a workload is, as a URI. Values only; nothing is verified."""

import re
from typing import Final

import msgspec

SCHEME: Final = "spiffe://"
MAX_ID_BYTES: Final = 2048
_ID: Final = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)*)")


class SpiffeId(msgspec.Struct, frozen=True):
    """A SPIFFE ID. ``path`` begins with a slash; it is empty in the ID of a trust domain itself."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"


def parse_spiffe_id(text: str) -> SpiffeId | None:
    """The ID that a text is, letter by letter; None when it is none: nothing in it is decoded or made lower case."""
    match = _ID.fullmatch(text) if len(text) <= MAX_ID_BYTES else None
    if match is None or {".", ".."} & set(match[2].split("/")):
        return None
    return SpiffeId(match[1], match[2])


def workload_id(text: str) -> SpiffeId | None:
    """The same for IDs of workloads, which have a path."""
    found = parse_spiffe_id(text)
    return found if found is not None and found.path else None
