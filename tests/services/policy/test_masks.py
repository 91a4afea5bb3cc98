"""Which columns and detectors rules mask, and that whatever breaks is an error."""

from typing import Any

import cedarpy
import pytest
from tests.services.policy.catalogues import SHOP, catalogue, column, relation
from tests.services.policy.examples import agent, engine, user

from interlock.core.catalogue import Catalogue, ColumnKey, RelationKind
from interlock.core.errors import MaskingUnavailable
from interlock.core.identity import Principal
from interlock.core.masking import DETECTOR_CLASSES, ColumnMask, MaskKind, Predicates
from interlock.services.policy import ClientFacts, PolicyEngine, masks
from interlock.services.policy.masks import MaskRules
from interlock.services.policy.sources import NO_TAGS, Tags

CI = agent("ci-bots")
ALL = {(1, "id"), (1, "email"), (1, "ssn"), (2, "id"), (2, "total")}
EMAIL = {(1, "email")}


def on_reveal(resource: str, mask: str = '@mask("partial")', rule_id: str = "r", principal: str = "principal") -> str:
    return f'@id("{rule_id}") {mask} forbid ({principal}, action == Action::"reveal", resource {resource});\n'


def rules(policy: PolicyEngine, principal: Principal = CI, **client: str) -> MaskRules:
    return policy.for_session(principal, "pg", "app", ClientFacts(**client)).masks


def masked(text: str, tags: Tags = NO_TAGS, of: Catalogue = SHOP, who: Principal = CI) -> dict[ColumnKey, ColumnMask]:
    return rules(engine(text, tags), who).on_columns(of)


class TestResources:
    @pytest.mark.parametrize(
        ("resource", "columns"),
        [
            ("", ALL),
            ("is Column", ALL),
            ('in Connection::"pg"', ALL),
            ('in Database::"pg/app"', ALL),
            ('in Schema::"pg/app/public"', ALL),
            ('in Table::"pg/app/public/orders"', {(2, "id"), (2, "total")}),
            ('== Column::"pg/app/public/users/email"', EMAIL),
            ('in Column::"pg/app/public/users/email"', EMAIL),
            ('is Column in Table::"pg/app/public/orders"', {(2, "id"), (2, "total")}),
            ('in Connection::"other"', set()),
            ('in Database::"pg/other"', set()),
            ('in Schema::"pg/app/private"', set()),
            ('== Column::"pg/app/public/users/Email"', set()),
            ('in Tag::"pii"', set()),
            ("is Detector", set()),
        ],
    )
    def test_scopes(self, resource: str, columns: set[ColumnKey]) -> None:
        assert masked(on_reveal(resource)).keys() == columns

    @pytest.mark.parametrize(
        ("tags", "columns"),
        [
            ({"pg": ["pii"]}, ALL),
            ({"pg/app/public": ["pii"]}, ALL),
            ({"public.orders": ["pii"]}, {(2, "id"), (2, "total")}),
            ({"pg/app/public/users/email": ["pii"]}, EMAIL),
            ({"*/*/*/*/e*": ["pii"]}, EMAIL),
            ({"public.users.email": ["pii"], "*.*.total": ["other", "pii"]}, {(1, "email"), (2, "total")}),
            ({"*.*.id": ["pii"]}, {(1, "id"), (2, "id")}),
            ({"other/app/public/users/email": ["pii"]}, set()),
        ],
    )
    def test_tags_of_the_configuration(self, tags: Tags, columns: set[ColumnKey]) -> None:
        assert masked(on_reveal('in Tag::"pii"'), tags).keys() == columns
        condition = '@id("r") forbid (principal, action == Action::"reveal", resource) when { resource in Tag::"pii" };'
        assert masked(condition, tags).keys() == columns

    def test_tags_of_the_database(self) -> None:
        tagged = catalogue(
            relation(1, "users", ["id", column("email", 2, tags=["pii"])]),
            relation(2, "orders", ["id"], tags=("pii",)),
            relation(3, "users", ["email"], schema="private"),
        )
        assert masked(on_reveal('in Tag::"pii"'), of=tagged).keys() == {(1, "email"), (2, "id")}

    def test_names_cannot_pretend_to_be_paths(self) -> None:
        odd = catalogue(
            relation(1, "a/b", ["c", "d/e%"]), relation(2, "a", ["b/c"]), relation(3, "b/c", ["x"], schema="a")
        )
        assert masked(on_reveal('== Column::"pg/app/public/a%2Fb/d%2Fe%25"'), of=odd).keys() == {(1, "d/e%")}
        assert masked(on_reveal('in Table::"pg/app/public/a"'), of=odd).keys() == {(2, "b/c")}
        assert masked(on_reveal('in Tag::"t"'), {"pg/app/public/*/c": ["t"]}, odd).keys() == {(1, "c")}

    def test_composite_types_hold_no_values(self) -> None:
        assert masked(on_reveal(""), of=catalogue(relation(1, "pair", ["a"], RelationKind.COMPOSITE))) == {}

    def test_views_are_named_like_tables(self) -> None:
        shown = catalogue(relation(5, "emails", ["email"], RelationKind.VIEW))
        assert masked(on_reveal('in Table::"pg/app/public/emails"'), of=shown).keys() == {(5, "email")}


