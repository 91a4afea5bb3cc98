"""Which public keys are read, and what is said of the others."""

import subprocess
from pathlib import Path

import pytest

from interlock.core.ssh_key import read_ssh_key

SECURITY_KEY = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIOmQ2Dr8JxCGGx0vHCvpmUCT"
    "hZWVr/0y3g/NFfJ2hlwVAAAABHNzaDo="
)


def keygen(directory: Path, *arguments: str) -> Path:
    file = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "ada@laptop", "-f", str(file), *arguments], check=True)
    return file


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "521"), ("rsa", "-b", "3072")])
def test_keys_of_ssh_keygen(tmp_path: Path, kind: tuple[str, ...]) -> None:
    file = keygen(tmp_path, "-t", *kind).with_suffix(".pub")
    key = read_ssh_key(file.read_text())
    shown = subprocess.run(["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, check=True).stdout
    assert key.fingerprint == shown.split()[1]
    assert key.comment == "ada@laptop"
    assert file.read_text().startswith(key.line)
    assert not key.of_security_key


def test_a_security_key() -> None:
    key = read_ssh_key(SECURITY_KEY)
    assert key.of_security_key
    assert key.line == SECURITY_KEY


def test_a_short_rsa_key_is_weak(tmp_path: Path) -> None:
    file = keygen(tmp_path, "-t", "rsa", "-b", "2048").with_suffix(".pub")
    with pytest.raises(ValueError, match="3072 to 16384 bits, and this one has 2048"):
        read_ssh_key(file.read_text())


def test_a_private_key_is_not_taken_nor_quoted(tmp_path: Path) -> None:
    text = keygen(tmp_path, "-t", "ed25519").read_text()
    with pytest.raises(ValueError, match="private key") as caught:
        read_ssh_key(text)
    assert text.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not one public key"),
        (f"{SECURITY_KEY}\n{SECURITY_KEY}", "not one public key"),
        ("ssh-ed25519 " + "A" * 9000, "not one public key"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "DSA keys are not accepted"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "a certificate and not a key"),
        ('from="10.0.0.0/8" ssh-ed25519 AAAA', "no public key of a kind"),
        ("ssh-ed25519", "cannot be read"),
        ("ssh-ed25519 !!!!", "cannot be read"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "cannot be read"),
        ("ssh-rsa " + SECURITY_KEY.split()[1], "cannot be read"),
        (SECURITY_KEY.replace("AAAABHNzaDo=", "AAAABHNzaDp="), "cannot be read"),
    ],
)
def test_what_is_no_key(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ssh_key(text)
