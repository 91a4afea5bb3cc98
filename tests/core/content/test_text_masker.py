"""Texts in pieces: what is detected never goes on, wherever the pieces are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.content import text_masker
from interlock.core.content.content import Content
from interlock.core.content.tally import Tally
from interlock.core.content.text_masker import TextMasker
from interlock.core.masking import DetectorMask

CLASSES = ("email", "credit-card", "iban", "ssn", "phone", "secret")
DETECTING = Content({name: DetectorMask(masked=True) for name in CLASSES})
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIabc123/+\n" * 40 + "-----END RSA PRIVATE KEY-----"
SENSITIVE = [
    "ada@example.com",
    '"ada love"@example.com',
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "DE89 3704 0044 0532 0130 00",
    "123-45-6789",
    "social security number: 123456789",
    "ssn 123 45 6789",
    "+49 (170) 123 4567",
    "phone: 555 1234",
    "password = hunter2-Xy!9-plonk",
    "Authorization: Bearer abcdefgh12345678ijklmnop",
    "postgres://u:hunter2xyz@db.example.org/x",
    "sk-proj-abcdefghijklmnopqrstuvwxyz",
    KEY,
    "YWRhQGV4YW1wbGUuY29tIGFuZCBzbyBvbg==",
]
WORDS = [
    "Hello",
    "there,",
    "the",
    "year",
    "2024",
    "was",
    "no",
    "key",
    "-",
    "ü",
    "\n",
    "a:b",
    '"quoted',
    'words"',
    "(x)",
]


class StreamedText:
    """A text in pieces."""

    def __init__(self, content: Content | None = DETECTING) -> None:
        self._masker = TextMasker(content, Tally())

    def feed(self, piece: str) -> str:
        return self._masker.feed(piece.encode()).decode()

    def finish(self) -> str:
        return self._masker.finish().decode()


texts = st.lists(st.sampled_from(WORDS + SENSITIVE), max_size=12).map(" ".join)


def streamed(text: str, step: int) -> str:
    stream = StreamedText()
    return "".join([stream.feed(text[at : at + step]) for at in range(0, len(text), step)]) + stream.finish()


def cleaned(text: str) -> str:
    return DETECTING.clean(text.encode(), Tally()).decode()


@given(texts, st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_a_text_in_pieces_is_masked_like_a_whole_one(text: str, step: int) -> None:
    assert streamed(text, step) == cleaned(text)


@pytest.mark.parametrize("sensitive", SENSITIVE)
def test_what_is_sensitive_is_found_in_every_cut(sensitive: str) -> None:
    text = f"It is {sensitive} as far as I know."
    whole = cleaned(text)
    assert "***" in whole
    for cut in range(1, len(text)):
        stream = StreamedText()
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish() == whole


def test_words_go_on_as_soon_as_they_are_whole() -> None:
    stream = StreamedText()
    assert [stream.feed(piece) for piece in ("Hel", "lo ", "you, ", "it ", "costs", " 42", " now", " ok")] == (
        ["", "Hello ", "you, ", "it ", "", "costs ", "", "42 now "]
    )
    assert stream.finish() == "ok"


@pytest.mark.parametrize("word", ["x", "0", "Ab1+", "-----BEGIN PRIVATE KEY-----", "a@b.", "1 "])
def test_little_is_held_of_a_text_without_an_end(word: str) -> None:
    masker = TextMasker(DETECTING, Tally())
    came = went = 0
    for _ in range(200):
        came += len(word) * 1000
        went += len(masker.feed(word.encode() * 1000))
        assert masker.held_bytes <= text_masker.MAX_HELD_BYTES + len(word) * 1000
    masker.finish()


def test_a_long_secret_is_left_out_to_its_end() -> None:
    long_key = KEY.replace("MIIabc123/+\n", "MIIabc123/+\n" * 100)
    long_address = "ada@" + "example." * 4_000 + "com"
    for text in (long_key, long_address):
        for step in (500, 7_000, 1 << 20):
            assert streamed(f"See {text} and go.", step) == "See *** and go."


@given(texts)
@settings(max_examples=60, deadline=None)
def test_nothing_is_changed_without_detectors(text: str) -> None:
    stream = StreamedText(None)
    assert stream.feed(text) + stream.finish() == text