class TestFormerNames:
    RENAMED = catalogue(
        relation(
            1,
            "people",
            ["id", column("mail", 2, known_as=["email"])],
            known_as=(("public", "users"), ("old", "users")),
        )
    )

    @pytest.mark.parametrize(
        "name", ["people/mail", "people/email", "users/mail", "users/email"], ids=lambda name: name.replace("/", "-")
    )
    def test_a_column_counts_under_all_its_names(self, name: str) -> None:
        assert masked(on_reveal(f'== Column::"pg/app/public/{name}"'), of=self.RENAMED).keys() == {(1, "mail")}
        by_tag = {f"pg/app/public/{name}": ["pii"]}
        assert masked(on_reveal('in Tag::"pii"'), by_tag, self.RENAMED).keys() == {(1, "mail")}

    def test_former_schemas(self) -> None:
        assert masked(on_reveal('in Schema::"pg/app/old"'), of=self.RENAMED).keys() == {(1, "id"), (1, "mail")}

    def test_a_name_that_another_had_does_not_lend_its_tags(self) -> None:
        taken = catalogue(
            relation(1, "users", ["email"]),
            relation(2, "archive", ["email"], tags=("public",), known_as=(("public", "users"),)),
        )
        text = '@id("r") forbid (principal, action == Action::"reveal", resource) unless { resource in Tag::"public" };'
        assert (1, "email") in masked(text, of=taken)


class TestPrincipals:
    @pytest.mark.parametrize(
        ("principal", "agents", "users"),
        [
            ("principal", True, True),
            ("principal is Agent", True, False),
            ('principal in Group::"ci-bots"', True, False),
            ('principal is User in Group::"ci-bots"', False, False),
            ('principal is Agent in Group::"ci-bots"', True, False),
            ('principal == Agent::"ci-1"', True, False),
            ('principal == User::"ci-1"', False, False),
            ('principal in User::"sam"', False, True),
        ],
    )
    def test_scopes(self, principal: str, agents: bool, users: bool) -> None:
        text = on_reveal("", principal=principal)
        assert bool(masked(text)) is agents
        assert bool(masked(text, who=user("support"))) is users

    def test_exemptions(self) -> None:
        exempt = 'unless { principal in Group::"support" }'
        text = f'@id("r") forbid (principal, action == Action::"reveal", resource) {exempt};'
        assert masked(text)
        assert masked(text, who=user("support")) == {}

    def test_what_the_client_says(self) -> None:
        text = (
            '@id("r") forbid (principal, action == Action::"reveal", resource) '
            'unless { context.client.address == "10.0.0.1" && context.trace == "t" };'
        )
        policy = engine(text)
        assert rules(policy, address="10.0.0.1", trace="t").on_columns(SHOP) == {}
        assert rules(policy, address="10.0.0.2", trace="t").on_columns(SHOP)


