"""Metadata of protected resources, as RFC 9728 has it."""

import json

import pytest

from interlock.protocols.http.protected_resource import challenge, metadata, resource_path


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/.well-known/oauth-protected-resource", ""),
        ("/.well-known/oauth-protected-resource/", ""),
        ("/.well-known/oauth-protected-resource/c/crm/mcp", "/c/crm/mcp"),
        ("/.well-known/oauth-protected-resources", None),
        ("/.well-known/openid-configuration", None),
        ("/c/crm/.well-known/oauth-protected-resource", None),
    ],
)
def test_the_path_of_a_resource(path: str, resource: str | None) -> None:
    assert resource_path(path) == resource


def test_the_metadata_name_the_resource_and_who_gives_tokens() -> None:
    found = metadata("https://gw:8443", "/c/crm/mcp", ("https://id.example",))
    assert json.loads(found.body) == {
        "resource": "https://gw:8443/c/crm/mcp",
        "authorization_servers": ["https://id.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Interlock",
    }
    assert (b"content-type", b"application/json") in found.headers


def test_a_challenge_says_where_the_metadata_are() -> None:
    assert challenge("https://gw", "/c/crm/mcp") == (
        b'Bearer resource_metadata="https://gw/.well-known/oauth-protected-resource/c/crm/mcp"'
    )
    spoken = challenge("https://gw", "", "invalid_token", 'it "expired"\r\nSet-Cookie: a')
    assert spoken.endswith(b', error="invalid_token", error_description="it \\"expired\\"??Set-Cookie: a"')
