"""``interlock ca show``, on a data directory that no gateway uses."""

import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from typer.testing import CliRunner

from interlock.adapters.interception_authority import AUTHORITY_FILE
from interlock.bootstrap.bench import Bench
from interlock.surfaces.cli.application import build


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "interlock.toml"
    file.write_text(f"[gateway]\ndata_dir = {json.dumps(str(tmp_path / 'data'))}\n")
    return file


def show(config: Path, *options: str, status: int = 0) -> str:
    result = CliRunner().invoke(build(Bench), ["--config", str(config), "ca", "show", *options])
    assert result.exit_code == status
    assert "PRIVATE" not in result.output
    return result.stdout if status == 0 else result.stderr


def test_the_certificate_and_its_fingerprint(config: Path) -> None:
    pem = show(config)
    ssl.create_default_context(cadata=pem)
    fingerprint = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()
    assert show(config, "--fingerprint") == fingerprint + "\n"
    view = json.loads(show(config, "--json"))
    assert (view["certificate_pem"], view["fingerprint"]) == (pem, fingerprint)


def test_an_authority_that_cannot_be_used(config: Path, tmp_path: Path) -> None:
    show(config)
    (tmp_path / "data" / AUTHORITY_FILE).write_text("nonsense")
    assert "is not an authority of this gateway" in show(config, status=2)
