"""Cases are read strictly and compared exactly."""

import pytest
from tests.services.policy.examples import BASIC, engine, meaning

from interlock.core.errors import ConfigurationError
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.http import EndpointSettings, HttpTarget
from interlock.protocols.http.written import meaning_of_written
from interlock.services.policy.cases import read_cases, run_cases
from interlock.services.policy.connection_tags import connection_tags

TABLE = ResourceKind.TABLE
CASE = """
cases:
  - name: one
    identity: {name: ci-1, groups: [ci-bots]}
    connection: pg
    database: app
"""


class FakeInterpreter:
    """Reads a statement as actions on the table public.users: ``select`` or, with columns, ``select:id,email``."""

    def interpret(self, connection: str, text: str, protocol: str = "") -> Meaning:
        if protocol not in ("", "postgres"):
            raise ConfigurationError(f"there is no protocol {protocol}")
        accesses = (word.partition(":") for word in text.split())
        return meaning(
            *(
                Access(action, TABLE, ("public", "users"), tuple(names.split(",")) if names else ())
                for action, _, names in accesses
            )
        )


def run(case: str, policy: str = BASIC) -> str | None:
    (result,) = run_cases(engine(policy), FakeInterpreter(), read_cases((CASE + case).encode(), "cases.yaml"))
    return result.failure


@pytest.mark.parametrize(
    ("statement", "expect", "rule"),
    [("select", "allow", "ci-reads"), ("insert", "hold", "writes-need-a-dba"), ("drop", "deny", "never-drop")],
)
def test_as_expected(statement: str, expect: str, rule: str) -> None:
    assert run(f"    statement: {statement}\n    expect: {expect}\n    rule: {rule}\n") is None
    assert run(f"    statement: {statement}\n    expect: {expect}\n") is None


def test_another_outcome() -> None:
    failure = run("    statement: drop\n    expect: allow\n")
    assert failure is not None
    assert failure.startswith('expected allow, got deny: Rule "never-drop" forbids drop')
    assert run("    statement: select\n    expect: deny\n") == "expected deny, got allow"


def test_another_rule() -> None:
    failure = run("    statement: select\n    expect: allow\n    rule: other\n")
    assert failure == 'expected rule "other" to decide, but it was ci-reads'
    assert run("    statement: call\n    expect: deny\n    rule: other\n", BASIC) is not None


def test_who_acts() -> None:
    policy = (
        '@id("users") permit (principal is User, action, resource);'
        '@id("agents") permit (principal in Group::"crm", action, resource) '
        'when { context has on_behalf_of && context.on_behalf_of.name == "ada" };'
        '@id("issuer") forbid (principal, action, resource) '
        'when { context has actor && context.actor.issuer == "https://elsewhere.example" };'
    )
    case = """
cases:
  - name: one
    identity: {name: ada, kind: user}
    connection: pg
    database: app
    statement: select
    actor: {name: crm-1, groups: [crm]}
    expect: allow
"""

    def outcome(text: str) -> str | None:
        (result,) = run_cases(engine(policy), FakeInterpreter(), read_cases(text.encode(), "cases.yaml"))
        return result.failure

    assert outcome(case) is None
    assert str(outcome(case.replace("groups: [crm]", "groups: []"))).startswith("expected allow, got deny")
    foreign = case.replace("groups: [crm]", 'groups: [crm], issuer: "https://elsewhere.example"')
    assert 'Rule "issuer" forbids' in str(outcome(foreign))


def test_circumstances() -> None:
    policy = (
        '@id("r") permit (principal, action, resource) when '
        '{ context.hour == 3 && context.client.address == "10.0.0.1" && context.trace == "t" };'
    )
    case = "    statement: select\n    address: 10.0.0.1\n    trace: t\n    expect: "
    assert run(case + "allow\n    at: 2026-03-01T03:30:00Z\n", policy) is None
    assert run(case + "allow\n    at: 2026-03-01T05:30:00+02:00\n", policy) is None
    assert run(case + "deny\n", policy) is None


class TestMasked:
    POLICY = (
        '@id("p") permit (principal, action, resource);'
        '@id("m") @mask("hash") '
        'forbid (principal, action == Action::"reveal", resource in Table::"pg/app/public/users") '
        'unless { resource == Column::"pg/app/public/users/id" };'
    )
    READ = "    statement: select:id,email\n    expect: allow\n"

    @pytest.mark.parametrize(
        ("masked", "failure"),
        [
            ("[public.users.email]", None),
            ("[]", "expected masks on no column, got public.users.email"),
            (
                "[public.users.id, public.users.email]",
                "expected masks on public.users.email, public.users.id, got public.users.email",
            ),
        ],
    )
    def test_exactly_these(self, masked: str, failure: str | None) -> None:
        assert run(self.READ + f"    masked: {masked}\n", self.POLICY) == failure

    def test_not_asked_for(self) -> None:
        assert run(self.READ, self.POLICY) is None

    def test_none(self) -> None:
        assert run(self.READ + "    masked: []\n") is None
        assert run("    statement: select\n    expect: allow\n    masked: []\n") is None

    def test_a_star_cannot_be_told(self) -> None:
        case = "    statement: select:*\n    expect: allow\n    masked: [public.users.email]\n"
        failure = run(case, self.POLICY)
        assert failure == "what is masked cannot be told: * stands for columns of public.users; name them"

    def test_rules_that_fail(self) -> None:
        overflow = 'when { if context.trace == "" then 9223372036854775807 + 1 > 0 else false }'
        text = f'@id("o") forbid (principal, action == Action::"reveal", resource) {overflow};'
        failure = run(self.READ.replace("allow", "deny") + "    masked: []\n", text)
        assert failure is not None
        assert 'rule "o"' in failure


