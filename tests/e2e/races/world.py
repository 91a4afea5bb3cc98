"""The gateway in the races, as reviewers and operators reach it: its API on connections that are kept."""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.e2e.races.agent import place_of
from tests.e2e.races.model import Span
from tests.servers.gateway import GatewayOptions, GatewayServer

POLICY = """
@id("everything") permit (principal, action, resource);

@id("one") @approval("dba") @expires("10m") @message("edition %d")
forbid (principal, action == Action::"insert", resource == Table::"shop/shop/public/race_one");

@id("short") @approval("dba") @expires("3s")
forbid (principal, action == Action::"insert", resource == Table::"shop/shop/public/race_short");

@id("two") @approval("dba") @approvals("2") @expires("10m")
forbid (principal, action == Action::"insert", resource == Table::"shop/shop/public/race_two");

@id("both") @approval("dba") @expires("10m")
forbid (principal, action == Action::"insert", resource == Table::"shop/shop/public/race_both");

@id("both-too") @approval("security") @expires("5m")
forbid (principal, action == Action::"insert", resource == Table::"shop/shop/public/race_both");
"""
WAIT_S = 1.5
SHORT_S = 3.0
"""How long grants on the table ``race_short`` are good."""
TABLES = ("race_one", "race_short", "race_two", "race_both")
OPTIONS = GatewayOptions(
    policy=POLICY % 0,
    approval_wait_s=WAIT_S,
    approvals_extra="requests_per_minute = 10000\nmax_open_per_identity = 1000",
    api_extra="requests_per_minute = 100000",
)
ADMINISTRATOR = "root"
_DOWN = (aiohttp.ClientError, TimeoutError, OSError)
_PATIENCE_S = 40.0


def now_s() -> float:
    return time.time()


class World:
    """One gateway that is restarted now and then. ``up`` is clear while it is not there."""

    def __init__(self, gateway: GatewayServer, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.place = place_of(gateway.port, gateway.certificate_file)
        self._http = http
        self._tokens: dict[str, str] = {}
        self._editions = itertools.count(1)
        self.up = asyncio.Event()
        self.up.set()

    def make_token(self, name: str, kind: str, owner: str | None = None) -> None:
        self._tokens[name] = self.gateway.token(name, (), kind, 3600, owner)

    def token(self, name: str) -> str:
        return self._tokens[name]

    async def call(self, name: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; status 0 when its answer was lost, or -1 when it was never sent."""
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        try:
            async with self._http.request(method, self.gateway.api_url + path, json=body, headers=headers) as response:
                return response.status, await response.json(content_type=None)
        except aiohttp.ClientConnectorError:
            return -1, None
        except _DOWN:
            return 0, None

    async def insist(self, method: str, path: str, body: Any = None) -> Any:
        """An operator's command, again until it is answered."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            status, answer = await self.call(ADMINISTRATOR, method, path, body)
            if status > 0:
                return answer if status < 300 else None
            assert time.monotonic() < deadline_s, f"{method} {path} is not answered"
            await asyncio.sleep(0.05)

    async def register(self, name: str, groups: tuple[str, ...], owner: str | None = None) -> None:
        body = {"kind": "user", "groups": list(groups), "owner": owner, "replace": True}
        assert await self.insist("PUT", f"/v1/identities/{name.replace('/', '%2F')}", body) is not None

    # ------------------------------------------------------------ what is about everybody

    async def restart(self, *, kill: bool) -> None:
        self.up.clear()
        await asyncio.to_thread(self.gateway.kill if kill else self.gateway.stop)
        await asyncio.to_thread(self.gateway.start)
        self.up.set()

    async def change_policy(self) -> Span:
        """Returns when another edition is in force: in between it came into force."""
        before = (await self.insist("GET", "/v1/policy"))["version"]
        self.gateway.policy_file.write_text(POLICY % next(self._editions))
        deadline_s = time.monotonic() + _PATIENCE_S
        old_s = looked_s = now_s()
        while (await self.insist("GET", "/v1/policy"))["version"] == before:
            assert time.monotonic() < deadline_s, "the policy is not put in force"
            await asyncio.sleep(0.05)
            old_s, looked_s = looked_s, now_s()
        return Span(old_s, now_s())


@contextlib.asynccontextmanager
async def world_of(gateway: GatewayServer) -> AsyncIterator[World]:
    context = ssl.create_default_context(cafile=str(gateway.certificate_file))
    connector = aiohttp.TCPConnector(limit=16, ssl=context)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as http:
        world = World(gateway, http)
        world.make_token(ADMINISTRATOR, "user")
        yield world
