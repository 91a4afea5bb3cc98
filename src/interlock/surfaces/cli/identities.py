"""``interlock identities``: agents and users that are registered by hand.

Registering is not needed to log in with a token: it adds groups and an owner, shuts an identity out, or gives a secret
to a client that cannot bring tokens.
"""

import datetime
from typing import Annotated

import typer

from interlock.core.administration import (
    AddIdentity,
    ConfirmOwner,
    DisableIdentity,
    EnableIdentity,
    GenerateSecret,
    IdentityView,
    ListIdentities,
    RemoveIdentity,
    ShowIdentity,
    TransferIdentity,
)
from interlock.core.settings import IdentityKind
from interlock.surfaces.cli.answers import JsonOption, ask, show_fields, show_json, show_table
from interlock.surfaces.cli.identity_review import review_identities
from interlock.surfaces.cli.receipts import show_done

app = typer.Typer(name="identities", help="Agents and users.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the identity.")]


@app.command("list")
def list_identities(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the registered identities."""
    views = ask(context, ListIdentities())
    if as_json:
        show_json(views)
        return
    rows = [(view.name, view.kind, view.owner or "", ", ".join(view.groups), _state(view)) for view in views]
    show_table(("NAME", "KIND", "OWNER", "GROUPS", "STATE"), rows, "There is no registered identity.")


@app.command("show")
def show_identity(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one registered identity."""
    view = ask(context, ShowIdentity(name))
    if as_json:
        show_json(view)
        return
    created = datetime.datetime.fromtimestamp(view.created_at_s, datetime.UTC)
    show_fields(
        (
            ("name", view.name),
            ("kind", view.kind),
            ("owner", view.owner or "none"),
            ("purpose", view.purpose or "none"),
            ("issuers", ", ".join(view.issuers) or "any"),
            ("groups", ", ".join(view.groups) or "none"),
            ("state", _state(view)),
            ("secret", "generated" if view.has_secret else "none"),
            ("registered", created.isoformat(timespec="seconds")),
        )
    )


@app.command("add")
def add_identity(
    context: typer.Context,
    name: NameArgument,
    kind: Annotated[IdentityKind, typer.Option(help="What it is.")] = IdentityKind.AGENT,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group it belongs to; may be repeated.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What it is for, in a sentence.")] = None,
    issuer: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose tokens may have this name, by name or URL; may be repeated. Without it: any issuer's."
        ),
    ] = None,
    any_issuer: Annotated[
        bool, typer.Option("--any-issuer", help="With --replace: tokens of any issuer again.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Change the one of this name. Owner, purpose and issuers stay unless given."),
    ] = False,
) -> None:
    """Register an agent or a user. An agent with another owner than before is locked until that is confirmed."""
    issuers = () if any_issuer else tuple(issuer) if issuer else None
    show_done(ask(context, AddIdentity(name, kind, owner, tuple(group or ()), replace, purpose, issuers)))


@app.command("transfer")
def transfer_identity(
    context: typer.Context,
    name: NameArgument,
    to: Annotated[str, typer.Option(help="Who answers for it from now on.")],
) -> None:
    """Give an agent another owner. It is locked until that is confirmed by a second person."""
    show_done(ask(context, TransferIdentity(name, to)))


@app.command("confirm")
def confirm_owner(context: typer.Context, name: NameArgument) -> None:
    """Confirm an agent's new owner, as that owner or as an administrator who neither made the change nor had it."""
    show_done(ask(context, ConfirmOwner(name)))


app.command("review")(review_identities)


@app.command("disable")
def disable_identity(context: typer.Context, name: NameArgument) -> None:
    """Lock an identity until it is enabled: its sessions are cut, and whatever proof it brings is refused."""
    show_done(ask(context, DisableIdentity(name)))


@app.command("enable")
def enable_identity(context: typer.Context, name: NameArgument) -> None:
    """Let a disabled identity log in again."""
    show_done(ask(context, EnableIdentity(name)))


@app.command("remove")
def remove_identity(context: typer.Context, name: NameArgument) -> None:
    """Forget an identity with its groups, owner and secret, and cut its sessions. Locks on it stay in force."""
    show_done(ask(context, RemoveIdentity(name)))


@app.command("secret")
def generate_secret(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Make a secret for an identity that cannot bring tokens, and show it once."""
    generated = ask(context, GenerateSecret(name))
    if as_json:
        show_json(generated)
        return
    typer.echo(generated.secret)
    typer.echo(f"This is the password of {name!r}. It is not kept and cannot be shown again.", err=True)


def _state(view: IdentityView) -> str:
    if view.disabled:
        return "disabled"
    return "owner not confirmed" if view.unconfirmed else "enabled"
