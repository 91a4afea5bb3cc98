"""The pure parts of SSH alone, without a network: what they cost each byte.

``python -m benchmarks.ssh_parts`` prints one line of JSON.
"""

import json
import time
from collections.abc import Callable

from interlock.protocols.ssh.sftp.digests import RangeDigest
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.wire import PacketType, packet, string, u64

_WRITES = 2000
_DATA = bytes(range(256)) * 128
_PIECE_BYTES = 32 << 10


def main() -> None:
    print(json.dumps({"ssh_parts": measured()}))


def measured() -> dict[str, float]:
    """Megabytes a second of each part."""
    return {
        "sftp_framing_mb_per_s": _megabytes_per_s(_read_packets),
        "sftp_digest_mb_per_s": _megabytes_per_s(_digest),
    }


def _megabytes_per_s(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return round(_WRITES * len(_DATA) / 1e6 / (time.perf_counter() - started), 1)


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
