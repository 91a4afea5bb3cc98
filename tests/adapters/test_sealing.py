"""Envelopes open only unchanged, in their own context, with their own key."""

import base64
import secrets
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.adapters.sealing import KEY_FILE, Sealer, open_sealer
from interlock.core.errors import ConfigurationError, CredentialUnavailable
from interlock.core.settings import KeyReference, SecretsSettings

KEY = bytes(range(32))
SEALED = Sealer(KEY).seal(b"hunter2", b"here")


@given(plaintext=st.binary(max_size=500), context=st.binary(max_size=50))
def test_what_is_sealed_can_be_unsealed(plaintext: bytes, context: bytes) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(plaintext, context)
    assert sealer.unseal(sealed, context) == plaintext
    assert len(sealed) == len(plaintext) + 97


def test_nothing_repeats_and_nothing_shows() -> None:
    sealer = Sealer(KEY)
    assert sealer.seal(b"hunter2", b"") != sealer.seal(b"hunter2", b"")
    assert b"hunter2" not in SEALED
    assert KEY.hex() not in repr(sealer)


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_any_changed_byte_is_noticed(position: int) -> None:
    changed = bytearray(SEALED)
    changed[position] ^= 1
    with pytest.raises(CredentialUnavailable):
        Sealer(KEY).unseal(bytes(changed), b"here")


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_any_missing_end_is_noticed(length: int) -> None:
    with pytest.raises(CredentialUnavailable):
        Sealer(KEY).unseal(SEALED[:length], b"here")


def test_the_context_is_part_of_it() -> None:
    with pytest.raises(CredentialUnavailable, match="belongs to something else"):
        Sealer(KEY).unseal(SEALED, b"there")


def test_another_key_does_not_open_it_and_an_earlier_one_does() -> None:
    new_key = secrets.token_bytes(32)
    with pytest.raises(CredentialUnavailable, match="old_keys"):
        Sealer(new_key).unseal(SEALED, b"here")
    rotated = Sealer(new_key, [KEY])
    assert rotated.unseal(SEALED, b"here") == b"hunter2"
    with pytest.raises(CredentialUnavailable):
        Sealer(KEY).unseal(rotated.seal(b"new", b"here"), b"here")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_have_one_length(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        Sealer(bytes(length))


async def test_a_key_is_made_on_first_start_and_used_again(tmp_path: Path) -> None:
    first = await open_sealer(SecretsSettings(), tmp_path)
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = await open_sealer(SecretsSettings(), tmp_path)
    assert again.unseal(first.seal(b"x", b""), b"") == b"x"


async def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    await open_sealer(SecretsSettings(), tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await open_sealer(SecretsSettings(), tmp_path)


async def test_the_key_from_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = base64.b64encode(KEY).decode()
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(text + "\n")
    monkeypatch.setenv("SEALING_KEY", text)
    command = (sys.executable, "-c", f"print({text!r})")
    for reference in (KeyReference(env="SEALING_KEY"), KeyReference(file=str(file)), KeyReference(command=command)):
        sealer = await open_sealer(SecretsSettings(key=reference), tmp_path)
        assert sealer.unseal(SEALED, b"here") == b"hunter2"
    assert not (tmp_path / KEY_FILE).exists()
    rotated = SecretsSettings(old_keys=(KeyReference(env="SEALING_KEY"),))
    assert (await open_sealer(rotated, tmp_path)).unseal(SEALED, b"here") == b"hunter2"


@pytest.mark.parametrize(
    "reference",
    [
        KeyReference(env="NOT_SET_ANYWHERE"),
        KeyReference(env="BAD_KEY"),
        KeyReference(file="/nonexistent/key"),
        KeyReference(command=("/nonexistent/program",)),
        KeyReference(command=(sys.executable, "-c", "print('planted-secret'); raise SystemExit(1)")),
        KeyReference(command=(sys.executable, "-c", "print('planted-secret')")),
    ],
)
async def test_keys_that_cannot_be_had(
    reference: KeyReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAD_KEY", "planted-secret")
    with pytest.raises(ConfigurationError) as caught:
        await open_sealer(SecretsSettings(key=reference), tmp_path)
    assert "planted-secret" not in str(caught.value)
    assert not (tmp_path / KEY_FILE).exists()
