"""SET, RESET and set_config: which parameters a client may change freely, which need leave, which the
gateway cannot allow.

Parameters that change how PostgreSQL reads SQL text would make the gateway and the server see two different
statements; they are refused whatever policy says, unless the new value is the one the gateway assumes. The
search path is tracked, so it must be readable in the text.
"""

from interlock.core.operation import ResourceKind
from interlock.protocols.postgres.statements.findings import Findings
from interlock.protocols.postgres.statements.interpretation import SearchPath, SettingChange
from interlock.protocols.postgres.statements.nodes import Node, literal, split_identifiers

ANY = "*"
"""The name of a setting that the text does not show."""

_HARMLESS = {
    "formats": """
        datestyle intervalstyle timezone extra_float_digits bytea_output xmlbinary xmloption lc_monetary
        lc_numeric lc_time array_nulls quote_all_identifiers default_text_search_config
    """,
    "label": """
        application_name
    """,
    "messages": """
        client_min_messages escape_string_warning
    """,
    "limits": """
        statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout
        transaction_timeout deadlock_timeout client_connection_check_interval tcp_user_timeout
        tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count
    """,
    "transactions": """
        default_transaction_isolation default_transaction_read_only default_transaction_deferrable
        transaction_isolation transaction_read_only transaction_deferrable transaction
        session_characteristics
    """,
    "planner": """
        constraint_exclusion cursor_tuple_fraction default_statistics_target from_collapse_limit
        join_collapse_limit plan_cache_mode parallel_setup_cost parallel_tuple_cost
        parallel_leader_participation max_parallel_workers_per_gather min_parallel_index_scan_size
        min_parallel_table_scan_size random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost
        cpu_operator_cost effective_cache_size jit jit_above_cost jit_inline_above_cost
        jit_optimize_above_cost synchronize_seqscans debug_parallel_query force_parallel_mode
        recursive_worktable_factor
    """,
    "memory": """
        work_mem hash_mem_multiplier
    """,
    "chance": """
        seed
    """,
    "definitions": """
        default_tablespace default_table_access_method default_toast_compression default_with_oids
        check_function_bodies temp_tablespaces
    """,
    "fails_instead_of_showing": """
        row_security restrict_nonsystem_relation_kind
    """,
    "extensions": """
        hnsw.ef_search hnsw.iterative_scan hnsw.max_scan_tuples hnsw.scan_mem_multiplier ivfflat.probes
        ivfflat.iterative_scan ivfflat.max_probes pg_trgm.similarity_threshold
        pg_trgm.word_similarity_threshold pg_trgm.strict_word_similarity_threshold
    """,
}
HARMLESS_SETTINGS = {name: reason for reason, names in _HARMLESS.items() for name in names.split()}
"""Parameter name to a word on what it is about."""

HARMLESS_PREFIXES = ("enable_", "geqo")
"""Families of planner switches."""

UTF8_SPELLINGS = frozenset({"utf8", "unicode"})
"""Without punctuation, as PostgreSQL compares encoding names."""

SEARCH_PATH = "search_path"
_SCHEMA_OF_TEMPORARY = "pg_temp"

_UNSEEN = "The new value of {name} must be a literal, because the gateway reads statements under it."
_ENCODING = "client_encoding must stay UTF8: the gateway reads statements as UTF-8."
_LITERALS = "{name} must keep its standard value: the gateway reads string literals under it."


def note_setting(
    findings: Findings, name: str, values: list[str] | None, *, local: bool = False, reset: bool = False
) -> None:
    """A change of parameter ``name``. ``values`` are literals, None when the text does not show them."""
    name = _canonical(name)
    value = ", ".join(values) if values is not None else None
    findings.settings.append(SettingChange(name, None if reset else value, local))
    if name == SEARCH_PATH:
        _note_search_path(findings, None if reset else values, local, reset)
    elif name in ("role", "session_authorization"):
        _note_role(findings, values, reset)
    elif name in _CRITICAL:
        _note_critical(findings, name, value, reset)
    elif name not in HARMLESS_SETTINGS and not name.startswith(HARMLESS_PREFIXES):
        findings.add("set", ResourceKind.SETTING, (name,))


def note_set_config(findings: Findings, arguments: list[Node], *, unconditional: bool) -> None:
    """``set_config(name, value, is_local)``; ``unconditional``: it runs exactly once if the statement succeeds."""
    texts = [literal(argument) for argument in arguments]
    name, value = (*texts, None, None)[:2]
    if name is None:
        findings.add("set", ResourceKind.SETTING, (ANY,))
        findings.refuse("The first argument of set_config must be a literal.")
        return
    scope = texts[2] if len(texts) > 2 else None
    local = scope is None or scope.lower() not in _FALSE
    if _canonical(name) != SEARCH_PATH:
        note_setting(findings, name, None if value is None else [value], local=local)
        return
    schemas = None if value is None or scope is None else split_identifiers(value, ",")
    if not unconditional:
        findings.refuse("set_config may change search_path only in a SELECT of nothing else; or use SET.")
    note_setting(findings, name, schemas, local=local)


_FALSE = ("off", "f", "false", "n", "no", "0")


def note_parameter(findings: Findings, name: str, value: str) -> None:
    """A parameter given as text outside of SQL: in the startup packet, or in its ``options``."""
    listed = split_identifiers(value, ",") if _canonical(name) == SEARCH_PATH else [value]
    note_setting(findings, name, listed)


def _canonical(name: str) -> str:
    """Parameter names are case-insensitive in ASCII."""
    return name.lower() if name.isascii() else name


def _note_search_path(findings: Findings, values: list[str] | None, local: bool, reset: bool) -> None:
    """pg_catalog may come only first, pg_temp only last: elsewhere others' objects stand in for the server's."""
    if reset:
        findings.search_path = SearchPath(None, local)
        return
    if values is None:
        findings.refuse(_UNSEEN.format(name=SEARCH_PATH))
        return
    schemas = tuple(value for value in values if value)
    if "pg_catalog" in schemas[1:]:
        findings.refuse("search_path may name pg_catalog only as its first schema.")
    if any(schema.startswith(_SCHEMA_OF_TEMPORARY) for schema in schemas[:-1]):
        findings.refuse("search_path may name pg_temp only as its last schema.")
    findings.search_path = SearchPath(schemas, local)


def _note_role(findings: Findings, values: list[str] | None, reset: bool) -> None:
    """Back to the session's own role is harmless; any other, or one that cannot be seen, needs leave."""
    if reset or values == ["none"]:
        return
    findings.add("set-role", ResourceKind.ROLE, (values[0] if values else ANY,))


def _note_critical(findings: Findings, name: str, value: str | None, reset: bool) -> None:
    accepted, sentence = _CRITICAL[name]
    if reset:
        return
    if value is None:
        findings.refuse(_UNSEEN.format(name=name))
    elif "".join(letter for letter in value.lower() if letter.isalnum()) not in accepted:
        findings.refuse(sentence.format(name=name))


_CRITICAL: dict[str, tuple[frozenset[str], str]] = {
    "client_encoding": (UTF8_SPELLINGS, _ENCODING),
    "names": (UTF8_SPELLINGS, _ENCODING),
    "standard_conforming_strings": (frozenset({"on", "true", "yes", "1", "t", "y"}), _LITERALS),
    "backslash_quote": (frozenset({"safeencoding"}), _LITERALS),
}
"""Parameter to its accepted values, letters and digits only, and what to say to others."""
