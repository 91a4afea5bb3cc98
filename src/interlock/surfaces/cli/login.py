"""``interlock login | logout | whoami``: a person on their own machine.

What comes of a login is kept for this account only, and shown to nobody.
"""

import datetime
import webbrowser
from typing import Annotated

import typer

from interlock.core.administration.policy import WhoAmI
from interlock.core.client import ClientLogin, GatewayAddress
from interlock.core.identity import by_actors
from interlock.core.printable import one_line
from interlock.services.client.gateway_client import GatewayClient
from interlock.services.client.ports import DeviceAnswer
from interlock.surfaces.cli.answers import JsonOption, ask, read_token, show_fields, show_json
from interlock.surfaces.cli.client import client_of, telling
from interlock.surfaces.cli.workbench import Workbench


def log_in(
    context: typer.Context,
    api: Annotated[str, typer.Option("--api", help="Address of the gateway's API, https://host:port.")] = "",
    api_ca: Annotated[str, typer.Option("--api-ca", help="Authorities (PEM) for its certificate; kept with it.")] = "",
    provider: Annotated[str, typer.Option(help="Where you sign in, when the gateway knows several places.")] = "",
    device: Annotated[
        bool, typer.Option("--device", help="Sign in with a browser on another machine: shows a link and a code.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open no browser here.")
    ] = False,
) -> None:
    """Log in at a gateway with your browser; token, env, connect and commands for people use the login from then on."""
    with telling():
        client = client_of(context, at=GatewayAddress(api.rstrip("/"), api_ca) if api else None)
        if device:
            login = client.log_in_by_device(_show_device, provider)
        else:
            login = _by_browser(context, client, provider, no_browser=no_browser)
    who = f" as {one_line(login.name)}" if login.name else ""
    until = f" until {_moment(login.ends_at_s)}" if login.ends_at_s is not None else ""
    typer.echo(f"Logged in at {client.address.label}{who}{until}.")
    if read_token(context.find_root().params["token_file"]):
        typer.echo("note: a token is set, and comes before the login: unset INTERLOCK_TOKEN", err=True)


def log_out(context: typer.Context) -> None:
    """End your login at the gateway, and forget what is kept of it here."""
    with telling():
        client = client_of(context)
        warning = client.log_out()
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"Logged out at {client.address.label}.")


def who_am_i(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show whom the gateway takes you for, and what you may do on it."""
    options = context.find_root().params
    if options["config"] is not None and not read_token(options["token_file"]):
        caller = ask(context, WhoAmI())  # this account, on the gateway's own machine
    else:
        with telling():
            caller = client_of(context).ask(WhoAmI())
    if as_json:
        show_json(caller)
        return
    show_fields(
        (
            ("name", one_line(by_actors(caller.name, caller.acting))),
            ("kind", caller.kind),
            ("groups", one_line(", ".join(caller.groups)) or "none"),
            ("may", ", ".join(permission.value for permission in caller.permissions) or "use connections only"),
            ("gateway", one_line(caller.gateway)),
            ("token until", _moment(caller.expires_at_s)),
        )
    )


def _by_browser(context: typer.Context, client: GatewayClient, provider: str, *, no_browser: bool) -> ClientLogin:
    workbench: Workbench = context.obj

    def show(url: str) -> None:
        typer.echo(f"Sign in with your browser at\n\n  {one_line(url)}\n")
        if not no_browser and not _opened(url):
            typer.echo("No browser could be opened here: open the address yourself, or use --device.", err=True)

    return client.log_in_by_browser(workbench.redirection, show, provider)


def _opened(url: str) -> bool:
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _show_device(device: DeviceAnswer) -> None:
    if device.verification_uri_complete:
        typer.echo(f"Open this address on any machine:\n\n  {one_line(device.verification_uri_complete)}\n")
    typer.echo(f"Open {one_line(device.verification_uri)} and enter the code {one_line(device.user_code)}")


def _moment(at_s: float | None) -> str:
    if at_s is None:
        return "no end"
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")
