"""``interlock ssh``: registered keys, and what clients and hosts have to trust."""

import datetime
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.core.administration import AddSshKey, ListSshKeys, RemoveSshKey, ShowSshGateway, SshKeyView
from interlock.core.ssh_key import MAX_KEY_CHARACTERS, read_ssh_key
from interlock.surfaces.cli.answers import REFUSED, UNAVAILABLE, JsonOption, ask, show_json, show_table, stop
from interlock.surfaces.cli.duration import seconds
from interlock.surfaces.cli.receipts import show_done

app = typer.Typer(name="ssh", help="SSH: keys of clients, and what clients and hosts trust.", no_args_is_help=True)
keys = typer.Typer(name="keys", help="Keys that are registered for identities.", no_args_is_help=True)
app.add_typer(keys)

_HOW_TO_TRUST = """\
Hosts whose connection says ssh.authenticate = "certificate" have to trust this key. On each of them:
  1. write the line to /etc/ssh/interlock_authority.pub
  2. add to /etc/ssh/sshd_config:  TrustedUserCAKeys /etc/ssh/interlock_authority.pub
  3. have sshd read it again:      systemctl reload sshd
The gateway then logs in as the login of the connection, with a certificate of minutes that names session and caller."""


@app.command("known-hosts")
def show_known_hosts(
    context: typer.Context,
    key_only: Annotated[
        bool,
        typer.Option("--key-only", help="Without the authority's line, which some libraries (paramiko) cannot read."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the lines of known_hosts by which clients know this gateway."""
    gateway = ask(context, ShowSshGateway())
    if as_json:
        show_json(gateway)
        return
    if not gateway.known_hosts:
        stop("the gateway does not listen for SSH: set listen under [ssh]", REFUSED)
    typer.echo(without_authority(gateway.known_hosts) if key_only else gateway.known_hosts, nl=False)


@app.command("authority")
def show_authority(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print the public key that hosts have to trust, for connections that log in with certificates."""
    gateway = ask(context, ShowSshGateway())
    if as_json:
        show_json(gateway)
        return
    typer.echo(gateway.target_authority)
    typer.echo(_HOW_TO_TRUST, err=True)


@keys.command("list")
def list_keys(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="Only those of this identity.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List registered keys."""
    views = ask(context, ListSshKeys(identity))
    if as_json:
        show_json(views)
        return
    rows = [(view.identity, view.fingerprint, view.algorithm, view.comment, _end(view)) for view in views]
    show_table(("IDENTITY", "FINGERPRINT", "KIND", "COMMENT", "ENDS"), rows, "There is no registered key.")


@keys.command("add")
def add_key(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="Name of the registered identity.")],
    file: Annotated[str, typer.Argument(help="The public key (a .pub file); - is standard input.")],
    duration: Annotated[str, typer.Option("--for", help="How long it counts: 12h, 30d. Else until removed.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Register a public key: whoever has its private key may log in over SSH as this identity."""
    expires_in_s = seconds(duration) if duration else None
    view = ask(context, AddSshKey(identity, read_public_key(file), expires_in_s))
    if as_json:
        show_json(view)
        return
    typer.echo(f"Key {view.fingerprint} is registered for {view.identity!r}; it ends: {_end(view)}.")


@keys.command("remove")
def remove_key(
    context: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="Its fingerprint, SHA256:…, as listed.")],
) -> None:
    """Forget a registered key, and cut the sessions that were opened with it."""
    show_done(ask(context, RemoveSshKey(fingerprint)))


def without_authority(known_hosts: str) -> str:
    """The lines that are about keys."""
    return "".join(line for line in known_hosts.splitlines(keepends=True) if not line.startswith("@"))


def read_public_key(file: str) -> str:
    """The text of a public key file, or of standard input for ``-``; ends the program when it is none."""
    try:
        if file == "-":
            text = sys.stdin.read(MAX_KEY_CHARACTERS)
        else:
            with Path(file).open(encoding="utf-8") as stream:
                text = stream.read(MAX_KEY_CHARACTERS)
        read_ssh_key(text)
    except OSError as error:
        stop(f"{file}: {error.strerror}", UNAVAILABLE)
    except UnicodeDecodeError:
        stop(f"{file}: this is not a public key", REFUSED)
    except ValueError as error:
        stop(f"{file}: {error}", REFUSED)
    return text


def _end(view: SshKeyView) -> str:
    if view.expires_at_s is None:
        return "never"
    return datetime.datetime.fromtimestamp(view.expires_at_s, datetime.UTC).isoformat(timespec="seconds")
