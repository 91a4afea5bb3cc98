"""SCRAM-SHA-256: the vectors of RFC 7677, and what each end refuses."""

import base64

import pytest

from interlock.protocols.postgres.scram import SCRAM, SCRAM_PLUS, ScramClient, ScramError, ScramServer, make_verifier

# RFC 7677 section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
VERIFIER = make_verifier("pencil", SALT, 4096)
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
CLIENT_FINAL_BARE = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PROOF = b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


class RfcServer(ScramServer):
    """With the nonce of the RFC, which is not the base 64 that this implementation makes."""

    def __init__(self) -> None:
        super().__init__(VERIFIER, SCRAM, b"", b"")
        self._nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"


def test_server_end_against_the_rfc() -> None:
    server = RfcServer()
    assert server.first(CLIENT_FIRST) == SERVER_FIRST
    assert server.final(CLIENT_FINAL_BARE + PROOF) == SERVER_FINAL


def test_client_end_against_the_rfc() -> None:
    """PostgreSQL's clients leave the name empty; the RFC's has one: only the server's check is left."""
    nonce = base64.b64decode("rOprNGfwEbeRWgbNEkqO")
    client = ScramClient("pencil", SCRAM, b"", nonce)
    assert client.first() == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
    server = RfcServer()
    final = client.final(server.first(client.first()))
    assert final.startswith(CLIENT_FINAL_BARE + b",p=")
    client.verify(server.final(final))


def test_verifier_has_postgres_form() -> None:
    kind, parameters, keys = VERIFIER.split("$")
    assert kind == "SCRAM-SHA-256"
    assert parameters == "4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    assert [len(base64.b64decode(key)) for key in keys.split(":")] == [32, 32]
    assert "pencil" not in VERIFIER


@pytest.mark.parametrize("proof", [PROOF[:-5] + b"AAA=", b",p=", b",p=AAAA", b",p=???", b"", b",p=\xc3\xa9"])
def test_wrong_proofs(proof: bytes) -> None:
    server = RfcServer()
    server.first(CLIENT_FIRST)
    with pytest.raises(ScramError):
        server.final(CLIENT_FINAL_BARE + proof)


@pytest.mark.parametrize(
    "final",
    [
        b"c=biws,r=other" + PROOF,
        b"c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" + PROOF,
        "c=biws,r=é".encode() + PROOF,
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" + PROOF,
        b"c=biws" + PROOF,
        b"c=biws,c=biws" + PROOF,
        b"\xff" + PROOF,
        PROOF,
        b"",
        CLIENT_FINAL_BARE + PROOF + b",x",
    ],
)
def test_malformed_final_messages(final: bytes) -> None:
    server = RfcServer()
    server.first(CLIENT_FIRST)
    with pytest.raises(ScramError):
        server.final(final)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,a=admin,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"p=tls-server-end-point,,n=user,r=abc",
        b"n,,m=ext,n=user,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r=abc,r=abc",
        b"n,,r",
        b"\xff\xfe",
    ],
)
def test_malformed_first_messages(first: bytes) -> None:
    with pytest.raises(ScramError):
        RfcServer().first(first)


def test_nonce_that_is_not_ascii_is_an_ordinary_failure() -> None:
    server = RfcServer()
    challenge = server.first("n,,n=user,r=é".encode()).decode()
    nonce = challenge.split(",")[0]
    with pytest.raises(ScramError):
        server.final(f"c=biws,{nonce}".encode() + PROOF)


def test_downgrade_is_noticed() -> None:
    """The client says that it saw no offer of channel binding, and there was one."""
    server = ScramServer(VERIFIER, SCRAM, b"binding", b"n")
    with pytest.raises(ScramError, match="downgrade"):
        server.first(b"y,,n=user,r=abc")


@pytest.mark.parametrize("flag", [b"n", b"y", b"p=tls-unique", b"p=tls-exporter"])
def test_plus_needs_the_end_point_binding(flag: bytes) -> None:
    with pytest.raises(ScramError, match="binding"):
        ScramServer(VERIFIER, SCRAM_PLUS, b"binding", b"n").first(flag + b",,n=user,r=abc")


@pytest.mark.parametrize("mechanism", [SCRAM, SCRAM_PLUS])
def test_both_ends(mechanism: str) -> None:
    binding = b"binding" if mechanism == SCRAM_PLUS else b""
    client = ScramClient("pencil", mechanism, binding, b"one")
    server = ScramServer(VERIFIER, mechanism, binding, b"two")
    client.verify(server.final(client.final(server.first(client.first()))))


@pytest.mark.parametrize(
    "server_first",
    [
        b"",
        b"r=other,s=AAAA,i=4096",
        b"r=b25l,s=AAAA,i=4096",
        b"r=b25lX,s=AAAA,i=0",
        b"r=b25lX,s=AAAA,i=-1",
        b"r=b25lX,s=AAAA,i=99999999",
        b"r=b25lX,s=AAAA,i=" + b"9" * 5000,
        b"r=b25lX,s=AAAA,i=many",
        b"r=b25lX,s=AAAA",
        b"r=b25lX,s=?,i=4096",
        b"\xff",
        b"r=b25lX,r=b25lX",
    ],
)
def test_servers_first_message_is_checked(server_first: bytes) -> None:
    with pytest.raises(ScramError):
        ScramClient("pencil", SCRAM, b"", b"one").final(server_first)


@pytest.mark.parametrize("final", [b"", b"e=other-error", b"v=", b"v=AAAA", b"v=\xc3\xa9", SERVER_FINAL, b"\xff"])
def test_servers_proof_is_checked(final: bytes) -> None:
    client = ScramClient("pencil", SCRAM, b"", b"one")
    client.final(ScramServer(VERIFIER, SCRAM, b"", b"two").first(client.first()))
    with pytest.raises(ScramError):
        client.verify(final)


def test_servers_proof_before_the_challenge() -> None:
    with pytest.raises(ScramError):
        ScramClient("pencil", SCRAM, b"", b"one").verify(b"v=")
