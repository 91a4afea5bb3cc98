"""What a provider's word does that somebody is logged out, and whose logins it concerns."""

from pathlib import Path

import msgspec
import pytest

from interlock.core.errors import LedgerUnavailable, LoginRefused
from interlock.core.ledger import ConnectionRefused
from interlock.services.sign_in import PostedForm, Redirect
from interlock.services.single_logout import LogoutDemand, LogoutMessage, SingleLogout
from tests.services.test_logins import ADA, ISSUER, Bench

MESSAGE = LogoutMessage("query", {})
BOB = msgspec.structs.replace(ADA, name="bob", subject="8")
ELSEWHERE = msgspec.structs.replace(ADA, login="s2")
ANSWER = Redirect("https://login.example.org/slo")


class Provider:
    """Demands what it is told to, or refuses."""

    name = "corp"
    metadata = b"<EntityDescriptor/>"

    def __init__(self) -> None:
        self.demanded: LogoutDemand | None = None

    async def demand(self, message: LogoutMessage) -> LogoutDemand:
        if self.demanded is None:
            raise LoginRefused("the provider's request is not accepted", "saml: the signature does not hold")
        return self.demanded

    async def answer(self, demand: LogoutDemand) -> Redirect | PostedForm | None:
        return ANSWER


class Desk(Bench):
    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.provider = Provider()
        self.logout = SingleLogout([self.provider], self.logins, self.ledger)

    async def ended(self, subject: str, *sessions: str) -> list[str]:
        """Which of the three logins that there are end by a demand."""
        secrets = {name: (await self.open(who))[1] for name, who in (("a1", ADA), ("a2", ELSEWHERE), ("b1", BOB))}
        self.provider.demanded = LogoutDemand(ISSUER, subject, sessions, "_1", "")
        assert await self.logout.log_out("corp", MESSAGE, "192.0.2.1") == ANSWER
        return [name for name, secret in secrets.items() if not self.holds(secret)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "state.db")


async def test_one_session_of_one_person(desk: Desk) -> None:
    """A provider may give two people sessions of the same name."""
    assert await desk.ended("7", "s1") == ["a1"]


async def test_all_sessions_of_one_person(desk: Desk) -> None:
    assert await desk.ended("7") == ["a1", "a2"]


async def test_a_session_of_whoever_it_is(desk: Desk) -> None:
    assert await desk.ended("", "s1") == ["a1", "b1"]


async def test_sessions_that_there_are_not(desk: Desk) -> None:
    assert await desk.ended("7", "s9") == []
    assert await desk.ended("9", "s1") == []


async def test_what_is_refused_is_on_record(desk: Desk) -> None:
    for name, reason in (("corp", "saml: the signature does not hold"), ("other", "unknown provider")):
        with pytest.raises(LoginRefused):
            await desk.logout.log_out(name, MESSAGE, "192.0.2.1")
        assert desk.ledger.records[-1] == ConnectionRefused("login", "192.0.2.1", "", "", reason)


async def test_a_login_ends_also_when_that_cannot_be_recorded(desk: Desk) -> None:
    secret = (await desk.open())[1]
    desk.provider.demanded = LogoutDemand(ISSUER, "7", ("s1",), "_1", "")
    desk.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await desk.logout.log_out("corp", MESSAGE, "192.0.2.1")
    assert not desk.holds(secret)


async def test_what_is_refused_stays_so_without_a_ledger(desk: Desk) -> None:
    desk.ledger.broken = True
    with pytest.raises(LoginRefused):
        await desk.logout.log_out("corp", MESSAGE, "192.0.2.1")
