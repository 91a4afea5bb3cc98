"""``interlock tokens``: tokens that are taken back."""

import typer

from interlock.surfaces.cli import revoke

app = typer.Typer(name="tokens", help="Tokens that are taken back.", no_args_is_help=True)
app.command("revoke")(revoke.revoke_token)
