"""Asks a gateway for session tokens, as any OAuth client would."""

from typing import Any
from urllib.parse import urlencode

from tests.servers.api import Answer, ApiClient
from tests.servers.gateway import GatewayServer

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def ask(api: ApiClient, fields: dict[str, Any], path: str = "/oauth2/token") -> Answer:
    """Send a form. A list is a field that is repeated."""
    return api.request(
        "POST", path, urlencode(fields, doseq=True).encode(), Content_Type="application/x-www-form-urlencoded"
    )


def exchange(gateway: GatewayServer, subject_token: str, *audience: str, **fields: Any) -> Answer:
    """Exchange a token for one that is good for this."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": JWT,
        "audience": list(audience),
    }
    return ask(gateway.api(), form | fields)


def session_token(gateway: GatewayServer, subject_token: str, *audience: str, **fields: Any) -> str:
    """The token itself."""
    answer = exchange(gateway, subject_token, *audience, **fields)
    assert answer.status == 200, answer.body
    token: str = answer.json["access_token"]
    return token
