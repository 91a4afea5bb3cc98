"""The other masks and what policy says about comparing: nothing more comes out, and what is permitted works."""

from contextlib import closing

import pytest

from tests.masking.corpus import Case, sections
from tests.masking.playing import applies, leaked, only_reads
from tests.masking.servers import Masked, Worlds, policy, run_gateway
from tests.masking.session import Way
from tests.masking.trial import Answers, Trial, differ, worlds_of
from tests.masking.world import WORLD_A

_READS = sections("attacks_queries", "attacks_derived", "attacks_errors")
_LOOK_UPS = sections("benign")["Looked up by a known value"]
_INFERENCES = sections("attacks_inference")["Comparisons other than equality"]


@pytest.mark.parametrize("mask", ["partial", "hash", "tokenise", "null"])
def test_no_value_comes_out_whatever_the_mask(mask: str, worlds: Worlds) -> None:
    cases = [case for section in _READS.values() for case in section if applies(case, worlds) and only_reads(case)]
    found = []
    with run_gateway(worlds.server, policy(mask)) as masked, closing(Trial(worlds, masked)) as trial:
        for case in cases:
            for way in {case.way, Way.BINARY}:
                answers = trial.answers(case, way, rolled_back=False)
                problems = _leaked(case, answers)
                if mask == "null" and differ(answers):
                    problems.append("the answers differ")
                found += [f"{case}\n    {way.value}: {problem}" for problem in problems]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("mask", ["partial", "hash", "tokenise", "null"])
def test_every_row_and_column_is_there(mask: str, worlds: Worlds) -> None:
    with run_gateway(worlds.server, policy(mask)) as masked:
        for text in ("SELECT * FROM users ORDER BY id", "SELECT * FROM v_contacts ORDER BY id", "TABLE mv_contacts"):
            for way in (Way.SIMPLE, Way.EXTENDED, Way.BINARY):
                with worlds.open(WORLD_A) as direct, masked.open(WORLD_A) as session:
                    expected, answer = direct.send(text, way), session.send(text, way)
                assert not answer.errors
                assert answer.columns == expected.columns
                assert len(answer.rows) == len(expected.rows)
                assert leaked([answer], WORLD_A) == []


def test_partial_keeps_the_shape(worlds: Worlds) -> None:
    with run_gateway(worlds.server, policy("partial")) as masked, masked.open(WORLD_A) as session:
        ((email, ssn),) = session.simple("SELECT email, ssn FROM users WHERE id = 1").rows
    assert email is not None
    assert email.endswith(b"@mailhaven.test")
    assert ssn is not None
    assert ssn.endswith(b"7093")


@pytest.mark.parametrize("mask", ["hash", "tokenise"])
def test_equal_values_have_equal_masks(mask: str, worlds: Worlds) -> None:
    """What is joined by a hidden value can still be told to belong together, in every session."""
    with run_gateway(worlds.server, policy(mask)) as masked:
        with masked.open(WORLD_A) as session:
            users = {row[0] for row in session.simple("SELECT email FROM users WHERE id IN (1, 2, 3)").rows}
        with masked.open(WORLD_A) as session:
            logins = {row[0] for row in session.simple("SELECT email FROM logins").rows}
    assert len(users) == 3
    assert users == logins


def test_deny_tells_nothing_to_a_look_up(worlds: Worlds) -> None:
    with run_gateway(worlds.server, policy(predicates="deny")) as masked, closing(Trial(worlds, masked)) as trial:
        told = [str(case) for case in _LOOK_UPS if differ(_answers(case, trial))]
    assert not told, "\n".join(told)


def test_allow_compares_the_real_values(worlds: Worlds, directly: Trial) -> None:
    wrong = []
    with run_gateway(worlds.server, policy(predicates="allow")) as masked, closing(Trial(worlds, masked)) as trial:
        for case in (*_LOOK_UPS, *_INFERENCES[:11]):
            expected, found = (_answers(case, way)[WORLD_A.database][-1] for way in (directly, trial))
            if expected.tags != found.tags:
                wrong.append(f"{case}\n    {found.tags} {found.errors}, directly {expected.tags}")
            if problems := _leaked(case, _answers(case, trial)):
                wrong.append(f"{case}\n    {problems}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_of_two_masks_the_stronger_wins(worlds: Worlds) -> None:
    rules = policy("partial") + policy("null").partition(";\n")[2].replace('@id("pii")', '@id("pii-again")')
    with run_gateway(worlds.server, rules) as masked:
        assert _emails(masked) == {None}


def test_forbid_without_a_mask_refuses_what_could_show_it(worlds: Worlds) -> None:
    rules = policy().replace('@mask("redact") @predicates("equality")\n', "")
    with run_gateway(worlds.server, rules) as masked, masked.open(WORLD_A) as session:
        refused = session.simple("SELECT email FROM users")
        assert [error["C"] for error in refused.errors] == ["42501"]
        assert session.simple("SELECT name FROM users WHERE id = 1").rows == [(b"Ada Lovelace",)]


def _emails(masked: Masked) -> set[bytes | None]:
    with masked.open(WORLD_A) as session:
        return {row[0] for row in session.simple("SELECT email FROM users").rows}


def _answers(case: Case, trial: Trial) -> Answers:
    return trial.answers(case, case.way, rolled_back=not case.autocommit)


def _leaked(case: Case, answers: Answers) -> list[str]:
    sent = " ".join(f"{step.text} {step.parameters}" for step in case.steps)
    return [
        f"{name} comes out"
        for world in worlds_of(case)
        for name in leaked(answers[world.database], world)
        if world.markers()[name] not in sent
    ]
