"""The running gateway: listeners, services and what runs in the background."""

import asyncio
import contextlib
import functools
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from interlock import __version__
from interlock.adapters.certificate import (
    POSTGRES_PROTOCOL,
    api_tls,
    http_files,
    http_protocols,
    http_tls,
    listener_files,
    listener_tls,
)
from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.development import DevelopmentIssuer
from interlock.adapters.identity.ssh_logins import SshLogins
from interlock.adapters.ledger.follower import FollowedLedger
from interlock.adapters.ledger.reader import PacedArchive
from interlock.adapters.policy_files import PolicyFiles, PolicyWatch
from interlock.adapters.postgres_replaced import PostgresReplacedRows
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.adapters.recordings.recorder import RecordingLimits
from interlock.adapters.recordings.recordings import TICK_S, FileRecordings
from interlock.adapters.store.budgets import BudgetTable
from interlock.bootstrap.access import open_access_room
from interlock.bootstrap.addresses import split_address
from interlock.bootstrap.client_certificates import asking_for_certificates
from interlock.bootstrap.identity import Identity
from interlock.bootstrap.interpretation import Interpreter, new_transcript
from interlock.bootstrap.node import LEDGER_DIRECTORY, RECORDINGS_DIRECTORY, Node, Stopping
from interlock.bootstrap.notifying import Notifying
from interlock.core.administration import SOCKET_FILE
from interlock.core.errors import MaskingUnavailable
from interlock.core.ledger import GatewayStarted, GatewayStopped
from interlock.core.masking import DETECTOR_CLASSES, DetectorMask, MaskingOptions
from interlock.core.session import Session
from interlock.core.settings import Detection, Notifications, Settings
from interlock.protocols.base import ByteProtocolModule, ProtocolSession
from interlock.protocols.http.module import HttpModule
from interlock.protocols.http.values import Mode
from interlock.protocols.postgres.module import PostgresModule
from interlock.protocols.registry import PROTOCOLS
from interlock.runtime.cancellation import CancelKeys
from interlock.runtime.certificate_tls import ListenerTls
from interlock.runtime.dialer import TargetContexts
from interlock.runtime.driver_parts import DriverParts
from interlock.runtime.health import HealthServer
from interlock.runtime.http2_limits import Http2Limits
from interlock.runtime.listener import StreamListener
from interlock.runtime.live_sessions import TICK_S as LIVE_TICK_S
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.metrics import Metrics
from interlock.runtime.tasks import spawn
from interlock.runtime.tls import server_end_point
from interlock.services.administration import Room
from interlock.services.alert_lock import AlertLocks
from interlock.services.alerts import DenialAlerts
from interlock.services.approvals.board import TICK_S as APPROVALS_TICK_S
from interlock.services.approvals.holding import Holding
from interlock.services.approvals.rehearsals import Rehearsals
from interlock.services.approvals.room import ApprovalRoom
from interlock.services.approvals.sampling import Sampling
from interlock.services.budgets import Budgets
from interlock.services.callers import Callers
from interlock.services.catalogues import TICK_S as CATALOGUE_TICK_S
from interlock.services.enforcement import Enforcement
from interlock.services.events import Events
from interlock.services.evidence import EvidenceService
from interlock.services.evidence.commands import EvidenceCommands
from interlock.services.evidence.watching import WatchRoom
from interlock.services.hosts import Hosts
from interlock.services.locks import TICK_S as LOCKS_TICK_S
from interlock.services.locks import Locks
from interlock.services.logins import TICK_S as LOGINS_TICK_S
from interlock.services.masking import Maskings
from interlock.services.opening import Reception
from interlock.services.policy.commands import PolicyCommands
from interlock.services.policy.connection_tags import connection_tags
from interlock.services.policy.sources import Tags
from interlock.services.policy.store import PolicyStore
from interlock.surfaces.api.local_socket import open_local_socket

SETTLE_S = 5.0
"""How long whoever reads evidence waits for the latest of it."""

log = structlog.get_logger()


