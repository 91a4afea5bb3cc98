"""``interlock ca``: the authority that clients of the forward proxy have to trust."""

from typing import Annotated

import typer

from interlock.core.administration import ShowInterceptionAuthority
from interlock.surfaces.cli.answers import JsonOption, ask, show_json

app = typer.Typer(name="ca", help="The authority for TLS interception.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Keeps ``show`` a command of its own."""


@app.command("show")
def show_authority(
    context: typer.Context,
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", help="Print its SHA-256 fingerprint, to compare by another way.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the certificate that clients of the forward proxy have to trust (PEM)."""
    authority = ask(context, ShowInterceptionAuthority())
    if as_json:
        show_json(authority)
    else:
        typer.echo(authority.fingerprint if fingerprint else authority.certificate_pem, nl=fingerprint)
