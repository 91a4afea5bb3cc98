"""What the realms of these tests are made of: clients as docs/identity/keycloak.md has them, and people."""

import json
from typing import Any

from tests.docs.markdown import ROOT, blocks
from tests.interop.keycloak import password_of

ADA, BOB = "ada", "bob"
STAFF_ID, ONCALL_ID = "7d5c1f1c-5a0e-4f63-9d0e-3a1b8ff0c001", "7d5c1f1c-5a0e-4f63-9d0e-3a1b8ff0c002"
STAFF, ONCALL = "/staff", "/staff/oncall"
WORKLOAD = "reports"
SECRET = "a-secret-of-a-client-in-a-test"
PAGE = ROOT / "docs" / "identity" / "keycloak.md"
PUBLIC_URL, REALM_URL = "https://gateway.example.org:8443", "https://keycloak.example.org/realms/staff"
"""The page's own."""

Json = dict[str, Any]


def realm(name: str, *clients: Json) -> Json:
    """Two people: ada is in both groups, bob in one."""
    oncall = {"name": "oncall", "attributes": {"group_id": [ONCALL_ID]}}
    return {
        "realm": name,
        "enabled": True,
        "groups": [{"name": "staff", "attributes": {"group_id": [STAFF_ID]}, "subGroups": [oncall]}],
        "users": [_person(ADA, STAFF, ONCALL), _person(BOB, STAFF)],
        "clients": list(clients),
    }


def openid_clients(public_url: str) -> list[Json]:
    """Those of the page, in its order: for people with a browser, with one elsewhere, and for a workload."""
    shown = [json.loads(block.text.replace(PUBLIC_URL, public_url)) for block in blocks(PAGE, "json")]
    return [client if client.get("publicClient") else client | {"secret": SECRET} for client in shown]


def saml_client(imported: Json) -> Json:
    """The client that Keycloak makes of the gateway's metadata, with what has to be set besides."""
    attributes = {
        "saml_name_id_format": "persistent",
        "saml_force_name_id_format": "true",
        "saml.assertion.signature": "true",
        "saml.client.signature": "true",
        "saml.encrypt": "false",
    }
    mapper = {
        "name": "groups",
        "protocol": "saml",
        "protocolMapper": "saml-group-membership-mapper",
        "config": {"attribute.name": "groups", "single": "true", "full.path": "true"},
    }
    return imported | {
        "frontchannelLogout": False,
        "attributes": imported["attributes"] | attributes,
        "protocolMappers": [mapper],
    }


def new_key(realm_id: str, name: str, priority: int) -> Json:
    """A signing key that is used instead of those of a lower priority."""
    config = {"priority": str(priority), "enabled": "true", "active": "true", "algorithm": "RS256", "keySize": "2048"}
    return {
        "name": name,
        "parentId": realm_id,
        "providerId": "rsa-generated",
        "providerType": "org.keycloak.keys.KeyProvider",
        "config": {key: [value] for key, value in config.items()},
    }


def _person(name: str, *groups: str) -> Json:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.org",
        "emailVerified": True,
        "firstName": name.title(),
        "lastName": "Example",
        "credentials": [{"type": "password", "value": password_of(name), "temporary": False}],
        "groups": list(groups),
    }
