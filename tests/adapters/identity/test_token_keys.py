"""The keys of the gateway's own tokens: encrypted, replaced in good time, and known for as long as it matters."""

from pathlib import Path

import pytest

from interlock.adapters.identity.keys import signature_holds
from interlock.adapters.identity.token import take_apart
from interlock.adapters.identity.token_keys import KEPT_S, KEYS_FILE, OVERLAP_S, TokenKeys
from interlock.adapters.sealing import Sealer
from interlock.core.errors import ConfigurationError

SEALER = Sealer(b"k" * 32)
DAY_S = 86_400.0
ROTATE_S = 30 * DAY_S
START_S = 1_800_000_000.0


def open_keys(directory: Path, now_s: float = START_S, sealer: Sealer = SEALER) -> TokenKeys:
    return TokenKeys(directory / KEYS_FILE, sealer, ROTATE_S, now_s)


def signed_at(keys: TokenKeys, now_s: float) -> str:
    return keys.sign(b'{"iss": "us"}', "jwt", now_s)


def holds(keys: TokenKeys, token: str) -> bool:
    """Whether somebody who has these keys believes the token."""
    unverified = take_apart(token)
    key = keys.find(unverified.key_id)
    return key is not None and signature_holds(unverified, key)


def test_a_token_is_believed_throughout_all_rotations(tmp_path: Path) -> None:
    """Whoever fetched the keys up to a day ago knows the key of each token, and the gateway does until its end."""
    keys = open_keys(tmp_path)
    fetched: list[tuple[float, set[str]]] = []
    used = set()
    for hour in range(24 * 100):
        now_s = START_S + hour * 3600
        keys.rotate(now_s)
        fetched.append((now_s, {key["kid"] for key in keys.jwks()["keys"]}))
        token = signed_at(keys, now_s)
        key_id = take_apart(token).key_id
        assert key_id is not None
        used.add(key_id)
        yesterday = next(known for at_s, known in fetched if at_s >= now_s - OVERLAP_S + 3600)
        assert key_id in yesterday
        assert holds(keys, token)
        assert len(keys.jwks()["keys"]) <= 2
    assert len(used) == 4


def test_a_key_is_known_until_what_it_signed_has_ended(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    last = START_S + ROTATE_S - 1
    for now_s in (START_S + ROTATE_S - OVERLAP_S, last):
        keys.rotate(now_s)
    token = signed_at(keys, last)
    keys.rotate(last + KEPT_S)
    assert holds(keys, token)
    keys.rotate(last + KEPT_S + 2)
    assert not holds(keys, token)


def test_keys_are_the_same_after_a_restart(tmp_path: Path) -> None:
    token = signed_at(open_keys(tmp_path), START_S)
    assert holds(open_keys(tmp_path), token)


def test_after_a_long_standstill_the_old_key_signs_until_the_next_was_published(tmp_path: Path) -> None:
    old = take_apart(signed_at(open_keys(tmp_path), START_S)).key_id
    late_s = START_S + 5 * ROTATE_S
    keys = open_keys(tmp_path, late_s)
    assert take_apart(signed_at(keys, late_s)).key_id == old
    assert take_apart(signed_at(keys, late_s + OVERLAP_S)).key_id != old


def test_private_keys_are_in_no_file_and_no_answer(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    secret = keys._keys[0].stored.private
    content = (tmp_path / KEYS_FILE).read_bytes()
    assert secret not in content
    assert (tmp_path / KEYS_FILE).stat().st_mode & 0o077 == 0
    assert "d" not in keys.jwks()["keys"][0]
    assert "..." in repr(keys) + repr(keys._keys[0].stored)


def test_keys_that_cannot_be_read_are_not_replaced(tmp_path: Path) -> None:
    open_keys(tmp_path)
    before = (tmp_path / KEYS_FILE).read_bytes()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_keys(tmp_path, sealer=Sealer(b"x" * 32))
    assert (tmp_path / KEYS_FILE).read_bytes() == before
