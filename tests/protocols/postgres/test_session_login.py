"""Logging in on both sides, as dialogues."""

import hashlib
import struct

import pytest

from interlock.protocols import base
from interlock.protocols.base import Side
from interlock.protocols.postgres.client_login import PlainText
from interlock.protocols.postgres.scram import SCRAM, SCRAM_PLUS, ScramClient, make_verifier
from interlock.protocols.postgres.session import PostgresLimits, PostgresSession
from tests.protocols.conformance import Observed
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import ENTROPY, Playbook
from tests.protocols.postgres.wire import greeting, ready

STARTUP = wire.startup(user="agent", database="shop")
PASSWORD = wire.password("token")
VERIFIER = make_verifier("secret", b"0123456789abcdef", 4096)


class Login:
    """A session up to its login: effects are looked at one by one, answers are given by hand."""

    def __init__(self, plain: PlainText = PlainText.REFUSE) -> None:
        self.session = PostgresSession(PostgresLimits(plain), ENTROPY)
        self.observed = Observed()

    def give(self, event: base.Event) -> list[base.Effect]:
        effects = list(self.session.handle(event))
        for effect in effects:
            self.observed.note(effect)
        return effects

    def client(self, *data: bytes) -> list[base.Effect]:
        return self.give(base.DataReceived(Side.CLIENT, b"".join(data)))

    def target(self, *data: bytes) -> list[base.Effect]:
        return self.give(base.DataReceived(Side.TARGET, b"".join(data)))

    def in_tls(self, binding: bytes = b"binding") -> "Login":
        self.client(wire.SSL_REQUEST)
        self.give(base.TlsEstablished(Side.CLIENT, "postgresql", binding))
        return self

    def at_target(self, tls_mode: str = "disable", password: str | None = "target-password") -> "Login":
        """The client is known; the target is connected."""
        self.in_tls().client(STARTUP)
        self.give(base.LoginDescribed(None))
        self.client(PASSWORD)
        self.give(base.Authenticated("id", ("public",)))
        self.give(base.TargetConnected("app", password, "shop", tls_mode))
        return self


def refused(effects: list[base.Effect]) -> str:
    """The reason of the refusal that ends the effects."""
    assert isinstance(effects[-1], base.Refuse), effects
    return effects[-1].reason


def told(effects: list[base.Effect]) -> dict[str, str]:
    """The fields of the error that the client is sent."""
    (sent,) = (effect.data for effect in effects if isinstance(effect, base.Send) and effect.side is Side.CLIENT)
    return wire.fields(sent)


# ---------------------------------------------------------------- TLS with the client


def test_ssl_request() -> None:
    assert Login().client(wire.SSL_REQUEST) == [base.Send(Side.CLIENT, b"S"), base.StartTls(Side.CLIENT)]


def test_gss_request_is_declined_and_the_connection_goes_on() -> None:
    login = Login()
    assert login.client(wire.GSS_REQUEST) == [base.Send(Side.CLIENT, b"N")]
    assert login.client(wire.SSL_REQUEST) == [base.Send(Side.CLIENT, b"S"), base.StartTls(Side.CLIENT)]


def test_direct_tls() -> None:
    login = Login()
    hello = b"\x16\x03\x01\x02\x00rest of the hello"
    assert login.client(hello) == [base.StartTls(Side.CLIENT, hello)]
    assert login.give(base.TlsEstablished(Side.CLIENT, "postgresql", b"")) == []
    assert login.client(STARTUP) == [base.DescribeLogin("agent")]


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_direct_tls_needs_its_application_protocol(alpn: str | None) -> None:
    login = Login()
    login.client(b"\x16\x03\x01")
    assert "ALPN" in refused(login.give(base.TlsEstablished(Side.CLIENT, alpn, b"")))


def test_tls_request_within_tls() -> None:
    login = Login().in_tls()
    assert told(login.client(wire.SSL_REQUEST))["C"] == "08P01"


def test_tls_hello_within_tls_is_no_startup_packet() -> None:
    assert "length" in refused(Login().in_tls().client(b"\x16\x03\x01\x02\x00more"))


def test_data_before_tls_ends_the_connection() -> None:
    assert "before TLS" in refused(Login().client(wire.SSL_REQUEST, STARTUP))


