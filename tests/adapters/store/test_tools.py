"""Tools of MCP servers in the state store."""

import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.tools import ToolTable
from interlock.core.errors import StateUnavailable
from interlock.core.tool import ToolPin

LOOKUP = ToolPin(connection="crm", tool="lookup", seen="ab", seen_text=b'{"name":"lookup"}', seen_at_s=5.0)
APPROVED = ToolPin(
    connection="crm", tool="delete", approved="cd", approved_text=b"{}", by="ada", approved_at_s=6.0, seen="cd"
)


async def test_tools_are_kept_and_replaced(database: Database) -> None:
    table = ToolTable(database)
    await table.save([LOOKUP, APPROVED])
    assert table.all() == [APPROVED, LOOKUP]
    later = ToolPin(connection="crm", tool="lookup", seen="ef")
    await table.save([later])
    assert table.all() == [APPROVED, later]
    await table.save([])
    assert table.all() == [APPROVED, later]


async def test_a_store_that_is_closed_is_an_error(database: Database) -> None:
    table = ToolTable(database)
    database.close()
    with pytest.raises(StateUnavailable):
        table.all()
    with pytest.raises(StateUnavailable):
        await table.save([LOOKUP])
