"""What of a client's input is recorded: no answers to what asks for a password, and nothing that is masked."""

import pytest

from interlock.protocols.ssh.masking.input import NOT_KEPT, InputWatch
from tests.protocols.ssh.masking.maskings import ALL, masking

PROMPTS = [
    "[sudo] password for bob: ",
    "Password: ",
    "bob@host's password: ",
    "Enter passphrase for key '/home/bob/.ssh/id_ed25519': ",
    "Enter PIN: ",
    "Password for 'https://bob@git.example.org': ",
    "API token: ",
    "Verification code: ",
    "\x1b[1mPassword:\x1b[0m ",
    "Welcome\r\nPasswort: ",
    "Mot de passe : ",
    "密码：",
    "パスワード: ",
    "Пароль: ",
    "password> ",
    "[sudo] password for bob: ***",
]
NO_PROMPTS = [
    "bob@host:~/secret-token$ ",
    "PS C:\\password> dir> ",
    "password: done\n",
    "Continue? [y/N] ",
    "Spinning: ",
    "",
]


def watch(said: str = "$ ", terminal: bool = True) -> InputWatch:
    watch = InputWatch(None, terminal)
    watch.output(said.encode())
    return watch


@pytest.mark.parametrize("prompt", PROMPTS)
def test_an_answer_to_a_prompt_is_not_kept(prompt: str) -> None:
    asked = watch(prompt)
    assert asked.input(b"hunter2\r") == NOT_KEPT + b"\n"
    asked.output(b"\r\n$ ")
    assert asked.input(b"ls\r") == b"ls\n"


@pytest.mark.parametrize("said", NO_PROMPTS)
def test_what_answers_no_prompt_is_kept(said: str) -> None:
    calm = watch(said)
    assert calm.input(b"ls -l\r") + calm.finish() == b"ls -l\n"


def test_an_answer_that_comes_key_by_key_is_not_kept_though_stars_are_shown() -> None:
    asked = watch("Password: ")
    recorded = b""
    for key in b"hunter2":
        recorded += asked.input(bytes((key,)))
        asked.output(b"*")
    assert recorded == b""
    assert asked.input(b"\r") == NOT_KEPT + b"\n"
    asked.output(b"\r\n")
    assert asked.input(b"id\r") == b"id\n"


def test_a_prompt_that_is_cut_is_a_prompt() -> None:
    asked = watch("$ ")
    for piece in (b"[sudo] pass", b"word for b", b"ob: "):
        asked.output(piece)
    assert asked.input(b"hunter2\r") == NOT_KEPT + b"\n"


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_who_breaks_off_is_not_asked_any_more(key: bytes) -> None:
    asked = watch("Password: ")
    assert asked.input(b"hunt" + key) == NOT_KEPT + key
    asked.output(b"\r\n$ ")
    assert asked.input(b"ls\r") == b"ls\n"


def test_input_before_any_output_waits_for_what_is_asked() -> None:
    early = InputWatch(None)
    assert early.input(b"hunter2\n") == b""
    early.output(b"[sudo] password for bob: ")
    early.output(b"\n")
    assert early.input(b"data\n") == NOT_KEPT + b"\ndata\n"
    calm = InputWatch(None)
    assert calm.input(b"data\n") == b""
    assert calm.finish() == b"data\n"


def test_little_input_waits() -> None:
    early = InputWatch(None)
    assert early.input(b"x" * 5000) == b"x" * 5000
    assert early.input(b"y") == b"y"


def test_a_prompt_hides_neither_many_lines_nor_long_ones() -> None:
    asked = watch("Password: ", terminal=False)
    assert asked.input(b"one\ntwo\nthree\nfour\n") == (NOT_KEPT + b"\n") * 3 + b"four\n"
    asked = watch("Password: ", terminal=False)
    assert asked.input(b"x" * 10_000) == NOT_KEPT + b"x" * (10_000 - 4096)
    asked = watch("Password: ", terminal=False)
    recorded = b"".join(asked.input(b"x" * 1000) for _ in range(10))
    assert recorded + asked.finish() == NOT_KEPT + b"x" * (10_000 - 4096)


def test_what_is_masked_in_output_is_masked_in_input() -> None:
    typed = InputWatch(ALL, terminal=True)
    typed.output(b"$ ")
    recorded = b"".join(typed.input(bytes((key,))) for key in b"mail ada@exx\x7fample.com\r")
    assert recorded == b"mail " + b"*" * 7 + b"\b" + b"*" * 9 + b"\n"
    assert typed.input(b"4111111111111111") + typed.finish() == b"*" * 16


def test_where_everything_is_masked_no_input_is_kept() -> None:
    typed = InputWatch(masking(everything=True), terminal=True)
    typed.output(b"$ ")
    assert typed.input(b"rm -rf x\r") == b"********\n"


def test_an_answer_that_is_not_over_is_said_at_the_end() -> None:
    asked = watch("Password: ")
    assert asked.input(b"hunt") == b""
    assert asked.finish() == NOT_KEPT


def test_another_masking_counts_from_then_on() -> None:
    typed = watch("$ ")
    assert typed.input(b"mail ada@example.com\r") == b"mail ada@example.com\n"
    assert typed.renew(ALL) == b""
    assert typed.input(b"mail ada@example.com\rls") == b"mail ***************\n"
    assert typed.renew(None) == b"ls"
