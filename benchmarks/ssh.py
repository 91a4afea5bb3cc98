"""The gateway's speed on SSH, beside OpenSSH's own jump host and the bare server.

``python -m benchmarks.ssh --help``. Each round measures every way in turn, in an order that shifts from round to
round, so that what else happens on the machine meets all of them alike. Client, host and what is in the middle share
one machine; where it has few processors, they brake one another. Standard output ends with one line of JSON; progress
goes to standard error.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import ssh_logins, ssh_parts, ssh_sessions, ssh_transfers
from benchmarks.machine import print_machine
from benchmarks.samples import Samples, print_table, summary
from benchmarks.ssh_ways import DIRECT, GATEWAY, JUMP, NAMES, Way, open_ssh_ways
from interlock.core.content import text_masker

_BLOCK = bytes(range(256)) * 4096


def main() -> None:
    options = _options()
    print_machine(text_masker, options)
    samples = Samples()
    _measure_speed(options, samples)
    _measure_memory(options, samples)
    medians = samples.medians()
    print_table(medians, NAMES)
    parts = ssh_parts.measured()
    print(json.dumps(parts))
    print(json.dumps({"ssh": summary(medians, GATEWAY, (DIRECT, JUMP)) | {"parts": parts}}))


def _measure_speed(options: argparse.Namespace, samples: Samples) -> None:
    with tempfile.TemporaryDirectory() as directory, open_ssh_ways(tuple(options.ways)) as ways:
        file = Path(directory) / "big"
        with file.open("wb") as output:
            for _ in range(options.file_mb):
                output.write(_BLOCK[:1_000_000])
        for number in range(options.rounds):
            first = number % len(ways)
            for way in ways[first:] + ways[:first]:
                _one_round(way, options, file, samples)
                print(f"round {number + 1}  {way.name}", file=sys.stderr)


def _one_round(way: Way, options: argparse.Namespace, file: Path, samples: Samples) -> None:
    with ssh_transfers.shared_connection(way) as shared:
        for measure in (
            ssh_transfers.exec_read,
            ssh_transfers.exec_write,
            ssh_transfers.sftp_get,
            ssh_transfers.sftp_put,
        ):
            samples.add_all(measure.__name__, way.name, measure(way, shared, file))
    samples.add_all("openssh", way.name, ssh_logins.openssh_commands(way, options.logins // 2))
    if way.name == JUMP:  # the clients below do not jump
        return
    samples.add_all("asyncssh", way.name, ssh_logins.asyncssh_logins(way, options.logins))
    samples.add("commands_per_s", way.name, ssh_sessions.commands_per_s(way, options.commands))
    samples.add("commands_at_once_per_s", way.name, ssh_sessions.parallel_commands_per_s(way, options.commands))


def _measure_memory(options: argparse.Namespace, samples: Samples) -> None:
    if GATEWAY not in options.ways:
        return
    for measure, command in (("idle_kib", ""), ("idle_with_target_kib", "true")):
        with open_ssh_ways((GATEWAY,)) as ways:
            samples.add(measure, GATEWAY, ssh_sessions.idle_kib(ways[-1], options.idle, command=command))
        print(f"{measure}: {options.idle} connections", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the gateway with a jump host and the bare server.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all measures (default 3)")
    parser.add_argument("--file-mb", type=int, default=200, help="size of the large file in megabytes (default 200)")
    parser.add_argument("--logins", type=int, default=400, help="logins of one round (default 400)")
    parser.add_argument("--commands", type=int, default=320, help="commands on one connection (default 320)")
    parser.add_argument("--idle", type=int, default=ssh_sessions.IDLE, help="idle connections (default 200)")
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=list(NAMES), help="what to compare")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.file_mb, options.logins, options.commands, options.idle = 1, 20, 40, 64, 40
    return options


if __name__ == "__main__":
    main()
