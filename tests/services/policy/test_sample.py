"""The sample policy says what its cases say, and policy has a word for everything the PostgreSQL parser can say."""

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.services.policy.examples import source

from interlock.adapters.config_file import load_settings
from interlock.bootstrap.interpretation import Interpreter
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings import ConnectionSettings, Settings
from interlock.protocols.http.dialects.plain import ACTIONS, OTHER_ACTION
from interlock.services import policy
from interlock.services.policy import PolicyEngine
from interlock.services.policy.cases import Case, read_cases, run_cases
from interlock.services.policy.check import check, known_names
from interlock.services.policy.connection_tags import connection_tags
from interlock.services.policy.resources import LINEAGE, resolve
from interlock.services.policy.schema import action_groups

FOLDER = Path(policy.__file__).parent
CASES = read_cases((FOLDER / "sample.cases.yaml").read_bytes(), "sample.cases.yaml")
INTERPRETER = Interpreter(lambda _: None)
HTTP_CASES = read_cases((FOLDER / "sample_http.cases.yaml").read_bytes(), "sample_http.cases.yaml")
SSH_CASES = read_cases((FOLDER / "sample_ssh.cases.yaml").read_bytes(), "sample_ssh.cases.yaml")
CORPUS = Path(__file__).parents[2] / "protocols" / "postgres" / "statements" / "corpus"


@pytest.fixture(scope="module")
def sample() -> PolicyEngine:
    return PolicyEngine([source((FOLDER / "sample.cedar").read_text())])


@pytest.fixture(scope="module")
def connections() -> Mapping[str, ConnectionSettings]:
    return load_settings(FOLDER / "sample_http.toml").connections


@pytest.fixture(scope="module")
def http_sample(connections: Mapping[str, ConnectionSettings]) -> PolicyEngine:
    return PolicyEngine([source((FOLDER / "sample_http.cedar").read_text())], connection_tags(connections))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(sample: PolicyEngine, case: Case) -> None:
    (result,) = run_cases(sample, INTERPRETER, [case])
    assert result.failure is None


def test_every_access_of_the_parser_can_be_ruled_on() -> None:
    texts = [text for file in CORPUS.glob("*.txt") for text in file.read_text().splitlines() if text[:1].isalpha()]
    accesses = {access for text in texts for access in INTERPRETER.interpret("pg", text).accesses}
    assert len(accesses) > 100
    assert {access.action for access in accesses} <= action_groups().keys()
    for access in accesses:
        assert resolve(access, "pg", "app").id.startswith("pg")


@pytest.mark.parametrize("case", HTTP_CASES, ids=lambda case: case.name)
def test_case_over_http(http_sample: PolicyEngine, connections: Mapping[str, ConnectionSettings], case: Case) -> None:
    (result,) = run_cases(http_sample, Interpreter(connections.get), [case])
    assert result.failure is None


def test_each_rule_over_http_decides_a_case(
    http_sample: PolicyEngine, connections: Mapping[str, ConnectionSettings]
) -> None:
    decided = {rule for one in run_cases(http_sample, Interpreter(connections.get), HTTP_CASES) for rule in one.rules}
    who = HTTP_CASES[0].identity.principal()
    decided |= set(http_sample.decide(who, "internet", "", Meaning("CONNECT", ())).rules)
    about_reveal = {rule.id for rule in http_sample.evaluator.on_reveal}
    of_the_gateway = {"ops-review"}  # about what people do on the gateway itself, which no case is
    assert decided | about_reveal | of_the_gateway == http_sample.rules.keys()
    crm = http_sample.for_session(who, "crm", "").body_masking()
    assert crm is not None
    assert {rule for mask in crm.fields.values() for rule in mask.rules} == about_reveal


def test_the_sample_over_http_leaves_nothing_to_remark(connections: Mapping[str, ConnectionSettings]) -> None:
    text = source((FOLDER / "sample_http.cedar").read_text())
    names = dataclasses.replace(known_names(connections, "gateway"), groups=frozenset({"ci-bots", "ops"}))
    assert check([text], connection_tags(connections), names) == ()


