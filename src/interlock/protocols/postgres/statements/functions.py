"""What calling a function means: nothing for the harmless built-in ones, an action for those with effects.

``builtin_functions.txt`` lists the built-in functions that at most compute, look into the catalogue or touch
the session's own locks. ``EFFECTS`` holds the rest of pg_catalog that matters. A name in neither is
somebody's function: ``call``. Only the name decides, since which overload runs cannot be told without the
server's catalogue; a user function that overloads a built-in name (``create-code``) is therefore not told
apart from it.
"""

import enum
from typing import NamedTuple

from interlock.protocols.postgres.statements.catalogue import CATALOG_SCHEMA, listed_names

BUILTIN_FUNCTIONS = listed_names("builtin_functions.txt")


class Resource(enum.Enum):
    """Which resource a function's effect is on."""

    FUNCTION = "the function itself"
    FILE = "the server file that its first argument names"
    WRITTEN_FILE = "the server file that its second argument names"
    SEQUENCE = "the sequence that its first argument names"
    RELATION = "a relation of pg_catalog, named by the effect"
    NOTHING = "the connection"


class Effect(NamedTuple):
    """One access that a call stands for."""

    action: str
    resource: Resource
    name: str = ""


def _table(*rows: tuple[str, Resource, str]) -> dict[str, tuple[Effect, ...]]:
    effects: dict[str, tuple[Effect, ...]] = {}
    for action, resource, names in rows:
        for name in names.split():
            effects[name] = (*effects.get(name, ()), Effect(action, resource))
    return effects


_SQL_TEXT = """
    cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema
    database_to_xmlschema query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml
    schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema
    table_to_xmlschema ts_rewrite ts_stat
"""
"""These run SQL, or read relations and cursors, that only their arguments name."""

_LARGE_OBJECTS = """
    lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_open
    lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite
"""

_SERVER = """
    binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension
    binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance
    binary_upgrade_set_missing_value binary_upgrade_set_next_array_pg_type_oid
    binary_upgrade_set_next_heap_pg_class_oid binary_upgrade_set_next_heap_relfilenode
    binary_upgrade_set_next_index_pg_class_oid binary_upgrade_set_next_index_relfilenode
    binary_upgrade_set_next_multirange_array_pg_type_oid
    binary_upgrade_set_next_multirange_pg_type_oid binary_upgrade_set_next_pg_authid_oid
    binary_upgrade_set_next_pg_enum_oid binary_upgrade_set_next_pg_tablespace_oid
    binary_upgrade_set_next_pg_type_oid binary_upgrade_set_next_toast_pg_class_oid
    binary_upgrade_set_next_toast_relfilenode binary_upgrade_set_record_init_privs pg_backup_start
    pg_backup_stop pg_clear_attribute_stats pg_clear_relation_stats pg_copy_logical_replication_slot
    pg_copy_physical_replication_slot pg_create_logical_replication_slot
    pg_create_physical_replication_slot pg_create_restore_point pg_drop_replication_slot
    pg_extension_config_dump pg_import_system_collations pg_logical_emit_message
    pg_logical_slot_get_binary_changes pg_logical_slot_get_changes
    pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_nextoid pg_promote
    pg_reload_conf pg_replication_origin_advance pg_replication_origin_create
    pg_replication_origin_drop pg_replication_origin_session_reset
    pg_replication_origin_session_setup pg_replication_origin_xact_reset
    pg_replication_origin_xact_setup pg_replication_slot_advance pg_restore_attribute_stats
    pg_restore_relation_stats pg_rotate_logfile pg_rotate_logfile_old pg_set_attribute_stats
    pg_set_relation_stats pg_start_backup pg_stat_reset pg_stat_reset_backend_stats
    pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters
    pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats
    pg_stop_backup pg_stop_making_pinned_objects pg_switch_wal pg_switch_xlog
    pg_sync_replication_slots pg_wal_replay_pause pg_wal_replay_resume
"""

_FILES = "pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir lo_import"
_FIXED_FILES = """
    pg_current_logfile pg_hba_file_rules pg_ident_file_mappings pg_ls_archive_statusdir pg_ls_logdir
    pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir
    pg_ls_waldir pg_show_all_file_settings
"""

EFFECTS: dict[str, tuple[Effect, ...]] = _table(
    ("unclassified", Resource.NOTHING, _SQL_TEXT),
    ("large-object", Resource.FUNCTION, _LARGE_OBJECTS),
    ("server-file-read", Resource.FILE, _FILES),
    ("server-file-read", Resource.FUNCTION, _FIXED_FILES),
    ("server-file-write", Resource.WRITTEN_FILE, "lo_export"),
    ("signal-backend", Resource.FUNCTION, "pg_terminate_backend pg_cancel_backend pg_log_backend_memory_contexts"),
    ("advance", Resource.SEQUENCE, "nextval setval"),
    ("notify", Resource.NOTHING, "pg_notify"),
    ("server-setting", Resource.FUNCTION, _SERVER),
    (
        "maintenance",
        Resource.FUNCTION,
        "brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list",
    ),
    ("call", Resource.FUNCTION, "pg_sleep pg_sleep_for pg_sleep_until"),
)
EFFECTS |= {
    name: (Effect("select", Resource.RELATION, relation),)
    for relation, names in {
        "pg_stat_activity": "pg_stat_get_activity pg_stat_get_backend_activity pg_stat_get_backend_client_addr "
        "pg_stat_get_backend_client_port",
        "pg_stat_replication": "pg_stat_get_wal_senders",
        "pg_stat_wal_receiver": "pg_stat_get_wal_receiver",
        "pg_statistic": "pg_mcv_list_items",
    }.items()
    for name in names.split()
}

EXTENSION_EFFECTS: dict[str, tuple[Effect, ...]] = _table(
    (
        "outbound",
        Resource.FUNCTION,
        "dblink dblink_connect dblink_connect_u dblink_disconnect dblink_exec dblink_open dblink_fetch "
        "dblink_close dblink_send_query dblink_get_result dblink_get_connections dblink_is_busy "
        "dblink_cancel_query dblink_get_notify "
        "dblink_error_message dblink_build_sql_insert dblink_build_sql_update dblink_build_sql_delete dblink_get_pkey "
        "dblink_current_query postgres_fdw_get_connections postgres_fdw_disconnect postgres_fdw_disconnect_all http "
        "http_get http_post http_put http_patch http_delete http_head",
    ),
    (
        "unclassified",
        Resource.NOTHING,
        "dblink dblink_exec dblink_open dblink_send_query crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby "
        "xpath_table",
    ),
    ("server-file-read", Resource.FILE, "pg_file_read pg_logdir_ls"),
    ("server-file-write", Resource.FILE, "pg_file_write pg_file_rename pg_file_unlink pg_file_sync"),
)
"""Functions of well-known extensions, in whatever schema they are installed. They are a ``call`` as well."""


def resolved_schema(schema: str, name: str) -> str:
    """pg_catalog for the names it is known to have, otherwise the schema as written."""
    return CATALOG_SCHEMA if not schema and name in EFFECTS else schema


def call_effects(schema: str, name: str) -> tuple[Effect, ...]:
    """What calling ``schema.name`` stands for; empty when harmless. ``schema`` is "" for an unqualified call."""
    if schema in ("", CATALOG_SCHEMA):
        if name in EFFECTS:
            return EFFECTS[name]
        if name in BUILTIN_FUNCTIONS:
            return ()
    return (Effect("call", Resource.FUNCTION), *EXTENSION_EFFECTS.get(name, ()))
