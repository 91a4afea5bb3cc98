"""Puts together what a person's or a workload's own machine does with a gateway."""

import os
import socket
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from interlock.adapters.api_client import send_command, send_remote_command
from interlock.adapters.client.authorization_server import HttpAuthorizationServer
from interlock.adapters.client.proofs import MachineProofs
from interlock.adapters.client.shelf import FileShelf, kept_authority
from interlock.adapters.clock import SystemClock
from interlock.core.administration import Command
from interlock.core.administration.remote import RemoteGateway
from interlock.core.client import GatewayAddress
from interlock.services.client.gateway_client import GatewayClient
from interlock.services.client.session_tokens import SessionTokens
from interlock.services.client.sign_in import SignIn

AUDIENCE: Final = "INTERLOCK_AUDIENCE"


def open_client(
    address: GatewayAddress, kept: Path, token: str, subject_file: Path | None, actor_file: Path | None
) -> GatewayClient:
    """The client of one gateway, with what is ``kept`` in this directory."""
    shelf = FileShelf(kept, address)
    if not address.ca_file:
        address = msgspec.structs.replace(address, ca_file=kept_authority(kept, address))
    clock = SystemClock()
    server = HttpAuthorizationServer(address)
    audience = os.environ.get(AUDIENCE) or urlsplit(address.url).hostname or socket.gethostname()
    proofs = MachineProofs(os.environ, token, audience, subject_file, actor_file)

    def send(command: Command[Any], token: str) -> Any:
        if not address.url:
            return send_command(Path(address.data_dir), command, token)
        return send_remote_command(RemoteGateway(address.url, token, address.ca_file), command)

    tokens = SessionTokens(server, shelf, proofs, clock)
    return GatewayClient(address, server, shelf, tokens, SignIn(server, clock, time.sleep), send)
