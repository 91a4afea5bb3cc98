"""The pure parts of SSH alone, without a network: what they cost each byte, or each command.

``python -m benchmarks.ssh_parts`` prints one line of JSON.
"""

import json
import random
import time
from collections.abc import Callable

from tests.protocols.ssh.masking.maskings import ALL

from interlock.protocols.ssh.commands.reading import read_command
from interlock.protocols.ssh.masking.output import OutputMask
from interlock.protocols.ssh.sftp.digests import RangeDigest
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.wire import PacketType, packet, string, u64

_WRITES = 2000
_DATA = bytes(range(256)) * 128
_PIECE_BYTES = 32 << 10
_TEXT = b"-rw-r--r-- 1 deploy deploy 4096 Nov 30 12:00 report-2026-11.csv\n" * (_PIECE_BYTES // 65)
_BINARY = random.Random(7).randbytes(_PIECE_BYTES)
_MASKED_PIECES = 30
_COMMANDS = (
    "ls -la /srv",
    "cd /srv/app && git status --short | head -20",
    "find . -name '*.py' -newer setup.py -exec grep -n TODO {} +",
    'for f in *.csv; do wc -l "$f"; done > counts.txt 2>&1',
    "sudo systemctl restart app && journalctl -u app --since '5 min ago' | tail",
)
_TIMES = 40


def main() -> None:
    print(json.dumps({"ssh_parts": measured()}))


def measured() -> dict[str, float]:
    """Megabytes a second of what looks at bytes, microseconds of a command that is read."""
    sftp_bytes, masked_bytes = _WRITES * len(_DATA), _MASKED_PIECES * _PIECE_BYTES
    return {
        "sftp_framing_mb_per_s": round(sftp_bytes / 1e6 / _seconds(_read_packets), 1),
        "sftp_digest_mb_per_s": round(sftp_bytes / 1e6 / _seconds(_digest), 1),
        "masked_text_mb_per_s": round(masked_bytes / 1e6 / _seconds(lambda: _mask(_TEXT)), 2),
        "masked_binary_mb_per_s": round(masked_bytes / 1e6 / _seconds(lambda: _mask(_BINARY)), 2),
        "command_us": round(_seconds(_read_commands) / (_TIMES * len(_COMMANDS)) * 1e6, 1),
    }


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _read_commands() -> None:
    for _ in range(_TIMES):
        for command in _COMMANDS:
            read_command(command, len(command))


def _mask(piece: bytes) -> None:
    """Output in which nothing is found, with every detector of contents."""
    mask = OutputMask(ALL, terminal=False)
    for _ in range(_MASKED_PIECES):
        mask.feed(piece)
    mask.finish()


def _read_packets() -> None:
    """The requests of an upload, cut as a channel cuts them."""
    reader, write = PacketReader(), packet(PacketType.WRITE, 1, string(b"handle"), u64(0), string(_DATA))
    held = b""
    for _ in range(_WRITES):
        held += write
        while len(held) >= _PIECE_BYTES:
            reader.feed(held[:_PIECE_BYTES])
            held = held[_PIECE_BYTES:]


def _digest() -> None:
    digest = RangeDigest()
    for number in range(_WRITES):
        digest.add(number * len(_DATA), _DATA)


if __name__ == "__main__":
    main()
