"""Files that only their owner may reach."""

import stat
from pathlib import Path

import pytest

from interlock.adapters.private_file import create_private, make_private_directory, read_private, require_private
from interlock.core.errors import ConfigurationError


def test_what_is_created_is_private_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_private(file, b"one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_private(file, b"two")
    assert read_private(file) == b"one"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "link", b"x")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o777])
def test_what_others_may_reach_is_refused(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_private(file, b"x")
    file.chmod(mode)
    for check in (read_private, require_private):
        with pytest.raises(ConfigurationError, match="chmod 600"):
            check(file)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises((ConfigurationError, OSError)):
        read_private(tmp_path)


def test_directories_are_made_private_and_left_as_they_are(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    make_private_directory(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o750)
    make_private_directory(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
