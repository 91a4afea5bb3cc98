"""The gateway's authorities for SSH: what they sign, whom that lets in where, and what is not accepted."""

import base64
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.adapters.ssh_authority import (
    HOST_AUTHORITY_FILE,
    HOST_KEY_FILE,
    MAX_PRINCIPAL_BYTES,
    PRINCIPAL_EXTENSION,
    TARGET_AUTHORITY_FILE,
    USER_AUTHORITY_FILE,
    SshAuthority,
    open_ssh_authority,
)
from interlock.adapters.ssh_key_files import private_text, public_line
from interlock.core.errors import ConfigurationError, CredentialUnavailable, LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.settings.ssh import SshSettings
from interlock.core.ssh_key import SshPublicKey, read_ssh_key
from tests.clocks import ManualClock
from tests.servers.openssh import OpenSshServer

FROM = "192.0.2.7:40000"
FILES = (HOST_KEY_FILE, USER_AUTHORITY_FILE, HOST_AUTHORITY_FILE, TARGET_AUTHORITY_FILE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(float(int(time.time())))


@pytest.fixture
def authority(tmp_path: Path, clock: ManualClock) -> SshAuthority:
    return open_ssh_authority(tmp_path, SshSettings(host_names=("gateway.example", "127.0.0.1")), clock)


@pytest.fixture
def principal(clock: ManualClock) -> Principal:
    return Principal(
        kind=PrincipalKind.AGENT,
        name="ci:acme/crm",
        groups=frozenset({"ci", "bots"}),
        owner="ada@example.com",
        issuer="https://issuer.example",
        subject="repo:acme/crm",
        token_id="token-1",
        expires_at_s=clock.now_s() + 3600,
        claims=(("repository", "acme/crm"),),
    )


@pytest.fixture
def client() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def key(client: Ed25519PrivateKey) -> SshPublicKey:
    return read_ssh_key(public_line(client))


def shown(directory: Path, certificate: bytes) -> str:
    """What ``ssh-keygen`` reads in a certificate."""
    file = directory / "shown-cert.pub"
    file.write_bytes(certificate)
    return subprocess.run(["ssh-keygen", "-L", "-f", file], capture_output=True, text=True, check=True).stdout


def refusal(authority: SshAuthority, certificate: str, address: str = FROM) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        authority.read_user(certificate, address)
    return caught.value


# ---------------------------------------------------------------- keys at rest


def test_the_keys_are_private_and_stay(tmp_path: Path, authority: SshAuthority, clock: ManualClock) -> None:
    again = open_ssh_authority(tmp_path, SshSettings(), clock)
    for name in FILES:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert again.host_key_public() == authority.host_key_public()
    assert again.user_authority_public() == authority.user_authority_public()
    assert again.target_authority_public() == authority.target_authority_public()
    assert "PRIVATE" not in repr(vars(authority))


def test_each_authority_has_a_key_of_its_own(authority: SshAuthority) -> None:
    host_authority = authority.known_hosts_line(["h"], 22).splitlines()[0].split(" ", 2)[2]
    publics = {
        authority.host_key_public(),
        authority.user_authority_public(),
        authority.target_authority_public(),
        host_authority,
    }
    assert len(publics) == 4


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_others_may_read(tmp_path: Path, authority: SshAuthority, clock: ManualClock, name: str) -> None:
    (tmp_path / name).chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_ssh_authority(tmp_path, SshSettings(), clock)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_not_replaced(tmp_path: Path, authority: SshAuthority, clock: ManualClock, name: str) -> None:
    (tmp_path / name).write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\ngarbage")
    with pytest.raises(ConfigurationError, match="Restore it, or move it away") as caught:
        open_ssh_authority(tmp_path, SshSettings(), clock)
    assert "garbage" not in str(caught.value)


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa", "-b", "384"), ("rsa", "-b", "3072", "-m", "PEM")])
def test_a_host_key_of_ones_own(tmp_path: Path, clock: ManualClock, kind: tuple[str, ...]) -> None:
    file = tmp_path / "own"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", "-f", file, "-t", *kind], check=True)
    authority = open_ssh_authority(tmp_path, SshSettings(host_key=str(file)), clock)
    assert authority.host_key_public() == file.with_suffix(".pub").read_text().strip()
    assert not (tmp_path / HOST_KEY_FILE).exists()
    assert "Type: " in shown(tmp_path, authority.host_certificate())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (("rsa", "-b", "2048", "-N", ""), "3072 to 16384 bits"),
        (("ed25519", "-N", "a passphrase"), "without passphrase"),
        (("missing",), "No such file"),
    ],
)
def test_a_host_key_that_cannot_be_used(
    tmp_path: Path, clock: ManualClock, kind: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "own"
    if kind != ("missing",):
        subprocess.run(["ssh-keygen", "-q", "-f", file, "-t", *kind], check=True)
    with pytest.raises(ConfigurationError, match=message):
        open_ssh_authority(tmp_path, SshSettings(host_key=str(file)), clock)


# ---------------------------------------------------------------- the gateway as a host


def test_the_host_certificate(tmp_path: Path, authority: SshAuthority) -> None:
    text = shown(tmp_path, authority.host_certificate())
    assert "host certificate" in text
    principals = text.partition("Principals:")[2].partition("Critical Options:")[0].split()
    assert principals == ["gateway.example", "127.0.0.1"]


@pytest.mark.parametrize(("port", "name"), [(22, "gateway.example"), (2222, "[gateway.example]:2222")])
def test_known_hosts_lines_are_what_openssh_looks_for(
    tmp_path: Path, authority: SshAuthority, port: int, name: str
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(authority.known_hosts_line(["gateway.example", "127.0.0.1"], port))
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=True).stdout
    assert f"@cert-authority {name}," in found
    assert authority.host_key_public() in found


# ---------------------------------------------------------------- clients


def test_a_certificate_says_whom_it_is_for(
    tmp_path: Path, authority: SshAuthority, key: SshPublicKey, principal: Principal, clock: ManualClock
) -> None:
    signed = authority.sign_user(key, principal, 600)
    assert signed.ends_at_s == clock.now_s() + 600
    assert signed.fingerprint == key.fingerprint
    read, certificate = authority.read_user(signed.certificate, FROM)
    assert read == principal
    assert (certificate.serial, certificate.fingerprint) == (signed.serial, key.fingerprint)
    text = shown(tmp_path, signed.certificate.encode())
    assert f"Serial: {signed.serial}" in text
    assert 'Key ID: "ci:acme/crm"' in text


def test_it_never_outlives_the_token(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, clock: ManualClock
) -> None:
    short = msgspec.structs.replace(principal, expires_at_s=clock.now_s() + 30.9)
    signed = authority.sign_user(key, short, 600)
    assert signed.ends_at_s == clock.now_s() + 30
    clock.advance(30)
    assert refusal(authority, signed.certificate).reason == "certificate expired"


def test_a_token_that_has_ended_gets_none(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, clock: ManualClock
) -> None:
    clock.advance(3600)
    with pytest.raises(ValueError, match="expired"):
        authority.sign_user(key, principal, 600)


def test_it_is_not_accepted_before_its_time(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, clock: ManualClock
) -> None:
    signed = authority.sign_user(key, principal, 600)
    clock.advance(-300)
    assert refusal(authority, signed.certificate).reason == "certificate not valid yet"


def test_without_a_clock_nobody_gets_in(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, clock: ManualClock
) -> None:
    signed = authority.sign_user(key, principal, 600)
    clock.broken = True
    assert refusal(authority, signed.certificate).reason == "no clock"
    with pytest.raises(OSError):
        authority.sign_user(key, principal, 600)
    with pytest.raises(CredentialUnavailable):
        authority.mint_for_target("session", "ada", "deploy", 60)


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("192.0.2.7:40000", True),
        ("198.51.100.1:22", False),
        ("2001:db8::1:40000", True),
        ("[2001:db8::1]:40000", True),
        ("2001:db9::1:40000", False),
        ("local:0", False),
        ("", False),
    ],
)
def test_it_counts_only_from_the_networks_in_it(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, address: str, accepted: bool
) -> None:
    signed = authority.sign_user(key, principal, 600, ("192.0.2.0/24", "2001:db8::/32"))
    if accepted:
        assert authority.read_user(signed.certificate, address)[0] == principal
    else:
        assert refusal(authority, signed.certificate, address).reason == "source-address"


