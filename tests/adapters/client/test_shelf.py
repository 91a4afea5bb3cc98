"""What is kept on somebody's own machine: for nobody else, as a whole or not at all."""

import contextlib
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from interlock.adapters.client.shelf import FileShelf, current_gateway, kept_authority, state_directory
from interlock.core.client import ClientLogin, GatewayAddress, HeldToken
from interlock.core.errors import ConfigurationError
from interlock.services.client.ports import ShelfUnusable

ADDRESS = GatewayAddress("https://gateway.example:8443")
LOGIN = ClientLogin(ADDRESS.url, "ill_planted", "ada")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "interlock"


def logged_in(directory: Path, address: GatewayAddress = ADDRESS) -> FileShelf:
    shelf = FileShelf(directory, address)
    with shelf.locked():
        shelf.keep_login(LOGIN)
    return shelf


def test_nobody_else_may_reach_anything(directory: Path) -> None:
    before = os.umask(0)
    try:
        shelf = logged_in(directory)
        shelf.keep_token("key", HeldToken("ilk_planted", 2.0), 1.0)
        shelf.write_file("shop.pgpass", b"line")
        with shelf.temporary() as write:
            file = write("pgpass", b"line")
            assert file.read_bytes() == b"line"
            found = [directory, *directory.rglob("*")]
            modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in found}
        assert not file.parent.exists()
    finally:
        os.umask(before)
    assert modes == {(True, 0o700), (False, 0o600)}
    assert not [path for path in found if path.name.endswith(".new")]


def test_a_login_and_its_gateway_are_found_again(directory: Path, tmp_path: Path) -> None:
    assert FileShelf(directory, ADDRESS).login() is None
    assert current_gateway(directory) == ""
    (tmp_path / "ca.pem").write_text("authority")
    logged_in(directory, GatewayAddress(ADDRESS.url, str(tmp_path / "ca.pem")))
    assert FileShelf(directory, ADDRESS).login() == LOGIN
    assert current_gateway(directory) == ADDRESS.url
    assert Path(kept_authority(directory, ADDRESS)).read_text() == "authority"
    other = GatewayAddress("https://other.example")
    assert FileShelf(directory, other).login() is None
    assert kept_authority(directory, other) == ""


def test_a_new_login_has_none_of_the_tokens_before(directory: Path) -> None:
    shelf = logged_in(directory)
    shelf.keep_token("key", HeldToken("ilk_planted", 2.0), 1.0)
    shelf.renew_login(LOGIN)
    assert shelf.token("key") is not None
    shelf.keep_login(LOGIN)
    assert shelf.token("key") is None


def test_what_is_forgotten_is_gone(directory: Path) -> None:
    shelf = logged_in(directory)
    shelf.keep_token("key", HeldToken("ilk_planted", 2.0), 1.0)
    shelf.write_file("shop.pgpass", b"ilk_planted")
    shelf.forget()
    assert (shelf.login(), shelf.token("key"), current_gateway(directory)) == (None, None, "")
    assert not [path for path in directory.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]


def test_another_gateway_stays_the_current_one(directory: Path) -> None:
    shelf = logged_in(directory)
    other = GatewayAddress("https://other.example")
    logged_in(directory, other)
    shelf.forget()
    assert current_gateway(directory) == other.url


def test_tokens_that_have_ended_are_forgotten(directory: Path) -> None:
    shelf = logged_in(directory)
    shelf.keep_token("old", HeldToken("ilk_old", 10.0), 1.0)
    shelf.keep_token("new", HeldToken("ilk_new", 30.0), 20.0)
    assert shelf.token("old") is None
    assert shelf.token("new") == HeldToken("ilk_new", 30.0)


def test_what_others_may_read_is_refused(directory: Path) -> None:
    shelf = logged_in(directory)
    (file,) = directory.rglob("login.json")
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"login\.json: .*chmod 600"):
        shelf.login()
    file.chmod(0o600)
    file.parent.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"), shelf.locked():
        raise AssertionError


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b'{"url": 1}', b"[" * 5000])
def test_a_damaged_login_says_what_to_do(directory: Path, content: bytes) -> None:
    shelf = logged_in(directory)
    (file,) = directory.rglob("login.json")
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged; log in again: interlock login"):
        shelf.login()
    assert "planted" not in repr(LOGIN)


def test_a_damaged_token_is_none(directory: Path) -> None:
    shelf = logged_in(directory)
    shelf.keep_token("key", HeldToken("ilk_planted", 2.0), 1.0)
    (file,) = directory.rglob("key.json")
    file.write_bytes(b"{")
    assert shelf.token("key") is None


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf = FileShelf(tmp_path / "file" / "interlock", ADDRESS)
    with pytest.raises(ShelfUnusable), shelf.locked():
        raise AssertionError


def test_where_everything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_directory({"XDG_STATE_HOME": "/var/x"}) == Path("/var/x/interlock")
    monkeypatch.setenv("HOME", "/home/ada")
    for ignored in ("", "relative"):
        assert state_directory({"XDG_STATE_HOME": ignored}) == Path("/home/ada/.local/state/interlock")


def _count(directory: Path, times: int) -> None:
    shelf = FileShelf(directory, ADDRESS)
    for _ in range(times):
        with shelf.locked():
            login = shelf.login()
            assert login is not None
            shelf.renew_login(ClientLogin(login.url, str(int(login.refresh_token) + 1)))


def test_processes_that_change_it_at_the_same_time_lose_nothing(directory: Path) -> None:
    shelf = FileShelf(directory, ADDRESS)
    with shelf.locked():
        shelf.keep_login(ClientLogin(ADDRESS.url, "0"))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count, args=(directory, 20)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    login = shelf.login()
    assert login is not None
    assert login.refresh_token == "80"


def test_what_a_killed_program_left_is_removed_in_the_end(directory: Path) -> None:
    shelf = logged_in(directory)
    with contextlib.ExitStack() as stack:
        left = stack.enter_context(shelf.temporary())("token", b"ilk_planted").parent
        os.utime(left, (1.0, 1.0))
        with shelf.temporary():
            assert not left.exists()
