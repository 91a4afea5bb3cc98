"""The event stream of a real gateway: nothing is missed, nothing comes twice, and it ends when its listener may not."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psycopg
import pytest

from interlock.adapters.ledger.segments import SegmentReader, list_segments
from interlock.core.chain import decode_entry
from interlock.core.lock import LockSubject
from interlock.services.evidence.search import kind_of
from tests.e2e.api_callers import POLICY, claims_of, person
from tests.e2e.ledger_files import wait_for
from tests.e2e.locking import Responder
from tests.servers.api import ApiClient, Event
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

STATEMENTS = """
@id("agents") permit (principal is Agent, action, resource);
@id("held") @approval("reviewer") forbid (principal, action == Action::"delete", resource);
"""
OPTIONS = GatewayOptions(policy=POLICY + STATEMENTS)
KINDS = ("session", "operation", "approval")
PATH = "/v1/events?" + "&".join(f"kind={kind}" for kind in KINDS)
KILLS = 3


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    with GatewayServer(target, OPTIONS) as server:
        yield server


@pytest.fixture
def auditor(gateway: GatewayServer) -> ApiClient:
    return person(gateway, "auditor")


def work(endpoint: Endpoint, application: str = "") -> None:
    """A session with a statement, and one that is held and not waited for."""
    with psycopg.connect(**endpoint.parameters(), autocommit=True, application_name=application) as connection:
        connection.execute("SELECT count(*) FROM orders")
        with suppress(psycopg.errors.Error):
            connection.execute("DELETE FROM orders WHERE id = 0")


class Agents:
    """Sessions one after the other, until the gateway is gone."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        with suppress(psycopg.Error):
            while True:
                work(self._endpoint)


def on_record(gateway: GatewayServer) -> list[tuple[str, str]]:
    """Number and kind of every entry that a listener to these kinds has to be told of."""
    entries = (
        decode_entry(stored.data)
        for path in list_segments(gateway.data_dir / "ledger" / "segments")
        for stored in SegmentReader(path)
    )
    found = ((str(entry.sequence), kind_of(entry)) for entry in entries)
    return [(number, kind) for number, kind in found if kind.partition(".")[0] in KINDS]


def is_end_of(event: Event, application: str, names: dict[str, str]) -> bool:
    """Whether an event is the end of the session that calls itself so; ``names`` remembers who is who."""
    record = event.data["record"]
    if event.name == "session.opened":
        names[record["session"]] = record["application"]
    return event.name == "session.closed" and names.get(record["session"]) == application


@pytest.mark.timeout(180)
def test_a_stream_goes_on_without_a_gap_after_the_gateway_was_killed(target: Endpoint) -> None:
    with GatewayServer(target, OPTIONS) as gateway:
        auditor = person(gateway, "auditor")
        agent = gateway.token()
        heard: list[Event] = []
        last = "-1"
        for kill in range(KILLS):
            agents = Agents(gateway.endpoint(agent))
            wanted = len(heard) + 25 + 10 * kill
            with auditor.events(PATH, Last_Event_ID=last) as events:
                for event in events:
                    heard.append(event)
                    if len(heard) == wanted:
                        gateway.kill()
            agents.join()
            last = heard[-1].id
            gateway.start()
        work(gateway.endpoint(agent), "the last one")
        names: dict[str, str] = {}
        with auditor.events(PATH, Last_Event_ID=last) as events:
            for event in events:
                heard.append(event)
                if is_end_of(event, "the last one", names):
                    break
        assert len(heard) > 25 * KILLS
        assert {event.name.partition(".")[0] for event in heard} == set(KINDS)
        assert [(event.id, event.name) for event in heard] == on_record(gateway)[: len(heard)]
        assert all(int(event.id) == event.data["sequence"] for event in heard)


