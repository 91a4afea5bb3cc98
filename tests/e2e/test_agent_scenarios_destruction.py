"""An agent that destroys by HTTP: it needs somebody's yes, to just this request, which reaches the target once."""

import gzip
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from interlock.core.ledger import ApprovalRefused
from tests.e2e.ledger_files import records_of
from tests.e2e.reviewer import Reviewer
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target
from tests.servers.graphql_service import GraphqlService
from tests.servers.http_service import HttpService

POLICY = """
@id("all") permit (principal, action, resource);
@id("volumes") @approval("dba") @expires("10m")
forbid (principal, action in [Action::"http-delete", Action::"graphql-mutation"], resource);
"""
BODY = b'{"why": "ticket 7"}'
JSON = ("Content-Type", "application/json")
Fields = Sequence[tuple[str, str]]


@pytest.fixture(scope="module")
def shop() -> GraphqlService:
    return GraphqlService()


@pytest.fixture(scope="module")
def service(shop: GraphqlService) -> Iterator[HttpService]:
    with HttpService(graphql=shop.answer) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(service: HttpService) -> Iterator[GatewayServer]:
    extra = http_target("store", service.port, 'api = "graphql"\nhold_s = 0') + http_target(
        "cellar", service.port, "hold_s = 0"
    )
    with GatewayServer(
        NO_DATABASE,
        GatewayOptions(
            http=True,
            policy=POLICY,
            extra=extra,
            approvals_extra="max_open_per_identity = 1000\nrequests_per_minute = 10000",
        ),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def dana(gateway: GatewayServer) -> Reviewer:
    return Reviewer(gateway, "dana", "dba")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class Ask:
    """A request as an agent sends it, with its fields in this order and these letters."""

    path: str = "/volumes/1"
    method: str = "DELETE"
    body: bytes = BODY
    fields: Fields = (JSON, ("X-Tenant", "one"), ("Cookie", "volume=1"))
    connection: str = "cellar"
    agent: str = "agent"
    chunked: bool = False

    def but(self, *fields: tuple[str, str]) -> "Ask":
        """The same with these fields in the place of those of the same names."""
        names = {name.lower() for name, _ in fields}
        return replace(self, fields=(*(field for field in self.fields if field[0].lower() not in names), *fields))


def token_of(gateway: GatewayServer, ask: Ask) -> str:
    return gateway.token(ask.agent, owner="olga")


def send(gateway: GatewayServer, ask: Ask) -> Answer:
    """On a connection of its own, over HTTP/1.1."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=30)
    connection.putrequest(ask.method, f"/c/{ask.connection}{ask.path}", skip_accept_encoding=True)
    for name, value in (*ask.fields, ("Authorization", f"Bearer {token_of(gateway, ask)}")):
        connection.putheader(name, value)
    if ask.body and not ask.chunked:
        connection.putheader("Content-Length", str(len(ask.body)))
    elif ask.chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    body = iter([ask.body[:5], ask.body[5:]]) if ask.chunked else ask.body
    connection.endheaders(body or None, encode_chunked=ask.chunked)
    response = connection.getresponse()
    answer = Answer(response.status, response.read())
    connection.close()
    return answer


def send_by_http2(gateway: GatewayServer, ask: Ask) -> Answer:
    context = ssl.create_default_context(cafile=str(gateway.certificate_file))
    url = gateway.http_url(ask.connection, tls=True) + ask.path
    headers = [*ask.fields, ("Authorization", f"Bearer {token_of(gateway, ask)}")]
    with httpx.Client(http1=False, http2=True, verify=context, timeout=30) as client:
        response = client.request(ask.method, url, content=ask.body, headers=headers)
    assert response.http_version == "HTTP/2"
    return Answer(response.status_code, response.content)


ASKED = Ask()
OTHERS: dict[str, Ask] = {
    "another volume": replace(ASKED, path="/volumes/2"),
    "with a query": replace(ASKED, path="/volumes/1?force=1"),
    "below it": replace(ASKED, path="/volumes/1/"),
    "other letters": replace(ASKED, path="/Volumes/1"),
    "another reason": replace(ASKED, body=b'{"why": "ticket 8"}'),
    "a blank more": replace(ASKED, body=BODY + b" "),
    "without a body": replace(ASKED, body=b""),
    "another type": ASKED.but(("Content-Type", "application/merge-patch+json")),
    "another parameter of the type": ASKED.but(("Content-Type", "application/json; profile=all")),
    "without a type": replace(ASKED, fields=ASKED.fields[1:]),
    "in another coding": replace(ASKED.but(("Content-Encoding", "gzip")), body=gzip.compress(BODY, mtime=0)),
    "in no coding, by name": ASKED.but(("Content-Encoding", "identity")),
    "another tenant": ASKED.but(("X-Tenant", "two")),
    "a cookie of the same length": ASKED.but(("Cookie", "volume=2")),
    "a key of the same length": ASKED.but(("X-Api-Key", "12345678")),
    "under a condition": ASKED.but(("If-Match", '"7"')),
    "another agent": replace(ASKED, agent="another-agent"),
    "another connection": replace(ASKED, connection="store"),
}
SAME: dict[str, Callable[[GatewayServer], Answer]] = {
    "as it was": lambda gateway: send(gateway, ASKED),
    "fields the other way around": lambda g: send(g, replace(ASKED, fields=ASKED.fields[::-1])),
    "names in other letters": lambda g: send(g, replace(ASKED, fields=[(n.upper(), v) for n, v in ASKED.fields])),
    "under another key": lambda g: send(g, ASKED.but(("Idempotency-Key", "2"), ("User-Agent", "other/2"))),
    "in chunks": lambda g: send(g, replace(ASKED, chunked=True)),
    "in another spelling": lambda g: send(g, replace(ASKED, path="//volumes/%31")),
    "by HTTP/2": lambda g: send_by_http2(g, ASKED),
    "by HTTP/2, the other way around": lambda g: send_by_http2(g, replace(ASKED, fields=ASKED.fields[::-1])),
}


def pending(answer: Answer) -> str:
    """The request for approval that an answer is about."""
    assert answer.status == 403, answer
    problem = answer.problem
    assert (problem["type"], problem["retry"]) == ("urn:interlock:problem:approval-pending", True)
    return str(problem["approval"])


def test_scenario_4_destructive_call(gateway: GatewayServer, service: HttpService, dana: Reviewer) -> None:
    """Whoever asked does not answer; what was approved goes to the target once, and nothing else does."""
    before = len(service.received)
    approval = pending(send(gateway, ASKED))
    for somebody in (Reviewer(gateway, "olga", "dba"), Reviewer(gateway, "olga-admin", "dba", owner="olga")):
        status, why = somebody.answer("approve", approval)
        assert (status, "second person" in why) == (409, True)
    assert "only members of dba" in Reviewer(gateway, "nina", "others").answer("approve", approval)[1]
    assert pending(send(gateway, ASKED)) == approval, "one request, however often it is sent"
    assert dana.answer("approve", approval) == (200, "approved")
    for what, other in OTHERS.items():
        assert pending(send(gateway, other)) != approval, what
    assert len(service.received) == before

    assert send(gateway, ASKED).status == 200
    assert pending(send(gateway, ASKED)) != approval
    assert dana.answer("approve", approval) == (409, "the request is spent already")
    (received,) = service.received[before:]
    assert (received.method, received.path, received.body) == ("DELETE", "/volumes/1", BODY)
    refused = [record.reviewer for record in records_of(gateway, ApprovalRefused) if record.approval == approval]
    assert refused == ["olga", "olga-admin", "nina", "dana"]


@pytest.mark.parametrize("how", SAME)
def test_scenario_4_the_same_request_in_another_form(
    gateway: GatewayServer, service: HttpService, dana: Reviewer, how: str
) -> None:
    """The form that the wire takes is no other request: it is what was approved, and spends the grant as well."""
    before = len(service.received)
    assert dana.answer("approve", pending(send(gateway, ASKED))) == (200, "approved")
    assert SAME[how](gateway).status == 200
    for again in SAME.values():
        pending(again(gateway))
    assert len(service.received) == before + 1


def test_scenario_4_a_grant_is_spent_once_by_many(gateway: GatewayServer, service: HttpService, dana: Reviewer) -> None:
    before = len(service.received)
    assert dana.answer("approve", pending(send(gateway, ASKED))) == (200, "approved")
    with ThreadPoolExecutor(8) as agents:
        answers = list(agents.map(lambda _: send(gateway, ASKED), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [403] * 7
    assert len(service.received) == before + 1


def test_scenario_4_a_denial_says_why(gateway: GatewayServer, service: HttpService, dana: Reviewer) -> None:
    before = len(service.received)
    ask = replace(ASKED, path="/volumes/9")
    assert dana.answer("deny", pending(send(gateway, ask)), reason="volume 9 is in use") == (200, "denied")
    problem = send(gateway, ask).problem
    assert "dana denied it: volume 9 is in use" in problem["detail"]
    assert len(service.received) == before


MUTATION = "mutation { volumeDelete(id: 1) }"


def graphql(asked: object, **changes: Any) -> Ask:
    made = Ask("/graphql", "POST", json.dumps(asked).encode(), (JSON,), "store")
    return replace(made, **changes)


FORMS: dict[str, Ask] = {
    "plain": graphql({"query": MUTATION}),
    "another volume": graphql({"query": MUTATION.replace("1", "2")}),
    "aliased": graphql({"query": "mutation { a: volumeDelete(id: 1) }"}),
    "twice": graphql({"query": "mutation { a: volumeDelete(id: 1) b: volumeDelete(id: 1) }"}),
    "in a batch": graphql([{"query": MUTATION}]),
    "in a batch, twice": graphql([{"query": MUTATION}, {"query": MUTATION}]),
    "by variable": graphql({"query": "mutation($i: ID!) { volumeDelete(id: $i) }", "variables": {"i": "1"}}),
    "as the document": graphql({}, body=MUTATION.encode(), fields=(("Content-Type", "application/graphql"),)),
    "as a form": graphql(
        {}, body=f"query={quote(MUTATION)}".encode(), fields=(("Content-Type", "application/x-www-form-urlencoded"),)
    ),
    "by GET": graphql({}, method="GET", path=f"/graphql?query={quote(MUTATION)}", body=b"", fields=()),
}


@pytest.mark.parametrize("approved", FORMS)
def test_scenario_4_a_mutation_in_one_form_is_none_in_another(
    gateway: GatewayServer, shop: GraphqlService, dana: Reviewer, approved: str
) -> None:
    shop.deleted.clear()
    approval = pending(send(gateway, FORMS[approved]))
    assert dana.answer("approve", approval) == (200, "approved")
    for form, ask in FORMS.items():
        if form != approved:
            assert pending(send(gateway, ask)) != approval, form
    assert shop.deleted == []
    assert send(gateway, FORMS[approved]).status == 200
    assert shop.deleted == (["2"] if approved == "another volume" else ["1"] * (2 if "twice" in approved else 1))
    pending(send(gateway, FORMS[approved]))
    assert len(shop.deleted) <= 2
