"""Bytes of a channel in any cut to whole packets. Believes no length that is too large, holds one packet at most."""

from typing import Final

from interlock.protocols.ssh.sftp.wire import HEAD_BYTES, MAX_PACKET_BYTES, Malformed

_LENGTH_BYTES: Final = 4
_MAX_PARTS: Final = 256
"""So many pieces are held before they become one."""


class PacketReader:
    """One side's packets. ``problem`` is set once by what makes the rest unreadable; nothing comes after that."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = _LENGTH_BYTES
        self.problem: Malformed | None = None

    @property
    def is_within(self) -> bool:
        """Whether a packet has begun and not ended."""
        return self._held > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole by now, each with its length in front and at least ``HEAD_BYTES`` long."""
        packets: list[bytes] = []
        if self.problem is not None:
            return packets
        if self._held:
            self._held += len(data)
            self._parts.append(data)
            if self._held < self._wanted:
                if len(self._parts) > _MAX_PARTS:
                    self._parts = [b"".join(self._parts)]
                return packets
            data = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
        position = 0
        try:
            while (end := position + self._whole_bytes(data, position)) <= len(data):
                packets.append(data[position:end] if end - position < len(data) else data)
                position = end
        except Malformed as problem:
            self.problem = problem
            return packets
        self._hold(data[position:], end - position)
        return packets

    def _hold(self, rest: bytes, wanted: int) -> None:
        self._wanted = wanted
        if rest:
            self._parts.append(rest)
            self._held = len(rest)

    def _whole_bytes(self, data: bytes, position: int) -> int:
        """The length of the packet at ``position`` with its own length; just that while it is not all there."""
        if len(data) - position < _LENGTH_BYTES:
            return _LENGTH_BYTES
        length = int.from_bytes(data[position : position + _LENGTH_BYTES])
        if length > MAX_PACKET_BYTES:
            raise Malformed(f"a packet of {length} bytes is announced, and {MAX_PACKET_BYTES} is the limit")
        if length < HEAD_BYTES - _LENGTH_BYTES:
            raise Malformed(f"a packet of {length} bytes is announced, which no packet is")
        return _LENGTH_BYTES + length
