"""What each request asks policy for, and what goes to OpenSSH's server when it is permitted."""

import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.operation import Access, OutcomeStatus, ResourceKind
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.answers import read_names
from interlock.protocols.ssh.sftp.wire import OpenFlag, PacketType, StatusCode, string, u32, u64
from tests.protocols.ssh.sftp.channels import NO_ATTRIBUTES, Channel, deny, real_server

LIST, READ, WRITE, REMOVE = "file-list", "file-read", "file-write", "file-remove"
CREATE = OpenFlag.WRITE | OpenFlag.CREATE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve() / "home"
    (home / "dir").mkdir(parents=True)
    (home / "dir/a.txt").write_text("hello\n")
    (home / "link").symlink_to(home.parent / "secret")
    (home / "dirlink").symlink_to("dir")
    (home.parent / "secret").write_text("secret\n")
    return home


@pytest.fixture
def channel(home: Path) -> Iterator[Channel]:
    with real_server(home) as target:
        yield Channel(target).greet()


def asked(channel: Channel) -> list[tuple[str, str]]:
    """Actions and paths of the last operation, without those that begin at ``~``."""
    accesses = channel.operations[-1].meaning.accesses
    return [(one.action, "/" + "/".join(one.path[1:])) for one in accesses if one.path[:1] != ("~",)]


def code(answer: bytes) -> int:
    assert answer[4] == PacketType.STATUS, answer
    return int.from_bytes(answer[9:13])


NAMED = [
    (PacketType.STAT, "dir/a.txt", b"", LIST),
    (PacketType.LSTAT, "dir/a.txt", b"", LIST),
    (PacketType.OPENDIR, "dir", b"", LIST),
    (PacketType.READLINK, "link", b"", LIST),
    (PacketType.REMOVE, "dir/a.txt", b"", REMOVE),
    (PacketType.RMDIR, "dir", b"", REMOVE),
    (PacketType.MKDIR, "new", NO_ATTRIBUTES, WRITE),
    (PacketType.SETSTAT, "dir/a.txt", NO_ATTRIBUTES, WRITE),
    (extensions.LSETSTAT, "link", NO_ATTRIBUTES, WRITE),
    (extensions.STATVFS, "dir", b"", LIST),
    (extensions.EXPAND_PATH, "dir", b"", LIST),
    (PacketType.REALPATH, "dir", b"", LIST),
]


@pytest.mark.parametrize(("kind", "name", "rest", "action"), NAMED)
def test_a_name_is_decided_in_its_normal_form_and_sent_so(
    channel: Channel, home: Path, kind: PacketType | bytes, name: str, rest: bytes, action: str
) -> None:
    written = string(f"{home}//./dir/../{name}/".encode()) + rest
    if isinstance(kind, bytes):
        answer = channel.extended(kind, written)
    else:
        answer = channel.ask(kind, written)
    assert asked(channel) == [(action, f"{home}/{name}")]
    assert Access(action, ResourceKind.FILE, ("~", *name.split("/"))) in channel.operations[-1].meaning.accesses
    assert b".." not in channel.to_target
    assert answer[4] != PacketType.STATUS or code(answer) in (0, StatusCode.FAILURE)
    if kind != PacketType.OPENDIR:
        assert channel.reports[-1].number == channel.operations[-1].number


@pytest.mark.parametrize("written", ["dir/a.txt", "dirlink/../dir/a.txt", "dirlink/a.txt"])
def test_relative_names_and_links_are_decided_on_what_they_really_are(
    channel: Channel, home: Path, written: str
) -> None:
    channel.open(written.encode(), OpenFlag.READ)
    assert (READ, f"{home}/dir/a.txt") in asked(channel)


def test_a_link_is_decided_under_both_of_its_names_and_the_real_one_is_sent(channel: Channel, home: Path) -> None:
    channel.open(b"link", OpenFlag.READ)
    assert asked(channel) == [(READ, f"{home}/link"), (READ, f"{home.parent}/secret")]
    assert channel.texts[-1] == f"open {home}/link (really {home.parent}/secret) for reading"
    assert channel.sent[-1][4] == PacketType.OPEN
    assert f"{home.parent}/secret".encode() in channel.sent[-1]