def test_a_large_identity(authority: SshAuthority, key: SshPublicKey, principal: Principal) -> None:
    groups = frozenset(f"{number:08}" for number in range(2000))
    large = msgspec.structs.replace(principal, groups=groups)
    assert authority.read_user(authority.sign_user(key, large, 600).certificate, FROM)[0] == large
    too_large = msgspec.structs.replace(principal, subject="x" * MAX_PRINCIPAL_BYTES)
    with pytest.raises(ValueError, match="too many groups and claims"):
        authority.sign_user(key, too_large, 600)


def test_a_security_key_gets_none(authority: SshAuthority, principal: Principal) -> None:
    with pytest.raises(ValueError, match="interlock ssh keys add"):
        authority.sign_user(SshPublicKey("sk-ssh-ed25519@openssh.com", "AAAA"), principal, 600)


def test_a_target_certificate_lets_nobody_in_here(authority: SshAuthority) -> None:
    _, certificate = authority.mint_for_target("session", "ci:acme/crm", "web", 600)
    assert refusal(authority, certificate.decode()).reason == "another authority signed it"
    assert refusal(authority, authority.host_certificate().decode()).reason == "not a user certificate"


def forged(signer: Ed25519PrivateKey, clock: ManualClock, **changes: object) -> str:
    """A certificate that is right but for what is changed."""
    now_s = int(clock.now_s())
    builder = SSHCertificateBuilder().public_key(Ed25519PrivateKey.generate().public_key())
    builder = builder.type(changes.get("type", SSHCertificateType.USER))  # type: ignore[arg-type]
    builder = builder.valid_after(now_s).valid_before(now_s + 60).valid_principals([b"web"]).key_id(b"eve")
    if "option" in changes:
        builder = builder.add_critical_option(b"force-command", b"true")
    if (principal := changes.get("principal")) is not None:
        assert isinstance(principal, bytes)
        builder = builder.add_extension(PRINCIPAL_EXTENSION, principal)
    return builder.sign(signer).public_bytes().decode()


