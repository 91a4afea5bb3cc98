"""PostgreSQL statements to operations: what a text would do, to which tables, and to the session that runs
it.
"""

from interlock.protocols.postgres.statements.interpretation import (
    Definition,
    Interpretation,
    Name,
    NameSpace,
    SearchPath,
    SettingChange,
    Statement,
    TransactionControl,
)
from interlock.protocols.postgres.statements.interpreter import interpret, interpret_parameter

__all__ = [
    "Definition",
    "Interpretation",
    "Name",
    "NameSpace",
    "SearchPath",
    "SettingChange",
    "Statement",
    "TransactionControl",
    "interpret",
    "interpret_parameter",
]
