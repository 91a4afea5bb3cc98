"""Redirects of a target to itself, written so that they lead through the gateway again (RFC 9110, section 10.2.2).

All connections of the reverse listener share one host. So a reference that climbs out of its connection with ``..`` is
resolved here, as the target means it: a client would resolve it to another connection. References to elsewhere stay as
they are.
"""

import re
from typing import Final

import msgspec

from interlock.core.settings import ConnectionSettings, TlsMode

_DOTS: Final = re.compile(rb"(?:\.|%2e){1,2}", re.IGNORECASE)
_SEGMENT_ENDS: Final = re.compile(rb"[/\\]")
_PATH: Final = re.compile(rb"[^?#]*")
_AFTER_PATH: Final = b"/?#\\"
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")


class Place(msgspec.Struct, frozen=True):
    """Where a client has got an answer from: ``path`` of a target that is told it is called ``host``.

    ``prefix`` stands in front of paths on the gateway. Empty when clients address the target itself.
    """

    prefix: str
    path: str
    host: str
    settings: ConnectionSettings

    def relocated(self, reference: bytes) -> bytes:
        """What a client should be told instead of a reference that the target has given."""
        if not self.prefix:
            return reference
        inner = self._at_target(reference)
        if inner is None:
            return reference
        base_path = self.settings.http.base_path.encode("ascii")
        rest = inner.removeprefix(base_path)
        if inner.startswith(base_path) and (not rest or rest[0] in _AFTER_PATH):
            return self.prefix.encode("ascii") + (rest if rest.startswith(b"/") else b"/" + rest)
        return self._origins()[0] + inner  # the connection has no such path

    def _at_target(self, reference: bytes) -> bytes | None:
        """The path, query and fragment at the target; None for what is elsewhere, and for what needs no change."""
        for origin in self._origins():
            behind = reference[len(origin) :]
            if reference[: len(origin)].lower() == origin and (not behind or behind[0] in _AFTER_PATH):
                return _without_dots(behind if behind.startswith(b"/") else b"/" + behind)
        if reference[:2] in (b"//", b"/\\", b"\\\\", b"\\/") or _SCHEME.match(reference):
            return None
        if _SEGMENT_ENDS.match(reference):
            return _without_dots(reference)
        path = _written_path(reference)
        if not any(_DOTS.fullmatch(segment) for segment in _SEGMENT_ENDS.split(path)):
            return None
        here = (self.settings.http.base_path + self.path).encode("ascii")
        return _without_dots(here[: here.rindex(b"/") + 1] + reference)

    def _origins(self) -> tuple[bytes, ...]:
        """What absolute references to the target begin with, in small letters."""
        settings = self.settings
        scheme, usual_port = ("http", 80) if settings.tls is TlsMode.DISABLE else ("https", 443)
        names = [self.host, f"{settings.host}:{settings.port}"]
        if settings.port == usual_port:
            names.append(settings.host)
        return tuple(f"{scheme}://{name.lower()}".encode() for name in names)


def _written_path(reference: bytes) -> bytes:
    found = _PATH.match(reference)
    return found[0] if found is not None else b""


def _without_dots(reference: bytes) -> bytes:
    """An absolute path without ``.`` and ``..`` (RFC 3986, section 5.2.4), in whatever way they are written."""
    path = _written_path(reference)
    first, *segments = _SEGMENT_ENDS.split(path)
    if not any(_DOTS.fullmatch(segment) for segment in segments):
        return reference
    kept: list[bytes] = []
    for segment in segments:
        dots = segment.lower().replace(b"%2e", b".")
        if dots == b"..":
            del kept[-1:]
        elif dots != b".":
            kept.append(segment)
    if _DOTS.fullmatch(segments[-1]):
        kept.append(b"")
    return first + b"/" + b"/".join(kept) + reference[len(path) :]
