"""Security events that are fetched: each is acknowledged once it is carried out, and not before."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.identity.event_poll import EVENTS_AT_A_TIME, EventPoll
from interlock.adapters.identity.issuer import Issuer
from interlock.core.ledger import SecurityEventReceived, SecurityEventRefused
from interlock.core.settings import EventStreamSettings, SecretReference
from tests.adapters.identity.issuer_server import IssuerServer
from tests.adapters.identity.test_security_events import NAME, STREAM, Sender
from tests.services.test_security_events import Desk


class Transmitter:
    """Gives out what it has until that is acknowledged, as RFC 8936 has it. ``answer`` replaces what it says."""

    def __init__(self) -> None:
        self.waiting: dict[str, object] = {}
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.answer: object = None
        self.url = ""

    async def start(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/poll", self._serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/poll"
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked)
        self.tokens.append(request.headers.get("Authorization", ""))
        for event_id in (*asked["ack"], *asked["setErrs"]):
            self.waiting.pop(event_id, None)
        sets = dict(list(self.waiting.items())[: asked["maxEvents"]])
        return web.json_response(
            {"sets": sets, "moreAvailable": len(sets) < len(self.waiting)} if self.answer is None else self.answer
        )

    @property
    def acknowledged(self) -> list[str]:
        return [event_id for asked in self.asked for event_id in asked["ack"]]

    @property
    def wrong(self) -> dict[str, str]:
        return {event_id: error["err"] for asked in self.asked for event_id, error in asked["setErrs"].items()}


class Poller:
    def __init__(self, desk: Desk, sender: Sender, transmitter: Transmitter, poll: EventPoll) -> None:
        self.desk, self.sender, self.transmitter, self.poll = desk, sender, transmitter, poll

    def send(self, event_id: str, under: str = "", **changes: Any) -> None:
        self.transmitter.waiting[under or event_id] = self.sender.event(jti=event_id, **changes)


@pytest.fixture
async def poller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Poller]:
    transmitter = Transmitter()
    issuer = IssuerServer(Desk(tmp_path / "unused.db").clock)
    await issuer.start()
    issuer.add_key("key-1")
    desk = Desk(tmp_path / "state.db", issuer.url)
    issuer.clock = desk.clock
    runner = await transmitter.start()
    keys = Issuer(issuer.settings(), desk.clock)
    sender = Sender(issuer, keys, desk.clock)
    monkeypatch.setenv("POLL_TOKEN", "poll-token")
    settings = EventStreamSettings(
        audience=STREAM, poll_url=transmitter.url, poll_token=SecretReference(env="POLL_TOKEN")
    )
    poll = EventPoll(NAME, settings, issuer.settings(), sender.verifier, desk.events)
    yield Poller(desk, sender, transmitter, poll)
    await poll.close()
    await keys.close()
    await runner.cleanup()
    await issuer.stop()
    desk.database.close()


async def test_what_is_carried_out_is_acknowledged(poller: Poller) -> None:
    person = poller.desk.person(issuer=poller.sender.issuer.url)
    session = poller.desk.locking.sessions.add(person)
    poller.send("e1")
    await poller.poll.look()
    assert session.done
    assert (poller.transmitter.acknowledged, poller.transmitter.waiting) == (["e1"], {})
    assert set(poller.transmitter.tokens) == {"Bearer poll-token"}
    assert poller.transmitter.asked[0] == {
        "maxEvents": EVENTS_AT_A_TIME,
        "returnImmediately": True,
        "ack": [],
        "setErrs": {},
    }


async def test_what_is_wrong_is_said_and_recorded(poller: Poller) -> None:
    poller.send("e1", aud="x")
    poller.send("e2", under="e3")
    poller.transmitter.waiting["e4"] = 7
    await poller.poll.look()
    assert poller.transmitter.wrong == {"e1": "invalid_audience", "e3": "invalid_request", "e4": "invalid_request"}
    assert poller.transmitter.waiting == {}
    reasons = [one.reason for one in poller.desk.ledger.records if isinstance(one, SecurityEventRefused)]
    assert reasons == ["aud does not name this gateway", "it was given out under another id", "it is no token"]
    assert not poller.desk.locking.locks.all()


async def test_what_cannot_be_carried_out_now_is_given_out_again(poller: Poller) -> None:
    poller.send("e1")
    poller.send("e2", aud="x")
    poller.desk.ledger.broken = True
    await poller.poll.look()
    assert (poller.transmitter.acknowledged, poller.transmitter.wrong) == ([], {})
    poller.desk.ledger.broken = False
    await poller.poll.look()
    assert (poller.transmitter.acknowledged, set(poller.transmitter.wrong)) == (["e1"], {"e2"})


async def test_one_that_was_given_out_twice_counts_once(poller: Poller) -> None:
    poller.send("e1")
    token = poller.transmitter.waiting["e1"]
    await poller.poll.look()
    poller.transmitter.waiting["e1"] = token
    await poller.poll.look()
    assert poller.transmitter.acknowledged == ["e1", "e1"]
    received = [one.repeated for one in poller.desk.ledger.records if isinstance(one, SecurityEventReceived)]
    assert received == [False, True]


@pytest.mark.parametrize("answer", [[], {"sets": []}, {"sets": {"e": "x"}, "moreAvailable": True}])
async def test_a_transmitter_that_answers_nonsense(poller: Poller, answer: object) -> None:
    poller.transmitter.answer = answer
    await poller.poll.look()
    assert not poller.desk.locking.locks.all()
    assert len(poller.transmitter.asked) <= 101, "however often it says the same"
    poller.transmitter.answer = None
    poller.send("e1")
    await poller.poll.look()
    assert poller.transmitter.acknowledged[-1] == "e1"


async def test_without_its_secret_nothing_is_asked(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLL_TOKEN")
    await poller.poll.look()
    assert poller.transmitter.asked == []
