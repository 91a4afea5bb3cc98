"""File attributes (draft-ietf-secsh-filexfer-02, section 5): read, checked, and said in words."""

from dataclasses import dataclass
from typing import Final

from interlock.protocols.ssh.sftp.wire import Fields, Malformed, u32

_SIZE: Final = 0x01
_OWNER: Final = 0x02
_PERMISSIONS: Final = 0x04
_TIMES: Final = 0x08
_EXTENDED: Final = 0x80000000
_KNOWN: Final = _SIZE | _OWNER | _PERMISSIONS | _TIMES | _EXTENDED
_MAX_EXTENDED: Final = 16
_TYPE_BITS: Final = 0o170000
_SET_ID_BITS: Final = 0o6000
_OTHERS_WRITE: Final = 0o002


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is there of them. ``times`` are those of access and modification, ``encoded`` is how they go on."""

    encoded: bytes
    size: int | None = None
    owner: tuple[int, int] | None = None
    permissions: int | None = None
    times: tuple[int, int] | None = None

    @property
    def in_words(self) -> str:
        """``size 12, mode 0644``; without the type of the file, and empty when there are none."""
        said: list[str] = []
        if self.size is not None:
            said.append(f"size {self.size}")
        if self.permissions is not None:
            said.append(f"mode {self.permissions & ~_TYPE_BITS:04o}")
        if self.owner is not None:
            said.append(f"owner {self.owner[0]}:{self.owner[1]}")
        if self.times is not None:
            said.append(f"times {self.times[0]} and {self.times[1]}")
        return ", ".join(said)

    @property
    def gives_identity(self) -> bool:
        """Whether whoever runs the file becomes its owner or its group."""
        return self.permissions is not None and bool(self.permissions & _SET_ID_BITS)

    @property
    def gives_writing(self) -> bool:
        """Whether everybody may write to it."""
        return self.permissions is not None and bool(self.permissions & _OTHERS_WRITE)


def read_attributes(fields: Fields) -> Attributes:
    """The attributes that come next, without extended ones: nobody could say what these mean. Raises ``Malformed``."""
    flags = fields.u32()
    start = fields.position
    if flags & ~_KNOWN:
        raise Malformed(f"it has attributes that version 3 does not know ({flags:#x})")
    size = fields.u64() if flags & _SIZE else None
    owner = (fields.u32(), fields.u32()) if flags & _OWNER else None
    permissions = fields.u32() if flags & _PERMISSIONS else None
    times = (fields.u32(), fields.u32()) if flags & _TIMES else None
    encoded = u32(flags & ~_EXTENDED) + fields.since(start)
    if flags & _EXTENDED:
        _skip_extended(fields)
    return Attributes(encoded, size, owner, permissions, times)


def _skip_extended(fields: Fields) -> None:
    count = fields.u32()
    if count > _MAX_EXTENDED:
        raise Malformed(f"it has {count} extended attributes")
    for _ in range(2 * count):
        fields.string()
