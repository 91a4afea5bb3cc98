"""The answers to permitted requests: each ends its operation, but for a handle, which goes on until it is closed."""

from typing import Final

from interlock.protocols.ssh.events import Effect
from interlock.protocols.ssh.sftp.answers import read_file_attributes, read_handle, read_names
from interlock.protocols.ssh.sftp.client_end import ClientEnd
from interlock.protocols.ssh.sftp.open_files import OpenFiles
from interlock.protocols.ssh.sftp.owed import Answering, failure_of
from interlock.protocols.ssh.sftp.requests import Opening
from interlock.protocols.ssh.sftp.running import Running
from interlock.protocols.ssh.sftp.wire import PacketType


class ForwardedRequests:
    """Takes the answers of requests about names. The methods raise ``Malformed`` for what is none."""

    def __init__(self, client: ClientEnd, answering: Answering, files: OpenFiles) -> None:
        self._client: Final = client
        self._answering: Final = answering
        self._files: Final = files

    def answered(self, running: Running, expected: PacketType, packet: bytes, effects: list[Effect]) -> None:
        """An answer that is no handle."""
        failure = failure_of(packet, expected)
        if packet[4] == PacketType.STATUS:
            self._answering.end(running, packet, failure, effects)
        else:
            self._answering.complete(running, packet, self._kept(packet), effects)

    def opened(self, running: Running, opening: Opening, packet: bytes, effects: list[Effect]) -> None:
        """The answer to a request that opens something."""
        self._files.opening -= 1
        failure = failure_of(packet, PacketType.HANDLE)
        if failure is not None:
            self._answering.end(running, packet, failure, effects)
        else:
            self._files.opened(read_handle(packet), opening, running)
            self._client.reply(packet, effects)

    def _kept(self, packet: bytes) -> bytes:
        """For the recording: names, or attributes in words."""
        if packet[4] == PacketType.NAME:
            return self._files.kept_names(read_names(packet))
        if packet[4] == PacketType.ATTRS:
            return f"{read_file_attributes(packet).in_words}\n".encode()
        return b""
