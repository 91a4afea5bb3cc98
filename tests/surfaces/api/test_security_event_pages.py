"""Where identity providers say what has ended, over HTTP: what they are answered, and what is on the ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from interlock.adapters.identity.issuer import Issuer
from interlock.core.administration import SOCKET_FILE
from interlock.core.ledger import AnyRecord, LockAdded, SecurityEventReceived, SecurityEventRefused
from interlock.surfaces.api.security_events import FAILURES_PER_MINUTE, SecurityEventPages
from tests.adapters.identity.issuer_server import IssuerServer
from tests.adapters.identity.test_security_events import NAME, STREAM, Sender
from tests.services.test_security_events import Desk
from tests.surfaces.api.bench import serving

SET = {"Content-Type": "application/secevent+jwt"}


class Gateway(NamedTuple):
    """What the gateway is told, who tells it, and what became of it."""

    desk: Desk
    sender: Sender
    client: httpx.AsyncClient

    async def log_out(self, token: str, name: str = NAME) -> httpx.Response:
        return await self.client.post(f"/logout/backchannel/{name}", data={"logout_token": token})

    async def push(self, token: str, name: str = NAME, **headers: str) -> httpx.Response:
        return await self.client.post(f"/events/{name}", content=token, headers=SET | headers)

    def recorded(self) -> list[AnyRecord]:
        """What there is on the ledger since the last time."""
        found = list(self.desk.ledger.records)
        self.desk.ledger.records.clear()
        return found


@asynccontextmanager
async def open_gateway(directory: Path) -> AsyncIterator[Gateway]:
    issuer = IssuerServer(Desk(directory / "unused.db").clock)
    await issuer.start()
    issuer.add_key("key-1")
    desk = Desk(directory / "state.db", issuer.url)
    issuer.clock = desk.clock
    keys = Issuer(issuer.settings(), desk.clock)
    sender = Sender(issuer, keys, desk.clock)
    pages = SecurityEventPages(sender.verifier, desk.events, desk.clock)
    transport = httpx.AsyncHTTPTransport(uds=str(directory / SOCKET_FILE))
    try:
        async with (
            serving(directory, desk.bench, pages=[pages]),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            yield Gateway(desk, sender, client)
    finally:
        await keys.close()
        await issuer.stop()
        desk.database.close()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path) as gateway:
        yield gateway


async def test_a_logout_ends_the_session_at_once(gateway: Gateway) -> None:
    person = gateway.desk.person(issuer=gateway.sender.issuer.url)
    session = gateway.desk.locking.sessions.add(person)
    answer = await gateway.log_out(gateway.sender.logout())
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert session.done
    kinds = [type(record) for record in gateway.recorded()]
    assert kinds[:2] == [SecurityEventReceived, LockAdded]


async def test_an_event_that_is_pushed(gateway: Gateway) -> None:
    person = gateway.desk.person(issuer=gateway.sender.issuer.url)
    answer = await gateway.push(gateway.sender.event())
    assert (answer.status_code, answer.content) == (202, b"")
    assert gateway.desk.is_out(person)
    gateway.recorded()
    again = await gateway.push(gateway.sender.event())
    assert again.status_code == 202, "the transmitter may not have had the first answer"
    (repeated,) = gateway.recorded()
    assert isinstance(repeated, SecurityEventReceived)
    assert repeated.repeated


async def test_what_is_not_accepted_is_on_the_ledger_and_the_sender_gets_the_standards_code(gateway: Gateway) -> None:
    sender = gateway.sender
    cases = (
        (await gateway.log_out(sender.logout(nonce="n")), 400, "invalid_request", "a logout token has no nonce"),
        (await gateway.log_out(sender.logout(aud="x")), 400, "invalid_request", "aud does not name this gateway"),
        (await gateway.log_out(sender.logout(), "other"), 404, "access_denied", "nobody may send"),
        (await gateway.log_out(""), 400, "invalid_request", "logout_token is missing"),
        (await gateway.push(sender.event(aud="x")), 400, "invalid_audience", "aud does not name this gateway"),
        (await gateway.push(sender.event(iss="x")), 400, "invalid_issuer", "iss is somebody else"),
        (
            await gateway.push(sender.event(), **{"Content-Type": "text/plain"}),
            400,
            "invalid_request",
            "the Content-Type",
        ),
        (await gateway.push("ü"), 400, "invalid_request", "the body is no token"),
        (await gateway.push("x" * 70_000), 400, "invalid_request", "the body is too long"),
    )
    refusals = [record for record in gateway.recorded() if isinstance(record, SecurityEventRefused)]
    assert len(refusals) == len(cases)
    for (answer, status, code, reason), record in zip(cases, refusals, strict=True):
        body = answer.json()
        assert (answer.status_code, body.get("err", body.get("error"))) == (status, code)
        assert answer.headers["cache-control"] == "no-store"
        assert reason not in answer.text
        assert record.reason.startswith(reason)
    assert not gateway.desk.locking.locks.all()


@pytest.mark.parametrize("part", ["ledger", "events", "clock"])
async def test_what_cannot_be_carried_out_now_is_asked_for_again(gateway: Gateway, part: str) -> None:
    token, logout = gateway.sender.event(), gateway.sender.logout(jti="j2")
    gateway.desk.ledger.broken = part == "ledger"
    gateway.desk.clock.broken = part == "clock"
    if part == "events":
        gateway.desk.database.close()
    for answer in (await gateway.push(token), await gateway.log_out(logout)):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert set(answer.json()) in ({"err", "description"}, {"error", "error_description"})
    if part != "events":
        gateway.desk.ledger.broken = gateway.desk.clock.broken = False
        assert (await gateway.push(token)).status_code == 202
        assert (await gateway.log_out(logout)).status_code == 200


async def test_a_refusal_that_cannot_be_recorded_is_asked_for_again(gateway: Gateway) -> None:
    gateway.desk.ledger.broken = True
    assert (await gateway.push(gateway.sender.event(aud="x"))).status_code == 503


async def test_whoever_sends_nothing_but_forgeries_is_not_heard_any_more(gateway: Gateway) -> None:
    for _ in range(FAILURES_PER_MINUTE):
        assert (await gateway.push("forged")).status_code == 400
    gateway.recorded()
    answer = await gateway.push(gateway.sender.event())
    assert (answer.status_code, gateway.recorded()) == (429, [])
    gateway.desk.clock.advance(60)
    assert (await gateway.push(gateway.sender.event(aud=STREAM, iat=gateway.desk.clock.now_s()))).status_code == 202
