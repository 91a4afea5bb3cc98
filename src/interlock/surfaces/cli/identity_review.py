"""``interlock identities review``: what agents may do and did, the worst first, and that somebody has looked."""

import csv
import datetime
import sys
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from interlock.core.administration import AttestIdentity, IdentityReview, ReviewIdentities
from interlock.surfaces.cli.answers import UNAVAILABLE, JsonOption, ask, show_json, show_table, stop
from interlock.surfaces.cli.duration import seconds
from interlock.surfaces.cli.receipts import show_done

_COLUMNS: Final = ("RISK", "AGENT", "OWNER", "LAST USED", "CONNECTIONS", "FINDINGS", "REVIEWED")
_CSV_COLUMNS: Final = (
    *("agent", "risk", "flags", "findings", "registered", "disabled", "owner", "owner_state", "purpose", "issuers"),
    *("groups", "first_used", "last_used", "sessions", "connections_granted", "connections_used", "reviewed_by"),
    *("reviewed_at", "review_note"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def review_identities(
    context: typer.Context,
    unused_for: Annotated[str, typer.Option(help="Without use for so long, an agent is called unused.")] = "90d",
    keys_older_than: Annotated[str, typer.Option(help="So old, a secret or SSH key is called old.")] = "180d",
    seen_within: Annotated[
        str, typer.Option(help="Agents that are not registered are shown when they had a session within this time.")
    ] = "365d",
    attest: Annotated[
        str, typer.Option(metavar="NAME", help="Put on record that you have looked at this agent's access.")
    ] = "",
    note: Annotated[str, typer.Option(help="With --attest: what you have found.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each agent.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show who answers for agents, what they may do and did, and what about that is not well; the worst first."""
    if attest:
        show_done(ask(context, AttestIdentity(attest, note)))
        return
    unused_for_s = seconds(unused_for, "--unused-for")
    old_after_s = seconds(keys_older_than, "--keys-older-than")
    page = ask(context, ReviewIdentities(unused_for_s, old_after_s, seconds(seen_within, "--seen-within")))
    if as_json:
        show_json(page)
    elif as_csv:
        _write_csv(page.items)
    else:
        show_table(_COLUMNS, map(_row, page.items), "There is no agent.")
    if page.left_out:
        stop(f"{page.left_out} agents more were not looked at", UNAVAILABLE)


def _row(one: IdentityReview) -> tuple[str, ...]:
    attested = f"{_day(one.attested.at_s)} by {one.attested.by}" if one.attested is not None else "never"
    used = sum(bool(connection.actions_used) for connection in one.connections)
    granted = sum(connection.granted for connection in one.connections)
    name = f"{one.name} (disabled)" if one.disabled else one.name
    findings = "; ".join(finding.text for finding in one.findings) or "-"
    return (
        str(one.risk),
        name,
        one.owner or "-",
        _day(one.last_used_at_s),
        f"{used} used, {granted} granted",
        findings,
        attested,
    )


def _write_csv(items: Iterable[IdentityReview]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for one in items:
        writer.writerow(map(_cell, _csv_row(one)))


def _csv_row(one: IdentityReview) -> tuple[object, ...]:
    attested = one.attested
    return (
        *(one.name, one.risk, _words(finding.flag.value for finding in one.findings)),
        *("; ".join(finding.text for finding in one.findings), one.registered, one.disabled, one.owner or ""),
        *(one.owner_state.value, one.purpose, _words(one.issuers), _words(one.groups)),
        *(_moment(one.first_used_at_s), _moment(one.last_used_at_s), one.sessions),
        _words(connection.name for connection in one.connections if connection.granted),
        _words(connection.name for connection in one.connections if connection.actions_used),
        *((attested.by, _moment(attested.at_s), attested.note) if attested is not None else ("", "", "")),
    )


def _cell(value: object) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _words(words: Iterable[str]) -> str:
    return " ".join(words)


def _day(at_s: float | None) -> str:
    return "never" if at_s is None else datetime.datetime.fromtimestamp(at_s, datetime.UTC).date().isoformat()


def _moment(at_s: float | None) -> str:
    return "" if at_s is None else datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")
