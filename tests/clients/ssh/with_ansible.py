"""What Ansible's ``ssh`` connection does for one task, in its order: shared connection, ``/bin/sh -c``, module by SFTP.

Ansible itself is run by ``make ansible``; it takes long to install and to start.
"""

import shlex

from tests.clients.ssh.way import Done, SshWay

_MODULE = """
import json, os, sys
print(json.dumps({"ping": "pong", "terminal": os.isatty(1), "arguments": sys.argv[1:]}))
"""
_TEMPORARY = "ansible-tmp-1700000000.1-1-1"


def visit(way: SshWay) -> list[object]:
    shared = ["-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", f"ControlPath={way.directory}/a"]
    shared += ["-o", "ConnectTimeout=10"]
    (way.directory / "module.py").write_text(_MODULE)
    temporary, python = f"{way.place}/.ansible/tmp/{_TEMPORARY}", "/usr/bin/env python3"

    def shell(script: str, *options: str, source: bytes = b"") -> Done:
        words = ["/bin/sh", "-c", f"{script} && sleep 0"]
        return way.ssh(*shared, *options, "target", shlex.join(words), source=source)

    parts = f'umask 77 && mkdir -p "` echo {way.place}/.ansible/tmp `" && mkdir "` echo {temporary} `"'
    seen: list[object] = [shell("echo ~"), shell(f'( {parts} && echo {_TEMPORARY}="` echo {temporary} `" )')]
    seen.append(shell("echo PLATFORM; uname; echo FOUND; command -v 'sh'; echo ENDFOUND"))
    put = f"put {way.directory}/module.py {temporary}/AnsiballZ_ping.py\n".encode()
    seen.append(way.run(*way.words("sftp", "-q", "-b", "-", *shared, "target"), source=put).status)
    seen.append(shell(f"chmod u+rwx {temporary}/ {temporary}/AnsiballZ_ping.py"))
    seen.append(shell(f"{python} {temporary}/AnsiballZ_ping.py", "-tt").output)
    seen.append(shell(f"rm -f -r {temporary}/ > /dev/null 2>&1"))
    seen.append(shell(python, source=_MODULE.encode()))
    seen.append(list((way.place / ".ansible" / "tmp").iterdir()))
    way.ssh(*shared, "-O", "exit", "target")
    return seen
