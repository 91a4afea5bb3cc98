"""Who is let in by a login: as it is now, on record, and nobody when that cannot be known."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LedgerUnavailable, LoginRefused, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import ConnectionRefused, LoginClosed, LoginOpened
from interlock.core.login import LoginHolder
from interlock.services.authorizations import Authorizations, challenge_of
from interlock.services.people import People
from interlock.services.program_logins import ProgramLogins
from tests.services.test_logins import ADA, ISSUER
from tests.services.test_logins import Bench as LoginBench

VERIFIER = "v" * 43
REQUEST = AuthorizationRequest("http://127.0.0.1:4711/", challenge_of(VERIFIER))
HERE = "192.0.2.1"


class Registered:
    """Adds a group to everybody, but for whom it refuses."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.issuers = {ISSUER}
        self.broken = False

    def admit(self, principal: Principal) -> Principal:
        if self.broken:
            raise StateUnavailable("broken")
        if principal.name in self.refused:
            raise LoginRefused("this identity is disabled", "identity disabled")
        return msgspec.structs.replace(principal, groups=principal.groups | {"registered"})

    def trusts(self, issuer: str) -> bool:
        return issuer in self.issuers


class Nobody:
    """Proves nobody: there are no devices here."""

    async def prove(self, token: str, client_address: str) -> Principal:
        raise LoginRefused("no", "no")

    def admit(self, principal: Principal) -> Principal:
        raise LoginRefused("no", "no")

    def is_for_one_exchange(self, principal: Principal) -> bool:
        return False


class Bench(LoginBench):
    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.registered = Registered()
        self.people = People(self.logins, self.registered, self.ledger)
        self.authorizations = Authorizations(self.clock)
        self.programs = ProgramLogins(self.people, self.authorizations, Nobody(), None, {})

    def code(self) -> str:
        question = self.authorizations.ask(ADA, "corp", REQUEST, "browser")
        return self.authorizations.give(self.authorizations.answer(question, "browser"))

    def reasons(self) -> list[str]:
        return [record.reason for record in self.ledger.records if isinstance(record, ConnectionRefused)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.database.close()


async def test_a_person_is_who_is_registered_at_the_moment(bench: Bench) -> None:
    login, cookie = await bench.people.log_in(ADA, "corp", LoginHolder.BROWSER, HERE)
    assert login.principal.groups == ADA.groups, "what is registered is not kept"
    _, principal = await bench.people.who(cookie, HERE)
    assert principal.groups == ADA.groups | {"registered"}
    bench.registered.refused.add("ada")
    with pytest.raises(LoginRefused):
        await bench.people.who(cookie, HERE)
    assert bench.reasons() == ["identity disabled"]


async def test_a_provider_that_is_not_trusted_any_more_logs_nobody_in(bench: Bench) -> None:
    _, cookie = await bench.people.log_in(ADA, "corp", LoginHolder.BROWSER, HERE)
    _, refresh_token = await bench.people.log_in(ADA, "corp", LoginHolder.CLI, HERE)
    bench.registered.issuers.clear()
    with pytest.raises(LoginRefused):
        await bench.people.who(cookie, HERE)
    with pytest.raises(LoginRefused):
        await bench.people.present(refresh_token, HERE)
    with pytest.raises(LoginRefused):
        await bench.people.log_in(ADA, "corp", LoginHolder.CLI, HERE)
    assert bench.reasons() == ["the provider is not trusted"] * 3


@pytest.mark.parametrize("change", [{"kind": PrincipalKind.AGENT}, {"name": "bob"}])
async def test_an_agent_or_a_disabled_person_does_not_log_in(bench: Bench, change: dict[str, object]) -> None:
    bench.registered.refused.add("bob")
    with pytest.raises(LoginRefused):
        await bench.people.log_in(msgspec.structs.replace(ADA, **change), "corp", LoginHolder.BROWSER, HERE)
    assert len(bench.reasons()) == 1
    assert not any(isinstance(record, LoginOpened) for record in bench.ledger.records)


async def test_what_cannot_be_known_lets_nobody_in(bench: Bench) -> None:
    _, cookie = await bench.people.log_in(ADA, "corp", LoginHolder.BROWSER, HERE)
    bench.registered.broken = True
    with pytest.raises(StateUnavailable):
        await bench.people.who(cookie, HERE)
    with pytest.raises(StateUnavailable):
        await bench.people.log_in(ADA, "corp", LoginHolder.BROWSER, HERE)
    bench.registered.broken = False
    bench.database.close()
    with pytest.raises(StateUnavailable):
        await bench.people.log_in(ADA, "corp", LoginHolder.BROWSER, HERE)


async def test_a_refusal_that_cannot_be_recorded_is_one(bench: Bench) -> None:
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.people.who("ill_" + "x" * 54, HERE)


async def test_a_code_makes_one_login(bench: Bench) -> None:
    code = bench.code()
    login, secret = await bench.programs.by_code(code, VERIFIER, REQUEST.redirect_uri, HERE)
    assert bench.logins.find(secret, LoginHolder.CLI) == login
    with pytest.raises(LoginRefused):
        await bench.programs.by_code(code, VERIFIER, REQUEST.redirect_uri, HERE)
    assert not bench.holds(secret)
    assert bench.reasons() == ["a code was used again"]
    assert [record for record in bench.ledger.records if isinstance(record, LoginClosed)]


async def test_a_code_that_comes_twice_at_the_same_time_makes_none(bench: Bench) -> None:
    """The second comes while the first is being put on record."""
    code, append, second = bench.code(), bench.ledger.append, []

    def append_and_steal(record: object) -> None:
        append(record)  # type: ignore[arg-type]
        if isinstance(record, LoginOpened):
            with pytest.raises(LoginRefused) as caught:
                bench.authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri)
            second.append(caught.value)

    bench.ledger.append = append_and_steal  # type: ignore[method-assign]
    with pytest.raises(LoginRefused):
        await bench.programs.by_code(code, VERIFIER, REQUEST.redirect_uri, HERE)
    assert len(second) == 1
    assert bench.logins.of("ada") == []


async def test_without_devices_there_is_no_login_elsewhere(bench: Bench) -> None:
    with pytest.raises(LoginRefused):
        await bench.programs.by_device("x", HERE)
