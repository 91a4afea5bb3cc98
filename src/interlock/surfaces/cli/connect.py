"""``interlock connect``: the usual program for a connection, told where to go and who knocks.

The token is in a private file for as long as the program runs, never in its arguments or its environment.
"""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from interlock.core.administration import ConnectionAccess
from interlock.core.client import GatewayAddress
from interlock.services.client.ports import WriteFile
from interlock.surfaces.cli.access import (
    authority_pem,
    base_url,
    database_name,
    host_of,
    postgres_environment,
    ssh_user,
)
from interlock.surfaces.cli.answers import UNAVAILABLE, stop
from interlock.surfaces.cli.child_program import run_program
from interlock.surfaces.cli.client import (
    ActorFileOption,
    ConnectionArgument,
    DatabaseOption,
    LoginOption,
    SubjectFileOption,
    client_of,
    telling,
)
from interlock.surfaces.cli.password_file import password_line

_ASKPASS: Final = """\
#!/bin/sh
[ "$1" = {prompt} ] && exec cat {file}
exit 1
"""
"""Tells ssh the token when it asks for the password of this user there, and nobody anything else."""
_OWN_TOKEN: Final = "INTERLOCK_TOKEN"  # noqa: S105 - the name of a variable, which is for this program only
_SSH_USER_SHOWN: Final = 30
_SSH_HOST_SHOWN: Final = 128


def connect(
    context: typer.Context,
    connection: ConnectionArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="For psql or ssh; of HTTP, for curl.")
    ] = None,
    database: DatabaseOption = "",
    login: LoginOption = "",
    subject_token_file: SubjectFileOption = None,
    actor_token_file: ActorFileOption = None,
) -> None:
    """Run psql or ssh on a connection; of HTTP, print the curl command. The exit status is the program's."""
    words = arguments or []
    with telling():
        client = client_of(context, subject_token_file, actor_token_file)
        access, held = client.entrance(connection)
        if access.protocol == "http":
            typer.echo(_curl(access, client.address, held.token, words, client.shelf.write_file))
            return
        with client.shelf.temporary() as write:
            if access.protocol == "ssh":
                status = _ssh(access, client.address, held.token, login, words, write)
            else:
                status = _psql(access, client.address, held.token, database, words, write)
    raise typer.Exit(status)


def _psql(
    access: ConnectionAccess, address: GatewayAddress, token: str, database: str, words: Sequence[str], write: WriteFile
) -> int:
    line = password_line(host_of(access, address), access.port, database_name(access, database), token)
    environment = postgres_environment(access, address, database, write, write("pgpass", line.encode()))
    return _run("psql", words, environment.over(os.environ))


def _ssh(
    access: ConnectionAccess, address: GatewayAddress, token: str, login: str, words: Sequence[str], write: WriteFile
) -> int:
    host, user = host_of(access, address), ssh_user(access, login)
    known_hosts = write("known_hosts", access.known_hosts.encode())
    script = askpass_script(user, host, write("token", f"{token}\n".encode()))
    askpass = write("askpass", script.encode())
    askpass.chmod(0o700)
    options = {
        "UserKnownHostsFile": f'"{str(known_hosts).replace("%", "%%")}"',
        "StrictHostKeyChecking": "yes",
        "PreferredAuthentications": "password",
        "PubkeyAuthentication": "no",
        "NumberOfPasswordPrompts": "1",
        "ControlPath": "none",
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    environment = os.environ | {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    return _run("ssh", [*settings, "-p", str(access.port), "-l", user, host, *words], environment)


def askpass_script(user: str, host: str, token_file: Path) -> str:
    """A shell script for SSH_ASKPASS."""
    prompt = f"{user[:_SSH_USER_SHOWN]}@{host[:_SSH_HOST_SHOWN]}'s password: "
    return _ASKPASS.format(prompt=shlex.quote(prompt), file=shlex.quote(str(token_file)))


def _curl(access: ConnectionAccess, address: GatewayAddress, token: str, words: Sequence[str], write: WriteFile) -> str:
    """The command; the first word is the path if it begins with a slash."""
    settings = f'header = "Authorization: Bearer {token}"\n'
    if vouching := authority_pem(access, address):
        authority = write(f"{access.name}.pem", vouching.encode())
        settings += f'cacert = "{authority}"\n'
    file = write(f"{access.name}.curlrc", settings.encode())
    path, others = (words[0], words[1:]) if words and words[0].startswith("/") else ("/", words)
    return shlex.join(["curl", "--config", str(file), *others, base_url(access, address) + path])


def _run(program: str, words: Sequence[str], environment: Mapping[str, str]) -> int:
    if shutil.which(program) is None:
        stop(f"{program} is not installed here; interlock env says what any other client needs", UNAVAILABLE)
    return run_program([program, *words], {name: environment[name] for name in environment if name != _OWN_TOKEN})
