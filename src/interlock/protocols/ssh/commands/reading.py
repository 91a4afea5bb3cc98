"""From a command line to what it does. So far nothing is read, so that everything is opaque."""

from interlock.protocols.ssh.commands.invocation import CommandClass, CommandReading


def read_command(text: str, max_bytes: int) -> CommandReading:
    """What a command line does. Never raises."""
    return CommandReading(frozenset({CommandClass.OPAQUE}), why_opaque=("commands are not read yet",))
