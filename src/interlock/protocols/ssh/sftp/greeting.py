"""How a channel begins: versions are exchanged, and the target is asked where names begin and what its limits are.

The client's first packet is answered when that is known.
"""

import contextlib
from typing import Final

from interlock.protocols.ssh.events import Effect, ToTarget
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.answers import read_extensions, read_path
from interlock.protocols.ssh.sftp.names import Names, UnclearName, told
from interlock.protocols.ssh.sftp.open_files import MAX_DATA_BYTES, MAX_HANDLES, OpenFiles
from interlock.protocols.ssh.sftp.owed import Outstanding, failure_of
from interlock.protocols.ssh.sftp.requests import RequestReader
from interlock.protocols.ssh.sftp.wire import Fields, Malformed, PacketType

INIT: Final = wire.greeting(PacketType.INIT)
"""What goes to the target: the client's extensions do not."""

_HOME_ID: Final = 0
_LIMITS_ID: Final = 1


class Greeting:
    """Fills in ``names`` and ``offered`` of the requests' reader, and the limits of files."""

    def __init__(self, requests: RequestReader, files: OpenFiles, outstanding: Outstanding) -> None:
        self._requests = requests
        self._files = files
        self._outstanding = outstanding
        self._offered: dict[bytes, bytes] = {}
        self._limits = (wire.MAX_PACKET_BYTES, MAX_DATA_BYTES, MAX_DATA_BYTES, MAX_HANDLES)
        self.is_known = False

    def answered(self, packet: bytes, effects: list[Effect]) -> None:
        """The target's first packet. Raises ``Malformed``."""
        if packet[4] != PacketType.VERSION:
            raise Malformed("it is no greeting of SFTP")
        if (version := wire.identifier_of(packet)) != wire.VERSION:
            raise Malformed(f"it is of version {version}, and only {wire.VERSION} is spoken here")
        self._offered = extensions.understood(read_extensions(packet))
        self._requests.offered = self._offered
        self._outstanding[_HOME_ID] = self._home_told
        effects.append(ToTarget(wire.packet(PacketType.REALPATH, _HOME_ID, wire.string(b"."))))
        if extensions.LIMITS in self._offered:
            self._outstanding[_LIMITS_ID] = self._limits_told
            question = wire.packet(PacketType.EXTENDED, _LIMITS_ID, wire.string(extensions.LIMITS))
            effects.append(ToTarget(question))

    def reply(self, packet: bytes) -> bytes:
        """The answer to the client's first packet. Raises ``Malformed``."""
        if packet[4] != PacketType.INIT:
            raise Malformed("the first one must be a greeting")
        if (version := wire.identifier_of(packet)) < wire.VERSION:
            raise Malformed(f"version {version} is asked for, and only {wire.VERSION} is spoken here")
        read_extensions(packet)
        offered = (wire.string(name) + wire.string(version) for name, version in self._offered.items())
        return wire.greeting(PacketType.VERSION, *offered)

    def limits(self, identifier: int) -> bytes:
        """The answer to a client that asks for limits: what both the target and the gateway take."""
        return wire.packet(PacketType.EXTENDED_REPLY, identifier, *map(wire.u64, self._limits))

    def _home_told(self, packet: bytes, effects: list[Effect]) -> None:
        answer = read_path(packet)
        if isinstance(answer, bytes):
            with contextlib.suppress(UnclearName):  # there are no relative names then
                self._requests.names = Names(told(answer))
        self.is_known = not self._outstanding

    def _limits_told(self, packet: bytes, effects: list[Effect]) -> None:
        """Whatever is 0 has no limit that the target knows of."""
        if failure_of(packet, PacketType.EXTENDED_REPLY) is None:
            fields = Fields(packet)
            theirs = [fields.u64() for _ in self._limits]
            fields.end()
            most, read, write, handles = (
                min(own, their or own) for own, their in zip(self._limits, theirs, strict=True)
            )
            self._limits = (most, read, write, handles)
            self._files.max_read_bytes = read
        self.is_known = not self._outstanding