class TestMasks:
    def test_without_a_mask_it_is_forbidden_and_never_compared(self) -> None:
        assert masked(on_reveal('== Column::"pg/app/public/users/email"', ""))[1, "email"] == ColumnMask(
            MaskKind.FORBID, Predicates.DENY, ("r",)
        )

    def test_the_strongest_wins_and_all_rules_are_named(self) -> None:
        text = (
            on_reveal('in Table::"pg/app/public/users"', '@mask("partial") @predicates("deny")', "a")
            + on_reveal('in Tag::"pii"', '@mask("hash") @predicates("allow")', "b")
            + on_reveal('== Column::"pg/app/public/users/ssn"', "", "c")
        )
        found = masked(text, {"public.users.*": ["pii"]})
        assert found[1, "email"] == ColumnMask(MaskKind.HASH, Predicates.DENY, ("a", "b"))
        assert found[1, "ssn"] == ColumnMask(MaskKind.FORBID, Predicates.DENY, ("a", "b", "c"))

    def test_permits_say_nothing(self) -> None:
        permit = '@id("p") permit (principal, action, resource);'
        assert masked(permit + on_reveal('in Tag::"x"')) == {}
        assert masked(permit + on_reveal("")).keys() == ALL

    @pytest.mark.parametrize(
        "rule",
        [
            "forbid (principal, action, resource);",
            'forbid (principal, action, resource) unless { action in Action::"read" };',
            'forbid (principal, action in [Action::"select", Action::"reveal"], resource);',
            '@message("no") forbid (principal is Agent, action, resource in Connection::"pg");',
        ],
    )
    def test_forbids_without_an_action_of_their_own(self, rule: str) -> None:
        found = masked(f'@id("f") {rule}')
        assert found.keys() == ALL
        assert {mask.kind for mask in found.values()} == {MaskKind.FORBID}

    @pytest.mark.parametrize(
        "rule",
        [
            'forbid (principal, action in Action::"read", resource);',
            'forbid (principal, action == Action::"select", resource);',
            '@approval("dba") forbid (principal, action, resource);',
            '@budget("rows=1 per 1h") forbid (principal, action, resource);',
            "forbid (principal, action, resource) when { context.hour < 7 };",
            "forbid (principal, action, resource) unless { context has sql && context.sql.has_where };",
            'forbid (principal, action, resource) when { context.hour < 7 && resource in Tag::"prod" };',
        ],
    )
    def test_forbids_that_decide_operations(self, rule: str) -> None:
        assert masked(f'@id("f") {rule}', {"pg": ["prod"]}) == {}

    @pytest.mark.parametrize(
        "rule",
        [
            '@approval("dba") forbid (principal, action, resource in Tag::"pii");',
            '@budget("rows=1 per 1h") forbid (principal, action, resource in Tag::"pii");',
            'forbid (principal, action, resource in Tag::"pii") when { context.hour < 7 };',
            'forbid (principal, action, resource) when { context.hour < 7 && resource in Tag::"pii" };',
        ],
    )
    def test_what_no_operation_is_asked_about_is_forbidden(self, rule: str) -> None:
        tagged = catalogue(relation(1, "users", ["id", "email"]), relation(2, "orders", ["id"], tags=("pii",)))
        found = masked(f'@id("f") {rule}', {"public.users.email": ["pii"]}, tagged)
        strictest = ColumnMask(MaskKind.FORBID, Predicates.DENY, ("f",))
        assert found == {(1, "email"): strictest, (2, "id"): strictest}
        known = {"public.users": ["pii"], "public.users.email": ["pii"]}
        assert masked(f'@id("f") {rule}', known, catalogue(relation(1, "users", ["id", "email"]))) == {}


class TestDetectors:
    @pytest.mark.parametrize(
        ("resource", "classes"),
        [
            ('== Detector::"iban"', {"iban"}),
            ("is Detector", set(DETECTOR_CLASSES)),
            ("", set(DETECTOR_CLASSES)),
            ('in Connection::"pg"', set()),
            ("is Column", set()),
        ],
    )
    def test_scopes(self, resource: str, classes: set[str]) -> None:
        assert rules(engine(on_reveal(resource))).on_detectors().keys() == classes
        assert rules(engine(on_reveal(resource, ""))).on_detectors().keys() == classes

    def test_of_others(self) -> None:
        policy = engine(on_reveal("is Detector", principal='principal in Group::"x"'))
        assert rules(policy).on_detectors() == {}


