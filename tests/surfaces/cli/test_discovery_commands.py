"""``interlock connections scan | harden`` as they are typed."""

import json
import tomllib

import pytest
import typer
from typer.testing import CliRunner, Result

from interlock.core.administration import HardeningPlan
from interlock.core.settings import ConnectionSettings
from interlock.surfaces.cli import connections
from interlock.surfaces.cli.discovery import column_path
from tests.services.administration_bench import AdministrationBench
from tests.surfaces.cli.test_administration_commands import BenchWorkbench

VALUE = b"planted@example.org"


@pytest.fixture
def bench() -> AdministrationBench:
    bench = AdministrationBench(
        {"crm": ConnectionSettings(protocol="postgres", host="db", databases=("app",), user="gateway")}
    )
    bench.target.add("t", [("contact", "text"), ("phone", "int4")])
    bench.target.rows["t"] = [(VALUE,), (b"x",)]
    return bench


def run(bench: AdministrationBench, *arguments: str, typed: str = "") -> Result:
    app = typer.Typer()
    app.add_typer(connections.app)
    command = ("connections", *arguments)
    result = CliRunner().invoke(app, command, obj=BenchWorkbench(bench), input=typed, terminal_width=200)
    assert VALUE.decode() not in result.output
    return result


def test_a_scan_shows_what_it_proposes(bench: AdministrationBench) -> None:
    result = run(bench, "scan", "crm", "--sample-rows", "7")
    assert result.exit_code == 0
    table, _, snippet = result.output.partition("after a look at each line:")
    assert "public.t.contact  content: email  1 of 2 (50%)  pii" in table
    assert "name: phone" in table
    assert tomllib.loads(snippet) == {
        "policy": {"tags": {"crm/app/public/t/contact": ["pii"], "crm/app/public/t/phone": ["pii"]}}
    }
    assert bench.target.asked == [("t", ("contact",), 7)]


def test_a_scan_for_programs(bench: AdministrationBench) -> None:
    report = json.loads(run(bench, "scan", "crm", "--database", "app", "--json").output)
    assert [proposal["reason"] for proposal in report["proposals"]] == ["email", "phone"]
    assert run(bench, "scan", "crm", "--database", "other").exit_code == 1


def test_a_scan_that_finds_nothing(bench: AdministrationBench) -> None:
    bench.target.relations.clear()
    assert run(bench, "scan", "crm").output == "Nothing was found in 0 columns of 0 tables.\n"


def test_tables_that_were_not_sampled_and_odd_names(bench: AdministrationBench) -> None:
    bench.target.relations.clear()
    bench.target.add('od"d\x1b[2J\n', [("e\\mail", "text"), ("email", "text")])
    result = run(bench, "scan", "crm")
    assert "\x1b" not in result.output
    assert "not sampled" in result.stderr
    tags = tomllib.loads(result.stdout.partition("after a look at each line:")[2])["policy"]["tags"]
    assert 'crm/app/public/od"d\x1b[2J\n/email' in tags


def test_hardening_prints_statements_for_psql(bench: AdministrationBench) -> None:
    result = run(bench, "harden", "crm", "--column", "public.t.contact")
    assert result.stdout == 'REVOKE SELECT ON "t" FROM "gateway";\n'
    assert result.stderr == "warning: gateway owns t\n"
    assert bench.journal == []
    assert json.loads(run(bench, "harden", "crm", "--column", "public.t.contact", "--json").output)["applied"] is False


def test_hardening_is_applied_after_asking(bench: AdministrationBench) -> None:
    options = ("harden", "crm", "--role", "app", "--column", "public.t.contact", "--apply")
    assert run(bench, *options, typed="n\n").exit_code == 1
    assert bench.journal == []
    result = run(bench, *options, typed="y\n")
    assert result.exit_code == 0
    assert "app cannot read the columns any more." in result.stderr
    assert run(bench, *options, "--yes", "--json").exit_code == 0
    assert bench.journal == ["recorded", "changed"] * 2


def test_nothing_to_harden(bench: AdministrationBench) -> None:
    bench.target.plan_made = HardeningPlan("gateway", (), ())
    result = run(bench, "harden", "crm", "--column", "public.t.contact", "--apply")
    assert (result.stdout, result.stderr) == ("", "Nothing to do: gateway cannot read the columns.\n")
    assert bench.journal == []


@pytest.mark.parametrize("column", ["t.contact", "a.b.c.d", "", '"a.b.c', "a..c"])
def test_columns_that_are_none(column: str, bench: AdministrationBench) -> None:
    result = run(bench, "harden", "crm", "--column", column)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not schema.table.column" in result.stderr


def test_columns_with_odd_names() -> None:
    path = column_path('"a.b"."c""d".e f')
    assert (path.schema, path.table, path.column) == ("a.b", 'c"d', "e f")
