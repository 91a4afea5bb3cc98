"""``interlock trust test`` without a running gateway, from the settings file and with keys at hand."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock.bootstrap.bench import Bench
from interlock.surfaces.cli.application import build
from tests.adapters.identity.vendor_tokens import GITHUB, ScriptedIssuer
from tests.clocks import ManualClock

SETTINGS = """
[gateway]
data_dir = "data"

[[issuers]]
url = "https://token.actions.githubusercontent.com"
audience = "interlock.example.org"
name = "github"
trust = "github"

[[identities]]
issuer = "github"
when = { repository_id = 74, ref = "refs/heads/main" }
identity = "ci:{repository}"
owner = "ada"
"""


class Clock(ManualClock):
    """Tells the time that the program under test has."""

    def now_s(self) -> float:
        return time.time()


@pytest.fixture
def issuer(tmp_path: Path) -> ScriptedIssuer:
    (tmp_path / "interlock.toml").write_text(SETTINGS)
    return ScriptedIssuer(GITHUB, tmp_path, Clock())


def run(directory: Path, token: str, *words: str) -> tuple[int, str]:
    (directory / "token").write_text(token + "\n")
    command = ["-c", str(directory / "interlock.toml"), "trust", "test", "--token-file", str(directory / "token")]
    result = CliRunner().invoke(build(Bench), [*command, "--keys", str(directory / "keys.json"), *words])
    assert token not in result.output
    return result.exit_code, "".join(line for line in result.output.splitlines(True) if "[warning" not in line)


def test_a_token_that_would_be_let_in(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    status, output = run(tmp_path, issuer.token())
    assert status == 0, output
    assert "FAIL" not in output
    assert "agent ci:octo-org/octo-repo, groups: none, owner: ada" in output


def test_it_says_what_failed(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    status, output = run(tmp_path, issuer.token({"repository_id": "75", "aud": "sts.amazonaws.com"}))
    assert status == 1
    assert "FAIL aud: expected interlock.example.org; found sts.amazonaws.com" in output
    assert "FAIL repository_id: expected 74; found 75" in output
    assert "ok   ref: expected refs/heads/main; found refs/heads/main" in output
    assert "Not let in: aud does not name this gateway. The caller reads: the token was made for another" in output


def test_as_json_and_on_record(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    status, output = run(tmp_path, issuer.token(), "--json")
    answer = json.loads(output)
    assert (status, answer["accepted"], answer["identity"]) == (0, True, "ci:octo-org/octo-repo")
    assert [rule["applies"] for rule in answer["rules"]] == [True]
    words = ["-c", str(tmp_path / "interlock.toml"), "audit", "export", "--out", str(tmp_path / "ledger.jsonl")]
    assert CliRunner().invoke(build(Bench), words).exit_code == 0
    assert "a token was tried: accepted" in (tmp_path / "ledger.jsonl").read_text()


def test_keys_that_are_none(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    issuer.keys_file.write_text("{}")
    status, output = run(tmp_path, issuer.token())
    assert (status, output) == (1, "error: keys: not a JWK set\n")