async def serve(settings: Settings, ready: Callable[["Gateway"], None] | None = None) -> None:
    """Run the gateway until it is told to stop (SIGTERM, SIGINT). Raises what ``Node.open`` raises, and ``OSError``."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        gateway = Gateway(settings, stack)
        await gateway.start()
        _settle_memory()
        if ready is not None:
            ready(gateway)
        await stop.wait()
        log.info("shutting down")


def _settle_memory() -> None:
    """Keep the garbage collector away from what lives as long as the process, and from running for each statement."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Gateway:
    """A running gateway. Everything that ``start`` opens is closed by the stack, in reverse order."""

    def __init__(self, settings: Settings, stack: contextlib.AsyncExitStack) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.live = LiveRegistry()
        self.metrics.sessions.set_function(lambda: len(self.live.all()))
        self._stack = stack
        self._node = Node(settings, stack)
        self.issuer_url = ""
        self.address: tuple[str, int] = ("", 0)
        self.admin_address: tuple[str, int] | None = None
        self.api_address: tuple[str, int] | None = None
        self.ssh_address: tuple[str, int] | None = None
        self.http_addresses: dict[str, tuple[str, int]] = {}
        self._contexts = TargetContexts()

    async def start(self) -> None:
        node, settings = self._node, self.settings
        await node.open()
        await self._record_start()
        self.notifying = self._start_notifying()
        await node.sessions.interrupt_open(node.clock.now_s())
        await node.approvals.interrupt_open()
        self._background(_every_async(APPROVALS_TICK_S, node.approvals.tick), "approvals tick")
        self._background(_every_async(LOGINS_TICK_S, node.logins.expire), "logins")
        self.stopping = self._start_locks()
        issuer = await self._start_development_issuer()
        self.policies = await self._start_policy()
        self.recordings = self._open_recordings()
        self.maskings = self._open_maskings()
        self.budgets = self._open_budgets()
        authenticator = self._authenticator(issuer)
        reception = self._reception(authenticator)
        self.listener = await self._listen(reception)
        await self._listen_http(reception)
        await self._listen_ssh(reception)
        await self._start_own_server(authenticator)
        self._serve_api(issuer, authenticator)
        await self._start_health()
        addresses = [f"{host}:{port}" for host, port in self.listener.addresses]
        http = {mode: f"{host}:{port}" for mode, (host, port) in self.http_addresses.items()}
        ssh = ":".join(map(str, self.ssh_address)) if self.ssh_address is not None else ""
        log.info(
            "gateway is ready", postgres=addresses, http=http, ssh=ssh, durability=settings.gateway.durability.value
        )

    async def _record_start(self) -> None:
        node, gateway = self._node, self.settings.gateway
        started = GatewayStarted(gateway.node, __version__, gateway.durability.value)
        accepted = node.ledger.append(started)
        if accepted is not None:
            await accepted
        self._stack.callback(lambda: node.ledger.note(GatewayStopped(gateway.node)))

    def _start_notifying(self) -> Notifying:
        notifying = Notifying(self._node)
        notifying.start(self._background)
        self._node.tools.notifier = notifying.notifications
        self._stack.push_async_callback(notifying.notifications.settle)
        self.metrics.watch_notifications(notifying.counts)
        return notifying

    def _start_locks(self) -> Stopping:
        stopping = self._node.stopping(self.live)
        stopping.locks.listeners.append(self.notifying.notifications)
        self._background(_keep_expiring(stopping.locks), "locks")
        self._background(_every(LOCKS_TICK_S, stopping.exemptions.expire), "exemptions")
        self._background(_every_async(LOCKS_TICK_S, stopping.exemptions.settle), "ended exemptions")
        self._background(_every(LIVE_TICK_S, self.live.notice_leaving), "frozen sessions")
        return stopping

    async def _start_development_issuer(self) -> DevelopmentIssuer | None:
        development = self.settings.development
        if development.issuer is None:
            return None
        key_file = self._node.data_dir / "development-issuer.key"
        issuer = DevelopmentIssuer(development.issuer, development.audience, key_file, self._node.clock)
        await issuer.start()
        self._stack.push_async_callback(issuer.stop)
        self.issuer_url = issuer.url
        return issuer

    async def _start_policy(self) -> PolicyStore:
        settings = self.settings.policy
        files = PolicyFiles(settings.files, Path.cwd())
        policies = PolicyStore(self._node.ledger, settings.tags, self._declared_tags)
        await policies.start(files.read())
        self._background(PolicyWatch(files, policies).run(), "policy watch")
        return policies

    def _declared_tags(self) -> Tags:
        """What the settings of connections say of tags. Raises ``StateUnavailable``."""
        return connection_tags(self._node.connections.all())

    def _open_recordings(self) -> FileRecordings:
        node, settings = self._node, self.settings.recording
        limits = RecordingLimits(
            max_request_bytes=settings.max_request_bytes,
            max_operation_bytes=settings.max_operation_bytes,
            max_session_bytes=settings.max_session_bytes,
        )
        directory = node.data_dir / RECORDINGS_DIRECTORY
        recordings = FileRecordings(directory, node.ledger, node.sealer, node.clock, limits)
        self._stack.callback(recordings.close)
        self._background(_every(TICK_S, recordings.tick), "recordings tick")
        return recordings

    def _open_maskings(self) -> Maskings:
        catalogues = self._node.catalogues(PROTOCOLS["postgres"].trace)
        self._background(_every(CATALOGUE_TICK_S, catalogues.tick), "catalogues tick")
        return Maskings(self.policies, catalogues, self._masking_options, self.stopping.locks)

    def _open_budgets(self) -> Budgets:
        budgets = Budgets(BudgetTable(self._node.database), self._node.clock)
        budgets.load()
        spawn(budgets.run(), "budgets")
        self._stack.push_async_callback(budgets.close)
        return budgets

    def _masking_options(self, connection: str) -> MaskingOptions:
        """What a connection's settings say about masking. Raises ``MaskingUnavailable`` when it is gone."""
        settings = self._node.connections.find(connection)
        if settings is None:
            raise MaskingUnavailable(f"there is no connection {connection!r}")
        masking = settings.masking
        mask = DetectorMask(masking.detect is Detection.MASK)
        return MaskingOptions(
            detectors={} if masking.detect is Detection.OFF else dict.fromkeys(DETECTOR_CLASSES, mask),
            reviewed=frozenset(masking.functions),
            key=self._node.sealer.derive(b"masks of connection " + connection.encode()),
            show_notifications=masking.notifications is Notifications.SHOW,
            documents=masking.documents,
        )

    def _authenticator(self, issuer: DevelopmentIssuer | None) -> TokenAuthenticator:
        node, settings = self._node, self.settings
        issuers, rules = list(settings.issuers), list(settings.identities)
        if issuer is not None:
            issuers.append(issuer.issuer_settings())
            rules += issuer.identity_rules()
        self.identity = Identity(node, self.stopping, self.live, self._stack)
        return self.identity.open(issuers, rules)

    def _reception(self, authenticator: TokenAuthenticator) -> Reception:
        node = self._node
        people = self.notifying.notifications
        locker = AlertLocks(self.settings.alerts, self.stopping.locks, node.clock)
        alerts = DenialAlerts(self.settings.alerts, node.ledger, node.clock, spawn, people, locker)
        enforcement = Enforcement(
            self.policies, node.ledger, node.clock, self.stopping.locks, self._holding, self.budgets, alerts, node.tools
        )
        self.metrics.watch_decisions(enforcement.counts)
        self.metrics.watch_budgets(self.budgets.counts, alerts.counts)
        return Reception(
            authenticator,
            node.connections.find,
            self.policies,
            enforcement,
            self.recordings,
            node.ledger,
            node.sessions,
            node.clock,
            self.maskings,
            self.stopping.locks,
            Hosts(lambda: node.connections.all().items()),
            self._ssh_logins(authenticator),
            self.identity.certificates,
        )

    def _ssh_logins(self, authenticator: TokenAuthenticator) -> SshLogins | None:
        node = self._node
        if not self.settings.ssh.addresses:
            return None
        return SshLogins(node.ssh_authority, node.ssh_keys, node.registry, authenticator.trusts, node.clock)

    def _rehearsals(self) -> Rehearsals:
        node = self._node
        rows = PostgresReplacedRows(node.targets)
        sampling = Sampling(self.maskings, node.clock)
        return Rehearsals(node.approvals, sampling, rows, node.ledger, self.settings.approvals.rehearsal_s)

    def _holding(self, session: Session) -> Holding:
        node = self._node
        wait_s = self.settings.approvals.wait_s
        if session.protocol == "http":
            settings = node.connections.find(session.connection)
            wait_s = min(wait_s, settings.http.hold_s) if settings is not None else 0.0
        return Holding(session, node.approvals, wait_s, node.approval_link)

    async def _listen(self, reception: Reception) -> StreamListener:
        node, settings = self._node, self.settings
        context, certificate = listener_tls(settings.postgres, node.data_dir, node.clock.now_s())
        files = listener_files(settings.postgres, node.data_dir, node.clock.now_s())
        tls = asking_for_certificates(settings, context, files, (POSTGRES_PROTOCOL,))
        module = PostgresModule()
        parts = self._driver_parts(
            module,
            functools.partial(module.new_session, settings),
            reception,
            tls,
            server_end_point(certificate),
            settings.postgres.connect_timeout_s,
        )
        listener = await self._open_listener(
            parts,
            settings.postgres.addresses,
            settings.postgres.max_connections,
            settings.postgres.startup_timeout_s,
        )
        self.address = listener.addresses[0]
        return listener

    async def _listen_http(self, reception: Reception) -> None:
        """The reverse listener and the forward proxy, as far as they have addresses."""
        node, http = self._node, self.settings.http
        module = HttpModule()
        if self.settings.proxy.addresses:
            log.info("authority for TLS interception", sha256=node.interception_authority.fingerprint)
        for mode, addresses in ((Mode.REVERSE, http.addresses), (Mode.FORWARD, self.settings.proxy.addresses)):
            if not addresses:
                continue
            http2 = Http2Limits(max_head_bytes=http.max_head_bytes, idle_timeout_s=http.idle_timeout_s)
            offered = http2 if http.http2 and mode is Mode.REVERSE else None
            h2 = offered is not None
            context = http_tls(http, self.settings.postgres, node.data_dir, node.clock.now_s(), http2=h2)
            files = http_files(http, self.settings.postgres, node.data_dir, node.clock.now_s())
            tls = asking_for_certificates(self.settings, context, files, http_protocols(http2=h2))
            new_session = functools.partial(module.new_session_in, mode, self.settings)
            parts = self._driver_parts(module, new_session, reception, tls, b"", http.connect_timeout_s)
            # TLS and the first head have it each. Sessions keep to that, and say so: this is for what they miss.
            startup_s = 2 * http.head_timeout_s
            listener = await self._open_listener(parts, addresses, http.max_connections, startup_s, offered)
            self.http_addresses[mode.value] = listener.addresses[0]

    async def _listen_ssh(self, reception: Reception) -> None:
        if self.settings.ssh.addresses:
            from interlock.bootstrap.ssh_server import start_ssh_server

            self.ssh_address = await start_ssh_server(self._node, reception, self.live, self.metrics, self._stack)

    async def _start_own_server(self, authenticator: TokenAuthenticator) -> None:
        """What agents can do about themselves, where there are HTTP clients."""
        if not self.settings.http.addresses:
            return
        from interlock.bootstrap.own_server import start_own_server

        queries = await start_own_server(
            self._node, self.policies, self.stopping.locks, authenticator, self.address, self._stack
        )
        if queries is not None:
            self._background(_every(LOCKS_TICK_S, queries.tick), "queries of agents")

    def _driver_parts(
        self,
        module: ByteProtocolModule,
        new_session: Callable[[bytes], ProtocolSession],
        reception: Reception,
        tls: ListenerTls,
        tls_end_point: bytes,
        connect_timeout_s: float,
    ) -> DriverParts:
        return DriverParts(
            protocol=module.name,
            new_session=new_session,
            entropy_bytes=module.entropy_bytes,
            tls=tls,
            tls_end_point=tls_end_point,
            reception=reception,
            vault=self._node.vault,
            cancel_keys=CancelKeys(),
            connect_timeout_s=connect_timeout_s,
            live=self.live,
            contexts=self._contexts,
            http_credentials=self._node.http_credentials,
            stand_in=lambda host: self._node.interception_authority.context_for(host),
        )

    async def _open_listener(
        self,
        parts: DriverParts,
        addresses: Iterable[str],
        max_connections: int,
        startup_timeout_s: float,
        http2: Http2Limits | None = None,
    ) -> StreamListener:
        listener = StreamListener(parts, self.metrics, max_connections, startup_timeout_s, http2)
        for address in addresses:
            await listener.listen(*split_address(address))
        self._stack.push_async_callback(listener.close, self.settings.gateway.drain_timeout_s)
        return listener

    def _rooms(self) -> list[Room]:
        """What carries out commands besides administration itself."""
        node = self._node
        archive = PacedArchive(node.data_dir / LEDGER_DIRECTORY, node.data_dir / RECORDINGS_DIRECTORY)
        evidence = EvidenceService(archive, WrappedSessionKeys(node.sealer), new_transcript, FileEvidenceStore())
        incidents = node.incidents(self.stopping, archive, new_transcript, self._settle_recordings)
        incidents.listeners.append(self.notifying.notifications.incident)
        addresses = self.address, self.http_addresses.get(Mode.REVERSE.value), self.ssh_address
        self.watching = WatchRoom(evidence, FollowedLedger(node.ledger), node.ledger, node.clock)
        return [
            ApprovalRoom(node.approvals, node.ledger, new_transcript, node.approval_link, self._rehearsals()),
            EvidenceCommands(evidence, node.ledger),
            self.watching,
            incidents,
            PolicyCommands(self.policies, Interpreter(node.connections.find), node.clock, self.settings.gateway.node),
            self.notifying.room,
            node.review_room(self.stopping, self.policies),
            open_access_room(node, self.policies, self.stopping.locks, *addresses),
            *self.identity.rooms,
        ]

    async def _settle_recordings(self) -> bool:
        """Put what sessions have been told by now on disk; whether that was so in time."""
        self.recordings.tick()
        try:
            await asyncio.wait_for(asyncio.to_thread(self.recordings.drain), SETTLE_S)
        except TimeoutError:
            return False
        return self.recordings.fault is None

    def _serve_api(self, issuer: DevelopmentIssuer | None, authenticator: TokenAuthenticator) -> None:
        """Answer on the local socket, and over TLS where settings say so."""
        from interlock.surfaces.api.application import build_application
        from interlock.surfaces.api.authentication import Authentication
        from interlock.surfaces.api.events import EventStreams
        from interlock.surfaces.api.serving import ApiServer

        node, api = self._node, self.settings.api
        authority = node.authority(self.stopping, self.policies)
        callers = Callers(authenticator, node.identities, node.ledger, self.identity.people)
        authentication = Authentication(callers, node.clock, api.requests_per_minute, api.public_url)
        events = Events(FollowedLedger(node.ledger))
        streams = EventStreams(events, authority, authentication, node.ledger, node.clock)
        administration = node.administration(self.stopping, authority, issuer, self._rooms(), self.policies)
        application = build_application(
            administration,
            authentication,
            node.clock,
            streams,
            public_url=api.public_url,
            pages=self.identity.pages,
        )
        server = ApiServer(application, spawn)
        self._stack.push_async_callback(server.close)
        self._stack.callback(self.watching.close)
        self._stack.callback((node.data_dir / SOCKET_FILE).unlink, missing_ok=True)
        server.listen(open_local_socket(node.data_dir / SOCKET_FILE))
        if api.listen:
            listener = socket.create_server(split_address(api.listen), backlog=128)
            self.api_address = listener.getsockname()[:2]
            server.listen(listener, api_tls(api, self.settings.postgres, node.data_dir, node.clock.now_s()))

    async def _start_health(self) -> None:
        address = self.settings.gateway.admin_listen
        if not address:
            return
        ledger, policies = self._node.ledger, self.policies
        self.metrics.ledger_failing.set_function(lambda: bool(ledger.fault))
        self.metrics.policy_refused.set_function(lambda: bool(policies.problems))
        health = HealthServer(self.metrics, self._not_ready)
        self.admin_address = await health.listen(*split_address(address))
        self._stack.push_async_callback(health.close)

    def _not_ready(self) -> list[str]:
        reasons = ["the ledger accepts nothing"] if self._node.ledger.fault else []
        return reasons + (["the state store cannot be written"] if self._node.database.failure else [])

    def _background(self, work: Awaitable[None], name: str) -> None:
        task = spawn(_run(work), name)
        self._stack.callback(task.cancel)


async def _run(work: Awaitable[None]) -> None:
    await work


async def _every(interval_s: float, act: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        act()


async def _every_async(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await act()


async def _keep_expiring(locks: Locks) -> None:
    while True:
        await asyncio.sleep(LOCKS_TICK_S)
        await locks.expire()
