"""Reading policy files, and following their changes without ever taking half a file for a whole one."""

import os
from pathlib import Path

import pytest

from interlock.adapters import policy_files
from interlock.adapters.policy_files import PolicyFiles, PolicyWatch
from interlock.core.errors import ConfigurationError
from interlock.core.ledger import PolicyActivated, PolicyRefused
from interlock.services.policy import PolicyStore
from tests.services.policy.examples import BASIC
from tests.services.policy.test_store import FakeLedger

MORE = BASIC + '@id("more") permit (principal in Group::"x", action, resource);\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.cedar").write_text(BASIC)
    return tmp_path


class Watched:
    """A watch over one file, with a store that has started."""

    def __init__(self, folder: Path, patterns: tuple[str, ...]) -> None:
        self.path = folder / "policy.cedar"
        self.files = PolicyFiles(patterns, folder)
        self.ledger = FakeLedger()
        self.declared: dict[str, list[str]] = {}
        self.store = PolicyStore(self.ledger, declared=lambda: dict(self.declared))
        self.watch = PolicyWatch(self.files, self.store)
        self._ticks = 0

    async def start(self) -> None:
        await self.store.start(self.files.read())
        await self.settle()

    async def settle(self) -> None:
        await self.watch.poll()
        await self.watch.poll()

    def write(self, text: str) -> None:
        """With a modification time of its own, whatever the file system's resolution."""
        self._ticks += 1
        self.path.write_text(text)
        os.utime(self.path, (self._ticks, self._ticks))


@pytest.fixture
async def watched(folder: Path) -> Watched:
    watched = Watched(folder, ("policy.cedar",))
    await watched.start()
    return watched


class TestRead:
    def test_names_and_patterns(self, folder: Path) -> None:
        (folder / "more.d").mkdir()
        (folder / "more.d" / "b.cedar").write_text("// b")
        (folder / "more.d" / "a.cedar").write_text("// a")
        (folder / "more.d" / "a.txt").write_text("not a policy")
        sources = PolicyFiles(["policy.cedar", "*.cedar", "more.d/*.cedar"], folder).read()
        assert [Path(source.name).name for source in sources] == ["a.cedar", "b.cedar", "policy.cedar"]
        assert sources[2].text == BASIC

    def test_absolute_names_and_other_files(self, folder: Path) -> None:
        other = folder / "other"
        other.write_text("// other")
        (source,) = PolicyFiles(["policy.cedar"], folder / "elsewhere").read([str(other)])
        assert source.text == "// other"

    def test_byte_order_mark(self, folder: Path) -> None:
        (folder / "policy.cedar").write_bytes(b"\xef\xbb\xbf" + BASIC.encode())
        assert PolicyFiles(["policy.cedar"], folder).read()[0].text == BASIC

    @pytest.mark.parametrize("pattern", ["missing.cedar", "*.none", "directory"])
    def test_nothing_matches(self, folder: Path, pattern: str) -> None:
        (folder / "directory").mkdir()
        with pytest.raises(ConfigurationError, match="no policy file matches"):
            PolicyFiles(["policy.cedar", pattern], folder).read()

    def test_none_configured(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="no policy file is configured"):
            PolicyFiles([], folder).read()

    def test_not_utf8(self, folder: Path) -> None:
        (folder / "policy.cedar").write_bytes(b"// \xff")
        with pytest.raises(ConfigurationError, match=r"not UTF-8 \(byte 3\)"):
            PolicyFiles(["policy.cedar"], folder).read()

    def test_too_large(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policy_files, "MAX_FILE_BYTES", 10)
        with pytest.raises(ConfigurationError, match="larger than 10 bytes"):
            PolicyFiles(["policy.cedar"], folder).read()

    def test_too_many(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policy_files, "MAX_FILES", 0)
        with pytest.raises(ConfigurationError, match="at most 0"):
            PolicyFiles(["policy.cedar"], folder).read()


