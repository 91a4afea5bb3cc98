"""What SQL does, told narrowly: reading only when that is certain, removing when it may be, opaque otherwise.
This is not the gateway's reading of PostgreSQL statements: it only sees text that a command line hands to
some database."""

import re

from interlock.protocols.ssh.commands.invocation import Verdict
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    READS,
    RULES,
    WRITES,
    opaque,
    total,
    verdict,
)

_LITERALS = re.compile(
    r"--[^\n]*|\#[^\n]*|/\*.*?\*/|'(?:[^'\\]|''|\\.)*'|\$(\w*)\$.*?\$\1\$|\"(?:[^\"]|\"\")*\"|`[^`]*`", re.DOTALL
)
_MAX_COMMENTS = 20
_IN_DOUBT = re.compile(r"\\['\"]|--(?!\s|$)|\#|\$\w*\$")
"""Where strings and comments end is not the same in all of them."""
_FUNCTIONS = names(
    """
    count sum min max avg now version coalesce nullif lower upper length char_length round floor ceil abs trim
    ltrim rtrim substr substring concat concat_ws replace date date_trunc date_part extract to_char to_date
    to_timestamp age cast convert year month day hour current_database current_user session_user user database
    schema current_schema inet_server_addr pg_size_pretty pg_database_size pg_total_relation_size
    pg_relation_size pg_table_size pg_indexes_size pg_is_in_recovery pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn pg_wal_lsn_diff
    pg_postmaster_start_time pg_backend_pid pg_blocking_pids pg_get_viewdef pg_get_indexdef
    pg_get_constraintdef pg_get_functiondef pg_stat_get_activity txid_current format json_agg jsonb_agg
    array_agg string_agg row_to_json to_json to_jsonb json_build_object jsonb_build_object group_concat ifnull
    if isnull date_format unix_timestamp from_unixtime datediff date_sub date_add timestampdiff curdate
    curtime strftime datetime julianday row_number rank dense_rank lag lead over first_value last_value
    percentile_cont generate_series unnest array_length exists in values and or not any all some as on using
    from where select case when then else end by left right distinct filter interval varchar char decimal
    numeric int integer md5 random rand greatest least mod power sqrt sign stddev variance total instr
    position strpos split_part regexp_replace regexp_matches json_extract jsonb_array_elements
    json_array_elements table_info index_list last_insert_rowid changes typeof iif printf hex quote rowcount
    found_rows connection_id uuid clock_timestamp statement_timestamp justify_interval make_interval
    cardinality to_tsvector to_tsquery partition between like union except intersect with recursive limit
    offset having is null
    """
)
_READING = names(
    "select show explain describe desc values table with pragma help use begin commit rollback start end set"
    " check checksum analyze"
)


def effects(text: str) -> Verdict:
    """All the statements of the text together."""
    if _IN_DOUBT.search(text) or text.count("/*") > _MAX_COMMENTS:
        return opaque("SQL that databases take apart in different ways")
    statements = [each.strip() for each in _LITERALS.sub(_blank, text).split(";")]
    return total(*(_statement(each) for each in statements if each)) if any(statements) else READS


def _blank(found: re.Match[str]) -> str:
    """Names in quotes stay names, strings and comments go; MySQL runs what stands in ``/*! … */``."""
    literal = found[0]
    if literal.startswith("/*!"):
        return f" {literal[3:-2]} "
    if literal.startswith(("#", "--", "/*")):
        return " "
    return " name " if literal[0] in '"`' else " '' "


def _statement(text: str) -> Verdict:
    words = re.findall(r"[a-z_][\w$]*", text.lower())
    verb = words[0] if words else ""
    if verb in ("delete", "truncate", "drop") or (verb == "replace" and "into" not in words):
        return DESTROYS
    if verb == "alter":
        return total(
            RULES if words[1:2] and words[1] in ("user", "role", "system", "default") else WRITES,
            DESTROYS if "drop" in words else READS,
        )
    if verb == "update":
        return WRITES if "where" in words else DESTROYS
    if verb in ("grant", "revoke", "reassign") or (
        verb == "create" and words[1:2] and words[1] in ("user", "role", "login")
    ):
        return RULES
    if verb == "create":
        return _create(words)
    if verb in ("insert", "merge", "upsert", "replace"):
        return total(WRITES, _functions(text))
    if verb in (
        "vacuum",
        "analyze",
        "reindex",
        "refresh",
        "comment",
        "optimize",
        "cluster",
        "notify",
        "lock",
        "checkpoint",
        "flush",
        "unlock",
        "savepoint",
        "release",
        "discard",
        "rename",
        "repair",
    ):
        return WRITES
    if verb == "kill":
        return DESTROYS
    if verb == "copy":
        return _copy(words)
    return (
        _reading(text, words) if verb in _READING else opaque(f"an SQL statement that is not known: {verb or 'none'}")
    )


def _create(words: list[str]) -> Verdict:
    runs = {
        "function",
        "procedure",
        "trigger",
        "extension",
        "event",
        "language",
        "rule",
        "server",
        "subscription",
        "alias",
        "aggregate",
    }
    return opaque("SQL makes something that runs code") if runs & set(words[1:5]) else WRITES


def _copy(words: list[str]) -> Verdict:
    if "program" in words:
        return opaque("COPY runs a program")
    if "stdout" in words:
        return READS
    return WRITES if "stdin" in words else opaque("COPY reads or writes a file of the server")


def _reading(text: str, words: list[str]) -> Verdict:
    changing = {"insert", "update", "delete", "merge", "into", "outfile", "dumpfile", "truncate", "drop"} & set(words)
    verb = words[0]
    if verb == "set":
        return WRITES if {"global", "persist", "role", "authorization", "password"} & set(words) else READS
    if verb == "pragma":
        return WRITES if "=" in text else READS
    if verb == "explain" and "analyze" not in words and not changing - {"into"}:
        return READS
    if "delete" in changing or "truncate" in changing or "drop" in changing:
        return DESTROYS
    if {"outfile", "dumpfile"} & changing:
        return opaque("SQL writes a file of the server")
    return total(WRITES if changing else READS, _functions(text))


def _functions(text: str) -> Verdict:
    """A function may do anything; those of the language itself are known."""
    called = {name.lower() for name in re.findall(r"(?<![\w$.])([A-Za-z_][\w$.]*)\s*\(", text)}
    unknown = sorted(name for name in called if name.removeprefix("pg_catalog.") not in _FUNCTIONS)
    inserted = re.findall(r"into\s+([\w.]+)\s*\(", text, re.IGNORECASE)
    unknown = [name for name in unknown if name not in {each.lower() for each in inserted}]
    return opaque(f"SQL calls a function that is not known: {unknown[0]}") if unknown else verdict()
