"""Metadata of protected resources, as RFC 9728 has it."""

import json

import pytest

from interlock.protocols.http.protected_resource import base_url_of, challenge, metadata_reply, resource_path
from interlock.protocols.http.wire.messages import BodyKind, RequestHead


def head(target: str, method: str = "GET") -> RequestHead:
    headers = ((b"host", b"gw:8443"),)
    return RequestHead(method.encode(), target.encode(), 1, headers, BodyKind.NONE, 0, True, False, b"")


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        ("/.well-known/oauth-protected-resource", ""),
        ("/.well-known/oauth-protected-resource/", ""),
        ("/.well-known/oauth-protected-resource/c/crm/mcp", "/c/crm/mcp"),
        ("/.well-known/oauth-protected-resources", None),
        ("/.well-known/openid-configuration", None),
        ("/c/crm/.well-known/oauth-protected-resource", None),
    ],
)
def test_the_path_of_a_resource(target: str, resource: str | None) -> None:
    assert resource_path(target) == resource


def test_the_metadata_name_the_resource_and_who_gives_tokens() -> None:
    asked = head("/.well-known/oauth-protected-resource/c/crm/mcp")
    found = metadata_reply(asked, base_url_of(asked, tls=True), ("https://id.example",))
    assert found is not None
    assert json.loads(found.body) == {
        "resource": "https://gw:8443/c/crm/mcp",
        "authorization_servers": ["https://id.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Interlock",
    }
    assert (found.status, found.headers[0]) == (200, (b"content-type", b"application/json"))
    assert metadata_reply(head("/.well-known/oauth-protected-resource", "POST"), "", ()) is None
    assert metadata_reply(head("/c/crm/mcp"), "", ()) is None


def test_a_challenge_says_where_the_metadata_are() -> None:
    assert challenge("https://gw", "/c/crm/mcp") == (
        b', resource_metadata="https://gw/.well-known/oauth-protected-resource/c/crm/mcp"'
    )
    assert (
        challenge('https://"\r\nx', "") == b', resource_metadata="https://\\"??x/.well-known/oauth-protected-resource"'
    )
