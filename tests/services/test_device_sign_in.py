"""Logins with a browser elsewhere: the issuer is asked as seldom as it wants, whatever the program does."""

import asyncio

import pytest

from interlock.core.errors import LoginRefused
from interlock.services.device_sign_in import MAX_REMEMBERED, SLOW_DOWN_S, DeviceSignIns, NotYet
from tests.clocks import ManualClock

HERE = "192.0.2.1"


class ScriptedLogin:
    """A login at an issuer that says what ``outcomes`` says, and then nothing."""

    user_code = "ABCD"
    verification_uri_complete = "https://login.example.org/device?user_code=ABCD"

    def __init__(self, clock: ManualClock) -> None:
        self.interval_s = 5.0
        self.ends_at_s = clock.at_s + 600
        self.clock = clock
        self.outcomes: list[str | LoginRefused | None] = []
        self.asked_at_s: list[float] = []
        self.abandoned = False
        self.gate: asyncio.Event | None = None

    @property
    def expires_in_s(self) -> float:
        return self.ends_at_s - self.clock.at_s

    async def ask(self) -> str | None:
        self.asked_at_s.append(self.clock.at_s)
        if self.gate is not None:
            await self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, LoginRefused):
            raise outcome
        return outcome

    def abandon(self) -> None:
        self.abandoned = True


class ScriptedIssuer:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.logins: list[ScriptedLogin] = []

    async def begin(self, client_host: str) -> ScriptedLogin:
        self.logins.append(ScriptedLogin(self.clock))
        return self.logins[-1]


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.issuer = ScriptedIssuer(self.clock)
        self.devices = DeviceSignIns(self.issuer, self.clock)

    async def begin(self) -> tuple[str, ScriptedLogin]:
        code, _ = await self.devices.begin(HERE)
        return code, self.issuer.logins[-1]

    async def said(self, code: str) -> str:
        try:
            return await self.devices.ask(code)
        except NotYet as waiting:
            return waiting.code


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_somebody_signs_in(bench: Bench) -> None:
    code, login = await bench.begin()
    login.outcomes = [None, "the-token"]
    bench.clock.advance(5)
    assert await bench.said(code) == "authorization_pending"
    bench.clock.advance(5)
    assert await bench.said(code) == "the-token"
    assert await bench.said(code) == "expired_token", "a code counts once"
    assert login.abandoned


async def test_the_issuer_is_not_asked_more_often_than_it_wants(bench: Bench) -> None:
    code, login = await bench.begin()
    for _ in range(10):
        assert await bench.said(code) == "slow_down"
    assert login.asked_at_s == []
    bench.clock.advance(5)
    assert await bench.said(code) == "authorization_pending"
    bench.clock.advance(5 + 10 * SLOW_DOWN_S - 1)
    assert await bench.said(code) == "slow_down"


async def test_it_is_asked_less_often_when_it_says_so(bench: Bench) -> None:
    code, login = await bench.begin()
    bench.clock.advance(5)
    login.interval_s = 30
    assert await bench.said(code) == "authorization_pending"
    bench.clock.advance(29)
    assert await bench.said(code) == "slow_down"


async def test_one_question_at_a_time(bench: Bench) -> None:
    code, login = await bench.begin()
    login.gate, login.outcomes = asyncio.Event(), ["the-token"]
    bench.clock.advance(5)
    first = asyncio.create_task(bench.said(code))
    await asyncio.sleep(0)
    assert await bench.said(code) == "slow_down"
    login.gate.set()
    assert await first == "the-token"
    assert len(login.asked_at_s) == 1


async def test_a_refusal_ends_it(bench: Bench) -> None:
    code, login = await bench.begin()
    login.outcomes = [LoginRefused("no", "access_denied")]
    bench.clock.advance(5)
    with pytest.raises(LoginRefused):
        await bench.devices.ask(code)
    assert await bench.said(code) == "expired_token"
    assert login.abandoned


async def test_it_ends_by_itself(bench: Bench) -> None:
    code, login = await bench.begin()
    bench.clock.advance(600)
    assert await bench.said(code) == "expired_token"
    assert login.abandoned
    assert login.asked_at_s == []


async def test_a_code_that_nobody_was_given_is_nothing(bench: Bench) -> None:
    await bench.begin()
    for code in ("", "x", "A" * 43, "\ud800"):
        assert await bench.said(code) == "expired_token"


async def test_what_is_remembered_is_bounded(bench: Bench) -> None:
    for _ in range(MAX_REMEMBERED):
        await bench.begin()
    with pytest.raises(LoginRefused):
        await bench.begin()
    assert bench.issuer.logins[-1].abandoned
    bench.clock.advance(600)
    await bench.begin()
