"""SFTP between a client and a host, either of which sends anything: no error, and no name that was not decided on.

The first byte chooses the host's whims and policy's, the second who sends the rest, and in pieces of what size.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.ssh.sftp"]):
    from interlock.protocols.ssh import events
    from interlock.protocols.ssh.sftp import wire
    from interlock.protocols.ssh.sftp.wire import PacketType
    from tests.protocols.ssh.sftp.channels import Channel
    from tests.protocols.ssh.sftp.watching import Watched

from tests.fuzz.target import run


def test_one_input(data: bytes) -> None:
    seed, choice, stream = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, data)
    size = choice & 0x7F
    if choice & 0x80:
        host = Channel(None)
        for at in range(0, len(stream), size or 64):
            host.feed_target(stream[at : at + (size or 64)])
        assert host.operations == []
        return
    channel = Watched(seed, bool(seed & 1), size)
    channel.asked = len(stream)
    channel.send(wire.greeting(PacketType.INIT) + stream)
    channel.feed(events.ClientClosed())
    channel.check()
    assert {report.number for report in channel.reports} == channel.permitted


if __name__ == "__main__":
    run("sftp", test_one_input)
