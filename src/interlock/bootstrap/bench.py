"""What the command line works with: a running gateway, its API, or the data directory itself."""

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.adapters.api_client import GatewayNotRunning, send_command, send_remote_command
from interlock.adapters.client.loopback import LoopbackRedirection
from interlock.adapters.client.shelf import current_gateway, state_directory
from interlock.adapters.clock import SystemClock
from interlock.adapters.config_file import load_settings
from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.token_tester import TokenTester
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.adapters.ledger.reader import FileArchive
from interlock.adapters.policy_files import PolicyFiles
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.sealing import open_sealer
from interlock.bootstrap.client import open_client
from interlock.bootstrap.interpretation import Interpreter, new_transcript
from interlock.bootstrap.node import LEDGER_DIRECTORY, RECORDINGS_DIRECTORY, Node
from interlock.core.administration import AnswerT, Command
from interlock.core.administration.remote import RemoteGateway
from interlock.core.client import GatewayAddress
from interlock.core.errors import ConfigurationError
from interlock.core.identity import local_actor
from interlock.core.settings import Settings
from interlock.runtime.logs import set_up_logs
from interlock.services.approvals.room import ApprovalRoom
from interlock.services.client.gateway_client import GatewayClient
from interlock.services.client.ports import Redirection
from interlock.services.evidence import EvidenceService, EvidenceVerifier
from interlock.services.live import NoLiveSessions
from interlock.services.policy.check import KnownNames, known_names
from interlock.services.policy.connection_tags import connection_tags
from interlock.services.policy.tags import joined
from interlock.services.policy.tools import PolicyTools
from interlock.services.trust_room import TrustRoom
from interlock.surfaces.api.local_socket import user_name
from interlock.surfaces.cli.remote_evidence import RemoteEvidence
from interlock.surfaces.cli.workbench import EvidenceReader

if TYPE_CHECKING:
    from interlock.bootstrap.gateway import Gateway


async def _nothing_to_settle() -> bool:
    """Without a gateway no session is open."""
    return True


class Bench:
    """Implements ``surfaces.cli.workbench.Workbench`` for one settings file."""

    def __init__(self, config: Path | None, remote: RemoteGateway | None = None) -> None:
        self._config = config
        self._remote = remote

    @functools.cached_property
    def settings(self) -> Settings:
        return load_settings(self._config) if self._config else Settings()

    @functools.cached_property
    def policy(self) -> PolicyTools:
        settings = self.settings
        names = known_names(settings.connections, settings.gateway.node) if self._config is not None else KnownNames()
        reader = PolicyFiles(settings.policy.files, Path.cwd())
        tags = joined(settings.policy.tags, connection_tags(settings.connections))
        return PolicyTools(
            reader, tags, names, Interpreter(settings.connections.get), SystemClock(), settings.gateway.node
        )

    @functools.cached_property
    def reading(self) -> EvidenceReader:
        return self.evidence if self._remote is None else RemoteEvidence(self.administer)

    @functools.cached_property
    def evidence(self) -> EvidenceService:
        if self._remote is not None:
            raise ConfigurationError("this reads the gateway's data directory on its own machine: leave --api away")
        data_dir = Path(self.settings.gateway.data_dir)
        if not (data_dir / LEDGER_DIRECTORY).is_dir():
            raise ConfigurationError(f"{data_dir}: there is no evidence; is this the gateway's data directory?")
        sealer = asyncio.run(open_sealer(self.settings.secrets, data_dir))
        archive = FileArchive(data_dir / LEDGER_DIRECTORY, data_dir / RECORDINGS_DIRECTORY)
        return EvidenceService(archive, WrappedSessionKeys(sealer), new_transcript, FileEvidenceStore())

    @functools.cached_property
    def verifier(self) -> EvidenceVerifier:
        return EvidenceVerifier(FileEvidenceStore(), WrappedSessionKeys(None))

    def serve(self, ready: Callable[["Gateway"], None] | None = None) -> None:
        import uvloop

        from interlock.bootstrap.gateway import serve

        set_up_logs(self.settings.gateway.log_format, self.settings.gateway.log_level)
        uvloop.run(serve(self.settings, ready))

    def client(
        self,
        token: str = "",
        subject_file: Path | None = None,
        actor_file: Path | None = None,
        at: GatewayAddress | None = None,
    ) -> GatewayClient:
        kept = state_directory(os.environ)
        return open_client(at or self._address(kept), kept, token, subject_file, actor_file)

    def redirection(self, state: str) -> Redirection:
        try:
            return LoopbackRedirection(state)
        except OSError as error:
            raise ConfigurationError(f"nothing can listen on the loopback: {error.strerror}; use --device") from None

    def _address(self, kept: Path) -> GatewayAddress:
        """The gateway that was named, by its address or by its settings; else the one that was logged in at last."""
        if self._remote is not None:
            return GatewayAddress(self._remote.url.rstrip("/"), self._remote.ca_file)
        if self._config is None and not Path(self.settings.gateway.data_dir).is_dir():
            if url := current_gateway(kept):
                return GatewayAddress(url)
            raise ConfigurationError("no gateway is named: log in with interlock login --api https://host:port")
        return GatewayAddress(data_dir=str(Path(self.settings.gateway.data_dir).absolute()))

    def administer(self, command: Command[AnswerT], token: str = "") -> AnswerT:
        if self._remote is not None:
            return self._administer_elsewhere(self._remote, command)
        try:
            return send_command(Path(self.settings.gateway.data_dir), command, token)
        except GatewayNotRunning:
            if token:
                raise ConfigurationError("a token takes a running gateway, and none is running here") from None
            return asyncio.run(self._administer_here(command))

    def _administer_elsewhere(self, remote: RemoteGateway, command: Command[AnswerT]) -> AnswerT:
        if not remote.token:
            return self.client().ask(command)
        return send_remote_command(remote, command)

    def _authenticator(self, node: Node, stack: contextlib.AsyncExitStack) -> TokenAuthenticator:
        """Knows the issuers and trust domains of the settings."""
        settings = self.settings
        domains = [TrustDomain(domain, node.clock) for domain in settings.trust_domains]
        authenticator = TokenAuthenticator(
            settings.issuers, settings.identities, node.registry, node.clock, trust_domains=domains
        )
        stack.push_async_callback(authenticator.close)
        return authenticator

    async def _administer_here(self, command: Command[AnswerT]) -> AnswerT:
        set_up_logs(self.settings.gateway.log_format, self.settings.gateway.log_level)
        async with contextlib.AsyncExitStack() as stack:
            node = Node(self.settings, stack)
            await node.open()
            stopping = node.stopping(NoLiveSessions())
            await stopping.exemptions.settle()
            archive = FileArchive(node.data_dir / LEDGER_DIRECTORY, node.data_dir / RECORDINGS_DIRECTORY)
            rooms = (
                ApprovalRoom(node.approvals, node.ledger, new_transcript, node.approval_link),
                node.incidents(stopping, archive, new_transcript, _nothing_to_settle),
                TrustRoom(TokenTester(self._authenticator(node, stack)), node.ledger),
            )
            administration = node.administration(stopping, node.authority(stopping), rooms=rooms)
            return await administration.execute(command, local_actor(user_name(os.geteuid())))
