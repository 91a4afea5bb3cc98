"""SSH as a protocol of this gateway (see ``protocols.base.ProtocolModule``), and the channels that it has."""

from interlock.core.catalogue import Catalogue
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings
from interlock.protocols.base import Transcript
from interlock.protocols.ssh.channel import CommandChannel
from interlock.protocols.ssh.commands.reading import read_command
from interlock.protocols.ssh.events import (
    ChannelContext,
    ChannelSession,
    Exec,
    Forward,
    Numbers,
    Request,
    Shell,
    Subsystem,
)
from interlock.protocols.ssh.forwarding import ForwardChannel
from interlock.protocols.ssh.meaning import meaning_of_exec, meaning_of_forward, meaning_of_shell
from interlock.protocols.ssh.sftp.session import SftpSession
from interlock.protocols.ssh.transcript import SshTranscript
from interlock.protocols.ssh.written import meaning_of_written


class SshModule:
    """Implements ``ProtocolModule``."""

    name = "ssh"

    def interpret(self, text: str, connection: ConnectionSettings | None) -> Meaning:
        return meaning_of_written(text, connection)

    def trace(self, catalogue: Catalogue) -> Catalogue:
        return catalogue

    def new_transcript(self) -> Transcript:
        return SshTranscript()


def new_channel(request: Request, context: ChannelContext, numbers: Numbers) -> ChannelSession:
    """The state machine for what a channel is to be. Raises ``ValueError`` where the gateway has none, saying so."""
    match request:
        case Exec() | Shell():
            return CommandChannel(context, numbers, _meaning_of)
        case Forward():
            return ForwardChannel(context, numbers, lambda asked, within: meaning_of_forward(asked, within.login))
        case Subsystem(name="sftp"):
            return SftpSession(context, numbers)
        case Subsystem():
            raise ValueError("the gateway carries no subsystem but sftp")


def _meaning_of(request: Exec | Shell, context: ChannelContext) -> Meaning:
    if isinstance(request, Shell):
        return meaning_of_shell(request, context.login)
    text = request.command.decode(errors="surrogateescape")
    return meaning_of_exec(request, read_command(text, context.settings.ssh.max_command_bytes), context.login)
