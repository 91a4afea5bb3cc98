"""The ``interlock`` command: one noun a file, put together here."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from interlock import __version__
from interlock.core import merkle
from interlock.core.administration.remote import RemoteGateway
from interlock.core.errors import InterlockError
from interlock.surfaces.cli import (
    approvals,
    audit,
    ca,
    connect,
    connections,
    development_token,
    environment,
    identities,
    incident,
    live,
    lock,
    login,
    notifications,
    policy,
    revoke,
    sessions,
    ssh,
    ssh_cert,
    token,
    tokens,
    tools,
    trust,
)
from interlock.surfaces.cli.answers import UNAVAILABLE, read_token, stop
from interlock.surfaces.cli.workbench import Workbench

sessions.app.add_typer(live.app)

MakeWorkbench = Callable[[Path | None, RemoteGateway | None], Workbench]


def build(make_workbench: MakeWorkbench) -> typer.Typer:
    """The application, given what makes the services for a settings file."""
    app = typer.Typer(
        name="interlock",
        help="A Layer-7 access gateway for AI agents.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def _options(
        context: typer.Context,
        config: Annotated[
            Path | None,
            typer.Option("--config", "-c", envvar="INTERLOCK_CONFIG", help="The settings file (TOML)."),
        ] = None,
        api: Annotated[
            str,
            typer.Option(
                envvar="INTERLOCK_API",
                help="Address of a gateway's API, https://host:port, instead of the gateway on this machine. "
                "The token is in INTERLOCK_TOKEN or in --token-file, or comes of interlock login.",
            ),
        ] = "",
        token_file: Annotated[
            Path | None, typer.Option(envvar="INTERLOCK_TOKEN_FILE", help="File with a token that says who asks.")
        ] = None,
        api_ca: Annotated[
            str,
            typer.Option(
                envvar="INTERLOCK_API_CA", help="Authorities (PEM) for the certificate of --api; else the system's."
            ),
        ] = "",
        version: Annotated[
            bool,
            typer.Option(
                "--version",
                callback=_show_version,
                is_eager=True,
                help="Print the version, and whether the hot modules are compiled.",
            ),
        ] = False,
    ) -> None:
        remote = RemoteGateway(api, read_token(token_file), api_ca) if api else None
        context.obj = make_workbench(config, remote)

    app.command()(serve)
    app.command()(demo)
    for noun in (
        connections,
        identities,
        sessions,
        approvals,
        lock,
        revoke,
        notifications,
        tokens,
        tools,
        incident,
        audit,
        ca,
        trust,
        ssh,
    ):
        app.add_typer(noun.app)
    app.add_typer(policy.app, name="policy")
    app.command("login")(login.log_in)
    app.command("logout")(login.log_out)
    app.command("whoami")(login.who_am_i)
    app.command("token")(token.get_token)
    app.command("env")(environment.show_environment)
    app.command("connect")(connect.connect)
    app.command("development-token")(development_token.issue_token)
    app.command("ssh-cert")(ssh_cert.issue_certificate)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        hot = "interpreted" if merkle.__file__.endswith(".py") else "compiled"
        typer.echo(f"interlock {__version__} (hot modules {hot})")
        raise typer.Exit


def serve(context: typer.Context) -> None:
    """Run the gateway until it is told to stop (Ctrl-C or SIGTERM)."""
    workbench: Workbench = context.obj
    try:
        workbench.serve()
    except (InterlockError, OSError) as error:
        stop(str(error), UNAVAILABLE)


def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", envvar="DEMO_DIR", help="A new or empty directory, kept afterwards."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", envvar="DEMO_KEEP", help="Leave everything running until Ctrl-C.")
    ] = False,
) -> None:
    """Run a gateway, a sample database and a scripted agent on loopback. Exit status 1: not as expected."""
    try:
        from interlock.demo import run
    except ModuleNotFoundError as error:
        stop(f"{error.name} is missing: pip install 'interlock[demo]'", UNAVAILABLE)
    raise typer.Exit(run.run(directory, keep))