def test_a_listener_that_comes_and_goes_misses_nothing(gateway: GatewayServer, auditor: ApiClient) -> None:
    for _ in range(3):
        work(gateway.endpoint())
    heard: list[Event] = []
    expected = on_record(gateway)
    while len(heard) < len(expected):
        with auditor.events(f"{PATH}&after={heard[-1].id if heard else -1}") as events:
            heard += itertools.islice(events, min(4, len(expected) - len(heard)))
    assert [(event.id, event.name) for event in heard] == expected


def test_only_what_is_wanted_comes_from_now_on(gateway: GatewayServer, auditor: ApiClient) -> None:
    responder = Responder(gateway)
    with auditor.events("/v1/events?kind=lock") as events:
        work(gateway.endpoint())
        receipt = responder.lock(LockSubject.AGENT, "somebody")
        event = next(events)
        assert (event.name, event.data["record"]["lock"]) == ("lock.added", receipt.lock.id)
        responder.lift(receipt)
        assert next(events).name == "lock.removed"


def test_nothing_sealed_is_told(gateway: GatewayServer, auditor: ApiClient) -> None:
    work(gateway.endpoint())
    with auditor.events(f"{PATH}&after=-1") as events:
        seen = {}
        for event in events:
            seen[event.name] = event.data["record"]
            if {"session.opened", "operation.decided", "approval.requested"} <= seen.keys():
                break
    assert not {"sealed", "wrapped_key"}.intersection(*seen.values())
    assert not [value for record in seen.values() for value in record.values() if "DELETE FROM" in str(value)]


@pytest.mark.parametrize(
    ("kind", "subject"), [(LockSubject.USER, "eve"), (LockSubject.GROUP, "auditor"), (LockSubject.TOKEN, "")]
)
def test_a_lock_ends_the_stream(gateway: GatewayServer, kind: LockSubject, subject: str) -> None:
    responder = Responder(gateway)
    eve = person(gateway, "auditor", name="eve")
    with eve.events() as events:
        receipt = responder.lock(kind, subject or claims_of(eve.token)["jti"])
        try:
            assert {event.name for event in events} <= {"lock.added"}
            assert eve.status("/v1/events") == 403
        finally:
            responder.lift(receipt)


def test_the_end_of_the_token_ends_the_stream(gateway: GatewayServer) -> None:
    with person(gateway, "auditor", ttl_s=2).events() as events:
        assert list(events) == []


def test_policy_that_takes_the_permission_away_ends_the_stream(target: Endpoint) -> None:
    with GatewayServer(target, OPTIONS) as gateway, person(gateway, "auditor").events() as events:
        gateway.policy_file.write_text(STATEMENTS)
        assert list(events) == []


def test_the_end_of_the_gateway_ends_the_stream(target: Endpoint) -> None:
    with GatewayServer(target, OPTIONS) as gateway, person(gateway, "auditor").events() as events:
        assert gateway.stop() == 0
        assert [event.name for event in events] == []


@pytest.mark.parametrize("place", ["-2", "x", "1e3", "999999999", "9" * 30])
def test_a_place_that_is_none_is_refused(gateway: GatewayServer, auditor: ApiClient, place: str) -> None:
    answer = auditor.get("/v1/events", Last_Event_ID=place)
    assert answer.status == 422
    assert "entry" in answer.json["detail"]


def test_what_is_not_known_is_refused(gateway: GatewayServer, auditor: ApiClient) -> None:
    assert "allowed: session, operation" in auditor.get("/v1/events?kind=secrets").json["detail"]
    assert "allowed: kind, after" in auditor.get("/v1/events?since=1").json["detail"]


def test_one_caller_has_so_many_streams_and_no_more(gateway: GatewayServer) -> None:
    many = person(gateway, "auditor", name="many")
    with ExitStack() as others:
        for _ in range(7):
            others.enter_context(many.events())
        with many.events():
            answer = many.get("/v1/events")
            assert answer.status == 503
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Retry-After"]
            with person(gateway, "auditor", name="other").events():
                pass
        wait_for(lambda: many.status("/v1/events") == 200, "a free place")
