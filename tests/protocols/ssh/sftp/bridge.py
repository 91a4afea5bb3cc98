"""A gateway of one channel between standard input and output and OpenSSH's server, for OpenSSH's clients with ``-D``.

Arguments: the directory to begin in, the actions that are denied (with commas between), the path they are denied under,
and a file that gets the texts of all operations.
"""

import os
import sys
from pathlib import Path

from interlock.protocols.ssh import events
from tests.protocols.ssh.sftp.channels import Channel, deny, real_server


def write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> int:
    home, actions, under, log = sys.argv[1:]
    with real_server(Path(home)) as target:
        channel = Channel(target, deny(*actions.split(","), under=under))
        told = 0
        while channel.exit is None:
            data = os.read(0, 32768)
            channel.feed(events.ClientData(data) if data else events.ClientEof())
            write(1, b"".join(channel.packets))
            channel.packets.clear()
            write(2, channel.errors[told:])
            told = len(channel.errors)
    lines = [*channel.texts, *(f"{report.status.value} {report.tag}" for report in channel.reports)]
    Path(log).write_text("".join(f"{line}\n" for line in lines))
    return channel.exit.status or 0


if __name__ == "__main__":
    sys.exit(main())
