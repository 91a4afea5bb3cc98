"""Who asks, from where, about which database: what all requests of one session to Cedar have in common."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import cedarpy
import msgspec

from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import Facts
from interlock.services.policy.resources import Resource, TagSource, entities
from interlock.services.policy.schema import action_entities

_SQL_FACTS: Facts = {"verb": "", "has_where": False, "tables": (), "functions": (), "statements": 1}
_PART_FACTS: Mapping[str, Facts] = {
    "http": {"method": "", "path": "", "host": "", "content_type": "", "query": (), "fields": (), "body": ()},
    "graphql": {"operation": "", "fields": ()},
    "mcp": {"method": "", "tool": "", "arguments": ()},
    "model": {
        "name": "",
        "tools": (),
        "functions": (),
        "stored_prompt": False,
        "stream": False,
        "background": False,
        "continued": False,
    },
    "ssh": {
        "kind": "",
        "login": "",
        "command": "",
        "programs": (),
        "paths": (),
        "paths_unknown": False,
        "hosts": (),
        "classes": (),
        "environment": (),
        "pty": False,
    },
}
"""What a rule reads of an operation about which a protocol says less, for each part of the context."""


class ClientFacts(msgspec.Struct, frozen=True):
    """What is known of the client besides its identity.

    ``address`` is the host without a port. ``application`` and ``trace`` are what the client says of itself.
    """

    address: str = ""
    application: str = ""
    trace: str = ""


class Party(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody else whom a question about a principal concerns, as the context has it."""

    kind: str
    name: str
    groups: tuple[str, ...]
    issuer: str
    owner: str | None = None

    @classmethod
    def of(cls, who: Principal) -> "Party":
        return cls(who.kind.value, who.name, tuple(sorted(who.groups)), who.issuer, who.owner)


class Delegation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acts for the principal, and for whom the principal acts. Of the two there is one at most."""

    actor: Party | None = None
    on_behalf_of: Party | None = None


NO_DELEGATION = Delegation()


@dataclasses.dataclass(frozen=True)
class Viewpoint:
    """One principal on one database, with what is known of its client and of who acts for whom."""

    principal: Principal
    connection: str
    database: str
    client: ClientFacts
    delegation: Delegation = NO_DELEGATION

    def request(self, action: str, resource: Mapping[str, str], circumstances: str) -> dict[str, Any]:
        """One request; ``resource`` is a uid of Cedar's, ``circumstances`` come from the method of that name."""
        return {
            "principal": {"type": self.principal.kind.value, "id": self.principal.name},
            "action": {"type": "Action", "id": action},
            "resource": resource,
            "context": circumstances,
        }

    def circumstances(self, now_s: float, facts: Facts) -> str:
        """The context, in JSON, at a time (Unix seconds); with the protocol's part when there are facts."""
        seconds = int(now_s)
        context: dict[str, object] = {
            "now": seconds,
            "hour": seconds // 3600 % 24,
            "weekday": (seconds // 86400 + 3) % 7 + 1,
            "trace": self.client.trace,
            "client": {"address": self.client.address, "application": self.client.application},
        }
        return msgspec.json.encode(context | self._parties | _parts(facts)).decode()

    def entities(self, resources: Iterable[Resource], tags: TagSource) -> cedarpy.Entities:
        """The principal, the actions, and these resources with all that they are in. Raises what Cedar raises."""
        return self._known.with_added_json_str(json.dumps(entities(resources, tags)))

    @functools.cached_property
    def _parties(self) -> dict[str, object]:
        return msgspec.to_builtins(self.delegation)  # type: ignore[no-any-return]

    @functools.cached_property
    def _known(self) -> cedarpy.Entities:
        return action_entities().with_added_json_str(json.dumps([_principal_entity(self.principal)]))


def _parts(facts: Facts) -> dict[str, object]:
    """The parts of the context that say what is asked for; none for a question without facts."""
    given = {part: facts[part] for part in _PART_FACTS if part in facts}
    if not given:
        return {"sql": _filled(facts, _SQL_FACTS)} if facts else {}
    return {part: _filled(said, _PART_FACTS[part]) for part, said in given.items() if isinstance(said, Mapping)}


def _filled(said: Facts, defaults: Facts) -> dict[str, object]:
    return {name: said.get(name, default) for name, default in defaults.items()}


def _principal_entity(who: Principal) -> dict[str, Any]:
    owned = who.kind is PrincipalKind.AGENT and who.owner is not None
    return {
        "uid": {"type": who.kind.value, "id": who.name},
        "attrs": {"owner": who.owner} if owned else {},
        "parents": [{"type": "Group", "id": group} for group in sorted(who.groups)],
    }
