"""``interlock development-token``: a token of the development issuer, for trying things out."""

from typing import Annotated

import typer

from interlock.core.administration import IssueToken
from interlock.core.settings import IdentityKind
from interlock.surfaces.cli.answers import JsonOption, ask, show_json


def issue_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the identity.")],
    kind: Annotated[IdentityKind, typer.Option(help="What it is.")] = IdentityKind.AGENT,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group it belongs to; may be repeated.")] = None,
    ttl_s: Annotated[int, typer.Option("--ttl", min=1, max=3600, help="Seconds until the token ends.")] = 900,
    as_json: JsonOption = False,
) -> None:
    """Get a token from the development issuer of the running gateway."""
    issued = ask(context, IssueToken(name, kind, tuple(group or ()), owner, ttl_s))
    if as_json:
        show_json(issued)
    else:
        typer.echo(issued.token)