def test_plain_data_while_tls_is_established_ends_the_connection() -> None:
    login = Login()
    login.client(wire.SSL_REQUEST)
    assert "plain data" in refused(login.client(STARTUP))


def test_failed_handshake() -> None:
    login = Login()
    login.client(wire.SSL_REQUEST)
    assert "handshake" in refused(login.give(base.TlsRefused(Side.CLIENT, "wrong version number")))


def test_plain_text_is_refused_before_a_password_is_asked() -> None:
    effects = Login().client(STARTUP)
    assert told(effects)["C"] == "28000"
    assert "sslmode" in told(effects)["H"]
    assert refused(effects) == "plain text connection"


def test_token_is_never_taken_in_plain_text() -> None:
    login = Login(PlainText.SCRAM_ONLY)
    assert login.client(STARTUP) == [base.DescribeLogin("agent")]
    assert "token" in refused(login.give(base.LoginDescribed(None)))


# ---------------------------------------------------------------- startup packets


@pytest.mark.parametrize(("major", "code"), [(2, "0A000"), (4, "0A000"), (0, "0A000")])
def test_other_protocols(major: int, code: str) -> None:
    assert told(Login().in_tls().client(wire.startup(0, major, user="agent")))["C"] == code


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_known_minor_versions_need_no_negotiation(minor: int) -> None:
    assert Login().in_tls().client(wire.startup(minor, user="agent")) == [base.DescribeLogin("agent")]


@pytest.mark.parametrize(
    ("minor", "options", "answer"), [(99, {}, 2), (0, {"_pq_.x": "1"}, 0), (9999, {"_pq_.x": "", "_pq_.y": "2"}, 2)]
)
def test_negotiation_names_a_version_and_the_unknown_options(minor: int, options: dict[str, str], answer: int) -> None:
    negotiate, describe = Login().in_tls().client(wire.startup(minor, user="agent", **options))
    names = b"".join(map(wire.text, options))
    expected = wire.message("v", struct.pack(">HHI", 3, answer, len(options)) + names)
    assert negotiate == base.Send(Side.CLIENT, expected)
    assert describe == base.DescribeLogin("agent")


@pytest.mark.parametrize("length", [0, 4, 7, 10_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_impossible_startup_lengths(length: int) -> None:
    assert "length" in refused(Login().in_tls().client(struct.pack(">I", length)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "08P01"),
        (b"\0", "28000"),
        (b"user\0\0\0", "28000"),
        (b"user\0agent\0", "08P01"),
        (b"user\0agent\0\0more", "08P01"),
        (b"user\0agent", "08P01"),
        (b"user\0\xff\0\0", "08P01"),
        (b"user\0agent\0user\0root\0\0", "08P01"),
        (b"user\0agent\0role\0root\0\0", "42501"),
        (b"user\0agent\0client_encoding\0SJIS\0\0", "0A000"),
    ],
)
def test_startup_packets_that_are_refused(body: bytes, code: str) -> None:
    packet = struct.pack(">II", len(body) + 8, 3 << 16) + body
    assert told(Login().in_tls().client(packet))["C"] == code


@pytest.mark.parametrize("value", ["true", "database", "1", "on", "yes"])
def test_replication_is_refused(value: str) -> None:
    assert told(Login().in_tls().client(wire.startup(user="agent", replication=value)))["C"] == "0A000"


def test_token_ahead_of_its_request() -> None:
    """A client that does not wait is slow to read, not wrong."""
    login = Login().in_tls()
    assert login.client(STARTUP, PASSWORD, wire.query("SELECT 1")) == [base.DescribeLogin("agent")]
    effects = login.give(base.LoginDescribed(None))
    assert effects == [base.Send(Side.CLIENT, wire.CLEARTEXT), base.Authenticate("shop", token="token")]


def test_too_much_data_ahead_of_the_login() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    effects = login.client(PASSWORD, b"Q" * (1 << 18))
    effects = effects if any(isinstance(effect, base.Refuse) for effect in effects) else login.client(b"Q")
    assert told(effects)["C"] == "08P01"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (wire.password(""), "28P01"),
        (wire.query("SELECT 1"), "08P01"),
        (b"p\0\0\0\3", "08P01"),
        (b"p\xff\xff\xff\xff", "08P01"),
        (wire.message("p", b"token"), "08P01"),
        (wire.message("p", b"to\0ken\0"), "28P01"),
        (wire.message("p", b"\xff\xfe\0"), "08P01"),
    ],
)
def test_wrong_password_messages(message: bytes, code: str) -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    effects = login.client(message)
    assert told(effects)["C"] == code
    assert "token" not in refused(effects).replace("access token", "")


