"""``interlock env``: the variables by which ordinary clients reach a connection, for a shell or a program."""

import shlex
from typing import Final

import typer

from interlock.core.administration import ConnectionAccess
from interlock.services.client.gateway_client import GatewayClient
from interlock.surfaces.cli.access import (
    Environment,
    database_name,
    host_of,
    http_environment,
    postgres_environment,
    ssh_environment,
)
from interlock.surfaces.cli.answers import JsonOption, show_json
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
from interlock.surfaces.cli.token import moment

_SSH_HINT: Final = "Log in over SSH with interlock connect {name}, or with a certificate: interlock ssh-cert {name}"


def show_environment(
    context: typer.Context,
    connection: ConnectionArgument,
    database: DatabaseOption = "",
    login: LoginOption = "",
    subject_token_file: SubjectFileOption = None,
    actor_token_file: ActorFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a shell is to set so that clients reach a connection: eval "$(interlock env CONNECTION)".

    A token is for minutes. Of PostgreSQL it is in a file, which the same command, or token --pgpass, writes anew.
    """
    with telling():
        client = client_of(context, subject_token_file, actor_token_file)
        access, held = client.entrance(connection)
        environment = _environment(client, access, held.token, database, login)
    if as_json:
        show_json(environment)
        return
    for name in environment.unset:
        typer.echo(f"unset {name}")
    for name, value in environment.variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    hint = f" {_SSH_HINT.format(name=connection)}" if access.protocol == "ssh" else ""
    typer.echo(f"The token counts until {moment(held)}.{hint}", err=True)


def _environment(client: GatewayClient, access: ConnectionAccess, token: str, database: str, login: str) -> Environment:
    address, write = client.address, client.shelf.write_file
    if access.protocol == "ssh":
        return ssh_environment(access, address, login, write)
    if access.protocol == "http":
        return http_environment(access, address, token, write)
    line = password_line(host_of(access, address), access.port, database_name(access, database), token)
    password_file = write(f"{access.name}.pgpass", line.encode())
    return postgres_environment(access, address, database, write, password_file)
