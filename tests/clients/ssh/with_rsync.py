"""``rsync``: push, pull, a second time with little to do, and with deletions."""

import os

from tests.clients.ssh.trees import BIG, make_tree, tree
from tests.clients.ssh.way import SshWay


def visit(way: SshWay) -> list[object]:
    local, back = make_tree(way.directory / "local"), way.directory / "back"

    def rsync(*words: str) -> object:
        done = way.run("rsync", "-e", way.remote_shell(), *words)
        return done.status, done.output, done.said

    seen = [rsync("-a", "--out-format=%i %n", f"{local}/", f"target:{way.place}/copy/"), tree(way.place, times=True)]
    (local / "empty").unlink()
    (local / "big.bin").write_bytes(BIG[:300_000] + b"changed" + BIG[300_000:])
    seen += [rsync("-ac", "--delete", "--out-format=%i %n", f"{local}/", f"target:{way.place}/copy/"), tree(way.place)]
    os.utime(way.place / "copy" / "big.bin", (1_700_000_001, 1_700_000_001))
    (way.place / "copy" / "sub" / "script").unlink()
    seen += [rsync("-az", "--delete", f"target:{way.place}/copy/", f"{back}/"), tree(back, times=True)]
    absent = way.run("rsync", "-e", way.remote_shell(), f"target:{way.place}/absent", str(back))
    return [*seen, absent.status, "No such file or directory" in absent.said]
