"""The gateway as its users' own machines know it, for the commands that are theirs; errors end the program."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused, InterlockError
from interlock.services.client.gateway_client import GatewayClient
from interlock.surfaces.cli.answers import REFUSED, UNAVAILABLE, read_token, stop
from interlock.surfaces.cli.workbench import Workbench

ConnectionArgument = Annotated[str, typer.Argument(metavar="CONNECTION", help="Name of the connection.")]
DatabaseOption = Annotated[str, typer.Option(help="PostgreSQL only: a database of the connection, else its first.")]
LoginOption = Annotated[str, typer.Option(help="SSH only: another login at the host.")]
SubjectFileOption = Annotated[
    Path | None, typer.Option("--subject-token-file", help="File with the token to exchange, in the place of a login.")
]
ActorFileOption = Annotated[
    Path | None, typer.Option("--actor-token-file", help="File with the token of whoever acts for them.")
]


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Show what was refused or could not be done, and end the program."""
    try:
        yield
    except AdministrationRefused as error:
        stop(str(error), REFUSED)
    except InterlockError as error:
        stop(str(error), UNAVAILABLE)


def client_of(
    context: typer.Context,
    subject_file: Path | None = None,
    actor_file: Path | None = None,
    at: GatewayAddress | None = None,
) -> GatewayClient:
    """The gateway that is meant. Raises ConfigurationError."""
    workbench: Workbench = context.obj
    token = "" if subject_file is not None else read_token(context.find_root().params["token_file"])
    return workbench.client(token, subject_file, actor_file, at)
