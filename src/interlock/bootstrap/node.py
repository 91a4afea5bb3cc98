"""The data directory and the services that work with or without a running gateway."""

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from interlock.adapters.bundle_shelf import BundleShelf
from interlock.adapters.clock import SystemClock
from interlock.adapters.credentials import Vault
from interlock.adapters.http_credentials import HttpCredentialDesk
from interlock.adapters.identity.registry import Registry
from interlock.adapters.interception_authority import InterceptionAuthority, open_interception_authority
from interlock.adapters.ledger.ledger import FileLedger
from interlock.adapters.ledger.opening import Durability, open_ledger
from interlock.adapters.postgres_activity import PostgresActivity
from interlock.adapters.postgres_catalogue import PostgresCatalogueReader
from interlock.adapters.postgres_connection import PostgresConnections
from interlock.adapters.postgres_grants import PostgresGrants
from interlock.adapters.postgres_sampling import PostgresSampler
from interlock.adapters.private_file import make_private_directory
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.sealing import open_sealer
from interlock.adapters.signing import open_signer
from interlock.adapters.ssh_authority import SshAuthority, open_ssh_authority
from interlock.adapters.store.approvals import ApprovalTable
from interlock.adapters.store.connections import ConnectionTable, SealedCredentialTable
from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.identity_use import IdentityUseTable
from interlock.adapters.store.locks import LockTable
from interlock.adapters.store.logins import LoginTable
from interlock.adapters.store.sessions import SessionTable
from interlock.adapters.store.ssh_keys import SshKeyTable
from interlock.adapters.store.tools import ToolTable
from interlock.adapters.target_probe import ReachabilityProbe
from interlock.core.catalogue import Catalogue
from interlock.core.detection import find_classes
from interlock.core.keyed_masks import hasher
from interlock.core.settings import ConnectionSettings, Settings, ToolPins
from interlock.protocols.registry import PROTOCOLS
from interlock.runtime.addresses import Trust, permitted_addresses
from interlock.runtime.dialer import target_tls_context
from interlock.runtime.tasks import spawn
from interlock.services.administration import Administration, Room
from interlock.services.approvals.board import Approvals
from interlock.services.authority import Authority
from interlock.services.cascade import Cascade
from interlock.services.catalogues import Catalogues
from interlock.services.cutting import Cutting
from interlock.services.discovery import Discovery
from interlock.services.evidence.archive import EvidenceArchive, Transcriber
from interlock.services.identity_room import IdentityRoom
from interlock.services.incidents.bundling import Bundling
from interlock.services.incidents.reading import IncidentReader
from interlock.services.incidents.room import IncidentRoom
from interlock.services.interception_room import InterceptionRoom
from interlock.services.kinship import Kinship
from interlock.services.live import LiveSessions
from interlock.services.lock_exemptions import Exemptions
from interlock.services.lock_parts import LockParts
from interlock.services.lock_room import LockRoom
from interlock.services.locks import Locks
from interlock.services.logins import Logins
from interlock.services.ownership import Ownership
from interlock.services.policy.store import PolicyStore
from interlock.services.review_room import ReviewRoom
from interlock.services.ssh_room import SshRoom
from interlock.services.state import TokenIssuer
from interlock.services.tool_pins import PinnedTools
from interlock.services.tool_room import ToolRoom

STATE_FILE = "state.db"
LEDGER_DIRECTORY = "ledger"
RECORDINGS_DIRECTORY = "recordings"
BUNDLES_DIRECTORY = "bundles"


