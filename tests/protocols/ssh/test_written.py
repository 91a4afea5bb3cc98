"""Requests as people write them for the tools around policy."""

import pytest

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings import ConnectionSettings, SshAuthentication, SshTarget
from interlock.protocols.ssh.written import meaning_of_written

HOST = ConnectionSettings(
    protocol="ssh", host="web", user="deploy", ssh=SshTarget(authenticate=SshAuthentication.CERTIFICATE)
)


def read(text: str) -> Meaning:
    return meaning_of_written(text, HOST)


def accesses(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((access.action, access.path) for access in read(text).accesses)


@pytest.mark.parametrize("text", ["$ rm -rf /srv/old", "rm -rf /srv/old", "  $ rm -rf /srv/old\n"])
def test_a_command(text: str) -> None:
    of = read(text)
    assert of.facts["ssh"]["command"] == "rm -rf /srv/old"  # type: ignore[index]
    assert of.facts["ssh"]["login"] == "deploy"  # type: ignore[index]
    assert of.noun == "command"


def test_a_command_that_begins_with_a_word_of_another_kind() -> None:
    assert read("$ shell").verb != "SHELL"
    assert read("$ sftp web").noun == "command"


def test_a_shell() -> None:
    assert read("shell").accesses == (Access("shell", ResourceKind.CONNECTION),)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("sftp open /srv/x for reading", [("file-read", ("/", "srv", "x"))]),
        ("sftp open /srv/x for writing", [("file-write", ("/", "srv", "x"))]),
        (
            "sftp open x for y for reading and writing",
            [("file-read", ("~", "x for y")), ("file-write", ("~", "x for y"))],
        ),
        ("sftp list /srv", [("file-list", ("/", "srv"))]),
        ("sftp look up ~/x", [("file-list", ("~", "x"))]),
        ("sftp read the link /srv/x", [("file-list", ("/", "srv", "x"))]),
        ("sftp remove /srv/x", [("file-remove", ("/", "srv", "x"))]),
        ("sftp remove the directory /srv", [("file-remove", ("/", "srv"))]),
        ("sftp make the directory /srv/x", [("file-write", ("/", "srv", "x"))]),
        ("sftp change /srv/x", [("file-write", ("/", "srv", "x"))]),
        ("sftp rename /srv/a to /srv/b", [("file-remove", ("/", "srv", "a")), ("file-write", ("/", "srv", "b"))]),
    ],
)
def test_requests_of_sftp(text: str, asked: list[tuple[str, tuple[str, ...]]]) -> None:
    assert accesses(text) == tuple(asked)
    assert read(text).noun == "request"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("forward db.internal:5432", ("forward", ("db.internal",))),
        ("forward [2001:db8::1]:22", ("forward", ("2001:db8::1",))),
        ("forward remote 0.0.0.0:8080", ("forward", ())),
        ("forward /run/docker.sock", ("forward", ("/", "run", "docker.sock"))),
    ],
)
def test_forwardings(text: str, asked: tuple[str, tuple[str, ...]]) -> None:
    assert accesses(text) == (asked,)


@pytest.mark.parametrize("text", ["sftp", "sftp chew /x", "sftp open /x", "forward", "forward db", "forward remote /x"])
def test_what_cannot_be_read_is_unclassified_and_says_how_it_is_written(text: str) -> None:
    of = read(text)
    assert of.accesses == (Access("unclassified", ResourceKind.CONNECTION),)
    assert "written as" in str(of.facts["error"])


@pytest.mark.parametrize("text", ["", "$", " ", "\ud800", "a\0b"])
def test_anything_can_be_written(text: str) -> None:
    assert meaning_of_written(text, None).accesses