def test_rules_of_the_guide_are_in_the_sample() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    section = guide.partition("\n## HTTP\n")[2].partition("\n## SSH\n")[0]
    section += guide.partition("\n### Fields\n")[2].partition("\n### Detectors\n")[0]
    rules, settings = (FOLDER / "sample_http.cedar").read_text(), (FOLDER / "sample_http.toml").read_text()
    blocks = re.findall(r"```(cedar|toml)\n(.*?)```", section, re.DOTALL)
    assert len(blocks) > 8
    for language, block in blocks:
        for part in block.strip().split("\n\n"):
            assert part in (rules if language == "cedar" else settings)


@pytest.fixture(scope="module")
def hosts() -> Settings:
    return load_settings(FOLDER / "sample_ssh.toml")


@pytest.fixture(scope="module")
def ssh_sample(hosts: Settings) -> PolicyEngine:
    return PolicyEngine([source((FOLDER / "sample_ssh.cedar").read_text())], hosts.policy.tags)


@pytest.mark.parametrize("case", SSH_CASES, ids=lambda case: case.name)
def test_case_on_a_host(ssh_sample: PolicyEngine, hosts: Settings, case: Case) -> None:
    (result,) = run_cases(ssh_sample, Interpreter(hosts.connections.get), [case])
    assert result.failure is None


def test_each_rule_about_hosts_decides_a_case(ssh_sample: PolicyEngine, hosts: Settings) -> None:
    decided = {
        rule for one in run_cases(ssh_sample, Interpreter(hosts.connections.get), SSH_CASES) for rule in one.rules
    }
    assert decided | {"ops-review-hosts"} == ssh_sample.rules.keys()


def test_the_sample_about_hosts_leaves_nothing_to_remark(hosts: Settings) -> None:
    text = source((FOLDER / "sample_ssh.cedar").read_text())
    names = dataclasses.replace(known_names(hosts.connections, "gateway"), groups=frozenset({"ci-bots", "ops"}))
    assert check([text], hosts.policy.tags, names) == ()


def test_rules_of_the_guide_on_hosts_are_in_the_sample() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    blocks = re.findall(
        r"```(cedar|toml)\n(.*?)```", guide.partition("\n## SSH\n")[2].partition("\n## Masking\n")[0], re.DOTALL
    )
    rules, settings = (FOLDER / "sample_ssh.cedar").read_text(), (FOLDER / "sample_ssh.toml").read_text()
    assert len(blocks) > 3
    for language, block in blocks:
        for part in block.strip().split("\n\n"):
            assert part in (rules if language == "cedar" else settings)


def test_every_access_over_http_can_be_ruled_on() -> None:
    everything = PolicyEngine([source('@id("p") permit (principal, action, resource);')])
    accesses = set(_literal_accesses()) | {
        Access(action, kind, ("users",) if kind is ResourceKind.ENDPOINT else ())
        for action in (*ACTIONS.values(), OTHER_ACTION, "http-websocket")
        for kind in (ResourceKind.CONNECTION, ResourceKind.ENDPOINT)
    }
    assert {"http-tunnel", "mcp-call", "mcp-list", "unclassified"} <= {access.action for access in accesses}
    for access in accesses:
        verdict = everything.decide(HTTP_CASES[0].identity.principal(), "crm", "", Meaning("TEST", (access,)))
        assert verdict.rules == ("p",), access


def _literal_accesses() -> Iterator[Access]:
    """The accesses that modules of HTTP spell out, each on some resource of its kind."""
    for file in (Path(policy.__file__).parents[2] / "protocols" / "http").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Name("Access"), [ast.Constant(str(action)), ast.Attribute(_, kind), *_]):
                    resource = ResourceKind[kind]
                    yield Access(action, resource, ("x",) * (len(LINEAGE[resource]) - 1))
