"""paramiko: commands and SFTP, with its own way to prefetch and to pipeline."""

import socket
from typing import Any

import paramiko

from tests.clients.ssh.trees import BIG
from tests.clients.ssh.way import SshWay


def connected(way: SshWay) -> paramiko.SSHClient:
    """A client that is logged in; close it. Raises ``paramiko.AuthenticationException``."""
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        "127.0.0.1",
        way.port,
        way.user,
        password=way.password or None,
        key_filename=str(way.key_file) if way.key_file else None,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )
    return client


def visit(way: SshWay) -> list[object]:
    client = connected(way)
    try:
        return [_command(client), _combined(client), *_files(client, way)]
    finally:
        client.close()


def _command(client: paramiko.SSHClient) -> object:
    stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 3", timeout=30, environment={"LC_X": "y"})
    stdin.write("given")
    stdin.channel.shutdown_write()
    return stdout.read(), stderr.read(), stdout.channel.recv_exit_status()


def _combined(client: paramiko.SSHClient) -> object:
    """Both outputs in one stream, in a terminal."""
    transport = client.get_transport()
    assert transport is not None
    channel = transport.open_session(timeout=30)
    channel.settimeout(30)
    channel.get_pty("vt100", 100, 40)
    channel.exec_command("stty size; echo $TERM")
    seen = b""
    while more := _received(channel):
        seen += more
    return seen, channel.recv_exit_status()


def _received(channel: Any) -> bytes:
    try:
        return bytes(channel.recv(65536))
    except socket.timeout:  # noqa: UP041 - its own name for it
        return b""


def _files(client: paramiko.SSHClient, way: SshWay) -> list[object]:
    (way.directory / "big.bin").write_bytes(BIG)
    with client.open_sftp() as sftp:
        sftp.chdir(str(way.place))
        put = sftp.put(str(way.directory / "big.bin"), "big.bin")
        sftp.get("big.bin", str(way.directory / "back.bin"))
        with sftp.open("lines", "w") as file:
            file.set_pipelined(True)
            for number in range(100):
                file.write(f"line {number}\n")
        with sftp.open("lines") as file:
            lines = file.readlines()[-1]
        sftp.posix_rename("lines", "renamed")
        sftp.chmod("renamed", 0o640)
        sftp.mkdir("directory")
        sftp.symlink("renamed", "link")
        seen = [
            put.st_size,
            lines,
            sorted(sftp.listdir()),
            sftp.readlink("link"),
            oct(sftp.stat("renamed").st_mode or 0),
        ]
        try:
            sftp.remove("absent")
        except OSError as error:
            seen.append((error.errno, str(error)))
    return [*seen, (way.directory / "back.bin").read_bytes() == BIG]
