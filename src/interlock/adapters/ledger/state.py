"""Where the ledger stood at its last checkpoint, so that a start need not read all of it.

The state is a convenience: it counts for nothing unless its frontier has the root of a checkpoint that the gateway has
signed. Losing it costs a start that reads everything.
"""

from pathlib import Path

import msgspec

from interlock.adapters.ledger.disk import replace_file

_FILE = "state"


class LedgerState(msgspec.Struct, frozen=True):
    """The tree's frontier after ``size`` entries, and where entry ``size`` begins or will begin.

    ``segment`` is the first sequence number of the segment, ``offset`` the place in it, ``prev`` the last leaf hash.
    ``open_sessions`` maps each open session to the sequence number of its ``SessionOpened``. ``clean`` is set when the
    ledger was closed in good order.
    """

    size: int
    hashes: tuple[bytes, ...]
    segment: int
    offset: int
    prev: bytes
    open_sessions: dict[str, int]
    clean: bool = False


def save_state(directory: Path, state: LedgerState) -> None:
    """Replace the stored state. Raises ``OSError``."""
    replace_file(directory / _FILE, msgspec.msgpack.encode(state))


def load_state(directory: Path) -> LedgerState | None:
    """The stored state, or None when there is none that can be read."""
    try:
        return msgspec.msgpack.decode((directory / _FILE).read_bytes(), type=LedgerState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
