"""The open handles of a channel: reads and writes of those that a permitted request has opened, and of no others.

This is the path of the data; requests in here are not decided again. What is read and written is digested, and kept in
the recording where the connection wants that.
"""

from functools import partial
from typing import Final

from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.printable import one_line
from interlock.core.settings.ssh import SshTarget
from interlock.protocols.base import RecordRequest
from interlock.protocols.ssh.events import Effect, ToTarget
from interlock.protocols.ssh.recorded import Stream, encode
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.answers import Status, read_file_attributes, read_names
from interlock.protocols.ssh.sftp.client_end import ClientEnd
from interlock.protocols.ssh.sftp.file_masking import CONTEXT_BYTES, Window, mask_for
from interlock.protocols.ssh.sftp.open_file import OpenFile
from interlock.protocols.ssh.sftp.owed import Answering, Outstanding, Owed, failure_of
from interlock.protocols.ssh.sftp.requests import Opening
from interlock.protocols.ssh.sftp.running import Running
from interlock.protocols.ssh.sftp.wire import Fields, Malformed, PacketType, StatusCode

MAX_HANDLES: Final = 1024
MAX_DATA_BYTES: Final = wire.MAX_PACKET_BYTES - 1024
"""Of one read or write, as OpenSSH has it; the rest of what is asked for comes with the client's next request."""
USUAL_READ_BYTES: Final = 64 << 10
"""What a server gives at once that does not say."""

_UNMASKED: Final = Denial(
    DenialReason.UNSUPPORTED,
    "Content detection has failed on this file, so nothing of it is shown.",
    "Tell whoever runs the gateway.",
)
_NO_HANDLE: Final = "there is no such handle, or it was not opened for this"
_DATA_START: Final = wire.HEAD_BYTES + 4


