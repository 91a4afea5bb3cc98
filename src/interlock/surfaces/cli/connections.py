"""``interlock connections``: the targets, and the credentials the gateway keeps for them.

No command shows a credential, and none takes one from the command line.
"""

from pathlib import Path
from typing import Annotated

import typer

from interlock.core.administration import (
    AddConnection,
    ConnectionView,
    ListConnections,
    RemoveConnection,
    SetCredential,
    ShowConnection,
    TestConnection,
)
from interlock.core.settings import (
    ConnectionSettings,
    CredentialReference,
    Detection,
    HttpApi,
    HttpTarget,
    MaskingSettings,
    OAuthClient,
    SshAuthentication,
    SshTarget,
    TlsMode,
)
from interlock.surfaces.cli.answers import (
    REFUSED,
    JsonOption,
    ask,
    read_secret,
    show_fields,
    show_json,
    show_table,
    stop,
)
from interlock.surfaces.cli.discovery import harden_connection, scan_connection
from interlock.surfaces.cli.receipts import show_done

app = typer.Typer(name="connections", help="Targets and their credentials.", no_args_is_help=True)

_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")
NameArgument = Annotated[str, typer.Argument(help="Name of the connection.")]


@app.command("list")
def list_connections(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the connections of the settings file and those added by command."""
    views = ask(context, ListConnections())
    if as_json:
        show_json(views)
        return
    rows = [
        (view.name, _target(view), view.settings.user, view.settings.tls.value, view.credential, view.origin)
        for view in views
    ]
    show_table(("NAME", "TARGET", "USER", "TLS", "CREDENTIAL", "FROM"), rows, "There is no connection.")


@app.command("show")
def show_connection(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one connection, without its credential."""
    view = ask(context, ShowConnection(name))
    if as_json:
        show_json(view)
        return
    settings = view.settings
    show_fields(
        (
            ("name", view.name),
            ("from", view.origin),
            ("target", _target(view)),
            *_FIELDS.get(settings.protocol, _postgres_fields)(settings),
            ("user", settings.user or "none"),
            ("credential", view.credential),
            *(() if settings.protocol == "ssh" else _tls_fields(settings)),
            ("tags", ", ".join(settings.tags) or "none"),
            ("detection", settings.masking.detect.value),
        )
    )


def _postgres_fields(settings: ConnectionSettings) -> tuple[tuple[str, str], ...]:
    return (
        ("databases", ", ".join(settings.databases)),
        ("search path", ", ".join(settings.search_path)),
        ("vouched for", ", ".join(settings.masking.functions) or "none"),
    )


def _http_fields(settings: ConnectionSettings) -> tuple[tuple[str, str], ...]:
    http = settings.http
    token = (("token from", f"{http.oauth.token_url} as {http.oauth.client_id}"),) if http.oauth else ()
    return (
        ("api", http.api.value),
        ("shown as", http.credential_as),
        *token,
        ("own names", ", ".join(http.server_names) or "none"),
        ("other hosts", ", ".join(http.hosts) + (" (tunnels)" if http.tunnel else "") or "none"),
        ("endpoints", ", ".join(f"{name} {one.path}" for name, one in http.endpoints.items()) or "none"),
        ("fields", ", ".join(http.fields) or "none"),
    )


def _ssh_fields(settings: ConnectionSettings) -> tuple[tuple[str, str], ...]:
    ssh = settings.ssh
    return (
        ("logins", ", ".join(settings.places)),
        ("authenticate", ssh.authenticate.value),
        ("host keys", "; ".join(ssh.host_keys) or "none"),
        ("authorities", "; ".join(ssh.host_authorities) or "none"),
        ("variables", ", ".join(ssh.environment) or "none"),
    )


def _tls_fields(settings: ConnectionSettings) -> tuple[tuple[str, str], ...]:
    return (
        ("tls", settings.tls.value),
        ("ca file", settings.ca_file or "the system's"),
        ("certificate", settings.client_certificate or "none"),
    )


_FIELDS = {"http": _http_fields, "ssh": _ssh_fields}


@app.command("add")
def add_connection(
    context: typer.Context,
    name: NameArgument,
    host: Annotated[str, typer.Option(help="Host name or address of the target.")],
    database: Annotated[
        list[str] | None, typer.Option(help="A database that may be reached; may be repeated. PostgreSQL only.")
    ] = None,
    user: Annotated[
        str, typer.Option(help="Who the gateway logs in as; for HTTP with basic only. Of a host, the usual login.")
    ] = "",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the target; 0: the usual one of the protocol.")
    ] = 0,
    protocol: Annotated[str, typer.Option(help="Protocol of the target: postgres, http or ssh.")] = "postgres",
    credential: Annotated[
        str, typer.Option(help="Where the password or private key is: sealed, none, env:NAME or file:PATH.")
    ] = "sealed",
    tls: Annotated[TlsMode, typer.Option(help="TLS towards the target.")] = TlsMode.VERIFY_FULL,
    ca_file: Annotated[Path | None, typer.Option(help="Authorities for the target's certificate (PEM).")] = None,
    client_certificate: Annotated[Path | None, typer.Option(help="Certificate to log in with (PEM).")] = None,
    client_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    schema: Annotated[list[str] | None, typer.Option(help="A schema of the search path; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word that policy can refer to; may be repeated.")] = None,
    vouch_for: Annotated[
        list[str] | None,
        typer.Option(help="A function, as schema.name, that shows nothing to others; may be repeated."),
    ] = None,
    detect: Annotated[Detection, typer.Option(help="Sensitive content in what no rule names.")] = Detection.OFF,
    api: Annotated[HttpApi, typer.Option(help="HTTP only: how requests are read.")] = HttpApi.HTTP,
    credential_as: Annotated[
        str,
        typer.Option(help="HTTP only: how it is shown: bearer, basic, header:NAME, query:NAME, oauth or none."),
    ] = "bearer",
    base_path: Annotated[str, typer.Option(help="HTTP only: put in front of each path.")] = "",
    token_url: Annotated[str, typer.Option(help="Token endpoint, for --credential-as oauth.")] = "",
    client_id: Annotated[str, typer.Option(help="Who the gateway is there; its secret is the credential.")] = "",
    scope: Annotated[str, typer.Option(help="Scopes of the token, separated by blanks.")] = "",
    authenticate: Annotated[
        SshAuthentication, typer.Option(help="SSH only: log in with a password, a key, or a certificate made for it.")
    ] = SshAuthentication.KEY,
    login: Annotated[
        list[str] | None, typer.Option(help="SSH only: another login that clients may ask for; may be repeated.")
    ] = None,
    host_key: Annotated[
        list[str] | None,
        typer.Option(help="SSH only: a public key of the host, as ssh-keyscan prints it; may be repeated."),
    ] = None,
    host_authority: Annotated[
        list[str] | None,
        typer.Option(help="SSH only: a public key that signs host certificates; may be repeated."),
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(help="SSH only: an environment variable that clients may set; may be repeated."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of the one of this name.")] = False,
) -> None:
    """Add a connection. Its password or private key is set afterwards, with set-credential.

    With an SSH host that is not known by a key yet, connections test says which one it shows. Names of endpoints,
    fields and further hosts of an HTTP target are for the settings file.
    """
    try:
        oauth = OAuthClient(token_url=token_url, client_id=client_id, scope=scope) if token_url else None
        settings = ConnectionSettings(
            protocol=protocol,
            host=host,
            port=port,
            databases=tuple(database or ()),
            user=user,
            credential=_reference("none" if _needs_none(protocol, authenticate) else credential),
            tls=tls,
            ca_file=_absolute(ca_file),
            client_certificate=_absolute(client_certificate),
            client_key=_absolute(client_key),
            search_path=tuple(schema or ("public",)),
            tags=tuple(tag or ()),
            masking=MaskingSettings(functions=tuple(vouch_for or ()), detect=detect),
            http=HttpTarget(api=api, credential_as=credential_as, base_path=base_path, oauth=oauth),
            ssh=SshTarget(
                authenticate=authenticate,
                logins=tuple(login or ()),
                host_keys=tuple(map(_bare_key, host_key or ())),
                host_authorities=tuple(map(_bare_key, host_authority or ())),
                environment=tuple(variable) if variable else SshTarget().environment,
            ),
        )
    except ValueError as error:
        stop(str(error), REFUSED)
    typer.echo(ask(context, AddConnection(name, settings, replace)).text)


@app.command("set-credential")
def set_credential(
    context: typer.Context,
    name: NameArgument,
    file: Annotated[Path | None, typer.Option(help="Read the password from this file.")] = None,
) -> None:
    """Seal the password or private key of a connection: asked for, or read from standard input or a file."""
    password = read_secret(f"Password of {name}", file)
    typer.echo(ask(context, SetCredential(name, password)).text)


@app.command("remove")
def remove_connection(context: typer.Context, name: NameArgument) -> None:
    """Remove a connection that was added by command, with its sealed credential, and cut its sessions."""
    show_done(ask(context, RemoveConnection(name)))


@app.command("test")
def try_connection(context: typer.Context, name: NameArgument) -> None:
    """Try to reach the target from the gateway."""
    typer.echo(ask(context, TestConnection(name)).text)


app.command("scan")(scan_connection)
app.command("harden")(harden_connection)


def _target(view: ConnectionView) -> str:
    settings = view.settings
    place = "/" + "".join(settings.databases[:1]) if settings.protocol != "ssh" else ""
    return f"{settings.protocol}://{settings.host}:{settings.port}{place}"


def _needs_none(protocol: str, authenticate: SshAuthentication) -> bool:
    """Whether the gateway makes what it logs in with itself."""
    return protocol == "ssh" and authenticate is SshAuthentication.CERTIFICATE


def _bare_key(line: str) -> str:
    """A public key without the name of the host, which ssh-keyscan and known_hosts have in front."""
    words = line.strip().split()
    start = next((place for place, word in enumerate(words) if word.startswith(_KEY_TYPES)), 0)
    return " ".join(words[start:])


def _reference(text: str) -> CredentialReference | None:
    """The credential option. Its text is never repeated: somebody may have put the password there."""
    place, _, value = text.partition(":")
    if text == "sealed":
        return CredentialReference(sealed=True)
    if text == "none":
        return None
    if place == "env" and value:
        return CredentialReference(env=value)
    if place == "file" and value:
        return CredentialReference(file=str(Path(value).resolve()))
    stop("--credential: must be sealed, none, env:NAME or file:PATH; a password does not belong here", REFUSED)


def _absolute(path: Path | None) -> str | None:
    """Files are read by the gateway, which has another working directory."""
    return str(path.resolve()) if path is not None else None