class Node:
    """The data directory, open for writing: ledger, state, secrets. Only one process has it at a time."""

    def __init__(self, settings: Settings, stack: contextlib.AsyncExitStack) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.data_dir = Path(settings.gateway.data_dir)
        self.ssh_port = settings.ssh.port
        self.issuer_labels = {provider.provider_entity_id: provider.name for provider in settings.saml}
        self.issuer_labels |= {issuer.url: issuer.label for issuer in settings.issuers}
        self._stack = stack

    async def open(self) -> None:
        """Raises ``ConfigurationError``, ``EvidenceError`` or ``LedgerUnavailable``."""
        make_private_directory(self.data_dir)
        self.ledger = self._open_ledger()
        self._stack.callback(self.ledger.close)
        self.database = Database(self.data_dir / STATE_FILE)
        self._stack.callback(self.database.close)
        self.connections = ConnectionTable(self.database, self.settings.connections)
        self.identities = IdentityTable(self.database)
        self.logins = Logins(LoginTable(self.database), self.ledger, self.clock, self.settings.logins.lifetime_s)
        self.registry = Registry(self.identities, self.settings.agents, self.issuer_labels, self.logins)
        self.ssh_keys = SshKeyTable(self.database)
        self.sessions = SessionTable(self.database)
        self.identity_uses = IdentityUseTable(self.database)
        self.sealer = await open_sealer(self.settings.secrets, self.data_dir)
        self.vault = Vault(self.connections, SealedCredentialTable(self.database), self.sealer)
        self.http_credentials = HttpCredentialDesk(self.connections, self.vault, self.clock)
        self.vault.listeners.append(self.http_credentials.renew)
        self.targets = PostgresConnections(self.connections, self.vault, target_tls_context)
        self.approvals = Approvals(
            ApprovalTable(self.database),
            self.ledger,
            self.clock,
            self.sealer,
            self.settings.approvals,
            self.identities.find,
        )
        self.tools = PinnedTools(ToolTable(self.database), self.ledger, self.clock, self._tool_pins, spawn)
        self.tools.load()

    def _tool_pins(self, connection: str) -> ToolPins:
        """How tools of a connection come to be approved; of one that is gone, none does by itself."""
        settings = self.connections.find(connection)
        return settings.http.tool_pins if settings is not None else ToolPins.APPROVE

    @functools.cached_property
    def interception_authority(self) -> InterceptionAuthority:
        """Made when there is none. Raises ``ConfigurationError``."""
        return open_interception_authority(self.data_dir, self.settings.gateway.node, self.clock)

    @functools.cached_property
    def ssh_authority(self) -> SshAuthority:
        """Its keys are made when there are none. Raises ``ConfigurationError``."""
        return open_ssh_authority(self.data_dir, self.settings.ssh, self.clock)

    def _ssh_room(self, cascade: Cascade) -> SshRoom:
        return SshRoom(
            lambda: self.ssh_authority,
            self.ssh_keys,
            self.identities,
            cascade,
            self.ledger,
            self.clock,
            self.settings.ssh,
            lambda: self.ssh_port,
        )

    def _identity_room(self, stopping: "Stopping", authority: Authority) -> IdentityRoom:
        return IdentityRoom(
            self.identities,
            stopping.ownership,
            stopping.cascade,
            authority,
            self.ledger,
            self.clock,
            self.settings.agents,
            self.issuer_labels,
        )

    def review_room(self, stopping: "Stopping", policies: PolicyStore) -> ReviewRoom:
        """Access reviews, by what policy grants."""
        return ReviewRoom(
            self.identities,
            self.identity_uses,
            self.ssh_keys,
            self.connections,
            policies,
            stopping.locks,
            self.ledger,
            self.clock,
        )

    def _open_ledger(self) -> FileLedger:
        gateway = self.settings.gateway
        durability = Durability(gateway.durability.value)
        signer = open_signer(self.data_dir, gateway.node)
        return open_ledger(self.data_dir / LEDGER_DIRECTORY, signer, self.clock, durability)

    def catalogues(self, trace: Callable[[Catalogue], Catalogue]) -> Catalogues:
        """Catalogues of all targets; the caller has ``tick`` called."""
        reader = PostgresCatalogueReader(self.targets)
        catalogues = Catalogues(reader, trace, self.connections.find, self.clock, spawn)
        self._stack.callback(catalogues.close)
        return catalogues

    def stopping(self, live: LiveSessions) -> "Stopping":
        """Locks, loaded, and what belongs to them. Raises ``StateUnavailable``."""
        cutting = Cutting(PostgresActivity(self.targets), self.ledger, self.clock, self.settings.gateway.node)
        kinship = Kinship(self.identities, self.sessions, live)
        parts = LockParts(LockTable(self.database), live, cutting, kinship, self.approvals, self.ledger, self.clock)
        locks = Locks(parts)
        locks.load()
        exemptions = Exemptions(locks, parts)
        exemptions.expire()
        self.approvals.bar_on = locks.bar_on
        cascade = Cascade(locks, live, cutting, self.approvals, self.clock)
        room = LockRoom(locks, exemptions, live, cascade, self.ledger, self.clock)
        ownership = Ownership(locks, kinship, self.identities, self.sessions, self.identity_uses, live)
        return Stopping(locks, exemptions, cascade, room, ownership)

    def authority(self, stopping: "Stopping", policies: PolicyStore | None = None) -> Authority:
        """Who may give commands; without ``policies``, the gateway's own operators only."""
        return Authority(self.ledger, self.clock, self.settings.gateway.node, policies, stopping.locks)

    def administration(
        self,
        stopping: "Stopping",
        authority: Authority,
        token_issuer: TokenIssuer | None = None,
        rooms: Iterable[Room] = (),
        policies: PolicyStore | None = None,
    ) -> Administration:
        return Administration(
            ledger=self.ledger,
            clock=self.clock,
            connections=self.connections,
            credentials=self.vault,
            probe=self._probe(),
            discovery=Discovery(
                PostgresCatalogueReader(self.targets), PostgresSampler(self.targets), find_classes, self.clock
            ),
            grants=PostgresGrants(self.targets),
            cascade=stopping.cascade,
            protocols=tuple(PROTOCOLS),
            token_issuer=token_issuer,
            authority=authority,
            rooms=(
                stopping.room,
                self._identity_room(stopping, authority),
                ToolRoom(self.tools),
                InterceptionRoom(lambda: self.interception_authority),
                self._ssh_room(stopping.cascade),
                *rooms,
            ),
            policies=policies,
        )

    def _probe(self) -> ReachabilityProbe:
        addresses = functools.partial(permitted_addresses, trust=Trust.WRITTEN)
        return ReachabilityProbe(self.vault, self.http_credentials, target_tls_context, addresses, self._probe_host)

    async def _probe_host(self, connection: str, settings: ConnectionSettings) -> str:
        from interlock.runtime.ssh.host_probe import HostProbe  # only where there are hosts: the library is large

        return await HostProbe(self.settings.ssh, self.vault, lambda: self.ssh_authority).probe(connection, settings)

    def incidents(
        self,
        stopping: "Stopping",
        archive: EvidenceArchive,
        transcriber: Transcriber,
        settle: Callable[[], Awaitable[bool]],
    ) -> IncidentRoom:
        """What is done about incidents, from the evidence in ``archive``."""
        fingerprint = hasher(self.sealer.derive(b"fingerprints of delivered values"))
        reader = IncidentReader(archive, WrappedSessionKeys(self.sealer), transcriber, fingerprint)
        bundling = Bundling(reader, BundleShelf(self.data_dir / BUNDLES_DIRECTORY), self.ledger.checkpoint)
        return IncidentRoom(reader, bundling, stopping.locks, self.ledger, self.clock, settle)

    def approval_link(self, approval: str) -> str:
        """Where a request can be answered."""
        url = self.settings.api.public_url
        return f"{url}/approvals/{approval}" if url else f"interlock approvals show {approval}"


class Stopping(NamedTuple):
    """The services that stop somebody."""

    locks: Locks
    exemptions: Exemptions
    cascade: Cascade
    room: LockRoom
    ownership: Ownership
