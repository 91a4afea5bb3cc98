"""The Cedar schema that ships with the gateway: entity types, actions, context."""

import functools
import importlib.resources
import json
from typing import Any

import cedarpy


@functools.cache
def schema_text() -> str:
    """The schema in Cedar's own syntax."""
    return importlib.resources.files(__package__).joinpath("interlock.cedarschema").read_text(encoding="utf-8")


@functools.cache
def schema() -> cedarpy.Schema:
    """The parsed schema."""
    return cedarpy.Schema.from_str(schema_text())


@functools.cache
def action_entities() -> cedarpy.Entities:
    """The schema's actions with their groups: the part of every request's entities that never changes."""
    return cedarpy.Entities.from_json_str("[]", schema())


@functools.cache
def action_groups() -> dict[str, frozenset[str]]:
    """Every action and action group by name, with the groups that it is directly in."""
    entities: list[dict[str, Any]] = json.loads(str(action_entities()))
    return {entity["uid"]["id"]: frozenset(parent["id"] for parent in entity["parents"]) for entity in entities}


@functools.cache
def members(action: str) -> frozenset[str]:
    """An action with everything that is in it, at any depth: what ``action in Action::"…"`` matches."""
    direct = {name for name, groups in action_groups().items() if action in groups}
    return frozenset({action}).union(*(members(name) for name in direct))
