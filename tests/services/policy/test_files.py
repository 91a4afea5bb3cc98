"""Rules about files of hosts: what a directory covers, and that no spelling and no doubt dodges a forbid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.policy.examples import MONDAY_NOON_S, agent, engine

from interlock.core.decision import Verdict
from interlock.core.denial import DenialReason
from interlock.core.file_paths import ANYWHERE, FilePath, below, file_path, pattern_path
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.services.policy import ClientFacts, PolicyEngine
from interlock.services.policy.sources import NO_TAGS, Tags

BOT = agent("bots")
PERMIT = '@id("all") permit (principal, action, resource in Connection::"web");'


def files(action: str, *paths: str | FilePath, login: str = "deploy") -> Meaning:
    touched = (file_path(path) if isinstance(path, str) else path for path in paths)
    accesses = tuple(Access(action, ResourceKind.FILE, path) for path in touched)
    return Meaning("TEST", accesses, {"ssh": {"kind": "sftp", "login": login}})


def decide(policy: PolicyEngine, asked: Meaning) -> Verdict:
    return policy.decide(BOT, "web", "", asked, ClientFacts(), MONDAY_NOON_S)


def is_allowed(policy: PolicyEngine, asked: Meaning) -> bool:
    return decide(policy, asked).denial is None


def is_forbidden(policy: PolicyEngine, asked: Meaning) -> bool:
    denial = decide(policy, asked).denial
    assert denial is None or denial.reason is DenialReason.FORBIDDEN
    return denial is not None


def forbidding(scope: str, actions: str = "action", tags: Tags = NO_TAGS) -> PolicyEngine:
    return engine(f'{PERMIT} @id("no") forbid (principal, {actions}, resource {scope});', tags)


def permitting(directory: str) -> PolicyEngine:
    return engine(f'@id("yes") permit (principal, action, resource in File::"{directory}");')


@pytest.mark.parametrize(
    ("directory", "path", "allowed"),
    [
        ("web/srv", "/srv", True),
        ("web/srv", "/srv/data/x.csv", True),
        ("web/srv", "/srv/../etc/passwd", False),
        ("web/srv", "/srv2", False),
        ("web/srv", "srv/x", False),
        ("web/srv", pattern_path("/srv/*.csv"), True),
        ("web/srv", pattern_path("/srv/.*"), False),
        ("web/srv", ANYWHERE, False),
        ("web/", "/srv", True),
        ("web/", "~/x", True),
        ("web/", ANYWHERE, True),
        ("web/~", "notes", True),
        ("web/~", "/home/deploy/notes", False),
        ("web/~", "~ada/notes", False),
        ("db/srv", "/srv", False),
    ],
)
def test_a_permit_on_a_directory_covers_what_is_known_to_be_in_it(
    directory: str, path: str | FilePath, allowed: bool
) -> None:
    assert is_allowed(permitting(directory), files("file-read", path)) is allowed


@pytest.mark.parametrize(
    ("scope", "path", "forbidden"),
    [
        ('in File::"web/etc"', "/etc/ssh/sshd_config", True),
        ('in File::"web/etc"', "/srv/etc", False),
        ('in File::"web/etc"', ANYWHERE, True),
        ('in File::"web/etc"', pattern_path("/etc/*"), True),
        ('in File::"web/etc"', pattern_path("/*/passwd"), True),
        ('in File::"web/etc"', pattern_path("/srv/*"), False),
        ('== File::"web/etc/shadow"', pattern_path("/etc/*"), True),
        ('== File::"web/etc/shadow"', pattern_path("/etc/ssh/*"), False),
        ('== File::"web/etc/shadow"', "/etc", False),
        ('== File::"db/etc/shadow"', ANYWHERE, False),
        ('== File::"web/"', ANYWHERE, True),
    ],
)
def test_a_forbid_counts_for_a_path_that_may_be_in_it(scope: str, path: str | FilePath, forbidden: bool) -> None:
    assert is_forbidden(forbidding(scope), files("file-read", path)) is forbidden


@pytest.mark.parametrize("action", ["file-write", "file-remove"])
@pytest.mark.parametrize("path", ["/", "/srv", "/srv/data"])
def test_writing_or_removing_a_directory_reaches_what_is_below_it(action: str, path: str) -> None:
    assert is_forbidden(forbidding('in File::"web/srv/data"'), files(action, path))
    assert not is_forbidden(forbidding('in File::"web/srv/data/x/y"'), files("file-list", path))
    assert not is_forbidden(forbidding('in File::"web/srv/data"'), files(action, "/srv/other"))


def test_the_denial_says_which_file_it_is_about() -> None:
    denial = decide(forbidding('in File::"web/srv/data"'), files("file-remove", "/srv")).denial
    assert denial is not None
    assert denial.access == "file-remove on file web/srv/data"


@pytest.mark.parametrize(
    ("named", "path", "login", "forbidden"),
    [
        ("web/~/.ssh", "/home/deploy/.ssh/id", "deploy", True),
        ("web/~/.ssh", ("/", "root", ".ssh", "id"), "root", True),
        ("web/~/.ssh", "~deploy/.ssh/id", "deploy", True),
        ("web/~/.ssh", "/home/ada/.ssh/id", "deploy", False),
        ("web/home/deploy/.ssh", "~/.ssh/id", "deploy", True),
        ("web/home/ada/.ssh", "~ada/.ssh/id", "deploy", True),
        ("web/~root/.ssh", ("/", "root", ".ssh", "id"), "deploy", True),
        ("web/home", "~/x", "deploy", True),
        ("web/home", "~/x", "root", False),
        ("web/home/deploy/.ssh", ("~", "."), "deploy", False),
        ("web/home/deploy/.ssh", below(file_path("~/.ssh")), "deploy", True),
        ("web/home/deploy/.ssh", below(file_path("~")), "deploy", True),
    ],
)
def test_a_home_has_several_spellings(named: str, path: str | FilePath, login: str, forbidden: bool) -> None:
    assert is_forbidden(forbidding(f'in File::"{named}"'), files("file-read", path, login=login)) is forbidden


@pytest.mark.parametrize(
    ("path", "forbidden"),
    [
        ("/home/ada/.ssh/id", True),
        ("~/.ssh/id", True),
        ("~ada/.ssh", True),
        ("/home/ada/x", False),
        (pattern_path("/home/*"), True),
        (pattern_path("/home/ada/x/*"), False),
        (ANYWHERE, True),
    ],
)
@pytest.mark.parametrize("connection", ["web", "*", "w*"])
def test_tags_give_files_to_a_forbid(path: str | FilePath, forbidden: bool, connection: str) -> None:
    policy = forbidding('in Tag::"keys"', tags={f"File::{connection}/home/*/.ssh": ["keys"], "File::web/x": ["other"]})
    assert is_forbidden(policy, files("file-read", path)) is forbidden


def test_a_condition_that_names_a_file_counts_as_well() -> None:
    policy = engine(f'{PERMIT} @id("no") forbid (principal, action, resource) when {{ resource in File::"web/etc" }};')
    assert is_forbidden(policy, files("file-read", ANYWHERE))


def test_a_permit_names_no_file_for_a_doubt() -> None:
    policy = engine(f'{PERMIT} @id("x") permit (principal, action, resource == File::"web/etc/x");')
    assert is_allowed(policy, files("file-read", ANYWHERE))


def test_too_many_named_files_deny_what_is_not_known() -> None:
    named = ", ".join(f'File::"web/a/{number}"' for number in range(100))
    rules = "".join(
        f'@id("r{part}") forbid (principal, action, resource is File) when {{ [{named.replace("/a/", f"/{part}/")}]'
        ".contains(resource) };"
        for part in range(11)
    )
    denial = decide(engine(PERMIT + rules), files("file-read", ANYWHERE)).denial
    assert denial is not None
    assert denial.reason is DenialReason.UNSUPPORTED


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)


@given(NAMES, NAMES)
def test_removing_is_forbidden_exactly_where_one_is_in_the_other(named: list[str], removed: list[str]) -> None:
    policy = forbidding(f'in File::"web/{"/".join(named)}"')
    shorter = min(len(named), len(removed))
    expected = named[:shorter] == removed[:shorter]
    assert is_forbidden(policy, files("file-remove", "/" + "/".join(removed))) is expected


@given(NAMES, NAMES)
def test_reading_is_forbidden_exactly_where_it_is_in_the_directory(named: list[str], read: list[str]) -> None:
    policy = forbidding(f'in File::"web/{"/".join(named)}"')
    expected = read[: len(named)] == named
    assert is_forbidden(policy, files("file-read", "/" + "/".join(read))) is expected
