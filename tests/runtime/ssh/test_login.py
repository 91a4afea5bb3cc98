"""Clients that break off while they log in: what was begun is brought to its end, and on the books."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest

from interlock.core.settings.ssh import SshSettings
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.runtime.ssh.listener import SshListener
from interlock.runtime.ssh.parts import SshParts
from interlock.services.opening import Caller, NotAdmitted
from tests.clocks import ManualClock

TIMEOUT_S = 20.0
FAILURES_PER_MINUTE = 3


class SlowReception:
    """Takes its time: ``gate`` lets it go on. It admits everybody whose token is ``good``."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.opened: list[str] = []
        self.refused: list[str] = []
        self.closed: asyncio.Queue[str] = asyncio.Queue()

    async def open(self, caller: Caller) -> Any:
        self.asked.put_nowait(caller.token)
        await self.gate.wait()
        if caller.token != "good":
            self.refused.append(caller.token)
            raise NotAdmitted("the token is not accepted", "test")
        self.opened.append(caller.token)
        session = SimpleNamespace(id=f"session-{len(self.opened)}", trace="", principal=None)
        guard = SimpleNamespace(tell=None, give_up=lambda _: None, operations=0)
        return SimpleNamespace(session=session, settings=None, guard=guard, recorder=None)

    def close(self, opened: Any, *_: object) -> None:
        self.closed.put_nowait(opened.session.id)


class Client(asyncssh.SSHClient):
    """Can be cut while it logs in. ``told`` is what it was told at the keyboard, where it says nothing."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def kbdint_auth_requested(self) -> str:
        return ""

    async def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        self.told.put_nowait(instructions)
        await asyncio.Event().wait()
        return []


class Elsewhere:
    """Lets people sign in elsewhere, which takes for ever. ``waiting`` counts those who do."""

    instruction = "sign in elsewhere"

    def __init__(self) -> None:
        self.waiting = 0

    async def begin(self, client_host: str) -> "Elsewhere":
        self.waiting += 1
        return self

    async def poll(self) -> str:
        await asyncio.Event().wait()
        return ""

    def abandon(self) -> None:
        self.waiting -= 1


class Bench:
    def __init__(self) -> None:
        self.reception = SlowReception()
        self.attempts = LoginAttempts(FAILURES_PER_MINUTE, ManualClock())
        self.live = LiveRegistry()
        nothing = cast(Any, None)
        reception = cast(Any, self.reception)
        self.elsewhere = Elsewhere()
        parts = SshParts(
            SshSettings(),
            reception,
            nothing,
            nothing,
            self.live,
            nothing,
            nothing,
            self.attempts,
            self.elsewhere,
        )
        self.listener = SshListener(parts, Metrics(), [asyncssh.generate_private_key("ssh-ed25519")])

    def connect(self, password: str | None = None) -> tuple[Client, "asyncio.Future[Any]"]:
        """A client that is on its way in, with a password or at a keyboard."""
        client = Client()
        connecting = asyncio.ensure_future(
            asyncssh.connect(
                *self.listener.addresses[0],
                username="web",
                password=password,
                config=None,
                known_hosts=None,
                client_keys=None,
                agent_path=None,
                client_factory=lambda: client,
                preferred_auth="keyboard-interactive" if password is None else "password",
            )
        )
        return client, connecting

    async def begin(self, password: str) -> tuple[Client, "asyncio.Future[Any]"]:
        """A client that has sent its password and waits."""
        client, connecting = self.connect(password)
        assert await asyncio.wait_for(self.reception.asked.get(), TIMEOUT_S) == password
        return client, connecting

    async def cut(self, client: Client, connecting: "asyncio.Future[Any]") -> None:
        """The client is gone, and the gateway has noticed."""
        client.connection.abort()
        await asyncio.wait([connecting], timeout=TIMEOUT_S)
        await asyncio.wait_for(self.listener._emptied.wait(), TIMEOUT_S)


@pytest.fixture
async def bench() -> Any:
    bench = Bench()
    await bench.listener.listen("127.0.0.1", 0)
    yield bench
    await bench.listener.close(0.1)


async def test_a_session_that_opens_for_a_client_that_left_is_closed(bench: Bench) -> None:
    client, connecting = await bench.begin("good")
    await bench.cut(client, connecting)
    bench.reception.gate.set()
    assert await asyncio.wait_for(bench.reception.closed.get(), TIMEOUT_S) == "session-1"
    assert list(bench.live.all()) == []


async def test_leaving_early_saves_no_failure(bench: Bench) -> None:
    for number in range(FAILURES_PER_MINUTE):
        client, connecting = await bench.begin(f"bad-{number}")
        await bench.cut(client, connecting)
    bench.reception.gate.set()
    async with asyncio.timeout(TIMEOUT_S):
        while len(bench.reception.refused) < FAILURES_PER_MINUTE:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert not bench.attempts.may_try("127.0.0.1")


async def test_whoever_has_others_sign_in_over_and_over_is_not_heard(bench: Bench) -> None:
    for _ in range(FAILURES_PER_MINUTE):
        client, connecting = bench.connect()
        assert await asyncio.wait_for(client.told.get(), TIMEOUT_S) == bench.elsewhere.instruction
        assert bench.elsewhere.waiting == 1
        await bench.cut(client, connecting)
        assert bench.elsewhere.waiting == 0
    client, connecting = bench.connect()
    assert await asyncio.wait_for(client.told.get(), TIMEOUT_S) == ""
    await bench.cut(client, connecting)