@pytest.fixture
def user_authority(tmp_path: Path, authority: SshAuthority) -> Ed25519PrivateKey:
    key = load_ssh_private_key((tmp_path / USER_AUTHORITY_FILE).read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": SSHCertificateType.HOST}, "not a user certificate"),
        ({"option": True}, "it has options that are not known"),
        ({}, "it says nobody's name"),
        ({"principal": b"{}"}, "it says nobody's name"),
        ({"principal": b'{"kind": "Root", "name": "ada"}'}, "it says nobody's name"),
    ],
)
def test_what_the_authority_would_not_sign_is_refused(
    authority: SshAuthority,
    user_authority: Ed25519PrivateKey,
    clock: ManualClock,
    changes: dict[str, object],
    reason: str,
) -> None:
    assert refusal(authority, forged(user_authority, clock, **changes)).reason == reason


def test_somebody_elses_signature(authority: SshAuthority, clock: ManualClock, principal: Principal) -> None:
    certificate = forged(Ed25519PrivateKey.generate(), clock, principal=msgspec.json.encode(principal))
    assert refusal(authority, certificate).reason == "another authority signed it"


def test_no_bit_of_it_can_be_changed(authority: SshAuthority, key: SshPublicKey, principal: Principal) -> None:
    algorithm, _, blob = authority.sign_user(key, principal, 600).certificate.partition(" ")
    body = base64.b64decode(blob)
    for position in range(len(body)):
        changed = bytearray(body)
        changed[position] ^= 1
        refusal(authority, f"{algorithm} {base64.b64encode(changed).decode()}")