class TestAny:
    @pytest.mark.parametrize(
        ("resource", "anything"),
        [
            ("", True),
            ("is Column", True),
            ("is Detector", True),
            ('== Detector::"ssn"', True),
            ('in Tag::"from-the-database"', True),
            ('in Connection::"pg"', True),
            ('in Database::"pg/app"', True),
            ('in Table::"pg/app/private/x"', True),
            ('== Column::"pg/app/private/x/y"', True),
            ('is Column in Schema::"pg/app/x"', True),
            ('in Connection::"pg2"', False),
            ('in Database::"pg/app2"', False),
            ('== Column::"pg2/app/public/users/email"', False),
            ('is Column in Table::"pg/app2/public/users"', False),
        ],
    )
    def test_places(self, resource: str, anything: bool) -> None:
        assert engine(on_reveal(resource)).masks_anything("pg", "app", CI) is anything

    def test_escaped_names(self) -> None:
        policy = engine(on_reveal('in Database::"pg%2Fx/a%25"'))
        assert policy.masks_anything("pg/x", "a%", CI)
        assert not policy.masks_anything("pg", "x", CI)

    def test_principals(self) -> None:
        policy = engine(on_reveal("", principal='principal in Group::"x"'))
        assert not policy.masks_anything("pg", "app", CI)
        assert policy.masks_anything("pg", "app", agent("x"))

    @pytest.mark.parametrize(
        ("rule", "anything"),
        [
            ("permit (principal, action, resource);", False),
            ('permit (principal, action == Action::"reveal", resource);', False),
            ('forbid (principal, action in Action::"write", resource);', False),
            ("forbid (principal, action, resource);", True),
            ("forbid (principal, action, resource) when { context.hour < 7 };", False),
            ('forbid (principal, action, resource in Tag::"pii") when { context.hour < 7 };', True),
            ('@approval("dba") forbid (principal, action, resource) when { resource in Tag::"pii" };', True),
            ('@budget("rows=1 per 1h") forbid (principal, action, resource) when { resource in Tag::"pii" };', True),
        ],
    )
    def test_rules(self, rule: str, anything: bool) -> None:
        assert engine(f'@id("r") {rule}').masks_anything("pg", "app", CI) is anything


class TestFailsClosed:
    def test_a_rule_that_cannot_be_evaluated(self) -> None:
        broken = (
            '@id("o") forbid (principal, action == Action::"reveal", resource) '
            'when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false };'
        )
        with pytest.raises(MaskingUnavailable, match='rule "o" failed'):
            masked(broken + on_reveal(""))
        with pytest.raises(MaskingUnavailable):
            rules(engine(broken)).on_detectors()
        assert rules(engine(broken), trace="t").on_columns(SHOP) == {}

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"decision": "NoDecision"},
            {"decision": "Perhaps"},
            {"decision": "Allow"},
            {"decision": "Allow", "diagnostics": {"reason": ["r"]}},
            {"decision": "Deny", "diagnostics": {"reason": [], "errors": ["something"]}},
            {"decision": "Deny", "diagnostics": {"reason": ["a-rule-nobody-wrote"]}},
        ],
    )
    def test_strange_answers(self, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
        policy = engine(on_reveal(""))
        monkeypatch.setattr(
            cedarpy, "is_authorized_batch", lambda requests, *_: [cedarpy.AuthzResult(answer)] * len(requests)
        )
        with pytest.raises((MaskingUnavailable, KeyError)):
            rules(policy).on_columns(SHOP)
        with pytest.raises((MaskingUnavailable, KeyError)):
            rules(policy).on_detectors()

    def test_missing_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda *_: [])
        with pytest.raises(RuntimeError):
            masked(on_reveal(""))


class TestCost:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        sizes: list[int] = []
        ask = cedarpy.is_authorized_batch

        def counted(requests: list[dict[str, Any]], *others: Any) -> list[cedarpy.AuthzResult]:
            sizes.append(len(requests))
            return ask(requests, *others)

        monkeypatch.setattr(cedarpy, "is_authorized_batch", counted)
        return sizes

    def test_only_columns_that_a_scope_fits_are_asked_about(self, asked: list[int]) -> None:
        masked(on_reveal('in Tag::"pii"'), {"public.users.email": ["pii"]})
        assert asked == [1]
        masked(on_reveal('in Connection::"other"'))
        masked(on_reveal("", principal='principal in Group::"x"'))
        assert asked == [1]

    PARTICULAR = (
        '@id("r") forbid (principal, action == Action::"reveal", resource) '
        'unless { resource == Column::"pg/app/public/users/id" };'
    )

    def test_columns_for_which_the_same_counts_are_asked_about_together(self, asked: list[int]) -> None:
        text = on_reveal("", rule_id="a") + on_reveal('in Tag::"pii"', "", "b")
        found = masked(text, {"public.users.email": ["pii"], "*.*.total": ["pii"]})
        assert {key for key, mask in found.items() if mask.kind is MaskKind.FORBID} == {(1, "email"), (2, "total")}
        assert found.keys() == ALL
        assert asked == [2]

    def test_columns_that_a_condition_tells_apart_are_not(self, asked: list[int]) -> None:
        assert masked(self.PARTICULAR).keys() == ALL - {(1, "id")}
        assert asked == [5]

    def test_in_batches(self, asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(masks, "_BATCH", 2)
        assert masked(self.PARTICULAR).keys() == ALL - {(1, "id")}
        assert asked == [2, 2, 1]
