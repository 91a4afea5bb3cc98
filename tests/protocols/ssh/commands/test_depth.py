"""Whether reading a directory reads what is below it."""

import pytest

from interlock.protocols.ssh.commands.invocation import PathUse
from interlock.protocols.ssh.commands.reading import read_command


@pytest.mark.parametrize(
    ("line", "deep"),
    [
        ("cat /srv/x", False),
        ("ls -la /srv", False),
        ("sort -r /srv/x", False),
        ("ls -lR /srv", True),
        ("ls --recursive /srv", True),
        ("ls $OPTIONS /srv", True),
        ("grep x /srv", False),
        ("grep -r x /srv", True),
        ("grep --dereference-recursive x /srv", True),
        ("grep --directories=recurse x /srv", True),
        ("grep -d recurse x /srv", True),
        ("sort /srv/x", False),
        ("diff -r /srv /tmp/x", True),
        ("cp /srv/x /tmp", False),
        ("cp -r /srv /tmp", True),
        ("cp -a /srv /tmp", True),
        ("cp --archive /srv /tmp", True),
        ("tar cf - /srv", True),
        ("find /srv", True),
        ("du -s /srv", True),
        ("rsync /srv/ other:", True),
    ],
)
def test_reading_goes_as_deep_as_the_program(line: str, deep: bool) -> None:
    read = [path for path in read_command(line, 4096).paths if path.use is PathUse.READ and "srv" in path.path]
    assert {path.deep for path in read} == {deep}
