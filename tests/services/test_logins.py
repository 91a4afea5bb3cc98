"""Logins of people: opened on record, found by their secret only, renewed once, ended from all sides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.logins import LoginTable
from interlock.core.errors import LedgerUnavailable, LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import AnyRecord, LoginClosed, LoginOpened
from interlock.core.login import Login, LoginHolder
from interlock.core.security_event import EventSubject
from interlock.services.logins import MAX_PER_PERSON, REUSE_S, Logins
from tests.clocks import ManualClock

ISSUER = "https://login.example.org"
ADA = Principal(PrincipalKind.USER, "ada", frozenset({"staff"}), issuer=ISSUER, subject="7", login="s1")


class MemoryLedger:
    """Keeps records in a list; ``broken`` makes it refuse them."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.broken = False

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.broken:
            raise LedgerUnavailable("the disk is full")
        self.records.append(record)
        return None

    def note(self, record: AnyRecord) -> None:
        self.append(record)


class Bench:
    def __init__(self, file: Path) -> None:
        self.database = Database(file)
        self.clock = ManualClock()
        self.ledger = MemoryLedger()
        self.logins = Logins(LoginTable(self.database), self.ledger, self.clock, 3600)

    async def open(self, principal: Principal = ADA, holder: LoginHolder = LoginHolder.CLI) -> tuple[Login, str]:
        return await self.logins.open(principal, "corp", holder, "192.0.2.1")

    def holds(self, secret: str, holder: LoginHolder = LoginHolder.CLI) -> bool:
        try:
            self.logins.find(secret, holder)
        except LoginRefused:
            return False
        return True

    def closings(self) -> list[str]:
        return [record.reason for record in self.ledger.records if isinstance(record, LoginClosed)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.database.close()


async def test_a_login_is_found_by_its_secret_only(bench: Bench) -> None:
    login, secret = await bench.open()
    assert bench.logins.find(secret, LoginHolder.CLI) == login
    assert secret.startswith("ill_")
    assert (login.principal.name, login.principal.groups, login.principal.login) == ("ada", ADA.groups, "s1")
    assert login.principal.token_id == f"login:{login.id}"
    for wrong in (secret[:-1], secret[:-1] + "~", secret[:30], "ill_", "", "x" * 100_000, "ill_" + "\ud800" * 50):
        assert not bench.holds(wrong)


async def test_a_cookie_is_no_refresh_token_and_the_other_way_round(bench: Bench) -> None:
    for holder, other in ((LoginHolder.CLI, LoginHolder.BROWSER), (LoginHolder.BROWSER, LoginHolder.CLI)):
        _, secret = await bench.open(holder=holder)
        assert bench.holds(secret, holder)
        assert not bench.holds(secret, other)
        with pytest.raises(LoginRefused):
            await bench.logins.present(secret, other)
        assert bench.holds(secret, holder)


async def test_nobody_is_logged_in_without_a_record(bench: Bench) -> None:
    login, secret = await bench.open()
    (record,) = bench.ledger.records
    assert isinstance(record, LoginOpened)
    assert (record.login, record.principal, record.provider_session) == (login.id, "ada", "s1")
    assert secret not in repr(record)
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.open()
    assert bench.logins.of("ada") == [login]


async def test_secrets_are_not_in_the_store(bench: Bench, tmp_path: Path) -> None:
    _, secret = await bench.open()
    bench.database.close()
    kept = (tmp_path / "state.db").read_bytes()  # the log before it is gone: the file was closed
    assert b"ada" in kept
    assert secret.encode() not in kept
    assert secret[4:26].encode() not in kept


async def test_a_login_ends_with_its_time_or_the_proofs(bench: Bench) -> None:
    _, secret = await bench.open()
    short = msgspec.structs.replace(ADA, expires_at_s=bench.clock.at_s + 60)
    login, of_short = await bench.open(short)
    assert login.ends_at_s == login.principal.expires_at_s == bench.clock.at_s + 60
    bench.clock.advance(60)
    assert not bench.holds(of_short)
    assert bench.holds(secret)
    bench.clock.advance(3540)
    assert not bench.holds(secret)
    with pytest.raises(LoginRefused):
        await bench.logins.present(secret, LoginHolder.CLI)
    await bench.logins.expire()
    assert bench.logins.of("ada") == []
    assert bench.closings() == ["its time is over"] * 2


async def test_without_a_clock_no_login_counts(bench: Bench) -> None:
    _, secret = await bench.open()
    bench.clock.broken = True
    assert not bench.holds(secret)
    await bench.logins.expire()


async def test_a_secret_is_renewed_once(bench: Bench) -> None:
    login, first = await bench.open()
    assert await bench.logins.present(first, LoginHolder.CLI) == login
    second = await bench.logins.renew(first)
    assert await bench.logins.present(second, LoginHolder.CLI) == login
    assert bench.holds(second)
    assert not bench.holds(first)


async def test_programs_that_renew_at_the_same_time_do_not_end_the_login(bench: Bench) -> None:
    login, first = await bench.open()
    answers = await asyncio.gather(*(bench.logins.renew(first) for _ in range(5)))
    (second,) = filter(None, answers)
    assert bench.holds(second)
    assert await bench.logins.present(first, LoginHolder.CLI) == login


@pytest.mark.parametrize("renewals", [1, 2, 3])
async def test_a_stolen_secret_ends_the_login(bench: Bench, renewals: int) -> None:
    _, first = await bench.open()
    secret = first
    for _ in range(renewals):
        secret = await bench.logins.renew(secret)
    bench.clock.advance(REUSE_S)
    with pytest.raises(LoginRefused):
        await bench.logins.present(first, LoginHolder.CLI)
    assert not bench.holds(secret)
    assert len(bench.closings()) == 1


async def test_whoever_never_had_a_secret_ends_nothing(bench: Bench) -> None:
    login, secret = await bench.open()
    for guess in (f"ill_{login.id}{'A' * 32}", "ill_" + "A" * 54):
        with pytest.raises(LoginRefused):
            await bench.logins.present(guess, LoginHolder.CLI)
        assert not await bench.logins.renew(guess)
    assert bench.holds(secret)


async def test_logins_end_from_all_sides(bench: Bench) -> None:
    one, other, bob = (
        ADA,
        msgspec.structs.replace(ADA, login="s2"),
        msgspec.structs.replace(ADA, name="bob", subject="8", login="s1", issuer="https://other.example.org"),
    )
    secrets = {}
    for name, principal in (
        ("one", one),
        ("other", other),
        ("bob", bob),
        ("none", msgspec.structs.replace(ADA, login="")),
    ):
        secrets[name] = (await bench.open(principal))[1]
    assert await bench.logins.end_session(ISSUER, "", "provider", "logged out") == 0
    assert await bench.logins.end_session(ISSUER, "s1", "provider", "logged out") == 1
    assert [name for name, secret in secrets.items() if bench.holds(secret)] == ["other", "bob", "none"]
    assert await bench.logins.end_subject(ISSUER, "7", "provider", "disabled") == 2
    assert await bench.logins.end_name("bob", "root", "left") == 1
    assert not any(map(bench.holds, secrets.values()))
    assert bench.closings() == ["logged out", "disabled", "disabled", "left"]


DATED = msgspec.structs.replace(ADA, issued_at_s=1_800_000_000.0, claims=(("email", "Ada@example.org"),))


@pytest.mark.parametrize(
    "end",
    [
        lambda logins: logins.end_session(ISSUER, "s1", "provider", "logged out"),
        lambda logins: logins.end_subject(ISSUER, "7", "provider", "logged out"),
        lambda logins: logins.end_about(ISSUER, EventSubject(login="s1"), "provider", "logged out"),
        lambda logins: logins.end_about(ISSUER, EventSubject(email="ada@example.org"), "provider", "logged out"),
    ],
    ids=["session", "subject", "event about a session", "event about an address"],
)
async def test_who_was_on_the_way_in_when_it_ended_is_not_logged_in(
    bench: Bench, end: Callable[[Logins], Awaitable[int]]
) -> None:
    """Between a provider's answer and a login there can be a page that asks, and a code."""
    bench.clock.advance(30)
    await end(bench.logins)
    bench.clock.advance(30)
    with pytest.raises(LoginRefused) as caught:
        await bench.open(DATED)
    assert "ended the session" in caught.value.reason
    assert bench.logins.of("ada") == []
    await bench.open(msgspec.structs.replace(DATED, issued_at_s=bench.clock.at_s))
    await bench.open(msgspec.structs.replace(DATED, issuer="https://other.example.org"))


async def test_a_login_that_is_ended_while_it_is_kept_does_not_stay(bench: Bench) -> None:
    opening = asyncio.ensure_future(bench.open(DATED))
    await asyncio.sleep(0)
    await bench.logins.end_session(ISSUER, "s1", "provider", "logged out")
    with pytest.raises(LoginRefused):
        await opening
    assert bench.logins.of("ada") == []


async def test_an_event_ends_all_logins_that_it_locks(bench: Bench) -> None:
    """Else they would count again when the lock ends, which lasts as long as a token only."""
    unnamed = msgspec.structs.replace(DATED, login="")
    _, of_session = await bench.open(unnamed)
    assert await bench.logins.end_about(ISSUER, EventSubject("7", "s1"), "provider", "logged out") == 1
    bench.clock.advance(1)
    _, of_address = await bench.open(msgspec.structs.replace(DATED, issued_at_s=bench.clock.at_s))
    about = EventSubject(email="ada@EXAMPLE.org")
    assert await bench.logins.end_about(ISSUER, about, "provider", "logged out") == 1
    assert not bench.holds(of_session)
    assert not bench.holds(of_address)


async def test_a_login_ends_even_when_that_cannot_be_recorded(bench: Bench) -> None:
    login, secret = await bench.open()
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.logins.close(login, "ada", "logged out")
    assert not bench.holds(secret)


async def test_a_person_has_so_many_logins(bench: Bench) -> None:
    secrets = []
    for _ in range(MAX_PER_PERSON + 3):
        bench.clock.advance(1)
        secrets.append((await bench.open())[1])
    assert [bench.holds(secret) for secret in secrets] == [False] * 3 + [True] * MAX_PER_PERSON
