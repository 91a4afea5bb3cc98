"""The agent's HTTP: a masked answer, a DELETE that waits for a person, a model whose answer streams."""

import http.client
import json
import queue
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Final

from interlock.demo.gateway import DemoGateway
from interlock.demo.narrator import Narrator
from interlock.demo.people import OPERATIONS, pending, told
from interlock.demo.processes import DemoFailed

_CUSTOMER: Final = "/c/crm/customers/7"
_VOLUME: Final = "/c/crm/volumes/12"
_RESPONSES: Final = "/c/openai/v1/responses"
_HIDDEN: Final = ("rui.carvalho@example.com", "rui@work.example")
_PATIENCE_S: Final = 60.0


class WebAgent:
    """A client as any other: it knows the gateway's address and has a token."""

    def __init__(self, gateway: DemoGateway) -> None:
        self._port = gateway.http_port
        self._headers = {"Authorization": f"Bearer {gateway.token()}", "Content-Type": "application/json"}
        self._tls = ssl.create_default_context(cafile=str(gateway.certificate_file))

    def send(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        """The answer, whose body is still to be read."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=_PATIENCE_S, context=self._tls)
        connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        return connection.getresponse()


def an_agent_uses_the_web(gateway: DemoGateway, narrator: Narrator) -> Iterator[str]:
    """Yields a sentence for everything that is not as it has to be."""
    narrator.heading("An HTTP API, with what is masked in its answers")
    agent = WebAgent(gateway)
    yield from _customer(agent, narrator)
    narrator.heading("A DELETE over HTTP that waits for a person")
    yield from _volume(agent, gateway, narrator)
    narrator.heading("A model whose answer streams")
    yield from _model(agent, narrator)


def _customer(agent: WebAgent, narrator: Narrator) -> Iterator[str]:
    narrator.sent(f"GET {_CUSTOMER}", ())
    answer = agent.send("GET", _CUSTOMER)
    text = answer.read().decode()
    narrator.completed(f"{answer.status} {text}")
    narrator.why("The gateway has shown the API its own credential. Addresses are masked wherever the answer has them.")
    if answer.status != 200:
        yield f"the API answered {answer.status}"
    yield from (f"{hidden} came through" for hidden in _HIDDEN if hidden in text)


def _volume(agent: WebAgent, gateway: DemoGateway, narrator: Narrator) -> Iterator[str]:
    narrator.sent(f"DELETE {_VOLUME}", ())
    outcomes: queue.Queue[tuple[int, str]] = queue.Queue()
    threading.Thread(target=_delete, args=(agent, outcomes), daemon=True).start()
    approval = pending(gateway, OPERATIONS)
    yield from told(gateway, narrator, OPERATIONS, ("approvals", "show", approval), "DELETE /volumes/12")
    if gateway.deleted_volumes():
        yield "the volume was deleted before anybody agreed"
    answer = ("approvals", "approve", approval, "-r", "it is empty")
    yield from told(gateway, narrator, OPERATIONS, answer, "approved")
    try:
        status, text = outcomes.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise DemoFailed("the request does not end") from None
    narrator.completed(f"{status} {text}")
    if status != 200 or gateway.deleted_volumes() != ["12"]:
        yield f"the approved request ended with {status}, and {gateway.deleted_volumes()} are deleted"


def _delete(agent: WebAgent, outcomes: "queue.Queue[tuple[int, str]]") -> None:
    answer = agent.send("DELETE", _VOLUME)
    outcomes.put((answer.status, answer.read().decode()))


def _model(agent: WebAgent, narrator: Narrator) -> Iterator[str]:
    asked = {"model": "gpt-5", "input": "How many customers are from Portugal?", "stream": True}
    narrator.sent(f"POST {_RESPONSES} {json.dumps(asked)}", ())
    answer = agent.send("POST", _RESPONSES, asked)
    words = [event["delta"] for event in _events(answer) if event["type"] == "response.output_text.delta"]
    narrator.completed(f"{answer.status} {' | '.join(words)}")
    narrator.why("Each part goes on as it comes. The tokens are counted, and the conversation is on record.")
    if "".join(words) != "Seven customers are from Portugal.":
        yield f"the model's answer came as {words}"


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))