def test_a_link_to_a_forbidden_file_is_denied(home: Path) -> None:
    with real_server(home) as target:
        channel = Channel(target, deny(READ, under=f"{home.parent}/secret")).greet()
        answer = channel.ask(PacketType.OPEN, string(b"link"), u32(OpenFlag.READ), NO_ATTRIBUTES)
        assert code(answer) == StatusCode.PERMISSION_DENIED
        assert b"Ask somebody." in answer
        assert b"interlock: denied: file-read on" in channel.errors
        assert PacketType.OPEN not in [packet[4] for packet in channel.sent]


@pytest.mark.parametrize(
    ("flags", "actions", "words"),
    [
        (OpenFlag.READ, [READ], "reading"),
        (OpenFlag(0), [READ], "reading"),
        (OpenFlag.WRITE, [WRITE], "writing"),
        (OpenFlag.READ | OpenFlag.WRITE, [READ, WRITE], "reading and writing"),
        (CREATE | OpenFlag.TRUNCATE, [WRITE], "writing (create, truncate)"),
        (OpenFlag.READ | OpenFlag.TRUNCATE, [READ, WRITE], "reading and writing (truncate)"),
        (OpenFlag.WRITE | OpenFlag.APPEND, [WRITE], "writing (append)"),
    ],
)
def test_opening_asks_for_what_it_may_do(
    channel: Channel, home: Path, flags: OpenFlag, actions: list[str], words: str
) -> None:
    channel.open(b"dir/a.txt", flags)
    assert [action for action, _ in asked(channel)] == actions
    assert channel.texts[-1] == f"open {home}/dir/a.txt for {words}"


def test_a_file_is_made_where_its_directory_really_is(channel: Channel, home: Path) -> None:
    channel.open(b"dirlink/new", CREATE)
    assert asked(channel) == [(WRITE, f"{home}/dirlink/new"), (WRITE, f"{home}/dir/new")]
    assert (home / "dir/new").exists()


def test_a_dangling_link_does_not_make_a_file_unseen(channel: Channel, home: Path) -> None:
    (home / "dangling").symlink_to(home.parent / "made")
    channel.open(b"dangling", CREATE)
    assert (WRITE, f"{home.parent}/made") in asked(channel)


def test_a_chain_of_links_that_the_server_does_not_follow_is_not_opened(channel: Channel, home: Path) -> None:
    """The server gives up at 32 links, where the kernel follows 40."""
    last = "secret"
    (home / "chain0").symlink_to(home.parent / last)
    for number in range(1, 36):
        (home / f"chain{number}").symlink_to(f"chain{number - 1}")
    assert (home / "chain35").read_text() == "secret\n"
    answer = channel.ask(PacketType.OPEN, string(b"chain35"), u32(OpenFlag.READ), NO_ATTRIBUTES)
    assert code(answer) == StatusCode.NO_SUCH_FILE
    answer = channel.ask(PacketType.OPEN, string(b"chain35"), u32(CREATE), NO_ATTRIBUTES)
    assert code(answer) == StatusCode.FAILURE
    assert (home.parent / "secret").read_text() == "secret\n"


def test_renaming_removes_one_name_and_writes_the_other(channel: Channel, home: Path) -> None:
    assert code(channel.ask(PacketType.RENAME, string(b"dir/a.txt"), string(b"dirlink/b.txt"))) == StatusCode.OK
    names = [f"{home}/dir/a.txt", f"{home}/dirlink/b.txt", f"{home}/dir/b.txt"]
    assert asked(channel) == list(zip((REMOVE, WRITE, WRITE), names, strict=True))
    assert (home / "dir/b.txt").exists()


def test_a_symbolic_link_needs_what_could_be_done_through_it(channel: Channel, home: Path) -> None:
    assert code(channel.ask(PacketType.SYMLINK, string(b"../../secret"), string(b"dirlink/s"))) == StatusCode.OK
    assert set(asked(channel)) == {
        (WRITE, f"{home}/dirlink/s"),
        (WRITE, f"{home}/dir/s"),
        (READ, f"{home.parent}/secret"),
        (WRITE, f"{home.parent}/secret"),
    }
    assert (home / "dir/s").readlink() == Path("../../secret")


def test_what_a_link_leads_to_is_asked_as_the_host_follows_it(channel: Channel, home: Path) -> None:
    """``outside/../secret`` is in the directory above what the link leads to, whatever the text looks like."""
    (home.parent / "else/where").mkdir(parents=True)
    (home.parent / "else/secret").write_text("other secret\n")
    (home / "outside").symlink_to(home.parent / "else/where")
    channel.ask(PacketType.SYMLINK, string(b"outside/../secret"), string(b"s"))
    assert (READ, f"{home.parent}/else/secret") in asked(channel)
    assert (home / "s").read_text() == "other secret\n"


