"""Credentials that a target repeats: found in any cut, and nothing else is changed or held up."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.base import CredentialRevealed
from interlock.protocols.http.echo import MIN_BYTES, EchoGuard, repeatable

SECRET = b"planted-secret"
SECRETS = (SECRET, b"abababac")


def guarded(parts: list[bytes], secrets: tuple[bytes, ...] = SECRETS) -> bytes:
    guard = EchoGuard(secrets)
    return b"".join([guard.feed(part) for part in parts]) + guard.finish()


@given(
    st.lists(st.sampled_from([*SECRETS, SECRET[:-1], b"abab", b"ababababac", b"p", b"x", b""]), max_size=12),
    st.data(),
)
def test_it_is_found_in_any_cut(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    shown = guarded(pieces)
    assert shown == guarded([whole])
    assert len(shown) == len(whole)
    assert not any(secret in shown for secret in SECRETS)
    if not any(secret in whole for secret in SECRETS):
        assert shown == whole


def test_only_what_could_be_a_beginning_is_held() -> None:
    guard = EchoGuard(SECRETS)
    assert guard.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert guard.feed(b"data: plante") == b"data: "
    assert guard.feed(b"r\n\n") == b"planter\n\n"
    assert guard.feed(b"planted-secre") == b""
    assert guard.finish() == b"planted-secre"


def test_what_a_target_could_repeat() -> None:
    shown = CredentialRevealed(((b"authorization", b"Bearer token-of-the-target"),), (("key", "k&y of a target"),))
    assert set(repeatable(shown)) == {b"token-of-the-target", b"k&y of a target", b"k%26y%20of%20a%20target"}
    assert repeatable(CredentialRevealed(((b"x-key", b"a" * MIN_BYTES),))) == (b"a" * MIN_BYTES,)
    assert repeatable(CredentialRevealed(((b"x-key", b"a" * (MIN_BYTES - 1)),))) == ()
    assert repeatable(CredentialRevealed()) == ()


@given(st.binary(max_size=200))
def test_without_a_secret_nothing_is_changed(data: bytes) -> None:
    assert guarded([data], ()) == data
