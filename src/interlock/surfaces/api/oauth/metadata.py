"""What the gateway says of itself as an authorization server, and its keys; anybody may read both."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

METADATA_PATH: Final = "/.well-known/oauth-authorization-server"
JWKS_PATH: Final = "/.well-known/jwks.json"


class Metadata:
    """Implements ``application.Pages``. ``metadata`` (RFC 8414) and ``jwks`` (RFC 7517) are asked for each time."""

    def __init__(self, metadata: Callable[[], Mapping[str, Any]], jwks: Callable[[], Mapping[str, Any]]) -> None:
        self._metadata = metadata
        self._jwks = jwks

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        for path, content in ((METADATA_PATH, self._metadata), (JWKS_PATH, self._jwks)):
            app.add_api_route(path, _answering(content), methods=["GET"], response_class=Response)


def _answering(content: Callable[[], Mapping[str, Any]]) -> Callable[[Request], Any]:
    async def respond(_: Request) -> Response:
        return Response(msgspec.json.encode(content()), media_type="application/json")

    return respond
