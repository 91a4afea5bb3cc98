"""What the realms of these tests are made of: the settings that docs/identity/keycloak.md describes, as JSON."""

from typing import Any

from tests.interop.keycloak import password_of

ADA, BOB = "ada", "bob"
STAFF_ID, ONCALL_ID = "7d5c1f1c-5a0e-4f63-9d0e-3a1b8ff0c001", "7d5c1f1c-5a0e-4f63-9d0e-3a1b8ff0c002"
STAFF, ONCALL = "/staff", "/staff/oncall"
AUDIENCE = "https://interlock.example.org"
SECRET = "a-secret-of-a-client-in-a-test"
WEB, DEVICES, WORKLOAD = "interlock", "interlock-devices", "reports"

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


def web_client(public_url: str, provider: str) -> Json:
    """The gateway as people sign in for it."""
    return {
        "clientId": WEB,
        "secret": SECRET,
        "redirectUris": [f"{public_url}/login/callback/{provider}"],
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False,
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "post.logout.redirect.uris": f"{public_url}/login",
            "backchannel.logout.url": f"{public_url}/logout/backchannel/{provider}",
            "backchannel.logout.session.required": "true",
        },
        "protocolMappers": [_group_paths(), _group_ids()],
    }


def device_client() -> Json:
    """The gateway as people with a browser elsewhere sign in for it: their access token is for the gateway."""
    return {
        "clientId": DEVICES,
        "publicClient": True,
        "standardFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
        "protocolMappers": [_audience(), _group_paths(), _group_ids()],
    }


def workload_client() -> Json:
    """A service account whose tokens are for the gateway."""
    return {
        "clientId": WORKLOAD,
        "secret": SECRET,
        "standardFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": True,
        "protocolMappers": [_audience()],
    }


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
        "frontchannelLogout": True,
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


def _group_paths() -> Json:
    """*Group Membership*."""
    return _mapper("groups", "oidc-group-membership-mapper", {"claim.name": "groups", "full.path": "true"})


def _group_ids() -> Json:
    """*User Attribute*, which groups hand on to their members."""
    config = {"user.attribute": "group_id", "claim.name": "group_ids", "multivalued": "true", "aggregate.attrs": "true"}
    return _mapper("group ids", "oidc-usermodel-attribute-mapper", config)


def _audience() -> Json:
    """*Audience*."""
    return _mapper("gateway", "oidc-audience-mapper", {"included.custom.audience": AUDIENCE}, id_token=False)


def _mapper(name: str, kind: str, config: dict[str, str], *, id_token: bool = True) -> Json:
    where = {"access.token.claim": "true", "id.token.claim": str(id_token).lower()}
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config | where}
