"""``interlock token``: a session token for some connections, for minutes."""

import datetime
import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.core.client import HeldToken, TokenRequest
from interlock.surfaces.cli.answers import UNAVAILABLE, JsonOption, show_json, stop
from interlock.surfaces.cli.client import ActorFileOption, SubjectFileOption, client_of, telling
from interlock.surfaces.cli.duration import seconds
from interlock.surfaces.cli.password_file import renew_password_file


class Audience(enum.Enum):
    """What a token can be good for besides connections."""

    API = "api"


def get_token(
    context: typer.Context,
    connections: Annotated[list[str] | None, typer.Argument(metavar="CONNECTION", help="What it is for.")] = None,
    audience: Annotated[list[Audience] | None, typer.Option(help="api: it is for the gateway's own API, too.")] = None,
    jwt: Annotated[
        bool, typer.Option("--jwt", help="One that says itself what it means, in the place of a short one.")
    ] = False,
    duration: Annotated[str, typer.Option("--for", help="How long it counts: 5m. Else as the gateway says.")] = "",
    source: Annotated[str, typer.Option(help="Where it counts from: a network, or self for this address.")] = "",
    run: Annotated[str, typer.Option(help="The run that it is for.")] = "",
    subject_token_file: SubjectFileOption = None,
    actor_token_file: ActorFileOption = None,
    pgpass: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put it into this password file of libpq and print nothing.")
    ] = None,
    only: Annotated[bool, typer.Option("--print", help="Print the token and say nothing else.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Get a session token: in exchange for a token of this machine, or for your login. It is kept until it ends.

    The first there is of --subject-token-file; INTERLOCK_TOKEN or --token-file; the token of a job of GitHub Actions;
    the file in INTERLOCK_SUBJECT_TOKEN_FILE; the login of interlock login.
    """
    names = tuple(connections or ())
    if not names and not audience:
        stop("say what the token is for: name a connection, or --audience api", UNAVAILABLE)
    lifetime_s = seconds(duration) if duration else None
    wanted = TokenRequest(names, bool(audience), jwt, lifetime_s, source, run)
    with telling():
        client = client_of(context, subject_token_file, actor_token_file)
        if pgpass is not None:
            places, held = client.entrances(wanted)
            renew_password_file(pgpass, client.address, places, held.token)
            return
        held = client.token(wanted)
    if as_json:
        show_json(held)
        return
    typer.echo(held.token)
    if not only and sys.stdout.isatty():
        typer.echo(f"For {', '.join(wanted.audience)} until {moment(held)}.", err=True)


def moment(held: HeldToken) -> str:
    """When a token ends."""
    return datetime.datetime.fromtimestamp(held.ends_at_s, datetime.UTC).isoformat(timespec="seconds")