@given(
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.binary(max_size=8)), min_size=1)
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_garbage_is_accepted_or_breaks_anything(
    authority: SshAuthority, key: SshPublicKey, principal: Principal, edits: list[tuple[float, int, bytes]]
) -> None:
    certificate = authority.sign_user(key, principal, 600).certificate
    algorithm, _, blob = certificate.partition(" ")
    body = base64.b64decode(blob)
    for place, cut, put in edits:
        position = int(place * len(body))
        body = body[:position] + put + body[position + cut :]
    changed = f"{algorithm} {base64.b64encode(body).decode()}"
    if changed != certificate:
        refusal(authority, changed)


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "x" * 100_000, "ssh-ed25519-cert-v01@openssh.com AAAA", "\udcff"])
def test_what_is_no_certificate(authority: SshAuthority, text: str) -> None:
    refusal(authority, text)


def test_a_key_alone_is_no_certificate(authority: SshAuthority, key: SshPublicKey) -> None:
    assert refusal(authority, key.line).reason == "a key without a certificate"


# ---------------------------------------------------------------- targets


@pytest.fixture(scope="module")
def host() -> Iterator[OpenSshServer]:
    with OpenSshServer() as server:
        yield server


def log_in(directory: Path, host: OpenSshServer, key: bytes, certificate: bytes, command: str = "id -un") -> str | None:
    """What a command says when ``ssh`` logs in with the certificate; None when it may not."""
    identity = directory / "id"
    identity.write_bytes(key)
    identity.chmod(0o600)
    (directory / "id-cert.pub").write_bytes(certificate + b"\n")
    options = ("BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={host.known_hosts()}")
    arguments = [argument for option in options for argument in ("-o", option)]
    place = ("-p", str(host.port), f"{host.login}@127.0.0.1")
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    done = subprocess.run(
        ["ssh", "-F", "none", "-i", identity, *arguments, *place, command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def test_a_host_that_trusts_the_authority(tmp_path: Path, authority: SshAuthority, host: OpenSshServer) -> None:
    host.trust_user_authority(authority.target_authority_public())
    key, certificate = authority.mint_for_target("01SESSION", "ci:acme/crm", host.login, 120)
    assert log_in(tmp_path, host, key, certificate) == host.login
    assert "01SESSION ci:acme/crm" in host.log()
    assert "permit-pty" in shown(tmp_path, certificate)
    assert "forwarding" not in shown(tmp_path, certificate)


def test_another_login_is_not_let_in(tmp_path: Path, authority: SshAuthority, host: OpenSshServer) -> None:
    host.trust_user_authority(authority.target_authority_public())
    key, certificate = authority.mint_for_target("session", "ci:acme/crm", "somebody-else", 120)
    assert log_in(tmp_path, host, key, certificate) is None


def test_a_client_certificate_lets_nobody_in_at_a_host(
    tmp_path: Path, authority: SshAuthority, host: OpenSshServer, client: Ed25519PrivateKey, principal: Principal
) -> None:
    host.trust_user_authority(authority.target_authority_public())
    signed = authority.sign_user(
        read_ssh_key(public_line(client)), msgspec.structs.replace(principal, name=host.login), 120
    )
    assert log_in(tmp_path, host, private_text(client), signed.certificate.encode()) is None


def test_forwardings_are_permitted_only_when_asked_for(tmp_path: Path, authority: SshAuthority) -> None:
    _, certificate = authority.mint_for_target("session", "ada", "deploy", 120, forwarding=True)
    assert "permit-port-forwarding" in shown(tmp_path, certificate)
