"""Commands as they are written, decided by rules; and that whatever breaks on the way is a denial."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.services.policy.examples import MONDAY_NOON_S, agent, engine

from interlock.core.decision import Verdict
from interlock.core.denial import DenialReason
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.ssh.written import meaning_of_written
from interlock.services.policy import ClientFacts, PolicyEngine
from interlock.services.policy.named_files import NamedFiles

GROUPS = """
@id("groups") permit (
    principal,
    action in [Action::"read", Action::"write", Action::"destructive", Action::"admin", Action::"execute"],
    resource
);
"""
EVERYTHING = '@id("everything") permit (principal, action, resource);\n'


def decide(policy: PolicyEngine, asked: Meaning | str) -> Verdict:
    meaning = meaning_of_written(asked, None) if isinstance(asked, str) else asked
    return policy.decide(agent("bots"), "web", "deploy", meaning, ClientFacts(), MONDAY_NOON_S)


def is_allowed(policy: PolicyEngine, asked: Meaning | str) -> bool:
    return decide(policy, asked).denial is None


@pytest.mark.parametrize(
    "line",
    [
        "$ eval $X",
        "$ ./deploy.sh",
        "$ $CMD",
        "$ python3 -c 'print(1)'",
        "$ ls; (",
        "shell",
        "forward db:5432",
        "sftp x",
    ],
)
def test_no_group_permits_what_nobody_can_read_or_look_into(line: str) -> None:
    denial = decide(engine(GROUPS), line).denial
    assert denial is not None
    assert denial.reason is DenialReason.NO_PERMIT
    assert is_allowed(engine(EVERYTHING), line)


def test_opaque_is_permitted_by_name() -> None:
    permit = '@id("deploys") permit (principal, action, resource == Program::"web/.%2Fdeploy.sh");'
    assert is_allowed(engine(permit), "$ ./deploy.sh")
    assert not is_allowed(engine(permit), "$ ./other.sh")
    assert not is_allowed(engine(permit), "$ ./deploy.sh; ls")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("$ cat /srv/a", True),
        ("$ cat /srv/a /srv/b/c | wc -l", True),
        ("$ cat /srv/*.txt", True),
        ("$ cd /srv && cat a", True),
        ("$ cat /srv/../etc/passwd", False),
        ("$ cat /etc/passwd", False),
        ('$ cat "$X"', False),
        ("$ cat notes", False),
        ("$ head /srv/a", False),
        ("$ cat /srv/a > /srv/b", False),
    ],
)
def test_some_programs_on_some_files(line: str, allowed: bool) -> None:
    rules = """
    @id("programs") permit (principal, action == Action::"ssh-read", resource)
    when { resource in [Program::"web/cat", Program::"web/wc", Program::"web/cd"] };
    @id("files") permit (principal, action == Action::"file-read", resource in File::"web/srv");
    """
    assert is_allowed(engine(rules), line) is allowed


@pytest.mark.parametrize(
    "line",
    [
        "$ rm -rf /srv/data",
        "$ rm -rf /srv",
        "$ rm -rf /",
        "$ cd /srv && rm -rf *",
        "$ cd /srv; rm -rf data",
        '$ rm -rf "$DIR"',
        "$ find /srv -delete",
        "$ mv /srv /tmp/x",
        "$ bash -c 'rm -r /srv/data/x'",
        "sftp remove /srv/data/x",
        "sftp rename /srv to /tmp/x",
    ],
)
def test_a_forbid_on_a_directory_is_not_dodged(line: str) -> None:
    rules = (
        EVERYTHING
        + '@id("kept") forbid (principal, action == Action::"file-remove", resource in File::"web/srv/data");'
    )
    verdict = decide(engine(rules), line)
    assert verdict.denial is not None
    assert verdict.denial.rules == ("kept",)
    assert is_allowed(engine(EVERYTHING), line)


def test_conditions_read_what_a_command_is() -> None:
    rule = """@id("no") forbid (principal, action, resource)
    when { context has ssh && context.ssh.kind == "exec" && context.ssh.programs.contains("curl")
           && !context.ssh.hosts.contains("mirror.example") };"""
    policy = engine(EVERYTHING + rule)
    assert is_allowed(policy, "$ curl https://mirror.example/x")
    assert not is_allowed(policy, "$ curl https://other.example/x")
    assert is_allowed(policy, "$ ls")


# ------------------------------------------------------------ what breaks


def asked(action: str = "ssh-read", **facts: Any) -> Meaning:
    ssh: Mapping[str, object] = {"kind": "exec", "login": "deploy", "command": "ls", **facts}
    return Meaning("EXEC ls", (Access(action, ResourceKind.PROGRAM, ("ls",)),), {"ssh": ssh})


def is_broken(verdict: Verdict) -> bool:
    return verdict.denial is not None and verdict.denial.reason is DenialReason.POLICY_ERROR


def test_nothing_is_broken_at_first() -> None:
    assert is_allowed(engine(EVERYTHING), asked())


def test_an_action_that_policy_does_not_know_is_a_denial() -> None:
    assert is_broken(decide(engine(EVERYTHING), asked("ssh-teleport")))


@pytest.mark.parametrize(
    "facts",
    [
        {"pty": "yes"},
        {"programs": object()},
        {"command": "\ud800"},
        {"paths": (1,)},
        {"login": None},
    ],
)
def test_circumstances_that_cannot_be_told_to_a_rule_are_a_denial(facts: dict[str, Any]) -> None:
    (name,) = facts
    same = f"[context.ssh.{name}].contains(context.ssh.{name})"
    rule = f'@id("r") permit (principal, action, resource) when {{ context has ssh && {same} }};'
    assert is_allowed(engine(rule), asked(programs=(), paths=(), pty=False))
    assert is_broken(decide(engine(rule), asked(**facts)))


def test_a_rule_that_cannot_be_evaluated_is_a_denial() -> None:
    rule = '@id("o") forbid (principal, action, resource) when { context.now * 9223372036854775807 == 1 };'
    denial = decide(engine(EVERYTHING + rule), asked()).denial
    assert denial is not None
    assert (denial.reason, denial.rules) == (DenialReason.POLICY_ERROR, ("o",))


def test_a_file_without_a_name_is_a_denial() -> None:
    nameless = msgspec.structs.replace(asked(), accesses=(Access("file-read", ResourceKind.FILE, ()),))
    assert is_broken(decide(engine(EVERYTHING), nameless))


def test_a_fault_in_finding_named_files_is_a_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Access]:
        raise RuntimeError

    monkeypatch.setattr(NamedFiles, "with_reached", fail)
    assert is_broken(decide(engine(EVERYTHING), asked()))
