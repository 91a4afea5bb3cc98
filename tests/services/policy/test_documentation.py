"""docs/policy.md knows every word that a policy may use."""

import re
from pathlib import Path

import pytest
from tests.services.policy.examples import source

from interlock.services.policy.annotations import ANNOTATIONS
from interlock.services.policy.cases import Case, CaseIdentity
from interlock.services.policy.resources import LINEAGE_BY_TYPE
from interlock.services.policy.rules import read_rules
from interlock.services.policy.schema import action_groups, members, schema_text

TEXT = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
ACTIONS_TABLE = TEXT.partition("## Actions")[2].partition("## Context")[0]


@pytest.mark.parametrize("action", sorted(action_groups()))
def test_actions(action: str) -> None:
    assert f"`{action}`" in ACTIONS_TABLE


@pytest.mark.parametrize("group", ["read", "write", "destructive", "admin", "execute"])
def test_groups_list_their_members(group: str) -> None:
    row = next(line for line in ACTIONS_TABLE.splitlines() if line.startswith(f"| `{group}` |"))
    listed = {name for name in re.findall(r"`([a-z-]+)`", row.split("|", 2)[2]) if name in action_groups()}
    assert listed == members(group) - {group}


@pytest.mark.parametrize("annotation", sorted(ANNOTATIONS))
def test_annotations(annotation: str) -> None:
    assert any(line.startswith(f"| `@{annotation}(") for line in TEXT.splitlines())


@pytest.mark.parametrize("entity", sorted(set(re.findall(r"^entity (\w+)", schema_text(), re.MULTILINE))))
def test_entities(entity: str) -> None:
    assert f"`{entity}`" in TEXT


@pytest.mark.parametrize(
    "attribute", re.findall(r"^    (\w+)\??: (?:Long|String|Bool|Set)", schema_text(), re.MULTILINE)
)
def test_context(attribute: str) -> None:
    assert re.search(rf"`context\.(\w+\.)?{attribute}`", TEXT)


@pytest.mark.parametrize("key", [*Case.__struct_fields__, *CaseIdentity.__struct_fields__])
def test_case_keys(key: str) -> None:
    section = TEXT.partition("## Commands")[2]
    assert f"`{key}`" in section or f"{key}: " in section


def test_ids_have_a_line_each() -> None:
    for entity, types in LINEAGE_BY_TYPE.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{entity}` | `"))
        example = row.split("`")[3]
        assert len(example.split("/")) == len(types)


def test_examples_are_valid() -> None:
    blocks = re.findall(r"```cedar\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) > 1
    assert read_rules([source("\n".join(blocks))]).problems == ()
