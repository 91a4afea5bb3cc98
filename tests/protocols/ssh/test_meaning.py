"""What requests over SSH ask for."""

from collections.abc import Mapping

import pytest

from interlock.core.file_paths import ANYWHERE, ROOT, UNKNOWN
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.ssh.commands.invocation import (
    UNKNOWN_PATH,
    CommandClass,
    CommandReading,
    PathUse,
    TouchedPath,
)
from interlock.protocols.ssh.events import Exec, Forward, ForwardKind, Pty, Shell
from interlock.protocols.ssh.meaning import (
    MAX_ACCESSES,
    host_name,
    meaning_of_exec,
    meaning_of_files,
    meaning_of_forward,
    meaning_of_shell,
)

READ, WRITE, DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE
NETWORK, OPAQUE, PRIVILEGE = CommandClass.NETWORK, CommandClass.OPAQUE, CommandClass.PRIVILEGE


def meaning(reading: CommandReading, request: Exec | None = None) -> Meaning:
    return meaning_of_exec(request or Exec(b"x"), reading, "deploy")


def facts(of: Meaning) -> Mapping[str, object]:
    ssh = of.facts["ssh"]
    assert isinstance(ssh, Mapping)
    return ssh


def program(action: str, name: str) -> Access:
    return Access(action, ResourceKind.PROGRAM, (name,))


def file(action: str, *path: str) -> Access:
    return Access(action, ResourceKind.FILE, (ROOT, *path))


def reading(path: TouchedPath, *programs: str, classes: frozenset[CommandClass] = frozenset({READ})) -> CommandReading:
    return CommandReading(classes, programs or ("cat",), (path,))


def test_classes_are_asked_for_on_the_programs_that_have_them() -> None:
    told = (("cat", frozenset({READ})), ("rm", frozenset({WRITE, DESTRUCTIVE})))
    of = meaning(CommandReading(frozenset({READ, WRITE, DESTRUCTIVE}), ("cat", "rm"), by_program=told))
    assert of.accesses == (program("ssh-read", "cat"), program("ssh-write", "rm"), program("ssh-destructive", "rm"))
    assert of.verb == "EXEC cat; rm"
    assert of.noun == "command"


def test_when_nobody_told_them_apart_every_program_has_all_classes() -> None:
    of = meaning(CommandReading(frozenset({READ, DESTRUCTIVE}), ("cat", "rm")))
    assert of.accesses == (
        program("ssh-read", "cat"),
        program("ssh-destructive", "cat"),
        program("ssh-read", "rm"),
        program("ssh-destructive", "rm"),
    )


def test_what_no_program_does_is_asked_for_on_the_connection() -> None:
    of = meaning(CommandReading(frozenset({READ, WRITE}), ("cat",), by_program=(("cat", frozenset({READ})),)))
    assert of.accesses == (program("ssh-read", "cat"), Access("ssh-write", ResourceKind.CONNECTION))


@pytest.mark.parametrize("told", [(), (("true", frozenset[CommandClass]()),)])
def test_a_program_that_does_nothing_is_asked_for_all_the_same(
    told: tuple[tuple[str, frozenset[CommandClass]], ...],
) -> None:
    assert meaning(CommandReading(frozenset(), ("true",), by_program=told)).accesses == (program("ssh-read", "true"),)


def test_an_empty_command_reads() -> None:
    assert meaning(CommandReading(frozenset())).accesses == (Access("ssh-read", ResourceKind.CONNECTION),)


@pytest.mark.parametrize("each", CommandClass)
def test_every_class_has_an_action(each: CommandClass) -> None:
    assert meaning(CommandReading(frozenset({each}), ("x",))).accesses == (program(f"ssh-{each.value}", "x"),)
    assert facts(meaning(CommandReading(frozenset({each}))))["classes"] == (each.value,)


@pytest.mark.parametrize(("use", "action"), [("read", "file-read"), ("write", "file-write"), ("remove", "file-remove")])
def test_files_are_asked_for_by_their_use(use: str, action: str) -> None:
    of = meaning(reading(TouchedPath("/srv/x", PathUse(use), deep=False)))
    assert of.accesses[1:] == (file(action, "srv", "x"),)
    assert facts(of)["paths"] == ("/srv/x",)
    assert facts(of)["paths_unknown"] is False


def test_reading_that_goes_deep_asks_for_what_is_below_as_well() -> None:
    of = meaning(reading(TouchedPath("/srv", PathUse.READ)))
    assert of.accesses[1:] == (file("file-read", "srv"), file("file-read", "srv", UNKNOWN))
    assert facts(of)["paths"] == ("/srv",)


def test_writing_and_removing_are_about_the_path_with_all_that_is_below() -> None:
    assert meaning(reading(TouchedPath("/srv", PathUse.REMOVE))).accesses[1:] == (file("file-remove", "srv"),)


