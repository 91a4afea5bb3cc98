"""Tools of MCP servers at the moment of decision, and when they are listed."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from interlock.core.decision import Decision, Hold, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import LedgerUnavailable
from interlock.core.operation import Access, Meaning, Operation, ResourceKind
from interlock.core.tool import ToolDefinition, tool_definition
from interlock.services.enforcement import Enforcement
from tests.services.policy.examples import source
from tests.services.test_enforcement import SESSION, Bench

POLICY = """
@id("calls")
permit (principal in Group::"ci-bots", action == Action::"mcp-call", resource in Connection::"pg")
unless { resource == Tool::"pg/secret" };

@id("delete-is-held") @approval("dba")
forbid (principal, action == Action::"mcp-call", resource == Tool::"pg/delete");

@id("never-wipe")
forbid (principal, action == Action::"mcp-call", resource == Tool::"pg/wipe");
"""
NAMES = ("lookup", "delete", "wipe", "secret")


class Reviews:
    """Implements ``ports.ToolReview``: all tools are approved but those in ``refused``; ``failure`` makes it fail."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.failure: Exception | None = None
        self.waits: list[asyncio.Future[None]] = []

    def refusal(self, connection: str, tool: str) -> str | None:
        if self.failure is not None:
            raise self.failure
        return "it is not approved" if tool in self.refused else None

    def note(
        self, connection: str, session: str, tools: Sequence[ToolDefinition]
    ) -> tuple[tuple[bool, ...], list[asyncio.Future[None]]]:
        return tuple(self.refusal(connection, tool.name) is None for tool in tools), self.waits


class ToolBench(Bench):
    """With tools."""

    def __init__(self) -> None:
        super().__init__()
        self.reviews = Reviews()
        self.enforcement = Enforcement(self.policies, self.ledger, self.clock, tools=self.reviews)
        self.guard = self.enforcement.guard(SESSION, self.recorder)

    async def call(self, tool: str) -> Decision:
        asked = Meaning("tools/call", (Access("mcp-call", ResourceKind.TOOL, (tool,)),), {"mcp": {"tool": tool}})
        decisions = self.guard.authorize([Operation(1, asked, b"{}")])
        return (await decisions if isinstance(decisions, Awaitable) else decisions)[0]

    async def shown(self, *names: str) -> dict[str, bool]:
        tools = [tool for name in names if (tool := tool_definition({"name": name})) is not None]
        shown = self.guard.review(tools, {"method": "POST"})
        return dict(zip(names, await shown if isinstance(shown, Awaitable) else shown, strict=True))


@pytest.fixture
async def bench() -> ToolBench:
    bench = ToolBench()
    await bench.policies.start([source(POLICY)])
    return bench


async def test_what_may_be_called_is_shown_also_with_an_approval_and_nothing_is_recorded(bench: ToolBench) -> None:
    assert await bench.shown(*NAMES) == {"lookup": True, "delete": True, "wipe": False, "secret": False}
    assert bench.ledger.records == []
    assert (bench.guard.operations, bench.guard.denied) == (0, 0)


async def test_a_tool_that_is_not_approved_is_neither_shown_nor_called(bench: ToolBench) -> None:
    assert isinstance(await bench.call("lookup"), Permit)
    assert isinstance(await bench.call("delete"), Hold)
    bench.reviews.refused = {"lookup", "delete"}
    assert await bench.shown(*NAMES) == dict.fromkeys(NAMES, False)
    for tool in ("lookup", "delete"):
        denial = await bench.call(tool)
        assert isinstance(denial, Denial)
        assert denial.reason is DenialReason.TOOL_NOT_APPROVED
        assert "it is not approved" in denial.message
    assert bench.recorded == ["allowed", "held", "denied", "denied"]


async def test_what_policy_denies_is_denied_by_policy(bench: ToolBench) -> None:
    bench.reviews.refused = {"wipe"}
    denial = await bench.call("wipe")
    assert isinstance(denial, Denial)
    assert denial.reason is DenialReason.FORBIDDEN


@pytest.mark.parametrize("error", [LedgerUnavailable("full"), RuntimeError(), KeyError()])
async def test_a_review_that_fails_hides_and_denies(bench: ToolBench, error: Exception) -> None:
    bench.reviews.failure = error
    assert await bench.shown("lookup") == {"lookup": False}
    denial = await bench.call("lookup")
    assert isinstance(denial, Denial)
    assert denial.reason is DenialReason.POLICY_ERROR


async def test_nothing_is_shown_before_it_is_on_record(bench: ToolBench) -> None:
    loop = asyncio.get_running_loop()
    good, bad = loop.create_future(), loop.create_future()
    bench.reviews.waits = [good]
    loop.call_soon(good.set_result, None)
    assert await bench.shown("lookup") == {"lookup": True}
    bench.reviews.waits = [good, bad]
    loop.call_soon(bad.set_exception, LedgerUnavailable("full"))
    assert await bench.shown("lookup") == {"lookup": False}


async def test_a_policy_that_fails_shows_nothing(bench: ToolBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.clock, "now_s", lambda: 1 / 0)
    assert await bench.shown("lookup") == {"lookup": False}


async def test_without_reviews_nothing_is_shown() -> None:
    plain = Bench()
    tool = tool_definition({"name": "lookup"})
    assert tool is not None
    assert plain.guard.review([tool], {}) == (False,)
