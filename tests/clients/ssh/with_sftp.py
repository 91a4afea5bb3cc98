"""``sftp`` with a batch: most of what the protocol has, one command after the other on one connection."""

import re

from tests.clients.ssh.trees import BIG, make_tree, tree
from tests.clients.ssh.way import SshWay

_BATCH = """
pwd
cd {place}
mkdir work
cd work
put {local}/big.bin
put -p {local}/plain.txt copy.txt
put -R {local}/sub
ls -1
ls -la sub
-ls absent
chmod 600 copy.txt
rename copy.txt renamed.txt
ln -s renamed.txt symbolic
ln renamed.txt hard
ls -l renamed.txt
get big.bin {local}/fetched.bin
get -p renamed.txt {local}/fetched.txt
get -R sub {local}/fetched
get renamed.txt {local}/partial
reget big.bin {local}/begun
reput {local}/big.bin ../begun
df
rm hard
-rm absent
-get absent {local}/absent
mkdir gone
rmdir gone
-rmdir sub
!true
version
"""


def visit(way: SshWay) -> list[object]:
    local = make_tree(way.directory / "local")
    (local / "begun").write_bytes(BIG[:1000])
    (way.place / "begun").write_bytes(BIG[:500_000])
    batch = _BATCH.format(place=way.place, local=local).encode()
    done = way.run(*_words(way), source=batch)
    stopped = way.run(*_words(way), source=b"rm /nonexistent/file\npwd\n")
    return [
        (done.status, _steady(done.output), done.said),
        (stopped.status, stopped.said),
        tree(way.place),
        tree(local),
    ]


def _words(way: SshWay) -> list[str]:
    """A batch asks for no password, unless it is told to."""
    return way.words("sftp", "-o", f"BatchMode={'no' if way.password else 'yes'}", "-b", "-", "target")


def _steady(output: bytes) -> str:
    """The output without what the hour and the disk decide."""
    text = re.sub(r"[A-Z][a-z]{2} [ \d]\d (\d\d:\d\d| \d{4})", "DATE", output.decode())
    return re.sub(r"^ +\d[ \d]+%", "DISK", text, flags=re.MULTILINE)
