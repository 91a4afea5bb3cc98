"""``interlock tokens``: tokens that are taken back."""

from typing import Annotated

import typer

from interlock.core.administration import RevokeToken
from interlock.surfaces.cli.answers import JsonOption, ask, show_json
from interlock.surfaces.cli.lock import ReasonOption
from interlock.surfaces.cli.receipts import show_lock_receipt

app = typer.Typer(name="tokens", help="Tokens that are taken back.", no_args_is_help=True)


@app.command("revoke")
def revoke_token(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id: its claim jti, as the ledger has it.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Lock a token: its sessions are cut, and it opens no more."""
    receipt = ask(context, RevokeToken(token_id, reason))
    if as_json:
        show_json(receipt)
    else:
        show_lock_receipt(receipt)