def test_long_token_passes() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    (effect,) = login.client(wire.password("t" * 70_000))
    assert effect == base.Authenticate("shop", token="t" * 70_000)
    assert "tttt" not in repr(effect)


def test_client_that_leaves_instead_of_a_password() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    assert "left" in refused(login.client(wire.TERMINATE))


def test_login_that_fails_is_told() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    login.client(PASSWORD)
    fields = told(login.give(base.LoginFailed("28P01", "the token has expired", "Get a new one.")))
    assert (fields["S"], fields["C"], fields["M"], fields["H"]) == (
        "FATAL",
        "28P01",
        "the token has expired",
        "Get a new one.",
    )


# ---------------------------------------------------------------- cancel requests


@pytest.mark.parametrize("secret_bytes", [4, 32, 256])
def test_cancel_request(secret_bytes: int) -> None:
    key = b"\0\0\0\1" + b"k" * secret_bytes
    login = Login()
    assert login.client(wire.cancel(key)) == [base.CancelTarget(key)]
    assert login.client(b"more") == []


@pytest.mark.parametrize("secret_bytes", [0, 3, 257])
def test_cancel_request_of_impossible_length(secret_bytes: int) -> None:
    assert isinstance(Login().client(wire.cancel(b"\0\0\0\1" + b"k" * secret_bytes))[-1], base.Refuse)


@pytest.mark.parametrize(("minor", "key_bytes"), [(0, 8), (1, 8), (2, 36)])
def test_cancel_keys_are_the_gateways_own(minor: int, key_bytes: int) -> None:
    book = Playbook(logged_in=False)
    book.client(wire.SSL_REQUEST)
    book.client(wire.startup(minor, user="agent", database="shop"), PASSWORD).target(greeting())
    (registered,) = (effect for effect in book.effects if isinstance(effect, base.RegisterCancelKey))
    assert len(registered.key) == key_bytes
    assert registered.request == wire.cancel(struct.pack(">I", 4711) + b"\1\2\3\4")
    assert wire.message("K", registered.key) in bytes(book.observed.sent[Side.CLIENT])
    assert b"\1\2\3\4" not in registered.key[4:]


# ---------------------------------------------------------------- SCRAM with the client


def scram(login: Login, mechanism: str, password: str, binding: bytes, offered: bytes = b"") -> list[base.Effect]:
    """Exchange proofs; what follows the client's final message."""
    client = ScramClient(password, mechanism, binding, b"client nonce")
    first = client.first() if not offered else offered + client.first().partition(b",,")[2]
    initial = wire.text(mechanism) + struct.pack(">I", len(first)) + first
    (challenge,) = login.client(wire.message("p", initial))
    if not isinstance(challenge, base.Send) or challenge.data[:1] != b"R":
        return [challenge]
    return login.client(wire.message("p", client.final(challenge.data[9:])))


@pytest.mark.parametrize(("mechanism", "binding"), [(SCRAM, b""), (SCRAM_PLUS, b"binding")])
def test_scram(mechanism: str, binding: bytes) -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    (offer,) = login.give(base.LoginDescribed(VERIFIER))
    assert offer == base.Send(
        Side.CLIENT, wire.message("R", struct.pack(">I", 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
    )
    assert scram(login, mechanism, "secret", binding) == [base.Authenticate("shop", scram_user="agent")]


def test_scram_in_plain_text_offers_no_binding() -> None:
    login = Login(PlainText.SCRAM_ONLY)
    login.client(STARTUP)
    (offer,) = login.give(base.LoginDescribed(VERIFIER))
    assert offer == base.Send(Side.CLIENT, wire.message("R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0"))
    assert scram(login, SCRAM, "secret", b"") == [base.Authenticate("shop", scram_user="agent")]


def test_scram_with_the_wrong_password() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(VERIFIER))
    effects = scram(login, SCRAM, "wrong", b"")
    assert told(effects)["C"] == "28P01"
    assert "proof" in refused(effects)


def test_scram_with_the_binding_of_another_connection() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(VERIFIER))
    assert "binding" in refused(scram(login, SCRAM_PLUS, "secret", b"of a man in the middle"))


