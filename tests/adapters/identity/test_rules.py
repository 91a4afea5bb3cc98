"""From claims to identities."""

from typing import Any

import pytest

from interlock.adapters.identity.rules import MAX_GROUPS, Rules, find_claim
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.settings import ClaimCondition, IdentityKind, IdentityRule

ISSUER = "https://issuer.example"


def identify(claims: dict[str, Any], *rules: IdentityRule) -> Principal:
    return Rules(rules, {"ci": ISSUER}).principal({"iss": ISSUER, "sub": "s", **claims}, "t", 1.0)


def rule(identity: str = "someone", when: dict[str, ClaimCondition] | None = None, **changes: Any) -> IdentityRule:
    return IdentityRule(**{"issuer": "ci", "when": when or {}, "identity": identity, **changes})


@pytest.mark.parametrize(
    ("condition", "claim", "holds"),
    [
        ("main", "main", True),
        ("main", "Main", False),
        ("main", "main\n", False),
        ("main", None, False),
        ("refs/heads/*", "refs/heads/x/y", True),
        ("refs/heads/*", "refs/heads/", True),
        ("refs/heads/*", "xrefs/heads/x", False),
        ("*@main", "a@main", True),
        ("*@main", "a@main2", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("ab*ba", "aba", False),
        ("*", "", True),
        ("**", "x", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("a?", "ab", False),
        (("x", "y*"), "y1", True),
        (("x", "y*"), "z", False),
        ((), "x", False),
        (12, "12", True),
        ("12", 12, True),
        (12, 12, True),
        (True, True, True),
        (True, "true", True),
        ("true", True, True),
        (True, 1, False),
        (1, True, False),
        (True, False, False),
        ("x", ["y", "x"], True),
        ("x", ["y", ["x"]], False),
        ("x", {"x": "x"}, False),
        ("*", {"x": "x"}, False),
        ("*", None, False),
        ("1.5", 1.5, False),
    ],
)
def test_conditions(condition: ClaimCondition, claim: object, holds: bool) -> None:
    if holds:
        assert identify({"c": claim}, rule(when={"c": condition})).name == "someone"
    else:
        with pytest.raises(LoginRefused):
            identify({"c": claim}, rule(when={"c": condition}))


def test_many_stars_take_no_longer() -> None:
    with pytest.raises(LoginRefused):
        identify({"c": "a" * 8000}, rule(when={"c": "*a" * 50 + "*b"}))


def test_all_conditions_must_hold() -> None:
    both = rule(when={"a": "1", "b": "2"})
    assert identify({"a": "1", "b": "2"}, both).name == "someone"
    for claims in ({"a": "1"}, {"a": "1", "b": "3"}, {}):
        with pytest.raises(LoginRefused):
            identify(claims, both)


def test_the_first_rule_that_applies_is_used_however_it_names_the_issuer() -> None:
    rules = (rule("one", {"a": "x"}), rule("two", {"a": "*"}, issuer=ISSUER), rule("three", {"a": "*"}))
    assert identify({"a": "x"}, *rules).name == "one"
    assert identify({"a": "y"}, *rules).name == "two"


def test_a_rule_of_another_issuer_does_not_apply() -> None:
    with pytest.raises(LoginRefused):
        identify({}, rule(issuer="https://other.example"))


def test_nested_claims_and_names_with_dots() -> None:
    claims = {
        "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "bot"}},
        "https://sts.amazonaws.com/": {"aws_account": "123"},
        "a.b": "flat",
        "a": {"b": "nested"},
    }
    assert find_claim(claims, "kubernetes.io.namespace") == "prod"
    assert find_claim(claims, "kubernetes.io.serviceaccount.name") == "bot"
    assert find_claim(claims, "https://sts.amazonaws.com/.aws_account") == "123"
    assert find_claim(claims, "a.b") == "flat"
    assert find_claim(claims, "a.c") is None
    assert find_claim(claims, "kubernetes.io.") is None


def test_templates_take_claims() -> None:
    principal = identify(
        {"repository": "acme/crm", "n": 7, "owner": {"name": "ada"}},
        rule("ci:{repository}:{n}", kind=IdentityKind.USER, owner="{owner.name}"),
    )
    assert principal.name == "ci:acme/crm:7"
    assert principal.owner == "ada"
    assert principal.kind is PrincipalKind.USER


@pytest.mark.parametrize("value", [None, "", ["x"], {"x": 1}, "a b", "ü", "a\x00", "-x", "x" * 300, "{sub}"])
def test_claims_that_give_no_usable_name(value: object) -> None:
    with pytest.raises(LoginRefused):
        identify({"name": value}, rule("{name}"))


def test_an_owner_that_is_not_claimed_is_none() -> None:
    assert identify({}, rule(owner="{owner}")).owner is None


def test_groups_are_those_of_the_rule_and_of_the_claim() -> None:
    with_claim = rule(groups=("ci",), groups_claim="roles")
    assert identify({"roles": ["a", "b"]}, with_claim).groups == {"ci", "a", "b"}
    assert identify({}, with_claim).groups == {"ci"}


@pytest.mark.parametrize("groups", ["a b", [1], [""], ["x" * 201], {"a": 1}, [str(n) for n in range(MAX_GROUPS + 1)]])
def test_groups_that_cannot_be_read_are_a_refusal(groups: object) -> None:
    with pytest.raises(LoginRefused):
        identify({"roles": groups}, rule(groups_claim="roles"))


def test_claims_are_kept_as_evidence_and_bounded() -> None:
    kept = dict(identify({"run_id": 5, "team": "x" * 900, "act": {"sub": "bot"}, "z": 1}, rule(keep=("team",))).claims)
    assert kept == {"run_id": "5", "team": "x" * 512, "act": '{"sub":"bot"}'}
