"""Every statement of the grammar: how it is called, and which reader understands it.

A statement that is not in the table is ``unclassified``.
"""

from collections.abc import Callable

from interlock.protocols.postgres.statements import control, objects
from interlock.protocols.postgres.statements.findings import Findings
from interlock.protocols.postgres.statements.interpretation import Statement
from interlock.protocols.postgres.statements.nodes import Node
from interlock.protocols.postgres.statements.queries import start_walk
from interlock.protocols.postgres.statements.relations import TooComplex
from interlock.protocols.postgres.statements.verbs import verb

Reader = Callable[["Interpreter", Node], None]


class Interpreter:
    """Reads one statement; statements inside it (PREPARE, EXPLAIN, COPY ...) get an interpreter of their own."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.walk = start_walk(self.findings)

    def read(self, tree: Node) -> Statement:
        """The statement of a raw tree. May raise RecursionError."""
        kind, body = next(iter(tree.items()), ("", {}))
        reader = READERS.get(kind)
        if reader is None:
            self.findings.add_unclassified()
        else:
            reader(self, body)
        try:
            self.walk.finish()
        except TooComplex:
            self.findings.add_unclassified()
        return self.findings.statement(verb(kind, body))

    def interpret_inside(self, tree: Node) -> Statement:
        """A statement inside this one."""
        return Interpreter().read(tree)


def _query(kind: str) -> Reader:
    def read(reader: Interpreter, body: Node) -> None:
        reader.walk.push({kind: body})

    return read


READERS: dict[str, Reader] = {
    "SelectStmt": control.select,
    "InsertStmt": _query("InsertStmt"),
    "UpdateStmt": _query("UpdateStmt"),
    "DeleteStmt": _query("DeleteStmt"),
    "MergeStmt": _query("MergeStmt"),
    # the session
    "VariableSetStmt": control.set_variable,
    "VariableShowStmt": control.nothing,
    "ConstraintsSetStmt": control.nothing,
    "DiscardStmt": control.discard,
    "TransactionStmt": control.transaction,
    "PrepareStmt": control.prepare,
    "ExecuteStmt": control.execute,
    "DeallocateStmt": control.deallocate,
    "DeclareCursorStmt": control.declare,
    "FetchStmt": control.fetch,
    "ClosePortalStmt": control.close,
    "ListenStmt": control.nothing,
    "UnlistenStmt": control.nothing,
    "NotifyStmt": control.notify,
    "LockStmt": control.lock,
    "ExplainStmt": control.explain,
    "CopyStmt": control.copy,
    "DoStmt": control.do,
    "CallStmt": control.call,
    "VacuumStmt": control.maintenance,
    "ClusterStmt": control.maintenance,
    "ReindexStmt": control.maintenance,
    "RefreshMatViewStmt": control.maintenance,
    "CheckPointStmt": control.maintenance,
    # new objects
    "CreateStmt": objects.create_table,
    "CreateTableAsStmt": control.create_table_as,
    "CreateForeignTableStmt": objects.create_foreign_table,
    "IndexStmt": objects.create_index,
    "ViewStmt": objects.create_view,
    "CreateSchemaStmt": objects.create_schema,
    "CreateSeqStmt": objects.create_sequence,
    "CreateStatsStmt": objects.create_statistics,
    "CreateDomainStmt": objects.create_type,
    "CompositeTypeStmt": objects.create_type,
    "CreateEnumStmt": objects.create_type,
    "CreateRangeStmt": objects.create_type,
    "DefineStmt": objects.define,
    "CreatedbStmt": objects.create_database,
    "CreateTableSpaceStmt": objects.create_database,
    # code
    "CreateFunctionStmt": objects.create_function,
    "AlterFunctionStmt": objects.alter_function,
    "AlterOperatorStmt": objects.alter_function,
    "CreateTrigStmt": objects.create_on_table,
    "CreatePolicyStmt": objects.create_on_table,
    "AlterPolicyStmt": objects.create_on_table,
    "RuleStmt": objects.create_rule,
    "CreateEventTrigStmt": objects.create_code,
    "AlterEventTrigStmt": objects.create_code,
    "CreatePLangStmt": objects.create_code,
    "CreateExtensionStmt": objects.create_code,
    "AlterExtensionStmt": objects.create_code,
    "AlterExtensionContentsStmt": objects.create_code,
    "CreateAmStmt": objects.create_code,
    "CreateOpClassStmt": objects.create_code,
    "CreateOpFamilyStmt": objects.create_code,
    "AlterOpFamilyStmt": objects.create_code,
    "CreateCastStmt": objects.create_code,
    "CreateTransformStmt": objects.create_code,
    "CreateConversionStmt": objects.create_code,
    "LoadStmt": objects.load,
    "CreateFdwStmt": objects.create_connection,
    "AlterFdwStmt": objects.create_connection,
    "CreateForeignServerStmt": objects.create_connection,
    "AlterForeignServerStmt": objects.create_connection,
    "CreateUserMappingStmt": objects.create_connection,
    "AlterUserMappingStmt": objects.create_connection,
    "ImportForeignSchemaStmt": objects.create_connection,
    "CreatePublicationStmt": objects.create_connection,
    "AlterPublicationStmt": objects.create_connection,
    "CreateSubscriptionStmt": objects.create_connection,
    "AlterSubscriptionStmt": objects.create_connection,
    # changed objects
    "AlterTableStmt": objects.alter_table,
    "RenameStmt": objects.alter_object,
    "AlterObjectSchemaStmt": objects.alter_object,
    "AlterOwnerStmt": objects.alter_object,
    "AlterObjectDependsStmt": objects.alter_object,
    "AlterSeqStmt": objects.alter_sequence,
    "AlterTypeStmt": objects.alter_type,
    "AlterEnumStmt": objects.alter_type,
    "AlterDomainStmt": objects.alter_type,
    "AlterCollationStmt": objects.alter_type,
    "AlterStatsStmt": objects.alter_type,
    "AlterTSDictionaryStmt": objects.alter_type,
    "AlterTSConfigurationStmt": objects.alter_type,
    "AlterTableMoveAllStmt": objects.alter_cluster,
    "AlterTableSpaceOptionsStmt": objects.alter_cluster,
    "CommentStmt": objects.comment,
    # objects that go
    "DropStmt": objects.drop,
    "TruncateStmt": objects.truncate,
    "DropdbStmt": objects.drop_database,
    "DropTableSpaceStmt": objects.drop_database,
    "DropUserMappingStmt": objects.drop_connection,
    "DropSubscriptionStmt": objects.drop_connection,
    "DropOwnedStmt": objects.drop_owned,
    # rights and the server
    "GrantStmt": objects.grant,
    "GrantRoleStmt": objects.grant_role,
    "CreateRoleStmt": objects.grant_role,
    "AlterRoleStmt": objects.grant_role,
    "DropRoleStmt": objects.grant_role,
    "AlterDefaultPrivilegesStmt": objects.owned,
    "ReassignOwnedStmt": objects.owned,
    "SecLabelStmt": objects.owned,
    "AlterSystemStmt": objects.server_setting,
    "AlterRoleSetStmt": objects.server_setting,
    "AlterDatabaseStmt": objects.server_setting,
    "AlterDatabaseSetStmt": objects.server_setting,
    "AlterDatabaseRefreshCollStmt": objects.server_setting,
}
