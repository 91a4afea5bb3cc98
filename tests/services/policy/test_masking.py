"""The masking of a session: what is in it, when there is none, when it changes, and that it fails as a whole."""

from types import MappingProxyType
from typing import Any

import cedarpy
import msgspec
import pytest
from tests.services.policy.catalogues import SHOP, USERS, VIEW, catalogue, relation
from tests.services.policy.examples import agent, engine, meaning, user

from interlock.core.catalogue import ForeignKey
from interlock.core.errors import MaskingUnavailable
from interlock.core.masking import ColumnMask, DetectorMask, Masking, MaskingOptions, MaskKind, Predicates
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.sources import Tags

CI = agent("ci-bots")
PII: Tags = {"public.users.email": ["pii"]}
PERMIT = '@id("p") permit (principal, action, resource);\n'
HIDE = '@id("hide") @mask("partial") forbid (principal is Agent, action == Action::"reveal", resource in Tag::"pii");\n'
CARDS = '@id("cards") forbid (principal, action == Action::"reveal", resource == Detector::"credit-card");\n'
KEY = b"a secret of thirty-two octets!!!"


def session(text: str = PERMIT + HIDE, tags: Tags = PII) -> AnyPolicy:
    return engine(text, tags).for_session(CI, "pg", "app")


def masking(policy: AnyPolicy, found: Any = SHOP, **options: Any) -> Masking:
    made = policy.masking(found, MaskingOptions(**options))
    assert made is not None
    return made


def test_columns_with_what_is_derived_from_them() -> None:
    shown = catalogue(USERS, relation(2, "v", ["mail"], VIEW), sources={(2, "mail"): [(1, "email")]})
    made = masking(session(), shown)
    assert made.columns == {
        1: {"email": ColumnMask(MaskKind.PARTIAL, Predicates.EQUALITY, ("hide",))},
        2: {"mail": ColumnMask(MaskKind.REDACT, Predicates.DENY, ("hide",))},
    }
    assert made.catalogue is shown
    assert made.detectors == {}


def test_options_are_handed_on() -> None:
    made = masking(session(), reviewed=frozenset({"public.f"}), key=KEY, show_notifications=True)
    assert (made.reviewed, made.key, made.show_notifications) == (frozenset({"public.f"}), KEY, True)


@pytest.mark.parametrize(
    ("text", "tags"), [(PERMIT, PII), (PERMIT + HIDE, {}), ("", PII), (HIDE.replace("is Agent", "is User"), PII)]
)
def test_nothing_masked(text: str, tags: Tags) -> None:
    assert session(text, tags).masking(SHOP) is None


def test_others_see_everything() -> None:
    policy = engine(PERMIT + HIDE, PII)
    assert policy.for_session(user("ci-bots"), "pg", "app").masking(SHOP) is None
    assert policy.for_session(CI, "pg", "app").masking(SHOP) is not None


class TestDetectors:
    def test_of_a_rule(self) -> None:
        made = masking(session(PERMIT + CARDS))
        assert made.columns == {}
        assert made.detectors == {"credit-card": DetectorMask(True, ("cards",))}

    def test_of_the_configuration(self) -> None:
        configured = {"email": DetectorMask(False), "iban": DetectorMask(True)}
        assert masking(session(PERMIT), detectors=configured).detectors == configured

    def test_a_rule_masks_what_the_configuration_counts_and_never_less(self) -> None:
        configured = {"credit-card": DetectorMask(False), "iban": DetectorMask(True)}
        permit = '@id("see") permit (principal, action == Action::"reveal", resource is Detector);'
        assert masking(session(permit + CARDS), detectors=configured).detectors == {
            "credit-card": DetectorMask(True, ("cards",)),
            "iban": DetectorMask(True),
        }


