"""The startup packet: what a client asks for before it has said who it is.

Source: PostgreSQL manual, "StartupMessage", "libpq options". Parameters are allowed by list: what a client may set
here it could set with SET as well, and the settings that the gateway's own reading of SQL depends on are pinned.
"""

import re
import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock.protocols.postgres.messages import Malformed, read_pairs
from interlock.protocols.postgres.statements import interpret_parameter

MAX_STARTUP_BYTES: Final = 10_000
"""PostgreSQL's own limit for packets before authentication."""

_PROTOCOL_3: Final = 3
_NEWEST_MINOR: Final = 2
_SHORT_KEY_BYTES: Final = 4
_LONG_KEY_BYTES: Final = 32

_NOT_SETTINGS: Final = frozenset({"user", "database", "options", "replication"})


class StartupRefused(Exception):
    """The startup packet asks for something that is not allowed. Carries an SQLSTATE and a hint."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class StartupRequest(msgspec.Struct, frozen=True):
    """A valid startup packet.

    ``settings`` are the run-time parameters to hand to the target. ``negotiate`` is set when the client must be told
    to use ``minor`` and to do without ``unknown_options``.
    """

    user: str
    target: str
    application: str
    minor: int
    negotiate: bool
    unknown_options: tuple[str, ...]
    settings: Mapping[str, str]
    search_path: tuple[str, ...] | None

    @property
    def cancel_key_bytes(self) -> int:
        """Length of the secret part of a cancel key in this protocol version."""
        return _LONG_KEY_BYTES if self.minor >= _NEWEST_MINOR else _SHORT_KEY_BYTES


def parse_startup(packet: bytes) -> StartupRequest:
    """Read a whole StartupMessage. Raises ``StartupRefused``."""
    (version,) = struct.unpack_from(">I", packet, 4)
    major, minor = version >> 16, version & 0xFFFF
    if major != _PROTOCOL_3:
        raise StartupRefused("0A000", f"unsupported frontend protocol {major}.{minor}: this server speaks 3.0 to 3.2")
    try:
        pairs = read_pairs(packet, 8)
    except Malformed as error:
        raise StartupRefused("08P01", f"invalid startup packet: {error}") from error
    unknown = tuple(name for name in pairs if name.startswith("_pq_."))
    wanted = {name: value for name, value in pairs.items() if name not in unknown}
    if wanted.get("replication", "false").lower() not in ("false", "off", "no", "0"):
        raise StartupRefused("0A000", "replication connections are refused by this gateway")
    user = wanted.get("user", "")
    if not user:
        raise StartupRefused("28000", "no PostgreSQL user name specified in startup packet")
    requested = _requested_settings(wanted)
    return StartupRequest(
        user=user,
        target=wanted.get("database") or user,
        application=requested.get("application_name", ""),
        minor=min(minor, _NEWEST_MINOR),
        negotiate=minor > _NEWEST_MINOR or bool(unknown),
        unknown_options=unknown,
        settings={name: value for name, value in requested.items() if name != "search_path"},
        search_path=_apply(requested),
    )


def _requested_settings(wanted: Mapping[str, str]) -> dict[str, str]:
    requested = _parse_options(wanted.get("options", ""))
    requested |= {name.lower(): value for name, value in wanted.items() if name not in _NOT_SETTINGS}
    return requested


def _apply(requested: Mapping[str, str]) -> tuple[str, ...] | None:
    """Check each setting as if the session set it; the search path that results, None for the default."""
    path: tuple[str, ...] | None = None
    for name, value in requested.items():
        statement = interpret_parameter(name, value)
        if statement.meaning.refusal:
            raise StartupRefused("0A000", statement.meaning.refusal, "Remove it from the connection settings.")
        if statement.meaning.accesses:
            raise StartupRefused(
                "42501",
                f'parameter "{name[:64]}" cannot be set at connection start through this gateway',
                "Remove it from the connection settings, or set it in the session if policy permits it.",
            )
        if statement.search_path is not None:
            path = statement.search_path.schemas
    return path


def _parse_options(options: str) -> dict[str, str]:
    """The ``options`` parameter: ``-c name=value`` and ``--name=value``, blanks escaped with a backslash."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    requested: dict[str, str] = {}
    remaining = iter(words)
    for word in remaining:
        if word == "-c":
            word = "-c" + next(remaining, "")
        match = re.fullmatch(r"(?:-c|--)([A-Za-z_][\w.\-]*)=(.*)", word, re.DOTALL)
        if match is None:
            raise StartupRefused("42501", f"the startup option {word[:64]!r} is not supported by this gateway")
        requested[match[1].lower().replace("-", "_")] = match[2]
    return requested
