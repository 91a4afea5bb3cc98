"""A small SSH host for the demo: it lets in whoever shows a certificate of the gateway's authority.

Run as a program: ``python -m interlock.demo.host PORT HOST_KEY_FILE AUTHORITY_FILE HOME``. Commands are run by
``/bin/sh`` in HOME. Nothing in here is part of the gateway, and nobody should use it for more than looking.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import asyncssh

FILES: Final = {
    "site/index.html": "<h1>The shop</h1>\n",
    "site/index.new": "<h1>The shop, now with apples</h1>\n",
    "site/deploy.log": (
        "09:12 deploy 41 ok\n09:40 refund to card 4111 1111 1111 1111 failed\n10:05 deploy 42 ok, by ci-agent\n"
    ),
}
LOGIN: Final = "deploy"


def make_home(home: Path) -> None:
    """What is on the host."""
    for name, content in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)


class _Door(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True


async def _serve(port: int, key_file: str, authority: str, home: Path) -> None:
    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        running = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or "exec /bin/sh"),
            cwd=home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await running.communicate()
        process.stdout.write(output)
        process.stderr.write(errors)
        process.exit(running.returncode or 0)

    server = await asyncssh.create_server(
        _Door,
        host="127.0.0.1",
        port=port,
        server_host_keys=[key_file],
        authorized_client_keys=asyncssh.import_authorized_keys(f"cert-authority {authority.strip()}\n"),
        process_factory=run,
        encoding=None,
    )
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(), Path(sys.argv[4])))
