"""What is masked in bodies of HTTP connections: which fields are asked for, and which mask lies on them."""

import cedarpy
import pytest
from tests.services.policy.examples import agent, engine

from interlock.core.errors import MaskingUnavailable, PolicyRejected
from interlock.core.masking import (
    ANY_NAME,
    DETECTOR_CLASSES,
    ColumnMask,
    DetectorMask,
    Masking,
    MaskingOptions,
    MaskKind,
    Predicates,
)
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.sources import NO_TAGS, Tags
from interlock.services.policy.viewpoint import ClientFacts

REVEAL = 'forbid (principal, action == Action::"reveal", resource {})'
DECLARED: Tags = {
    "Field::crm/email": ["pii", "contact"],
    "Field::crm/%2Fcustomer%2F*%2Fphone": ["pii"],
    "Field::crm/country": [],
    "Field::other/email": ["pii"],
}


def mask(scope: str, word: str | None = "redact", rule_id: str = "r", more: str = "") -> str:
    softener = f'@mask("{word}")' if word else ""
    return f'@id("{rule_id}") {softener} {REVEAL.format(scope)} {more};\n'


def session(text: str, tags: Tags = DECLARED, connection: str = "crm", trace: str = "") -> AnyPolicy:
    return engine(text, tags).for_session(agent("ci-bots"), connection, "", ClientFacts(trace=trace))


def masked(text: str, tags: Tags = DECLARED, connection: str = "crm", trace: str = "") -> dict[str, str]:
    made = session(text, tags, connection, trace).body_masking()
    return {} if made is None else {selector: one.kind.word for selector, one in made.fields.items()}


class TestWhichFields:
    def test_those_with_a_tag_of_their_own(self) -> None:
        assert masked(mask('in Tag::"pii"')) == {"email": "redact", "/customer/*/phone": "redact"}
        assert masked(mask('in Tag::"contact"')) == {"email": "redact"}
        assert masked(mask('in Tag::"pii"'), connection="other") == {"email": "redact"}

    def test_one_that_only_a_rule_names(self) -> None:
        assert masked(mask('== Field::"crm/salary"'), NO_TAGS) == {"salary": "redact"}
        assert masked(mask('== Field::"crm/%2Fa%2Fb%252F"'), NO_TAGS) == {"/a/b%2F": "redact"}
        assert masked(mask('== Field::"crm/salary"'), NO_TAGS, "other") == {}

    def test_one_that_a_condition_names(self) -> None:
        unless = 'unless { resource == Field::"crm/id" || resource == Field::"crm/country" }'
        assert masked(mask("is Field", more=unless)) == {
            ANY_NAME: "redact",
            "email": "redact",
            "/customer/*/phone": "redact",
        }

    def test_all_of_a_connection(self) -> None:
        assert masked(mask('in Connection::"crm"'), NO_TAGS) == {ANY_NAME: "redact"}
        assert masked(mask('== Field::"crm/*"'), NO_TAGS) == {ANY_NAME: "redact"}
        assert masked(mask('in Connection::"crm"'), NO_TAGS, "other") == {}

    def test_all_of_a_connection_with_a_tag(self) -> None:
        tags = {"crm": ["secret"], "Field::crm/id": ["harmless"]}
        assert masked(mask('in Tag::"secret"'), tags) == {ANY_NAME: "redact", "id": "redact"}

    def test_none_of_a_column_or_a_table(self) -> None:
        assert masked(mask("is Column"), {"crm/app/public/users/email": ["pii"]}) == {}
        assert masked(mask('in Database::"crm/email"')) == {}

    def test_those_of_the_client_that_a_rule_is_about(self) -> None:
        text = mask('in Tag::"contact"', more='when { context.trace == "t1" }')
        assert masked(text, trace="t1") == {"email": "redact"}
        assert masked(text, trace="t2") == {}
        assert masked(mask('in Tag::"pii"', more='unless { principal in Group::"ci-bots" }')) == {}


