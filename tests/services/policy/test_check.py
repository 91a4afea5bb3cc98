"""What the check reports, and that it stays silent where it cannot be certain."""

from pathlib import Path

import pytest
from tests.services.policy.examples import BASIC, engine, source

from interlock.core.settings import OWN_CONNECTION, ConnectionSettings
from interlock.core.settings.http import EndpointSettings, HttpTarget
from interlock.services.policy import check as check_module
from interlock.services.policy.check import KnownNames, Severity, check, known_names

NAMES = KnownNames(frozenset({"ci-bots", "dba"}), frozenset({"pg"}), frozenset({"node"}))
WITHOUT_LIMITS = (
    "gives every permission on the gateway itself, too, to the users in its scope: limit actions or resources"
)


def warnings(text: str) -> list[str]:
    """All warnings but those of permits without limits, which have a test of their own."""
    remarks = check([source(text)])
    assert all(remark.severity is Severity.WARNING for remark in remarks), remarks
    return [remark.text for remark in remarks if not remark.text.endswith(WITHOUT_LIMITS)]


def test_nothing_to_say() -> None:
    assert check([source(BASIC)], {}, NAMES) == ()


def test_errors_are_those_of_the_engine() -> None:
    remarks = check([source('permit (principal, action == Action::"x", resource);')], {"a//b": ["x"]})
    assert {remark.severity for remark in remarks} == {Severity.ERROR}
    assert any("every rule needs an @id" in remark.text for remark in remarks)
    assert any("tag pattern" in remark.text for remark in remarks)


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        ('permit (principal in Group::"typo", action, resource in Connection::"pg");', 'group "typo"'),
        ('permit (principal, action, resource == Gateway::"typo");', 'gateway "typo"'),
        ('@approval("typo") forbid (principal, action, resource);', 'group "typo"'),
        ('forbid (principal, action, resource) unless { principal in Group::"typo" };', 'group "typo"'),
        ('forbid (principal, action, resource in Connection::"typo");', 'connection "typo"'),
        ('forbid (principal, action, resource == Table::"typo/app/public/users");', 'connection "typo"'),
        ('forbid (principal, action in Action::"read", resource in Tag::"typo");', 'tag "typo"'),
    ],
)
def test_unknown_names(rule: str, missing: str) -> None:
    (remark,) = check([source(f'@id("r") {rule}')], {"public.users": ["pii"]}, NAMES)
    assert remark.severity is Severity.WARNING
    assert remark.text == f'a.cedar:1: rule "r" names the {missing}, which the configuration does not have'
    assert check([source(f'@id("r") {rule}')]) == (), "an unknown configuration is not an empty one"


HTTP = KnownNames(
    connections=frozenset({"crm", "pg", "web"}),
    protocols={"crm": "http", "pg": "postgres", "web": "ssh"},
    endpoints=frozenset({"crm/volumes"}),
)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ('in Table::"crm/app/public/users"', "but connections of protocol http have nothing of that kind"),
        ('== Tool::"pg/lookup"', "but connections of protocol postgres have nothing of that kind"),
        ('== Endpoint::"crm/volume"', 'the endpoint "crm/volume", which the settings of its connection do not have'),
        ('== Endpoint::"crm/volumes"', None),
        ('in Connection::"crm"', None),
        ('in Table::"pg/app/public/users"', None),
        ('== Tool::"crm/anything"', None),
        ('== Tool::"web/lookup"', "but connections of protocol ssh have nothing of that kind"),
        ('in Table::"web/app/public/users"', "but connections of protocol ssh have nothing of that kind"),
        ('in File::"crm/srv"', "but connections of protocol http have nothing of that kind"),
        ('== Program::"pg/rm"', "but connections of protocol postgres have nothing of that kind"),
        ('in File::"web/srv"', None),
        ('== Program::"web/rm"', None),
        ('== Host::"web/db.internal"', None),
    ],
)
def test_resources_that_a_connection_cannot_have(resource: str, said: str | None) -> None:
    text = f'@id("r") forbid (principal is Agent, action, resource {resource});'
    remarks = check([source(text)], {}, HTTP)
    assert [said in remark.text for remark in remarks if said] == ([True] if said else [])
    assert bool(remarks) is (said is not None)
    assert check([source(text)]) == ()


def test_known_names_of_settings() -> None:
    crm = ConnectionSettings(
        protocol="http", host="crm", http=HttpTarget(endpoints={"volumes": EndpointSettings("/volumes/**")})
    )
    names = known_names({"crm": crm}, "node")
    assert names.endpoints == {"crm/volumes"}
    assert (names.connections, names.gateways) == (frozenset({"crm", OWN_CONNECTION}), frozenset({"node"}))
    assert names.protocols == {"crm": "http", OWN_CONNECTION: "http"}


