"""An approval is bound to everything that makes an operation what it is."""

import msgspec
import pytest

from interlock.core.identity import PrincipalKind
from interlock.core.operation import Operation
from interlock.core.session import Session
from interlock.services.approvals.digest import approval_digest
from tests.services.approvals.bench import agent, session_of
from tests.services.policy.examples import meaning

SESSION = session_of(agent())
OPERATION = Operation(
    3, meaning("delete"), b"DELETE FROM t WHERE id = $1", b"\0\0\0\1\0\0\0\0011", parameter_types=b"\0\1\0\0\0\x17"
)
ACCESSES = ("delete on Table public.t",)


def digest(
    session: Session = SESSION,
    operation: Operation = OPERATION,
    accesses: tuple[str, ...] = ACCESSES,
    policy: str = "p",
) -> str:
    return approval_digest(session, operation, accesses, policy)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("text", b"DELETE FROM t WHERE id = $1 "),
        ("parameters", b"\0\0\0\1\0\0\0\0012"),
        ("parameters_digest", b"x" * 32),
        ("parameter_types", b"\0\1\0\0\0\x19"),
        ("forwarded", b"DELETE FROM t WHERE masked(id) = $1"),
        ("runs", ((b"DELETE FROM t", b""),)),
    ],
)
def test_another_operation_is_another_question(part: str, value: object) -> None:
    assert digest(operation=msgspec.structs.replace(OPERATION, **{part: value})) != digest()


def test_what_is_run_by_name_counts_with_its_values() -> None:
    runs = [
        (),
        ((b"a", b""),),
        ((b"a", b"1"),),
        ((b"a1", b""),),
        ((b"a", b""), (b"b", b"")),
        ((b"b", b""), (b"a", b"")),
    ]
    assert len({digest(operation=msgspec.structs.replace(OPERATION, runs=run)) for run in runs}) == len(runs)


def test_values_that_are_too_long_to_hold_cannot_be_passed_off() -> None:
    """The beginning with the digest behind it is not the same as a value that ends so."""
    long = msgspec.structs.replace(OPERATION, parameters=b"begin", parameters_digest=b"d" * 32)
    short = msgspec.structs.replace(OPERATION, parameters=b"begin" + b"d" * 32)
    assert long.digest() == short.digest()
    assert digest(operation=long) != digest(operation=short)


@pytest.mark.parametrize(
    ("part", "value"), [("connection", "other"), ("database", "other"), ("protocol", "other"), ("principal", None)]
)
def test_another_place_or_person_is_another_question(part: str, value: object) -> None:
    changed = msgspec.structs.replace(SESSION, **{part: value or agent("bot-2")})
    assert digest(session=changed) != digest()
    person = msgspec.structs.replace(agent(), kind=PrincipalKind.USER)
    assert digest(session=session_of(person)) != digest()


def test_policy_and_meaning_count() -> None:
    assert len({digest(), digest(policy="q"), digest(accesses=("delete on Table other.t",)), digest(accesses=())}) == 4


def test_parts_do_not_run_into_each_other() -> None:
    shifted = msgspec.structs.replace(OPERATION, text=b"", runs=((OPERATION.text, b""),))
    assert digest(operation=shifted, accesses=(*ACCESSES, "DELETE FROM t WHERE id = $1")) != digest()


def test_the_session_does_not_count() -> None:
    """Whoever comes back finds the approval."""
    again = msgspec.structs.replace(OPERATION, number=99)
    assert digest(session=session_of(agent(), "s2"), operation=again) == digest()


def test_who_acts_is_part_of_who_asks() -> None:
    def acted_for(*names: str) -> Session:
        acting = tuple(msgspec.structs.replace(agent(), name=name) for name in names)
        return session_of(msgspec.structs.replace(agent(), acting=acting))

    assert len({digest(), digest(session=acted_for("a")), digest(session=acted_for("b"))}) == 3
    handed_on = [acted_for("a", "earlier"), acted_for("a", "other"), acted_for("a"), acted_for("earlier", "a")]
    assert len({digest(session=session) for session in handed_on}) == 4
