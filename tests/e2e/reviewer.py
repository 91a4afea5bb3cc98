"""Somebody who answers requests for approval over the API, in tests."""

from typing import Any

from tests.servers.gateway import GatewayServer


class Reviewer:
    """Answers over the API with a token of its own."""

    def __init__(self, gateway: GatewayServer, name: str, *groups: str, owner: str | None = None) -> None:
        self.name = name
        self._api = gateway.api(gateway.token(name, groups, "user", owner=owner))

    def answer(self, verb: str, approval: str, **body: str) -> tuple[int, str]:
        """The status, and what is said: the request's own status, or what is wrong."""
        answer = self._api.request("POST", f"/v1/approvals/{approval}/{verb}", {"reason": "ticket 7"} | body)
        said: dict[str, Any] = answer.json
        return answer.status, str(said.get("detail", said["status"]))

    def look(self, approval: str) -> dict[str, Any]:
        view: dict[str, Any] = self._api.get(f"/v1/approvals/{approval}").json
        return view
