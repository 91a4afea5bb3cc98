"""``interlock sessions`` and ``interlock audit`` as people and scripts use them."""

import json
import struct
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.core.errors import ConfigurationError
from interlock.protocols.postgres.transcript import PostgresTranscriber
from interlock.services.evidence import EvidenceService, EvidenceVerifier
from interlock.surfaces.cli import audit, sessions
from tests.adapters.evidence import SIGNER, Gateway, PlainSealer, decided, opened, operation, session_id

STORE = FileEvidenceStore()
FIRST, SECOND = session_id(1), session_id(2)


class FakeWorkbench:
    """Only what the evidence commands use."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self.verifier = EvidenceVerifier(STORE, WrappedSessionKeys(None))

    @property
    def reading(self) -> EvidenceService:
        return self.evidence

    @property
    def evidence(self) -> EvidenceService:
        if self._directory is None:
            raise ConfigurationError("no configuration")
        keys = WrappedSessionKeys(PlainSealer())
        return EvidenceService(STORE.archive(self._directory), keys, lambda _: PostgresTranscriber(), STORE)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


ROWS = message(b"D", struct.pack(">HI", 1, 4) + b"Zo\x1b!") + message(b"C", b"SELECT 1\0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    gateway = Gateway(directory)
    gateway.policy()
    gateway.session(1, [(b"select name\nfrom users", ROWS)])
    recorder = gateway.recordings.open(SECOND, "postgres")
    gateway.ledger.append(opened(SECOND, recorder.wrapped_key, principal="\x1b[31mevil"))
    gateway.ledger.append(decided(SECOND, 1, recorder.seal(operation(1, b"drop table users")), decision="denied"))
    recorder.close()
    gateway.close()
    return directory


def run(directory: Path | None, *words: str) -> Result:
    noun, *rest = words
    app = sessions.app if noun == "sessions" else audit.app
    return CliRunner().invoke(app, rest, obj=FakeWorkbench(directory), env={"COLUMNS": "250"})


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_a_table_that_is_safe_for_the_terminal(data: Path) -> None:
    result = run(data, "sessions", "list")
    assert result.exit_code == 0
    assert FIRST in result.stdout
    assert "\\x1b[31mevil" in result.stdout
    assert "\x1b" not in result.stdout


def test_list_filters_and_speaks_json(data: Path) -> None:
    (only,) = lines(run(data, "sessions", "list", "--json", "--principal", "reporter", "--since", "2030-01-01"))
    assert (only["session"], only["status"], only["operations"]) == (FIRST, "closed", 1)
    assert only["opened"] == "2030-03-17T17:46:40Z"
    assert lines(run(data, "sessions", "list", "--json", "--status", "killed")) == []


def test_show_shows_operations(data: Path) -> None:
    result = run(data, "sessions", "show", FIRST[:16])
    assert result.exit_code == 0
    assert "select name\\nfrom users" in result.stdout
    (shown,) = lines(run(data, "sessions", "show", SECOND, "--json"))
    assert isinstance(shown["operations"], list)
    assert shown["operations"][0]["decision"] == "denied"


def test_replay_keeps_the_sessions_time(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    result = run(data, "sessions", "replay", FIRST, "--speed", "2")
    assert result.exit_code == 0
    assert waits == [0.125, 0.125]
    text = result.stdout
    assert "     0.250  #1    > select name\n" in text
    assert "     0.500  #1      Zo\\x1b!\n" in text
    assert "     0.500  #1    = SELECT 1\n" in text
    assert run(data, "sessions", "replay", FIRST, "--no-wait").stdout == text
    assert len(waits) == 2
    kinds = [line["kind"] for line in lines(run(data, "sessions", "replay", FIRST, "--no-wait", "--json"))]
    assert kinds == ["request", "row", "done"]


def test_search_finds_or_fails(data: Path) -> None:
    (hit,) = lines(run(data, "sessions", "search", "DROP", "--json", "--decision", "denied"))
    assert (hit["session"], hit["text"]) == (SECOND, "drop table users")
    assert run(data, "sessions", "search", "nowhere").exit_code == 1
    assert SECOND in run(data, "sessions", "search", "drop", "--session", SECOND[:16]).stdout


@pytest.mark.parametrize("form", ["jsonl", "sql"])
def test_export_writes_to_a_file_or_standard_output(data: Path, tmp_path: Path, form: str) -> None:
    result = run(data, "sessions", "export", FIRST, "--format", form)
    assert result.exit_code == 0
    target = tmp_path / "out"
    assert run(data, "sessions", "export", FIRST, "--format", form, "--out", str(target)).exit_code == 0
    assert target.read_text() == result.stdout
    assert run(data, "sessions", "export", FIRST, "--format", form, "--out", str(target)).exit_code == 2


def test_export_and_verify_a_package(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "evidence.tar"
    assert run(data, "sessions", "export", FIRST, "--out", str(target)).exit_code == 0
    result = run(None, "audit", "verify", str(target), "--key", str(SIGNER.verifier_key))
    assert result.exit_code == 0
    assert "the evidence is as it was recorded" in result.stdout
    pinned = data / "ledger" / "checkpoints"
    (report,) = lines(run(None, "audit", "verify", str(target), "--checkpoint", str(pinned), "--json"))
    assert report["ok"] is True
    content = bytearray(target.read_bytes())
    content[content.find(b'"proof"') + 20] ^= 1
    target.write_bytes(content)
    assert run(None, "audit", "verify", str(target)).exit_code == 1


def test_verify_the_configured_and_a_given_directory(data: Path, tmp_path: Path) -> None:
    result = run(data, "audit", "verify")
    assert result.exit_code == 0
    assert "note: the public key was taken from the evidence itself" in result.stdout
    key_file = data / "ledger" / "key.pub"
    assert run(None, "audit", "verify", str(data), "--key", str(key_file)).exit_code == 0
    assert run(None, "audit", "verify", str(data / "ledger")).exit_code == 0
    assert run(None, "audit", "verify", str(tmp_path)).exit_code == 1
    assert run(None, "audit", "verify", str(data), "--key", "nonsense").exit_code == 2


def test_audit_search_and_export(data: Path, tmp_path: Path) -> None:
    (entry,) = lines(run(data, "audit", "search", "--kind", "policy", "--json"))
    assert entry["text"] == "permit (principal, action, resource);"
    assert "\x1b" not in run(data, "audit", "search", "evil").stdout
    assert run(data, "audit", "search", "nowhere").exit_code == 1
    exported = lines(run(data, "audit", "export"))
    assert [line["entry"] for line in exported] == list(range(len(exported)))
    assert [line["prev"] for line in exported[1:]] == [line["hash"] for line in exported[:-1]]
    assert run(data, "audit", "export", "--out", str(tmp_path / "all")).exit_code == 0
    assert len((tmp_path / "all").read_text().splitlines()) == len(exported)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("sessions", "show", "zzz"), 1),
        (("sessions", "list", "--since", "yesterday"), 2),
        (("sessions", "export", FIRST), 2),
        (("sessions", "export", FIRST, "--format", "xml"), 2),
        (("sessions", "export", FIRST, "--format", "har"), 1),
        (("sessions", "replay", FIRST, "--speed", "0"), 2),
        (("sessions", "list", "--limit", "0"), 2),
    ],
)
def test_wrong_use_and_missing_evidence_differ(data: Path, words: tuple[str, ...], status: int) -> None:
    result = run(data, *words)
    assert result.exit_code == status
    assert result.stderr


def test_without_configuration_nothing_but_verify_works() -> None:
    for words in (("sessions", "list"), ("audit", "verify"), ("audit", "export")):
        result = run(None, *words)
        assert result.exit_code == 2
        assert "no configuration" in result.stderr
