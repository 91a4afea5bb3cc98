"""``interlock ssh-cert``: a user certificate for SSH clients, and what ``ssh`` has to be told.

A key that is made here is written to its file and goes nowhere else; the gateway sees the public key only.
"""

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from interlock.core.addresses import host_problem
from interlock.core.administration import IssuedCertificate, IssueSshCertificate
from interlock.core.printable import one_line
from interlock.surfaces.cli.answers import REFUSED, UNAVAILABLE, JsonOption, ask, read_token, show_json, stop
from interlock.surfaces.cli.client import client_of, telling
from interlock.surfaces.cli.duration import seconds
from interlock.surfaces.cli.ssh import read_public_key, without_authority

_KEY: Final = "id_interlock"
_CERTIFICATE: Final = "id_interlock-cert.pub"
_DIRECTORY: Final = Path("~/.ssh/interlock")


def issue_certificate(
    context: typer.Context,
    connections: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONNECTION", help="What it is for, with a login; with a token, what that is for."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Your public key (.pub). Without it, a new key pair is made.")
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where the files are written.")] = _DIRECTORY,
    duration: Annotated[str, typer.Option("--for", help="How long it counts: 5m. Else as the gateway says.")] = "",
    source: Annotated[
        list[str] | None, typer.Option("--from", help="A network that it counts from; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Get a certificate of minutes for SSH, and print what goes into the configuration of ssh.

    It is for the holder of the token in INTERLOCK_TOKEN or --token-file; without one, for whoever token would be for.
    """
    lifetime_s = seconds(duration) if duration else None
    made, public = _new_key() if key is None else (b"", read_public_key(str(key)))
    command = IssueSshCertificate(public, lifetime_s, tuple(source or ()))
    issued = _issued(context, command, tuple(connections or ()))
    directory = directory.expanduser().absolute()
    identity_file = directory / _KEY if key is None else _private_of(key.expanduser().absolute())
    fragment = _fragment(issued, identity_file, directory)
    files = {_CERTIFICATE: issued.certificate.encode() + b"\n", "config": fragment.encode()}
    files |= {"known_hosts": without_authority(issued.gateway.known_hosts).encode()} | ({_KEY: made} if made else {})
    _write(directory, files)
    if as_json:
        show_json(issued)
    else:
        typer.echo(fragment, nl=False)


def _issued(context: typer.Context, command: IssueSshCertificate, connections: tuple[str, ...]) -> IssuedCertificate:
    options = context.find_root().params
    if token := read_token(options["token_file"]):
        return ask(context, command, "" if options["api"] else token)
    with telling():
        return client_of(context).ask(command, connections)


def _new_key() -> tuple[bytes, str]:
    """A private key as OpenSSH writes it, and its public key."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), public


def _private_of(public: Path) -> Path:
    """The private key beside a public one; without it the public one, by which ``ssh`` finds it in an agent."""
    private = public.with_suffix("")
    return private if private.exists() else public


def _fragment(issued: IssuedCertificate, identity_file: Path, directory: Path) -> str:
    """What ``ssh_config(5)`` takes. Nothing that the gateway says can be a line of its own in there."""
    end = datetime.datetime.fromtimestamp(issued.ends_at_s, datetime.UTC).isoformat(timespec="seconds")
    gateway = issued.gateway
    host = gateway.host_names[0] if gateway.host_names else ""
    if host_problem(host.lower()) is not None:
        stop(f"the gateway says that clients reach it as {one_line(host)!r}, which is no host", REFUSED)
    port = f"    Port {gateway.port}\n" if gateway.port else ""
    return (
        f"# {one_line(issued.identity)} until {end}. Use it: ssh -F {directory / 'config'} CONNECTION@interlock\n"
        "# The user is CONNECTION or LOGIN+CONNECTION.\n"
        "Host interlock\n"
        f"    HostName {host}\n"
        f"{port}"
        f"    IdentityFile {_quoted(identity_file)}\n"
        f"    CertificateFile {_quoted(directory / _CERTIFICATE)}\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {_quoted(directory / 'known_hosts')}\n"
    )


def _quoted(file: Path) -> str:
    """A path as ``ssh`` reads it. Ends the program for one in which ``ssh`` or a library would read something else."""
    if not str(file).isprintable() or any(sign in str(file) for sign in '"%'):
        stop(f"{one_line(str(file))}: ssh cannot be told of such a path; choose another with --dir", REFUSED)
    return f'"{file}"'


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files that only their owner may read, each as a whole or not at all."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in files.items():
            unfinished = directory / f".{name}.new"
            unfinished.unlink(missing_ok=True)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            unfinished.rename(directory / name)
    except OSError as error:
        stop(f"{directory}: {error.strerror}", UNAVAILABLE)
