"""What a scan proposes, from what is in columns and from what they are called."""

from typing import Any

import pytest

from interlock.core.administration import ScanReport, TagProposal
from interlock.core.catalogue import RelationKind
from interlock.services.discovery import SCAN_TIME_S, Discovery
from interlock.services.name_hints import name_hint
from tests.clocks import ManualClock
from tests.services.administration_bench import MemoryTarget, find_classes

VALUE = b"planted@example.org"


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget([])


async def scan(target: MemoryTarget, clock: ManualClock | None = None, rows: int = 100) -> ScanReport:
    discovery = Discovery(target, target, find_classes, clock or ManualClock())
    return await discovery.scan("crm", "app", rows)


def shown(proposal: TagProposal) -> tuple[Any, ...]:
    return proposal.column.column, proposal.by_content, proposal.reason, proposal.hits, proposal.values, proposal.tag


async def test_content_and_names(target: MemoryTarget) -> None:
    target.add("t", [("note", "text"), ("user_email", "varchar"), ("data", "jsonb"), ("at", "timestamptz")])
    target.rows["t"] = [(VALUE, b"", None), (None, VALUE, b"key-1 and a@b"), (b"x", VALUE, b"{}")]
    report = await scan(target)
    assert [shown(proposal) for proposal in report.proposals] == [
        ("data", True, "email", 1, 2, "pii"),
        ("data", True, "secret", 1, 2, "secret"),
        ("note", True, "email", 1, 2, "pii"),
        ("user_email", True, "email", 2, 2, "pii"),
        ("user_email", False, "email", 0, 0, "pii"),
    ]
    assert target.asked == [("t", ("note", "user_email", "data"), 100)]
    assert "planted" not in repr(report)


async def test_what_is_found_too_seldom_is_not_proposed(target: MemoryTarget) -> None:
    target.add("t", [("note", "text")])
    plain: tuple[bytes | None, ...] = (b"x",)
    target.rows["t"] = [plain] * 199 + [(VALUE,)]
    assert (await scan(target)).proposals == ()
    target.rows["t"] = [plain] * 99 + [(VALUE,)]
    assert len((await scan(target)).proposals) == 1


async def test_which_relations_are_looked_at(target: MemoryTarget) -> None:
    column = [("email", "text")]
    target.add("whole", column, oid=7, kind=RelationKind.PARTITIONED)
    target.add("part", column, parents=(7,))
    target.add("child", column, parents=(1,))
    target.add("view", column, kind=RelationKind.VIEW)
    target.add("numbers", column, kind=RelationKind.SEQUENCE)
    target.add("typed", [("email", "int4")])
    target.add("pg_stat_activity", column, kind=RelationKind.VIEW, schema="pg_catalog")
    report = await scan(target)
    assert [proposal.column.table for proposal in report.proposals] == ["child", "typed", "view", "whole"]
    assert [name for name, _, _ in target.asked] == ["whole", "child"]
    assert [(one.table, one.why) for one in report.not_sampled] == [
        ("whole", "permission denied"),
        ("child", "permission denied"),
    ]


async def test_patterns_are_what_policy_reads(target: MemoryTarget) -> None:
    target.add("a/b", [("e%mail", "int4")])
    (proposal,) = (await scan(target)).proposals
    assert proposal.pattern == "crm/app/public/a%2Fb/e%25mail"


async def test_a_scan_ends(target: MemoryTarget) -> None:
    clock = ManualClock()

    class SlowTarget(MemoryTarget):
        async def sample(self, *arguments: Any) -> Any:
            clock.advance(SCAN_TIME_S / 2 + 1)
            async for batch in super().sample(*arguments):
                yield batch

    slow = SlowTarget([])
    for name in ("a", "b", "c"):
        slow.add(name, [("x", "text")])
        slow.rows[name] = []
    report = await scan(slow, clock)
    assert [(one.table, one.why) for one in report.not_sampled] == [("c", "there was no time left")]


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("email", "email"),
        ("Email_Address", "email"),
        ("contactEMail", "e_mail"),
        ("emails", "email"),
        ("home_phone2", "phone"),
        ("creditCardNumber", "credit_card"),
        ("card-number", "card_number"),
        ("APIKey", "api_key"),
        ("date_of_birth", "birth"),
        ("name", "name"),
        ("firstName", "first_name"),
        ("product_name", None),
        ("mailbox", None),
        ("discard", None),
        ("tokens", "token"),
        ("", None),
        ("42", None),
    ],
)
def test_names_that_hint_at_something(column: str, hint: str | None) -> None:
    found = name_hint(column)
    assert (found.hint if found else None) == hint