class TestWatch:
    async def test_unchanged_files_do_nothing(self, watched: Watched) -> None:
        await watched.settle()
        assert watched.store.epoch == len(watched.ledger.records) == 1

    async def test_a_change_comes_into_force(self, watched: Watched) -> None:
        watched.write(MORE)
        await watched.settle()
        assert "more" in watched.store.engine.rules
        assert watched.store.epoch == 2

    async def test_only_after_the_file_stood_still(self, watched: Watched) -> None:
        for end in range(len(BASIC) // 2, len(MORE), 40):
            watched.write(MORE[:end])
            await watched.watch.poll()
        watched.write(MORE)
        await watched.watch.poll()
        assert watched.store.epoch == len(watched.ledger.records) == 1
        await watched.watch.poll()
        assert watched.store.epoch == 2

    async def test_a_bad_file_is_refused_once_and_a_good_one_follows(self, watched: Watched) -> None:
        watched.write("permit (")
        for _ in range(5):
            await watched.watch.poll()
        assert [type(record) for record in watched.ledger.records] == [PolicyActivated, PolicyRefused]
        assert watched.store.problems
        watched.write(MORE)
        await watched.settle()
        assert watched.store.epoch == 2
        assert watched.store.problems == ()

    async def test_a_missing_file_is_refused_once(self, watched: Watched) -> None:
        watched.path.unlink()
        for _ in range(5):
            await watched.watch.poll()
        assert [type(record) for record in watched.ledger.records] == [PolicyActivated, PolicyRefused]
        assert "ci-reads" in watched.store.engine.rules

    async def test_going_back_is_no_change(self, watched: Watched) -> None:
        watched.write("permit (")
        await watched.settle()
        watched.write(BASIC)
        await watched.settle()
        assert watched.store.epoch == 1
        assert watched.store.problems == ()

    async def test_a_ledger_that_fails_is_asked_again(self, watched: Watched) -> None:
        watched.ledger.failing = True
        watched.write(MORE)
        await watched.settle()
        assert watched.store.epoch == 1
        watched.ledger.failing = False
        await watched.watch.poll()
        assert watched.store.epoch == 2

    async def test_a_change_while_reading_waits(self, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
        read = watched.files.read

        def changed_meanwhile() -> object:
            sources = read()
            watched.write(MORE + "// and more")
            return sources

        watched.write(MORE)
        await watched.watch.poll()
        monkeypatch.setattr(watched.files, "read", changed_meanwhile)
        await watched.watch.poll()
        assert watched.store.epoch == 1
        monkeypatch.undo()
        await watched.settle()
        assert watched.store.engine.text.endswith("// and more\n")

    async def test_new_files_of_a_pattern_are_found(self, folder: Path) -> None:
        watched = Watched(folder, ("*.cedar",))
        await watched.start()
        (folder / "z.cedar").write_text('@id("more") permit (principal in Group::"x", action, resource);')
        await watched.settle()
        assert "more" in watched.store.engine.rules

    async def test_runs_until_it_is_stopped(self, watched: Watched) -> None:
        class Stop(Exception):
            pass

        waited: list[float] = []

        async def sleep(delay_s: float) -> None:
            waited.append(delay_s)
            if len(waited) == 4:
                raise Stop

        watched.write(MORE)
        with pytest.raises(Stop):
            await PolicyWatch(watched.files, watched.store, sleep).run(0.5)
        assert waited == [0.5] * 4
        assert watched.store.epoch == 2

    async def test_tags_that_another_gateway_has_given_come_into_force(self, watched: Watched) -> None:
        watched.declared["Endpoint::crm/volumes"] = ["dangerous"]
        await watched.watch.poll()
        assert watched.store.epoch == 2
        assert "Endpoint::crm/volumes" in watched.store.engine.text
        await watched.settle()
        assert watched.store.epoch == 2

    async def test_tags_that_are_none_are_refused_once(self, watched: Watched) -> None:
        watched.declared["Endpoint::crm"] = ["dangerous"]
        for _ in range(5):
            await watched.watch.poll()
        assert [type(record) for record in watched.ledger.records] == [PolicyActivated, PolicyRefused]