class OpenFiles(dict[bytes, OpenFile]):
    """By handle, as the target calls it. ``opening`` more may come of requests that it has not answered."""

    def __init__(
        self,
        settings: SshTarget,
        masking: Masking | None,
        client: ClientEnd,
        answering: Answering,
        outstanding: Outstanding,
    ) -> None:
        super().__init__()
        self._settings: Final = settings
        self._client: Final = client
        self._answering: Final = answering
        self._outstanding: Final = outstanding
        self.opening = 0
        self.max_read_bytes = USUAL_READ_BYTES
        self.mask_as(masking)

    def mask_as(self, masking: Masking | None) -> None:
        """What must not be seen from here on. No content is kept that has not been looked into where that is due."""
        self._names_mask = mask_for(masking)
        self._mask = self._names_mask if self._settings.detect_in_files else None
        keeps = self._settings.keep_content
        self._keeps_written = keeps and self._names_mask is None
        self._keeps_read = keeps and self._names_mask is self._mask

    @property
    def are_full(self) -> bool:
        return len(self) + self.opening >= MAX_HANDLES

    def opened(self, handle: bytes, opening: Opening, running: Running) -> None:
        """The target has opened one. Raises ``Malformed`` when it calls it as one that is open."""
        if handle in self:
            raise Malformed("it names a handle that is open already")
        self[handle] = OpenFile(opening, running)

    # ------------------------------------------------------------ requests

    def read(self, packet: bytes, effects: list[Effect]) -> None:
        """READ. Under a mask more is read than is asked for, so as to see what crosses the borders."""
        fields = Fields(packet)
        file, start = self.get(fields.handle()), fields.position
        offset, size = fields.u64(), fields.u32()
        fields.end()
        if file is None or not file.can_read:
            self._client.fail(wire.identifier_of(packet), _NO_HANDLE, effects)
            return
        file.read.expect(offset)
        if self._mask is not None:
            size = min(size, max(self.max_read_bytes - 2 * CONTEXT_BYTES, CONTEXT_BYTES))
            window = Window(min(offset, CONTEXT_BYTES), size, CONTEXT_BYTES)
            packet = packet[:start] + wire.u64(offset - window.before) + wire.u32(window.whole)
        else:
            window = Window(0, min(size, MAX_DATA_BYTES))
            if size > MAX_DATA_BYTES:
                packet = packet[:-4] + wire.u32(MAX_DATA_BYTES)
        self._pass(packet, partial(self._was_read, file, offset, window), effects)

    def write(self, packet: bytes, effects: list[Effect]) -> None:
        """WRITE."""
        fields = Fields(packet)
        file = self.get(fields.handle())
        offset, size = fields.u64(), fields.u32()
        data = memoryview(packet)[fields.position :]
        if len(data) != size:
            raise Malformed(f"it announces {size} bytes and has {len(data)}")
        if file is None or not file.can_write:
            self._client.fail(wire.identifier_of(packet), _NO_HANDLE, effects)
            return
        file.write(offset, data)
        if self._keeps_written and size:
            effects.append(RecordRequest(file.running.number, encode(Stream.INPUT, bytes(data))))
        self._pass(packet, partial(self._was_written, file), effects)

    def list_names(self, packet: bytes, effects: list[Effect]) -> None:
        """READDIR."""
        file = self.get(_only_handle(packet))
        if file is None or not file.opening.directory:
            self._client.fail(wire.identifier_of(packet), _NO_HANDLE, effects)
        else:
            self._pass(packet, partial(self._was_listed, file), effects)

    def look_up(self, packet: bytes, effects: list[Effect]) -> None:
        """FSTAT."""
        self._look_up(packet, self.get(_only_handle(packet)), PacketType.ATTRS, effects)

    def look_up_file_system(self, packet: bytes, effects: list[Effect]) -> None:
        """The extension FSTATVFS."""
        fields = Fields(packet)
        fields.string()
        file = self.get(fields.handle())
        fields.end()
        self._look_up(packet, file, PacketType.EXTENDED_REPLY, effects)

    def close(self, packet: bytes, effects: list[Effect]) -> None:
        """CLOSE. From here on the target may call another file so."""
        file = self.pop(_only_handle(packet), None)
        if file is None:
            self._client.fail(wire.identifier_of(packet), _NO_HANDLE, effects)
        else:
            self._pass(packet, partial(self._was_closed, file), effects)

    def _look_up(self, packet: bytes, file: OpenFile | None, answer: PacketType, effects: list[Effect]) -> None:
        if file is None:
            self._client.fail(wire.identifier_of(packet), _NO_HANDLE, effects)
        else:
            self._pass(packet, partial(self._was_looked_up, file, answer), effects)

    def _pass(self, packet: bytes, owed: Owed, effects: list[Effect]) -> None:
        self._outstanding[wire.identifier_of(packet)] = owed
        effects.append(ToTarget(packet))

    # ------------------------------------------------------------ answers

    def _was_read(self, file: OpenFile, offset: int, window: Window, packet: bytes, effects: list[Effect]) -> None:
        failure = failure_of(packet, PacketType.DATA)
        if failure is not None:
            if failure.code != StatusCode.EOF:
                file.fail(failure)
            self._client.reply(packet, effects)
            return
        data = memoryview(packet)[_DATA_START:]
        if Fields(packet).u32() != len(data) or len(data) > window.whole:
            raise Malformed("it is not as long as it says, or longer than what was asked for")
        if self._mask is not None or window.before:
            self._show_part(file, offset, window, packet, bytes(data), effects)
        elif self._answering.deliver(file.running, packet, bytes(data) if self._keeps_read else b"", effects):
            file.read.add(offset, data)

    def _show_part(
        self, file: OpenFile, offset: int, window: Window, packet: bytes, data: bytes, effects: list[Effect]
    ) -> None:
        """Of a window, what was asked for, masked where that is due."""
        identifier = wire.identifier_of(packet)
        start, end = window.part(len(data))
        if start == end:
            self._client.reply(wire.status(identifier, StatusCode.EOF), effects)
            return
        try:
            part, masked, found = self._mask.piece(data, start, end) if self._mask else (data[start:end], 0, {})
        except Exception:  # noqa: BLE001 - fail closed: what could not be looked into is not shown
            file.fail(Status(StatusCode.PERMISSION_DENIED, _UNMASKED.message))
            self._client.refuse(identifier, _UNMASKED, effects)
            return
        reply = wire.packet(PacketType.DATA, identifier, wire.string(part))
        if self._answering.deliver(file.running, reply, part if self._keeps_read else b"", effects):
            file.running.note_masked(masked, found)
            file.read.add(offset, part)

    def _was_written(self, file: OpenFile, packet: bytes, effects: list[Effect]) -> None:
        failure = failure_of(packet, PacketType.STATUS)
        if failure is not None:
            file.fail(failure)
        self._client.reply(packet, effects)

    def _was_listed(self, file: OpenFile, packet: bytes, effects: list[Effect]) -> None:
        failure = failure_of(packet, PacketType.NAME)
        if failure is not None:
            if failure.code != StatusCode.EOF:
                file.fail(failure)
            self._client.reply(packet, effects)
            return
        names = read_names(packet)
        if self._answering.deliver(file.running, packet, self.kept_names(names), effects):
            file.listed += sum(name not in (b".", b"..") for name in names)

    def kept_names(self, names: list[bytes]) -> bytes:
        """Names for the recording; nothing of them when they cannot be looked into."""
        lines = "".join(f"{one_line(name.decode(errors='backslashreplace'))}\n" for name in names)
        kept = lines.encode(errors="replace")
        if self._names_mask is None:
            return kept
        try:
            return self._names_mask.redact(kept)
        except Exception:  # noqa: BLE001 - what cannot be looked into is not kept
            return b"names that could not be looked into\n"

    def _was_looked_up(self, file: OpenFile, answer: PacketType, packet: bytes, effects: list[Effect]) -> None:
        if failure_of(packet, answer) is None and answer is PacketType.ATTRS:
            read_file_attributes(packet)
        self._answering.deliver(file.running, packet, b"", effects)

    def _was_closed(self, file: OpenFile, packet: bytes, effects: list[Effect]) -> None:
        failure = failure_of(packet, PacketType.STATUS)
        self._answering.end(file.running, packet, file.failure or failure, effects)


def _only_handle(packet: bytes) -> bytes:
    fields = Fields(packet)
    handle = fields.handle()
    fields.end()
    return handle
