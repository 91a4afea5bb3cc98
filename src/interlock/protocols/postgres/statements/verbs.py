"""What statements are called, for people: ``SELECT``, ``DROP TABLE``, ``ALTER ROLE``."""

import re

from interlock.protocols.postgres.statements.nodes import Node

_NAMES = {
    "VariableShowStmt": "SHOW",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "DeclareCursorStmt": "DECLARE",
    "ClosePortalStmt": "CLOSE",
    "ReassignOwnedStmt": "REASSIGN OWNED",
    "DropOwnedStmt": "DROP OWNED",
    "IndexStmt": "CREATE INDEX",
    "RuleStmt": "CREATE RULE",
    "ViewStmt": "CREATE VIEW",
    "CreateStmt": "CREATE TABLE",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "AlterEventTrigStmt": "ALTER EVENT TRIGGER",
    "CompositeTypeStmt": "CREATE TYPE",
    "CreateEnumStmt": "CREATE TYPE",
    "CreateRangeStmt": "CREATE TYPE",
    "AlterEnumStmt": "ALTER TYPE",
    "CreateStatsStmt": "CREATE STATISTICS",
    "AlterStatsStmt": "ALTER STATISTICS",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterDatabaseRefreshCollStmt": "ALTER DATABASE",
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "AlterTableMoveAllStmt": "ALTER TABLE",
    "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE",
    "AlterExtensionContentsStmt": "ALTER EXTENSION",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "CreatePLangStmt": "CREATE LANGUAGE",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
    "AlterFdwStmt": "ALTER FOREIGN DATA WRAPPER",
    "CreateForeignServerStmt": "CREATE SERVER",
    "AlterForeignServerStmt": "ALTER SERVER",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY",
    "AlterOpFamilyStmt": "ALTER OPERATOR FAMILY",
    "AlterTSDictionaryStmt": "ALTER TEXT SEARCH DICTIONARY",
    "AlterTSConfigurationStmt": "ALTER TEXT SEARCH CONFIGURATION",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "CheckPointStmt": "CHECKPOINT",
    "SecLabelStmt": "SECURITY LABEL",
}
_OBJECTS = {
    "MATVIEW": "MATERIALIZED VIEW",
    "STATISTIC_EXT": "STATISTICS",
    "FDW": "FOREIGN DATA WRAPPER",
    "FOREIGN_SERVER": "SERVER",
    "OPCLASS": "OPERATOR CLASS",
    "OPFAMILY": "OPERATOR FAMILY",
    "TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "TSPARSER": "TEXT SEARCH PARSER",
    "TSTEMPLATE": "TEXT SEARCH TEMPLATE",
    "TABCONSTRAINT": "TABLE",
    "COLUMN": "TABLE",
    "DOMCONSTRAINT": "DOMAIN",
    "ATTRIBUTE": "TYPE",
}
_OF_OBJECTS = {
    "DropStmt": ("DROP", "removeType"),
    "DefineStmt": ("CREATE", "kind"),
    "AlterTableStmt": ("ALTER", "objtype"),
    "RenameStmt": ("ALTER", "renameType"),
    "AlterObjectSchemaStmt": ("ALTER", "objectType"),
    "AlterOwnerStmt": ("ALTER", "objectType"),
    "AlterObjectDependsStmt": ("ALTER", "objectType"),
    "CreateTableAsStmt": ("CREATE", "objtype"),
    "AlterFunctionStmt": ("ALTER", "objtype"),
}
_TRANSACTIONS = {"START": "START TRANSACTION", "PREPARE": "PREPARE TRANSACTION", "ROLLBACK TO": "ROLLBACK"}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def verb(kind: str, body: Node) -> str:
    """The first SQL words of a statement with this node type and body."""
    if kind in _OF_OBJECTS:
        action, key = _OF_OBJECTS[kind]
        return f"{action} {_object(body.get(key, ''))}"
    match kind:
        case "VariableSetStmt":
            return "RESET" if "RESET" in body.get("kind", "") else "SET"
        case "TransactionStmt":
            word = str(body.get("kind", "")).removeprefix("TRANS_STMT_").replace("_", " ")
            return _TRANSACTIONS.get(word, word)
        case "GrantStmt" | "GrantRoleStmt":
            return "GRANT" if body.get("is_grant") else "REVOKE"
        case "FetchStmt":
            return "MOVE" if body.get("ismove") else "FETCH"
        case "VacuumStmt":
            return "VACUUM" if body.get("is_vacuumcmd") else "ANALYZE"
        case "CreateFunctionStmt":
            return "CREATE PROCEDURE" if body.get("is_procedure") else "CREATE FUNCTION"
        case "SelectStmt" if "intoClause" in body:
            return "SELECT INTO"
    return _NAMES.get(kind) or _WORDS.sub(" ", kind.removesuffix("Stmt")).upper()


def _object(object_type: str) -> str:
    word = object_type.removeprefix("OBJECT_")
    return _OBJECTS.get(word, word.replace("_", " "))