def test_mechanism_that_was_not_offered() -> None:
    login = Login(PlainText.SCRAM_ONLY)
    login.client(STARTUP)
    login.give(base.LoginDescribed(VERIFIER))
    effects = login.client(wire.message("p", wire.text(SCRAM_PLUS) + struct.pack(">I", 0)))
    assert told(effects)["C"] == "28P01"


@pytest.mark.parametrize("length", [0, 5, 100, 0xFFFFFFFF])
def test_malformed_initial_responses(length: int) -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(VERIFIER))
    assert told(login.client(wire.message("p", wire.text(SCRAM) + struct.pack(">I", length) + b"n,,n")))["C"] == "08P01"


# ---------------------------------------------------------------- the target


def test_target_startup_pins_what_the_gateway_depends_on() -> None:
    login = Login().at_target()
    sent = bytes(login.observed.sent[Side.TARGET])
    assert sent[4:8] == struct.pack(">I", 3 << 16)
    for name, value in (
        ("user", "app"),
        ("database", "shop"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("search_path", '"public"'),
    ):
        assert wire.text(name) + wire.text(value) in sent


def test_clients_own_settings_reach_the_target() -> None:
    book = Playbook(logged_in=False)
    book.client(wire.SSL_REQUEST)
    book.client(wire.startup(user="agent", database="shop", TimeZone="UTC", options="-c statement_timeout=5"), PASSWORD)
    sent = bytes(book.observed.sent[Side.TARGET])
    assert wire.text("timezone") + wire.text("UTC") in sent
    assert wire.text("statement_timeout") + wire.text("5") in sent


def test_greeting_shows_the_targets_parameters_and_not_its_key() -> None:
    login = Login().at_target()
    login.target(greeting(server_version="16.1"))
    heard = bytes(login.observed.sent[Side.CLIENT])
    assert wire.parameter("server_version", "16.1") in heard
    assert wire.key_data() not in heard
    assert heard.endswith(ready())


@pytest.mark.parametrize(
    ("mode", "answer", "word"),
    [("require", b"N", "TLS"), ("verify-full", b"N", "TLS"), ("require", b"E", "TLS"), ("require", b"SX", "TLS")],
)
def test_target_without_tls(mode: str, answer: bytes, word: str) -> None:
    assert word in refused(Login().at_target(mode).target(answer))


def test_target_with_tls() -> None:
    login = Login().at_target("verify-full")
    assert bytes(login.observed.sent[Side.TARGET]) == wire.SSL_REQUEST
    assert login.target(b"S") == [base.StartTls(Side.TARGET)]
    (startup,) = login.give(base.TlsEstablished(Side.TARGET, None, b"end point"))
    assert isinstance(startup, base.Send)
    assert b"app" in startup.data


def test_target_whose_certificate_is_not_accepted() -> None:
    login = Login().at_target("verify-full")
    login.target(b"S")
    effects = login.give(base.TlsRefused(Side.TARGET, "certificate has expired"))
    assert "expired" in refused(effects)
    assert "expired" not in told(effects)["M"]


def test_plain_data_of_the_target_while_tls_is_established() -> None:
    login = Login().at_target("require")
    login.target(b"S")
    assert "plain data" in refused(login.target(wire.AUTHENTICATION_OK))


def test_target_asks_for_a_clear_password_without_tls() -> None:
    login = Login().at_target()
    assert "not supported" in refused(login.target(wire.CLEARTEXT))
    assert b"target-password" not in bytes(login.observed.sent[Side.TARGET])


def test_target_asks_for_a_password_that_there_is_not() -> None:
    login = Login().at_target(password=None)
    assert "none is configured" in refused(login.target(wire.message("R", struct.pack(">I", 5) + b"salt")))


def test_md5() -> None:
    """By hand: md5(md5("target-password" "app") "salt")."""
    (answer,) = Login().at_target().target(wire.message("R", struct.pack(">I", 5) + b"salt"))
    inner = hashlib.md5(b"target-passwordapp", usedforsecurity=False).hexdigest()
    expected = "md5" + hashlib.md5(inner.encode() + b"salt", usedforsecurity=False).hexdigest()
    assert answer == base.Send(Side.TARGET, wire.password(expected))


@pytest.mark.parametrize("kind", [2, 6, 7, 8, 9, 11, 12, 99])
def test_other_ways_to_authenticate_are_not_supported(kind: int) -> None:
    assert "not supported" in refused(Login().at_target().target(wire.message("R", struct.pack(">I", kind))))


@pytest.mark.parametrize(
    "data",
    [
        wire.row("x"),
        ready(),
        wire.complete("X"),
        wire.message("z"),
        b"R\0\0\0\3",
        wire.message("R"),
        wire.AUTHENTICATION_OK + wire.CLEARTEXT,
        wire.message("S", b"name"),
        wire.message("R", struct.pack(">I", 10) + b"PLAIN\0\0"),
        b"E\x7f\xff\xff\xff" + b"S" * 200_000,
        wire.notice("x" * 60_000) * 20,
    ],
)
def test_target_that_misbehaves_at_login(data: bytes) -> None:
    effects = Login().at_target().target(data)
    assert told(effects)["S"] == "FATAL"
    assert refused(effects)


@pytest.mark.parametrize(("code", "shown"), [("28P01", False), ("28000", False), ("3D000", True), ("53300", True)])
def test_errors_of_the_targets_login(code: str, shown: bool) -> None:
    effects = Login().at_target().target(wire.error(code, 'password authentication failed for user "app"', "FATAL"))
    assert ("app" in told(effects)["M"]) is shown
    assert code in refused(effects) or shown


@pytest.mark.parametrize(("name", "value"), [("client_encoding", "LATIN1"), ("standard_conforming_strings", "off")])
def test_target_that_does_not_take_the_pinned_parameters(name: str, value: str) -> None:
    assert name in refused(Login().at_target().target(greeting(**{name: value})))


def test_target_that_does_not_prove_itself() -> None:
    login = Login().at_target()
    login.target(wire.message("R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0"))
    assert "login failed" in told(login.target(wire.AUTHENTICATION_OK))["M"]


@pytest.mark.parametrize("extra", [wire.notice(), wire.parameter("TimeZone", "UTC"), wire.error("57P01", "", "FATAL")])
def test_target_that_speaks_right_behind_its_greeting(extra: bytes) -> None:
    """Also in the same packet, and in two halves."""
    for cut in (0, 3, len(extra)):
        login = Login().at_target()
        login.target(greeting(), extra[:cut])
        login.target(extra[cut:]) if extra[cut:] else None
        assert bytes(login.observed.sent[Side.CLIENT]).endswith(ready() + extra)
        assert not login.observed.ends


def test_statements_sent_ahead_of_the_greeting() -> None:
    login = Login().in_tls()
    login.client(STARTUP)
    login.give(base.LoginDescribed(None))
    login.client(PASSWORD, wire.query("SELECT 1"))
    login.give(base.Authenticated("id", ("public",)))
    login.client(wire.query("SELECT 2")[:3])
    login.give(base.TargetConnected("app", "target-password", "shop", "disable"))
    login.client(wire.query("SELECT 2")[3:])
    login.target(greeting())
    assert [operation.text for operation in login.observed.operations] == [b"SELECT 1"]


def test_eof_of_the_target_during_login() -> None:
    assert "closed" in refused(Login().at_target().give(base.EofReceived(Side.TARGET)))


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_kill_during_login(mode: str) -> None:
    effects = Login().at_target(mode).give(base.Killed("57P01", "locked"))
    assert told(effects)["C"] == "57P01"
    assert refused(effects) == "locked"


def test_a_client_certificate_stands_for_a_password() -> None:
    login = Login()
    login.client(wire.SSL_REQUEST)
    login.give(base.TlsEstablished(Side.CLIENT, "postgresql", b"binding", has_certificate=True))
    (asked,) = login.client(STARTUP)
    assert asked == base.Authenticate("shop", application="", by_certificate=True)
    assert not any(isinstance(effect, base.DescribeLogin) for effect in login.client(PASSWORD))
    failed = login.give(base.LoginFailed("28P01", "the client certificate is not accepted"))
    assert refused(failed) == "the client certificate is not accepted"