@pytest.mark.parametrize(
    ("path", "programs", "classes"),
    [
        (UNKNOWN_PATH, ("rm",), {READ}),
        ("{a,/etc}/x", ("rm",), {READ}),
        ("~/x", ("sudo", "rm"), {PRIVILEGE}),
        ("x", ("sudo", "rm"), {PRIVILEGE}),
    ],
)
def test_what_is_not_known_of_a_path_is_anywhere(
    path: str, programs: tuple[str, ...], classes: set[CommandClass]
) -> None:
    of = meaning(reading(TouchedPath(path, PathUse.READ), *programs, classes=frozenset(classes)))
    assert of.accesses[-1] == Access("file-read", ResourceKind.FILE, ANYWHERE)
    assert facts(of)["paths"] == ()
    assert facts(of)["paths_unknown"] is True


def test_a_pattern_is_unknown_in_its_directory() -> None:
    of = meaning(reading(TouchedPath("/var/log/*.log", PathUse.READ, deep=False)))
    assert of.accesses[-1] == file("file-read", "var", "log", UNKNOWN)
    assert facts(of)["paths_unknown"] is True


def test_hosts_are_asked_for_as_policy_names_them() -> None:
    of = meaning(CommandReading(frozenset({NETWORK}), ("curl",), hosts=("API.Example.", "[::0001]")))
    assert of.accesses[1:] == (
        Access("ssh-network", ResourceKind.HOST, ("api.example",)),
        Access("ssh-network", ResourceKind.HOST, ("::1",)),
    )
    assert facts(of)["hosts"] == ("api.example", "::1")


def test_opaque_commands_say_why() -> None:
    of = meaning(CommandReading(frozenset({OPAQUE}), why_opaque=("eval of something", "eval of something", "b")))
    assert of.accesses == (Access("ssh-opaque", ResourceKind.CONNECTION),)
    assert of.facts["opaque"] == "eval of something; b"
    assert facts(of)["paths_unknown"] is True


def test_a_command_with_too_many_accesses_is_opaque() -> None:
    paths = tuple(TouchedPath(f"/srv/{number}", PathUse.READ, deep=False) for number in range(1000))
    of = meaning(CommandReading(frozenset({READ}), ("cat",), paths))
    assert len(of.accesses) == MAX_ACCESSES
    assert of.accesses[-1] == Access("ssh-opaque", ResourceKind.CONNECTION)
    assert "opaque" in str(facts(of)["classes"])
    assert len(facts(of)["paths"]) == MAX_ACCESSES  # type: ignore[arg-type]
    assert facts(of)["paths_unknown"] is True


def test_facts_of_a_command() -> None:
    asked = Exec(b"LC_ALL=C caf\xe9", (("LC_ALL", "C"),), Pty("xterm", 80, 24))
    of = meaning(CommandReading(frozenset({READ}), ("caf\udce9",)), asked)
    assert facts(of)["command"] == "LC_ALL=C caf\\xe9"
    assert facts(of)["programs"] == ("caf\\udce9",)
    assert facts(of)["environment"] == ("LC_ALL",)
    assert facts(of)["pty"] is True
    assert facts(of)["login"] == "deploy"


def test_many_programs_are_named_in_part() -> None:
    assert meaning(CommandReading(frozenset({READ}), tuple("abcdefg"))).verb == "EXEC a; b; c; d; e …"


def test_a_shell() -> None:
    of = meaning_of_shell(Shell((("LANG", "C"),), Pty("xterm", 80, 24)), "deploy")
    assert (of.verb, of.noun) == ("SHELL", "command")
    assert of.accesses == (Access("shell", ResourceKind.CONNECTION),)
    assert (facts(of)["kind"], facts(of)["login"]) == ("shell", "deploy")
    assert (facts(of)["environment"], facts(of)["pty"]) == (("LANG",), True)


@pytest.mark.parametrize(
    ("request_", "access", "command"),
    [
        (
            Forward(ForwardKind.LOCAL, "DB.internal", 5432),
            Access("forward", ResourceKind.HOST, ("db.internal",)),
            "local DB.internal:5432",
        ),
        (
            Forward(ForwardKind.UNIX, "/run/docker.sock"),
            file("forward", "run", "docker.sock"),
            "unix /run/docker.sock",
        ),
        (
            Forward(ForwardKind.REMOTE, "0.0.0.0", 8080),
            Access("forward", ResourceKind.CONNECTION),
            "remote 0.0.0.0:8080",
        ),
        (Forward(ForwardKind.LOCAL, "", 80), Access("forward", ResourceKind.CONNECTION), "local :80"),
    ],
)
def test_a_forwarding(request_: Forward, access: Access, command: str) -> None:
    of = meaning_of_forward(request_, "deploy")
    assert of.accesses == (access,)
    assert of.noun == "request"
    assert facts(of)["command"] == command


def test_a_request_of_sftp() -> None:
    of = meaning_of_files("RENAME", "rename /srv/a to b", [("file-remove", "/srv/a"), ("file-write", "b")], "deploy")
    assert of.accesses == (file("file-remove", "srv", "a"), Access("file-write", ResourceKind.FILE, ("~", "b")))
    assert facts(of)["paths"] == ("/srv/a", "~/b")
    assert of.noun == "request"


@pytest.mark.parametrize(("text", "name"), [("2130706433", "2130706433"), ("::FFFF", "::ffff"), ("a.B.", "a.b")])
def test_names_of_hosts(text: str, name: str) -> None:
    assert host_name(text) == name