def test_a_hard_link_needs_reading_and_writing_of_the_file(channel: Channel, home: Path) -> None:
    channel.extended(extensions.HARDLINK, string(b"dir/a.txt"), string(b"b"))
    assert asked(channel) == [(READ, f"{home}/dir/a.txt"), (WRITE, f"{home}/dir/a.txt"), (WRITE, f"{home}/b")]
    assert (home / "b").samefile(home / "dir/a.txt")


def test_posix_rename_replaces(channel: Channel, home: Path) -> None:
    (home / "b").write_text("old")
    assert code(channel.extended(extensions.POSIX_RENAME, string(b"dir/a.txt"), string(b"b"))) == StatusCode.OK
    assert asked(channel) == [(REMOVE, f"{home}/dir/a.txt"), (WRITE, f"{home}/b")]


@pytest.mark.parametrize("name", [".ssh/authorized_keys", ".bashrc", "../../../../etc/cron.d/x"])
def test_what_runs_later_is_asked_for_as_persistence(channel: Channel, home: Path, name: str) -> None:
    channel.policy = deny(WRITE)
    channel.ask(PacketType.OPEN, string(name.encode()), u32(CREATE), NO_ATTRIBUTES)
    actions = {access.action for access in channel.operations[-1].meaning.accesses}
    assert "ssh-persistence" in actions
    ssh = channel.operations[-1].meaning.facts["ssh"]
    assert isinstance(ssh, dict)
    assert ssh["kind"] == "sftp"
    assert ssh["classes"] == ("persistence",)


def test_a_directory_moved_to_where_things_run_is_persistence(channel: Channel) -> None:
    channel.policy = deny(WRITE)
    channel.ask(PacketType.RENAME, string(b"dir"), string(b".ssh"))
    assert "ssh-persistence" in {access.action for access in channel.operations[-1].meaning.accesses}


@pytest.mark.parametrize(
    ("kind", "mode", "privileged"),
    [
        (PacketType.SETSTAT, 0o644, False),
        (PacketType.SETSTAT, 0o4755, True),
        (PacketType.SETSTAT, 0o666, True),
        (PacketType.MKDIR, 0o777, False),
        (PacketType.MKDIR, 0o2755, True),
    ],
)
def test_modes_that_give_rights_away_are_privilege(
    channel: Channel, kind: PacketType, mode: int, privileged: bool
) -> None:
    channel.ask(kind, string(b"dir/a.txt" if kind is PacketType.SETSTAT else b"d"), u32(4) + u32(mode))
    actions = {access.action for access in channel.operations[-1].meaning.accesses}
    assert ("ssh-privilege" in actions) is privileged
    handle = channel.open(b"dir/a.txt", OpenFlag.READ)
    channel.ask(PacketType.FSETSTAT, string(handle), u32(4) + u32(0o4755))
    assert "ssh-privilege" in {access.action for access in channel.operations[-1].meaning.accesses}


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\0b", b"", b"x" * 5000])
def test_unclear_names_are_refused_and_recorded(home: Path, name: bytes) -> None:
    with real_server(home) as target:
        channel = Channel(target, deny()).greet()
        answer = channel.ask(PacketType.STAT, string(name))
        assert code(answer) == StatusCode.PERMISSION_DENIED
        assert channel.operations[-1].meaning.refusal
        assert channel.operations[-1].text.startswith(b"stat")
        assert channel.sent == []


def test_control_characters_in_names_are_escaped_in_texts(channel: Channel) -> None:
    channel.ask(PacketType.STAT, string(b"a\n\x1b[2Jb"))
    assert channel.texts[-1].isprintable()
    assert "\\x1b" in channel.texts[-1]


def test_handles_are_changed_under_the_names_of_their_files(channel: Channel, home: Path) -> None:
    handle = channel.open(b"link", OpenFlag.READ)
    mode = u32(4) + u32(0o600)
    assert code(channel.ask(PacketType.FSETSTAT, string(handle), mode)) == StatusCode.OK
    assert asked(channel) == [(WRITE, f"{home}/link"), (WRITE, f"{home.parent}/secret")]
    assert channel.texts[-1] == f"change {home.parent}/secret to mode 0600"
    channel.extended(extensions.FSYNC, string(handle))
    assert asked(channel)[0] == (WRITE, f"{home}/link")