def test_tags_that_only_fields_have() -> None:
    rule = '@id("r") forbid (principal, action in Action::"read", resource in Tag::"pii");'
    (remark,) = check([source(rule)], {"Field::crm/email": ["pii"]})
    assert remark.text.endswith('names the tag "pii", which only fields have; they are asked for reveal alone')
    (remark,) = check([source(rule)], {"Field::crm/email": ["pii"], "public.users.email": ["pii"]})
    assert "which only columns and fields have" in remark.text


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ("permit (principal, action, resource);", True),
        ('permit (principal is User in Group::"dba", action, resource) when { context.hour < 5 };', True),
        ("permit (principal is Agent, action, resource);", False),
        ('permit (principal == Agent::"a", action, resource);', False),
        ('permit (principal, action in Action::"read", resource);', False),
        ('permit (principal, action, resource in Connection::"pg");', False),
        ('permit (principal, action, resource) when { action in Action::"read" };', False),
        ('permit (principal, action, resource == Gateway::"node");', False),
        ("forbid (principal, action, resource);", False),
    ],
)
def test_permits_that_reach_the_gateway_without_saying_so(rule: str, warned: bool) -> None:
    remarks = check([source(f'@id("r") {rule}')], None, NAMES)
    assert [remark.text for remark in remarks] == ([f'a.cedar:1: rule "r" {WITHOUT_LIMITS}'] if warned else [])


def test_approvals_that_nobody_can_give() -> None:
    rule = '@id("r") @approval("dba") forbid (principal, action in [Action::"review", Action::"audit"], resource);'
    says = "never asks for approval: permissions on the gateway are there or not"
    assert warnings(rule) == [f'a.cedar:1: rule "r" {says}']
    assert warnings(rule.replace("audit", "select")) == []


TAGS = {"public.users": ["pii"], "public.users.email": ["email", "pii"]}


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        (
            'forbid (principal, action == Action::"reveal", resource in Tag::"typo");',
            'names the tag "typo", which the configuration does not give; only the database could',
        ),
        (
            'forbid (principal, action, resource in Tag::"typo");',
            'names the tag "typo", which the configuration does not give; only the database could',
        ),
        (
            'forbid (principal, action in Action::"read", resource in Tag::"email");',
            'names the tag "email", which only columns have; they are asked for reveal alone',
        ),
        (
            'permit (principal, action == Action::"reveal", resource in Tag::"pii");',
            "grants nothing: who may read may see, unless a forbid on reveal says otherwise",
        ),
        (
            "permit (principal, action, resource is Column);",
            "grants nothing: who may read may see, unless a forbid on reveal says otherwise",
        ),
        (
            'forbid (principal is Agent, action, resource) unless { action in Action::"read" };',
            'is asked for Action::"reveal" of every column, too, which its condition on actions does not name',
        ),
    ],
)
def test_what_reveal_makes_of_a_rule(rule: str, warning: str) -> None:
    (remark,) = check([source(f'@id("r") {rule}')], TAGS, NAMES)
    assert remark.severity is Severity.WARNING
    assert remark.text == f'a.cedar:1: rule "r" {warning}'


@pytest.mark.parametrize(
    "rule",
    [
        '@mask("hash") forbid (principal, action == Action::"reveal", resource in Tag::"email");',
        'forbid (principal, action in Action::"read", resource in Tag::"pii");',
        'forbid (principal, action, resource) unless { action in [Action::"read", Action::"reveal"] };',
        'forbid (principal, action, resource) when { action in Action::"write" && context.hour < 5 };',
        'permit (principal, action in [Action::"select", Action::"reveal"], resource);',
        'forbid (principal, action == Action::"reveal", resource == Column::"pg/app/public/users/email");',
        'forbid (principal, action == Action::"reveal", resource == Detector::"email");',
    ],
)
def test_nothing_to_say_about_reveal(rule: str) -> None:
    assert check([source(f'@id("r") {rule}')], TAGS, NAMES) == ()


@pytest.mark.parametrize(
    ("forbid", "shadowed"),
    [
        ('forbid (principal, action == Action::"reveal", resource);', True),
        ("forbid (principal, action, resource);", True),
        ('@mask("redact") forbid (principal, action == Action::"reveal", resource);', False),
        ('forbid (principal, action == Action::"select", resource);', False),
    ],
)
def test_masks_that_never_show(forbid: str, shadowed: bool) -> None:
    mask = '@id("m") @mask("hash") forbid (principal, action == Action::"reveal", resource in Connection::"pg");'
    found = warnings(f'{mask}\n@id("f") {forbid}')
    assert found == (['a.cedar:1: rule "m" masks nothing: rule "f" at a.cedar:2 forbids all of it'] if shadowed else [])


FORBID_ALL = 'forbid (principal, action in Action::"write", resource in Connection::"pg")'


