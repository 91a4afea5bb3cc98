"""Who calls the API in tests, and what they ask: people with each permission, bad tokens, one request of each kind."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

from interlock.core.administration import AddConnection, AddSshKey, Command, IssueSshCertificate, Permission
from interlock.core.administration.requests import CommandRequest, request_of
from tests.servers.api import ApiClient
from tests.servers.gateway import GatewayServer

ROLES: Mapping[str, frozenset[Permission]] = {
    "admin": frozenset({Permission.ADMINISTER}),
    "reviewer": frozenset({Permission.REVIEW}),
    "responder": frozenset({Permission.RESPOND}),
    "auditor": frozenset({Permission.AUDIT}),
    "developer": frozenset({Permission.DEVELOP}),
    "nobody": frozenset(),
}
"""Groups, which are also the names of their only members, and what the policy below gives them."""

_PERMIT = '@id("{role}s") permit (principal in Group::"{role}", action == Action::"{action}", resource is Gateway);\n'

POLICY = "".join(
    _PERMIT.format(role=role, action=permission.value)
    for role, permissions in ROLES.items()
    for permission in permissions
)


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmQ2Dr8JxCGGx0vHCvpmUCThZWVr/0y3g/NFfJ2hlwV"


def person(gateway: GatewayServer, *roles: str, name: str = "", **token: Any) -> ApiClient:
    """The API for somebody in these groups, named after the first of them."""
    return gateway.api(gateway.token(name or roles[0], roles, kind="user", **token))


def issued(gateway: GatewayServer, token: str, **changes: object) -> str:
    """A token like this one but for some claims, with the genuine signature of the development issuer."""
    header, payload = _part(token, 0), claims_of(token)
    key = ECKey.import_key((gateway.data_dir / "development-issuer.key").read_bytes())
    return jws.serialize_compact(header, json.dumps(payload | changes).encode(), key, algorithms=[header["alg"]])


def claims_of(token: str | None) -> dict[str, Any]:
    """What a token says."""
    assert token is not None
    return _part(token, 1)


def _part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def example_request(kind: type[Command[Any]]) -> CommandRequest:
    """The request for an example of a command."""
    return request_of(example_command(kind))


def example_command(kind: type[Command[Any]]) -> Command[Any]:
    """A well-formed command, about things that are not there: derived from the types of its fields."""
    (reference,), schemas = msgspec.json.schema_components([kind])
    fields = _example(reference, schemas)
    fields.pop("command")
    if kind is AddConnection:  # what it needs depends on the protocol
        fields["settings"] = {"protocol": "postgres", "host": "db.invalid", "databases": ["app"], "user": "app"}
    if kind in (AddSshKey, IssueSshCertificate):
        fields["key"] = PUBLIC_KEY
    command: Command[Any] = msgspec.convert(fields, kind)
    return command


def _example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"]
    if kind == "object":
        return {name: _example(schema["properties"][name], schemas) for name in schema.get("required", ())}
    if kind == "array":
        return [_example(schema["items"], schemas)] * schema.get("minItems", 0)
    if kind == "string":
        texts = ("x" * schema.get("minLength", 1), "0" * 64)
        return next(text for text in texts if re.search(schema.get("pattern", ""), text))
    return {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.0), "boolean": False}[kind]