def test_data_is_copied_between_permitted_handles_only(channel: Channel, home: Path) -> None:
    source = channel.open(b"dir/a.txt", OpenFlag.READ)
    target = channel.open(b"copy", CREATE)
    rest = (string(source), u64(0), u64(0), string(target), u64(0))
    assert code(channel.extended(extensions.COPY_DATA, *rest)) == StatusCode.OK
    assert asked(channel) == [(READ, f"{home}/dir/a.txt"), (WRITE, f"{home}/copy")]
    assert (home / "copy").read_text() == "hello\n"
    count = len(channel.operations)
    rest = (string(target), u64(0), u64(0), string(source), u64(0))
    assert code(channel.extended(extensions.COPY_DATA, *rest)) == StatusCode.FAILURE
    assert len(channel.operations) == count


def test_the_home_is_told_without_an_operation(channel: Channel, home: Path) -> None:
    for written in (b".", b""):
        assert channel.ask(PacketType.REALPATH, string(written)) == wire.name(channel.last_id, str(home).encode())
    assert channel.operations == []
    assert channel.sent == []


def test_other_paths_are_resolved_when_that_is_permitted(home: Path) -> None:
    with real_server(home) as target:
        channel = Channel(target, deny(LIST, under=f"{home.parent}/secret")).greet()
        assert str(home / "dir").encode() in channel.ask(PacketType.REALPATH, string(b"dirlink"))
        answer = channel.ask(PacketType.REALPATH, string(b"link"))
        assert code(answer) == StatusCode.PERMISSION_DENIED


def test_somebody_elses_home_is_asked_for_and_then_decided(channel: Channel) -> None:
    theirs = str(Path(pwd.getpwnam("daemon").pw_dir).resolve())
    answer = channel.extended(extensions.EXPAND_PATH, string(b"~daemon/x"))
    assert answer[4] == PacketType.NAME
    assert asked(channel) == [(LIST, f"{theirs}/x")]
    answer = channel.extended(extensions.HOME_DIRECTORY, string(b"daemon"))
    (told,) = read_names(answer)  # some versions tell the login's own
    assert asked(channel)[-1] == (LIST, str(Path(told.decode()).resolve()))
    answer = channel.extended(extensions.EXPAND_PATH, string(b"~nobody-such/x"))
    assert answer[4] == PacketType.STATUS


def test_limits_are_those_of_both_sides_and_no_operation(channel: Channel) -> None:
    answer = channel.extended(extensions.LIMITS)
    assert answer[4] == PacketType.EXTENDED_REPLY
    fields = wire.Fields(answer)
    limits = [fields.u64() for _ in range(4)]
    assert limits[0] == 256 << 10
    assert 0 < limits[3] <= 1024
    assert channel.operations == []


def test_names_of_users_are_asked_of_the_connection(channel: Channel) -> None:
    answer = channel.extended(extensions.USERS_GROUPS, string(u32(0)), string(u32(0)))
    assert answer[4] == PacketType.EXTENDED_REPLY
    assert b"root" in answer
    assert channel.operations[-1].meaning.accesses == (Access(LIST, ResourceKind.CONNECTION),)


@pytest.mark.parametrize("kind", [21, 99, 101, 199, 255])
def test_unknown_requests_get_their_answer_and_go_nowhere(channel: Channel, kind: int) -> None:
    channel.send(wire.packet(kind, 7, string(b"/etc/passwd")))
    assert code(channel.answer(7)) == StatusCode.OP_UNSUPPORTED
    assert channel.sent == []


def test_unknown_extensions_are_neither_offered_nor_passed_on(channel: Channel) -> None:
    assert code(channel.extended(b"run-command@example.com", string(b"rm"))) == StatusCode.OP_UNSUPPORTED
    assert channel.sent == []
    offered = wire.Fields(channel.packets[0])
    names = []
    while offered.left:
        names.append(offered.string())
        offered.string()
    assert set(names) <= set(extensions.UNDERSTOOD)
    assert extensions.LIMITS in names


def test_what_fails_at_the_host_is_reported_so(channel: Channel) -> None:
    assert code(channel.ask(PacketType.REMOVE, string(b"nothing"))) == StatusCode.NO_SUCH_FILE
    assert channel.reports[-1].status is OutcomeStatus.FAILED
    assert channel.reports[-1].code == "NO_SUCH_FILE"
    assert code(channel.ask(PacketType.REMOVE, string(b"no/such/directory"))) == StatusCode.NO_SUCH_FILE
    assert channel.reports[-1].code == "NO_SUCH_FILE"