class TestVersion:
    def test_differs_with_everything_that_decides(self) -> None:
        louder = HIDE.replace("partial", "redact")
        made = [
            masking(session()),
            masking(session(PERMIT + louder)),
            masking(session(PERMIT + HIDE + "// more")),
            masking(session(), msgspec.structs.replace(SHOP, version="v2")),
            masking(session(), reviewed=frozenset({"public.f"})),
            masking(session(), show_notifications=True),
            masking(session(), detectors={"ssn": DetectorMask(True)}),
            masking(session(), detectors={"ssn": DetectorMask(False)}),
        ]
        assert len({each.version for each in made}) == len(made)

    def test_is_the_same_for_the_same(self) -> None:
        assert masking(session()).version == masking(session()).version
        assert masking(session(), key=KEY).version == masking(session()).version
        other_order = {"ssn": DetectorMask(True), "email": DetectorMask(True)}
        first = masking(session(), detectors=other_order)
        assert first.version == masking(session(), detectors=dict(reversed(other_order.items()))).version


class TestRemembered:
    def test_until_catalogue_or_options_change(self) -> None:
        policy = session()
        made = masking(policy)
        assert masking(policy) is made
        assert masking(policy, detectors=MappingProxyType({})) is made
        assert masking(policy, msgspec.structs.replace(SHOP, version="v2")) is not made
        again = masking(policy)
        assert masking(policy, key=KEY) is not again
        assert masking(policy, key=KEY).key == KEY

    def test_decisions_do_not_depend_on_it(self) -> None:
        policy, asked = session(), meaning("select")
        before = policy.decide(asked, 0.0)
        assert before.rules == ("p",)
        masking(policy)
        assert policy.decide(asked, 0.0) is before


class TestFailsClosed:
    @pytest.mark.parametrize("error", [RuntimeError("x"), ValueError("x"), MemoryError(), RecursionError(), KeyError()])
    def test_a_broken_engine(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def broken(*_args: object) -> list[cedarpy.AuthzResult]:
            raise error

        policy = session()
        monkeypatch.setattr(cedarpy, "is_authorized_batch", broken)
        with pytest.raises(MaskingUnavailable):
            policy.masking(SHOP)
        monkeypatch.undo()
        assert policy.masking(SHOP), "a failure must not be remembered"

    def test_a_panic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class PanicException(BaseException):
            """Looks like the one of native code, which cannot be raised on purpose."""

        def panics(*_args: object) -> list[cedarpy.AuthzResult]:
            raise PanicException

        monkeypatch.setattr(cedarpy, "is_authorized_batch", panics)
        with pytest.raises(MaskingUnavailable):
            session(PERMIT + CARDS).masking(SHOP)

    @pytest.mark.parametrize(
        "answer",
        [{}, {"decision": "Allow"}, {"decision": "Deny", "diagnostics": {"reason": ["a-rule-nobody-wrote"]}}],
    )
    def test_strange_answers(self, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
        monkeypatch.setattr(
            cedarpy, "is_authorized_batch", lambda requests, *_: [cedarpy.AuthzResult(answer)] * len(requests)
        )
        with pytest.raises(MaskingUnavailable):
            session().masking(SHOP)

    def test_one_broken_rule_is_enough(self) -> None:
        overflow = 'when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false }'
        text = f'@id("o") forbid (principal, action == Action::"reveal", resource) {overflow};'
        with pytest.raises(MaskingUnavailable, match='rule "o"'):
            session(PERMIT + HIDE + text).masking(SHOP)

    def test_a_catalogue_that_contradicts_itself(self) -> None:
        wrong = relation(2, "logins", ["who"], foreign_keys=(ForeignKey(("who",), 1, ()),))
        with pytest.raises(MaskingUnavailable):
            session().masking(catalogue(USERS, wrong))

    @pytest.mark.parametrize("name", ["a\ud800", "x" * 100_000, 'quote"', "new\nline", "nul\0", ""])
    def test_hostile_names_are_masked_or_refused(self, name: str) -> None:
        everything = '@id("r") forbid (principal, action == Action::"reveal", resource);'
        hostile = catalogue(relation(1, name, [name]))
        try:
            made = session(everything).masking(hostile)
        except MaskingUnavailable:
            return
        assert made is not None
        assert set(made.columns[1]) == {name}


def test_no_secret_in_what_is_shown_of_it() -> None:
    options = MaskingOptions(key=KEY)
    made = masking(session(), key=KEY)
    assert "secret" not in repr(options) + str(options) + repr(made) + made.version