@pytest.mark.parametrize(
    ("permit", "forbid"),
    [
        ("permit (principal, action, resource);", "forbid (principal, action, resource);"),
        ('permit (principal, action == Action::"insert", resource in Schema::"pg/app/public");', FORBID_ALL + ";"),
        ('permit (principal, action in Action::"write", resource == Role::"pg/x");', FORBID_ALL + ";"),
        (
            'permit (principal is Agent in Group::"a", action, resource) when { context.hour < 5 };',
            "forbid (principal is Agent, action, resource);",
        ),
        ('permit (principal == Agent::"a", action, resource);', "forbid (principal is Agent, action, resource);"),
        (
            'permit (principal is Agent in Group::"a", action, resource);',
            'forbid (principal in Group::"a", action, resource);',
        ),
        (
            'permit (principal in Group::"a", action in [Action::"insert", Action::"drop"], resource);',
            'forbid (principal, action in [Action::"write", Action::"destructive"], resource);',
        ),
        (
            'permit (principal, action == Action::"introspect", resource);',
            'forbid (principal, action in Action::"connect", resource);',
        ),
        (
            'permit (principal, action, resource in File::"web/srv/x");',
            'forbid (principal, action, resource in File::"web/srv");',
        ),
        (
            'permit (principal, action, resource == File::"web/~/x");',
            'forbid (principal, action, resource in File::"web/");',
        ),
    ],
)
def test_permits_that_grant_nothing(permit: str, forbid: str) -> None:
    (warning,) = warnings(f'@id("p") {permit}\n@id("f") {forbid}')
    assert warning == 'a.cedar:1: rule "p" grants nothing: rule "f" at a.cedar:2 forbids all of it'


@pytest.mark.parametrize(
    ("permit", "forbid"),
    [
        ("permit (principal, action, resource);", FORBID_ALL + ";"),
        ('permit (principal, action in Action::"write", resource);', FORBID_ALL + ";"),
        ('permit (principal, action in Action::"write", resource in Tag::"pg");', FORBID_ALL + ";"),
        ('permit (principal, action in Action::"write", resource in Connection::"pg2");', FORBID_ALL + ";"),
        ('permit (principal, action in Action::"write", resource in Schema::"pg2/pg/x");', FORBID_ALL + ";"),
        (
            'permit (principal, action, resource in File::"web/srv2");',
            'forbid (principal, action, resource in File::"web/srv");',
        ),
        (
            'permit (principal, action in Action::"write", resource in Connection::"pg");',
            FORBID_ALL + " when { context.hour < 5 };",
        ),
        (
            'permit (principal, action in Action::"write", resource in Connection::"pg");',
            '@approval("dba") ' + FORBID_ALL + ";",
        ),
        ("permit (principal is User, action, resource);", "forbid (principal is Agent, action, resource);"),
        ('permit (principal in Group::"a", action, resource);', 'forbid (principal in Group::"b", action, resource);'),
        (
            'permit (principal in Group::"a", action, resource);',
            'forbid (principal is Agent in Group::"a", action, resource);',
        ),
        ('permit (principal == Agent::"a", action, resource);', 'forbid (principal in Group::"a", action, resource);'),
        (
            'permit (principal, action, resource == Role::"pg/app");',
            'forbid (principal, action, resource in Database::"pg/app");',
        ),
        (
            'permit (principal, action in [Action::"insert", Action::"select"], resource);',
            'forbid (principal, action in Action::"write", resource);',
        ),
    ],
)
def test_silence_where_something_may_remain(permit: str, forbid: str) -> None:
    assert warnings(f'@id("p") {permit}\n@id("f") {forbid}') == []


def test_approvals_that_are_never_asked_for() -> None:
    (warning,) = warnings(
        '@id("a") @approval("dba") ' + FORBID_ALL + ';\n@id("f") forbid (principal, action, resource);'
    )
    assert warning.startswith('a.cedar:1: rule "a" never asks for approval: rule "f"')


def test_budgets_that_never_count() -> None:
    budget = '@id("a") @budget("rows=5 per 1h") ' + FORBID_ALL + ";\n"
    (warning,) = warnings(budget + '@id("f") forbid (principal, action, resource);')
    assert warning.startswith('a.cedar:1: rule "a" never lets anything pass within its budget: rule "f"')
    assert warnings(budget + '@id("f") @budget("rows=1 per 1h") forbid (principal, action, resource);') == []


def test_the_sample_is_in_order() -> None:
    sample = (Path(check_module.__file__).parent / "sample.cedar").read_text()
    known = KnownNames(frozenset({"ci-bots", "dba", "security", "support"}), frozenset({"demo"}))
    assert check([source(sample)], {"public.customers.card": ("payment",)}, known) == ()
    assert engine(sample).rules