def test_unknown_protocol() -> None:
    with pytest.raises(ConfigurationError, match="no protocol gopher"):
        run("    statement: select\n    expect: allow\n    protocol: gopher\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cases: []",
        "cases: [",
        "cases:\n  - {name: x}",
        CASE + "    statement: select\n    expect: maybe\n",
        CASE + "    statement: select\n    expect: allow\n    expects: allow\n",
        CASE + "    statement: 5\n    expect: allow\n",
        CASE + "    statement: select\n    expect: allow\n    at: 2026-03-01T03:30:00\n",
        CASE.replace("name: ci-1", "name: ci-1, kind: robot") + "    statement: select\n    expect: allow\n",
        "!!python/object/apply:os.getcwd []",
        "cases: \xff",
    ],
)
def test_unusable_files(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cases\.yaml: "):
        read_cases(text.encode("latin-1"), "cases.yaml")


class TestBudgets:
    POLICY = (
        '@id("p") permit (principal, action, resource);'
        '@id("b") @budget("rows=5 per 1h") forbid (principal, action == Action::"select", resource);'
        '@id("c") @budget("rows=5 per 1h") @approval("dba") forbid (principal, action == Action::"insert", resource);'
    )

    @pytest.mark.parametrize(
        ("case", "failure"),
        [
            ("statement: select\n    expect: allow\n    budgets: [b]", None),
            ("statement: select\n    expect: allow", None),
            ("statement: delete\n    expect: allow\n    budgets: []", None),
            ("statement: select insert\n    expect: allow\n    budgets: [b, c]", None),
            ("statement: select\n    expect: allow\n    budgets: []", "expected budgets of no rule, got b"),
            ("statement: select\n    expect: deny\n    spent: [b]\n    rule: b", None),
            ("statement: insert\n    expect: hold\n    spent: [c]\n    rule: c", None),
            ("statement: select insert\n    expect: deny\n    spent: [b, c]", None),
            ("statement: select insert\n    expect: hold\n    spent: [c]", None),
            (
                "statement: select\n    expect: allow\n    spent: [b]",
                'expected allow, got deny: Rule "b" forbids select on table pg/app/public/users beyond 5 rows per 1h, '
                "and 5 were counted.",
            ),
            (
                "statement: insert\n    expect: allow\n    spent: [b]",
                "no budget of b counts it, so none can be spent",
            ),
        ],
    )
    def test_what_counts_and_what_is_spent(self, case: str, failure: str | None) -> None:
        assert run(f"    {case}\n", self.POLICY) == failure


CRM = ConnectionSettings(
    protocol="http",
    host="crm",
    http=HttpTarget(endpoints={"volumes": EndpointSettings("/volumes/**")}, fields={"email": ("pii",), "id": ()}),
)
HTTP_POLICY = """
@id("p") permit (principal in Group::"ci-bots", action in Action::"read", resource in Connection::"crm");
@id("w") permit (principal in Group::"ci-bots", action in Action::"write", resource in Connection::"crm");
@id("kept") @approval("dba") forbid (principal, action == Action::"http-delete", resource == Endpoint::"crm/volumes");
@id("hide") @mask("partial") forbid (principal, action == Action::"reveal", resource in Tag::"pii");
"""


@pytest.mark.parametrize(
    "case",
    [
        "request: GET /volumes/7\n    expect: allow\n    masked: [email]",
        "request: DELETE /volumes/7\n    expect: hold\n    rule: kept",
        "request: DELETE /other\n    expect: allow",
        "request: gibberish\n    expect: deny",
        "request: GET /volumes/7\n    expect: allow\n    protocol: http",
        "statement: GET /volumes/7\n    expect: allow",
    ],
)
def test_requests(case: str) -> None:
    assert run_http(case) is None


def test_fields_that_are_masked_otherwise() -> None:
    failure = run_http("request: GET /volumes/7\n    expect: allow\n    masked: []")
    assert failure == "expected masks on no field, got email"


@pytest.mark.parametrize("more", ["", "statement: select\n    request: GET /"])
def test_a_case_has_a_statement_or_a_request(more: str) -> None:
    with pytest.raises(ConfigurationError, match="a statement or a request"):
        read_cases(f"{CASE}    expect: allow\n    {more}".encode(), "cases.yaml")


def run_http(case: str) -> str | None:
    text = CASE.replace("connection: pg", "connection: crm").replace("    database: app\n", "") + f"    {case}\n"
    tags = connection_tags({"crm": CRM})
    (result,) = run_cases(engine(HTTP_POLICY, tags), WrittenInterpreter(), read_cases(text.encode(), "cases.yaml"))
    return result.failure


class WrittenInterpreter:
    """Knows the connection crm only."""

    def interpret(self, connection: str, text: str, protocol: str = "") -> Meaning:
        assert (connection, protocol or "http") == ("crm", "http")
        return meaning_of_written(text, CRM.http)
