"""Every attack of the corpus leaks without a gateway, which keeps the corpus honest, and does not leak through it."""

import pytest

from tests.masking.corpus import sections
from tests.masking.playing import applies
from tests.masking.servers import Worlds
from tests.masking.trial import Trial, fails_to_leak, leaks

FILES = (
    "attacks_queries",
    "attacks_derived",
    "attacks_errors",
    "attacks_writes",
    "attacks_session",
    "attacks_inference",
    "attacks_schemes",
)
ATTACKS = sections(*FILES)


@pytest.mark.parametrize("section", ATTACKS)
def test_it_leaks_directly(section: str, worlds: Worlds, directly: Trial) -> None:
    cases = [case for case in ATTACKS[section] if applies(case, worlds)]
    tame = [f"{case}\n    {problem}" for case in cases if (problem := fails_to_leak(case, directly))]
    assert not tame, "\n" + "\n".join(tame)


@pytest.mark.parametrize("section", ATTACKS)
def test_nothing_leaks_through_the_gateway(section: str, worlds: Worlds, through_the_gateway: Trial) -> None:
    cases = [case for case in ATTACKS[section] if applies(case, worlds)]
    found = [f"{case}\n    {leak}" for case in cases for leak in leaks(case, through_the_gateway)]
    assert not found, "\n" + "\n".join(found)


def test_the_corpus_is_large() -> None:
    assert sum(map(len, ATTACKS.values())) > 1000
