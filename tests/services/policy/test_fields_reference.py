"""Masks of fields against plain Python, on random policies: each field of a body has the mask that is due."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.policy.examples import agent, engine

from interlock.core.masking import ANY_NAME, MaskKind

FIELDS = ["email", "phone", "/a/*/b", "unnamed"]
"""The last one is in no settings, and no rule names it."""
GROUPS = ["a", "b"]
TAGS = ["pii", "contact"]
WORDS = {kind.word: kind for kind in MaskKind}


@dataclasses.dataclass(frozen=True)
class FieldRule:
    """Forbids ``reveal`` of what is in ``scope`` (a tag, a field, a connection, or everything) but for ``exempt``."""

    scope: str
    exempt: str
    group: str
    mask: str

    def cedar(self, number: int) -> str:
        softener = "" if self.mask == "forbid" else f'@mask("{self.mask}")'
        principal = f'principal in Group::"{self.group}"' if self.group else "principal"
        kind, _, name = self.scope.partition(":")
        operator = "==" if kind == "Field" else "in"
        resource = f'resource {operator} {kind}::"{identifier(name)}"' if kind else "resource"
        unless = f'unless {{ resource == Field::"crm/{identifier(self.exempt)}" }}' if self.exempt else ""
        return f'@id("r{number}") {softener} forbid ({principal}, action == Action::"reveal", {resource}) {unless};\n'

    def masks(self, field: str, tags: set[str], groups: frozenset[str]) -> bool:
        kind, _, name = self.scope.partition(":")
        fits = {"": True, "Tag": name in tags, "Field": name == f"crm/{field}", "Connection": name == "crm"}[kind]
        return fits and field != self.exempt and (not self.group or self.group in groups)


def identifier(name: str) -> str:
    connection, _, selector = name.partition("/")
    return f"{connection}/{selector.replace('/', '%2F')}" if selector and connection else name.replace("/", "%2F")


RULES = st.builds(
    FieldRule,
    scope=st.sampled_from(
        ["", "Connection:crm", "Connection:other"]
        + [f"Tag:{tag}" for tag in TAGS]
        + [f"Field:crm/{field}" for field in FIELDS[:-1]]
    ),
    exempt=st.sampled_from(["", "", *FIELDS[:-1]]),
    group=st.sampled_from(["", "", *GROUPS]),
    mask=st.sampled_from(sorted(WORDS)),
)
DECLARED = st.dictionaries(st.sampled_from(FIELDS[:-1]), st.frozensets(st.sampled_from(TAGS)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(RULES, max_size=5),
    DECLARED,
    st.frozensets(st.sampled_from(TAGS)),
    st.frozensets(st.sampled_from(GROUPS)),
)
def test_each_field_has_the_mask_that_is_due(
    rules: list[FieldRule],
    declared: dict[str, frozenset[str]],
    of_connection: frozenset[str],
    groups: frozenset[str],
) -> None:
    tags = {f"Field::crm/{identifier(field)}": sorted(names) for field, names in declared.items()}
    policy = engine("".join(rule.cedar(number) for number, rule in enumerate(rules)), {**tags, "crm": [*of_connection]})
    masking = policy.for_session(agent(*groups), "crm", "").body_masking()
    found = {selector: mask.kind for selector, mask in masking.fields.items()} if masking else {}
    for field in FIELDS:
        has = declared.get(field, frozenset()) | of_connection
        due = [WORDS[rule.mask] for rule in rules if rule.masks(field, set(has), groups)]
        shown = [found[selector] for selector in (field, ANY_NAME) if selector in found]
        if field == FIELDS[-1]:
            assert max(shown, default=None) == max(due, default=None)
        else:
            assert max(due, default=0) <= max(shown, default=0)
            assert found.get(field) in (None, max(due, default=None))
