"""``interlock policy``: check policy texts, explain one decision, run policy cases.

Nothing in here changes the policy in force. Exit status 0: as it should be; 1: it is not; 2: it could not be found out.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from interlock.core.administration import Permission
from interlock.core.errors import ConfigurationError, PolicyRejected
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import Meaning
from interlock.core.settings import IdentityKind
from interlock.services.policy import ClientFacts, PolicyEngine
from interlock.services.policy.cases import CaseResult, read_cases, run_cases
from interlock.services.policy.check import Severity, check
from interlock.services.policy.explain import Explanation, Question, explain
from interlock.services.policy.permissions import MEANINGS
from interlock.services.policy.session import Outcome
from interlock.services.policy.tools import PolicyTools
from interlock.surfaces.cli.workbench import Workbench

app = typer.Typer(name="policy", help="Check, explain and test the policy.", no_args_is_help=True)

_WORDS = {Outcome.ALLOW: "allowed", Outcome.HOLD: "held", Outcome.DENY: "denied"}
_UNUSABLE = 2

PolicyOption = Annotated[
    list[str] | None, typer.Option("--policy", help="Policy file or glob pattern, instead of the configured ones.")
]


@app.command("check")
def check_policy(
    context: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(help="Policy files; the configured ones when none is given.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check.")] = False,
) -> None:
    """Check syntax, schema, annotations, names, and rules that can never apply."""
    tools = _tools(context)
    try:
        sources = tools.reader.read(files or ())
    except ConfigurationError as error:
        _stop(error)
    remarks = check(sources, tools.tags, tools.names)
    for remark in remarks:
        typer.echo(f"{remark.severity.value}: {remark.text}")
    if any(remark.severity is Severity.ERROR for remark in remarks):
        raise typer.Exit(1)
    engine = PolicyEngine(sources, tools.tags)
    typer.echo(f"{_count(len(engine.rules), 'rule')} in {_count(len(sources), 'file')}, version {engine.version}")
    raise typer.Exit(1 if strict and remarks else 0)


@app.command("explain")
def explain_decision(
    context: typer.Context,
    statement: Annotated[
        str,
        typer.Argument(
            help="The request: an SQL text, an HTTP request as 'GET /users/7', or a command as '$ ls /srv'."
        ),
    ] = "",
    connection: Annotated[str, typer.Option(help="Connection on which it is asked.")] = "",
    permission: Annotated[
        Permission | None, typer.Option(help="What is asked of the gateway itself, in place of a request.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Name of the agent who asks.")] = None,
    user: Annotated[str | None, typer.Option(help="Name of the user who asks.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the identity; may be repeated.")] = None,
    owner: Annotated[str | None, typer.Option(help="Owner of the agent.")] = None,
    actor: Annotated[str, typer.Option(help="Name of who acts for the identity.")] = "",
    actor_group: Annotated[list[str] | None, typer.Option(help="A group of who acts; may be repeated.")] = None,
    actor_owner: Annotated[str | None, typer.Option(help="Owner of the agent who acts.")] = None,
    actor_kind: Annotated[IdentityKind, typer.Option(help="What acts.")] = IdentityKind.AGENT,
    database: Annotated[str, typer.Option(help="Database on which it is asked.")] = "",
    protocol: Annotated[str, typer.Option(help="Protocol of the request; that of the connection if absent.")] = "",
    address: Annotated[str, typer.Option(help="Address of the client.")] = "",
    application: Annotated[str, typer.Option(help="What the client calls itself.")] = "",
    trace: Annotated[str, typer.Option(help="The client's trace id.")] = "",
    policy: PolicyOption = None,
) -> None:
    """Show the accesses of a request or permission, the outcome, the deciding rules, and what would change it."""
    tools = _tools(context)
    if (agent is None) == (user is None):
        _stop(ConfigurationError("give exactly one of --agent and --user"))
    kind = PrincipalKind.AGENT if agent is not None else PrincipalKind.USER
    acts = Principal(PrincipalKind[actor_kind.name], actor, frozenset(actor_group or ()), actor_owner)
    acting = (acts,) if actor else ()
    principal = Principal(kind, agent or user or "", frozenset(group or ()), owner, acting=acting)
    engine = _engine(tools, policy)
    if (permission is None) == (not connection):
        _stop(ConfigurationError("give a request and its --connection, or --permission"))
    if permission is not None and actor:
        _stop(ConfigurationError("nobody has permissions on the gateway through somebody who acts for them"))
    if permission is not None:
        connection, database, meaning = tools.node, "", MEANINGS[permission]
    else:
        meaning = _interpret(tools, connection, statement, protocol)
    client = ClientFacts(address, application, trace)
    _show(explain(engine, Question(principal, connection, database, meaning, client, tools.clock.now_s())))


@app.command("test")
def run_policy_cases(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="YAML files of cases.")],
    policy: PolicyOption = None,
) -> None:
    """Run policy cases and report those that come out differently."""
    tools = _tools(context)
    engine = _engine(tools, policy)
    failed = total = 0
    for file in files:
        try:
            results = run_cases(engine, tools.interpreter, read_cases(file.read_bytes(), str(file)))
        except ConfigurationError as error:
            _stop(error)
        except OSError as error:
            _stop(ConfigurationError(f"{file}: {error.strerror}"))
        for result in results:
            _report(file, result)
        total += len(results)
        failed += sum(result.failure is not None for result in results)
    typer.echo(f"{_count(total, 'case')}, {failed} failed, policy version {engine.version}")
    raise typer.Exit(1 if failed else 0)


def _report(file: Path, result: CaseResult) -> None:
    if result.failure is None:
        typer.echo(f"ok    {result.case.name}: {result.actual}")
    else:
        typer.echo(f"FAIL  {result.case.name} ({file}): {result.failure}")
        typer.echo(f"      {result.case.text}")


def _show(explanation: Explanation) -> None:
    verdict = explanation.verdict
    within = " within budget" if explanation.budgets and explanation.outcome is Outcome.ALLOW else ""
    typer.echo(f"outcome: {_WORDS[explanation.outcome]}{within}")
    if verdict.denial is not None:
        typer.echo(f"message: {verdict.denial.message}\nhint:    {verdict.denial.hint}")
    elif verdict.hold is not None:
        typer.echo(f"message: {verdict.hold.message}")
    typer.echo(f"rules:   {', '.join(verdict.rules) or 'none'}\npolicy:  {verdict.policy}\naccesses:")
    for finding in explanation.findings:
        typer.echo(f"  {_WORDS[finding.outcome]:<8} {finding.line} ({', '.join(finding.rules) or 'no rule'})")
    if explanation.budgets:
        typer.echo("budgets:")
    for line in explanation.budgets:
        typer.echo(f"  {line}")
    if explanation.masked:
        typer.echo("masks:")
    for line in explanation.masked:
        typer.echo(f"  {line}")
    if explanation.changes:
        typer.echo("what would change it:")
    for change in explanation.changes:
        typer.echo(f"  {change}")


def _interpret(tools: PolicyTools, connection: str, statement: str, protocol: str) -> Meaning:
    try:
        return tools.interpreter.interpret(connection, statement, protocol)
    except ConfigurationError as error:
        _stop(error)


def _tools(context: typer.Context) -> PolicyTools:
    workbench: Workbench = context.obj
    return workbench.policy


def _engine(tools: PolicyTools, patterns: list[str] | None) -> PolicyEngine:
    try:
        return PolicyEngine(tools.reader.read(patterns or ()), tools.tags)
    except PolicyRejected as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(_UNUSABLE) from error
    except ConfigurationError as error:
        _stop(error)


def _stop(error: ConfigurationError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(_UNUSABLE)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
