"""``interlock revoke``: take access back, by what it was given by, to or for.

Each is a lock: what is open is cut, nothing new opens, and it lasts until the lock is lifted (see ``interlock lock``).
"""

from typing import Annotated

import typer

from interlock.core.administration import AddLock, Command, RevokeToken
from interlock.core.lock import LockMode, LockReceipt, LockSubject, at_issuer
from interlock.surfaces.cli.answers import JsonOption, ask, show_json
from interlock.surfaces.cli.lock import EarlierProofsOption, ReasonOption
from interlock.surfaces.cli.receipts import show_lock_receipt

app = typer.Typer(name="revoke", help="Take access back: of tokens, runs, identities, logins.", no_args_is_help=True)

IssuerArgument = Annotated[str, typer.Argument(metavar="ISSUER", help="The issuer's URL, as in its tokens.")]


@app.command("token")
def revoke_token(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id: its claim jti, as the ledger has it.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """A token, and every token that came from it. The lock ends with the token where its end is known."""
    _show(context, RevokeToken(token_id, reason), as_json)


@app.command("run")
def revoke_run(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="ID", help="The run's trace id.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """A run of an agent, whoever has sessions in it."""
    _show(context, AddLock(LockSubject.RUN, reason, run), as_json)


@app.command("identity")
def revoke_identity(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The identity's name here.")],
    reason: ReasonOption,
    earlier_proofs: EarlierProofsOption = False,
    as_json: JsonOption = False,
) -> None:
    """An agent or a person, whatever proves it, and the agents that it answers for."""
    _lock(context, LockSubject.OWNER, name, reason, earlier_proofs, as_json)


@app.command("login")
def revoke_login(
    context: typer.Context,
    issuer: IssuerArgument,
    sid: Annotated[str, typer.Argument(metavar="SID", help="The session there: the claim sid, or a SessionIndex.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """A person's session at an issuer, and everything that came from it."""
    _lock(context, LockSubject.LOGIN, at_issuer(issuer, sid), reason, False, as_json)


@app.command("subject")
def revoke_subject(
    context: typer.Context,
    issuer: IssuerArgument,
    subject: Annotated[str, typer.Argument(metavar="SUB", help="What the issuer calls it: the claim sub.")],
    reason: ReasonOption,
    earlier_proofs: EarlierProofsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Whom an issuer calls so, under whatever name here."""
    _lock(context, LockSubject.SUBJECT, at_issuer(issuer, subject), reason, earlier_proofs, as_json)


def _lock(
    context: typer.Context, kind: LockSubject, subject: str, reason: str, earlier_proofs: bool, as_json: bool
) -> None:
    command = AddLock(kind, reason, subject, LockMode.REFUSE, earlier_proofs=earlier_proofs)
    _show(context, command, as_json)


def _show(context: typer.Context, command: Command[LockReceipt], as_json: bool) -> None:
    receipt = ask(context, command)
    if as_json:
        show_json(receipt)
    else:
        show_lock_receipt(receipt)