class TestWhichMask:
    def test_the_strongest(self) -> None:
        made = session(mask('in Tag::"pii"', "partial", "a") + mask('in Tag::"contact"', "hash", "b")).body_masking()
        assert made is not None
        assert made.fields["email"] == ColumnMask(MaskKind.HASH, Predicates.EQUALITY, ("a", "b"))
        assert made.fields["/customer/*/phone"].kind is MaskKind.PARTIAL

    def test_without_one_the_answer_is_refused(self) -> None:
        assert masked(mask('== Field::"crm/email"', None)) == {"email": "forbid"}

    @pytest.mark.parametrize("softener", ['@approval("dba")', '@budget("requests=5 per 1h")'])
    def test_a_softened_forbid_on_a_tag_that_only_a_field_has(self, softener: str) -> None:
        """No request would be asked about that tag."""
        text = f'@id("r") {softener} forbid (principal, action, resource in Tag::"contact");'
        assert masked(text) == {"email": "forbid"}
        assert masked(text, {"crm": ["contact"], "Field::crm/email": ["contact"]}) == {}

    @pytest.mark.parametrize("reads", ["http && context.http.method == 'GET'", "now && context.now > 0"])
    def test_a_forbid_that_changes_from_request_to_request(self, reads: str) -> None:
        condition = f"when {{ context has {reads} }}".replace("'", '"')
        assert masked(f'@id("r") forbid (principal, action, resource in Tag::"contact") {condition};') == {
            "email": "forbid"
        }


class TestMasking:
    def test_nothing(self) -> None:
        assert session('@id("p") permit (principal, action, resource);').body_masking() is None

    def test_detectors(self) -> None:
        rule = mask('== Detector::"iban"')
        made = session(rule).body_masking(MaskingOptions(detectors={"email": DetectorMask(False)}, key=b"k"))
        assert made is not None
        assert made.detectors == {"email": DetectorMask(False), "iban": DetectorMask(True, ("r",))}
        assert (made.fields, made.columns, made.key) == ({}, {}, b"k")

    def test_a_lock_that_masks_everything(self) -> None:
        everything = ColumnMask(MaskKind.REDACT, Predicates.DENY, ("lock l1",))
        made = session(mask('in Tag::"contact"', "partial")).body_masking(MaskingOptions(everything=everything))
        assert made is not None
        assert made.fields[ANY_NAME] == everything
        stronger = session(mask("is Field", None), NO_TAGS).body_masking(MaskingOptions(everything=everything))
        assert stronger is not None
        assert stronger.fields == {ANY_NAME: ColumnMask(MaskKind.FORBID, Predicates.DENY, ("lock l1", "r"))}

    def test_the_version_differs_with_everything_that_decides(self) -> None:
        made = [
            session(mask('in Tag::"pii"')).body_masking(),
            session(mask('in Tag::"pii"', "hash")).body_masking(),
            session(mask('in Tag::"pii"'), {**DECLARED, "Field::crm/x": ["pii"]}).body_masking(),
            session(mask('in Tag::"pii"')).body_masking(MaskingOptions(detectors={"ssn": DetectorMask(True)})),
            session(mask('in Tag::"pii"')).body_masking(MaskingOptions(everything=ColumnMask(MaskKind.REDACT))),
        ]
        assert len({one.version for one in made if one}) == len(made)

    def test_it_is_remembered(self) -> None:
        policy = session(mask('in Tag::"pii"'))
        assert policy.body_masking() is policy.body_masking()
        assert policy.body_masking(MaskingOptions(key=b"k")) is not policy.body_masking()


class TestFailsClosed:
    def masking(self, text: str) -> Masking | None:
        return session(text).body_masking()

    @pytest.mark.parametrize("scope", ['in Tag::"pii"', 'in Connection::"crm"', "is Detector"])
    def test_a_broken_engine(self, monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
        def broken(*_args: object) -> list[cedarpy.AuthzResult]:
            raise RuntimeError

        policy = session(mask(scope))
        monkeypatch.setattr(cedarpy, "is_authorized_batch", broken)
        with pytest.raises(MaskingUnavailable):
            policy.body_masking()
        monkeypatch.undo()
        assert policy.body_masking(), "a failure must not be remembered"

    @pytest.mark.parametrize("answer", [{}, {"decision": "Allow"}])
    def test_strange_answers(self, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str]) -> None:
        monkeypatch.setattr(
            cedarpy, "is_authorized_batch", lambda requests, *_: [cedarpy.AuthzResult(answer)] * len(requests)
        )
        with pytest.raises(MaskingUnavailable):
            self.masking(mask('in Tag::"pii"'))

    def test_one_rule_that_fails_is_enough(self) -> None:
        overflow = 'when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false }'
        with pytest.raises(MaskingUnavailable, match='rule "o"'):
            self.masking(mask('in Tag::"pii"') + mask("is Field", rule_id="o", more=overflow))

    def test_a_condition_about_requests_is_refused_in_a_rule_about_reveal(self) -> None:
        with pytest.raises(PolicyRejected, match="may not read"):
            self.masking(mask("is Field", more='when { context has http && context.http.method == "GET" }'))


def test_detectors_are_asked_for_once_each() -> None:
    made = session(mask("is Detector")).body_masking()
    assert made is not None
    assert set(made.detectors) == set(DETECTOR_CLASSES)
