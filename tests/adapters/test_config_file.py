"""The settings file: what it means, and what is said about a wrong one."""

from pathlib import Path

import msgspec
import pytest

from interlock.adapters.config_file import LineFinder, load_settings
from interlock.core.errors import ConfigurationError
from interlock.core.settings import Detection, Durability, Notifications, PlainConnections, Settings, TlsMode

SAML = '[[saml]]\nname = "corp"\nprovider_entity_id = "https://idp.example/entity"\nmetadata_file = "corp.xml"'
ISSUER = '[[issuers]]\nurl = "https://a"\naudience = "x"\n'
EVENTS = '\n[issuers.events]\naudience = "gateway"\n'
OPAQUE = '[issuers.introspection]\nclient_id = "g"\nclient_secret = { env = "S" }\nopaque = true\n'
CLIENT = '[[issuers]]\nurl = "https://a"\nname = "corp"\nclient_id = "gateway"'
PUBLIC = '\n[api]\npublic_url = "https://gateway.example"'
CONNECTION = """\
[connections.crm]
protocol = "postgres"
host = "db.internal"
databases = ["crm", "reports"]
user = "gateway"
"""


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "interlock.toml"
    file.write_text(text)
    return load_settings(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is said about the text, without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    prefix = str(tmp_path / "interlock.toml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix) for line in lines]


def test_an_empty_file_is_a_gateway_that_refuses_everything(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.connections == {}
    assert settings.issuers == ()
    assert settings.postgres.plain is PlainConnections.REFUSE
    assert settings.postgres.addresses == ("127.0.0.1:5432",)
    assert settings.gateway.durability is Durability.STANDARD
    assert settings.development.issuer is None


def test_every_setting_has_a_type_that_can_be_read() -> None:
    """A limit on what may be absent, say, would be an error only where the setting is given."""
    assert msgspec.convert({}, Settings) == Settings()
    msgspec.json.schema(Settings)


def test_a_whole_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        CONNECTION
        + """
credential = { env = "CRM_PASSWORD" }
tls = "verify-ca"
ca_file = "ca.pem"
masking = { refresh_s = 5, functions = ["public.slug"], detect = "report" }

[gateway]
data_dir = "/var/lib/interlock"
durability = "strict"

[postgres]
listen = ["127.0.0.1:5432", "[::1]:5432"]

[[issuers]]
name = "github"
url = "https://token.actions.githubusercontent.com"
audience = "interlock"

[[identities]]
issuer = "github"
when = { repository_id = 12, "job_workflow_ref" = ["acme/*"], ref_protected = true }
identity = "ci:{repository}"
groups = ["ci"]

[policy]
files = ["policy/*.cedar"]
tags = { "crm/crm/public/users" = ["pii"] }

[secrets]
key = { command = ["fetch-key", "--name", "x"] }
""",
    )
    crm = settings.connections["crm"]
    assert crm.tls is TlsMode.VERIFY_CA
    assert crm.ca_file == str(tmp_path / "ca.pem")
    assert (crm.masking.refresh_s, crm.masking.functions) == (5, ("public.slug",))
    assert (crm.masking.detect, crm.masking.notifications) == (Detection.REPORT, Notifications.HIDE)
    assert crm.credential is not None
    assert crm.credential.env == "CRM_PASSWORD"
    assert settings.gateway.data_dir == "/var/lib/interlock"
    assert settings.policy.files == (str(tmp_path / "policy/*.cedar"),)
    assert settings.identities[0].when["job_workflow_ref"] == ("acme/*",)
    assert settings.identities[0].when["ref_protected"] is True
    assert settings.secrets.key is not None
    assert settings.secrets.key.command == ("fetch-key", "--name", "x")


def test_tls_is_verified_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path, CONNECTION).connections["crm"].tls is TlsMode.VERIFY_FULL


def test_a_typo_is_met_with_line_key_suggestion_and_what_is_allowed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[gateway]\nnode = "a"\ndurabilty = "strict"\n')
    assert problem.startswith(":3: gateway.durabilty: unknown key; did you mean 'durability'? allowed: node, data_dir,")


def test_a_typo_in_a_table(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "\n\n[postgress]\n")
    assert problem.startswith(":3: postgress: unknown key; did you mean 'postgres'? allowed: gateway, postgres,")


WRONG = {
    "enumeration": (
        '[gateway]\ndurability = "very"',
        ":2: gateway.durability: expected one of 'standard', 'strict'",
    ),
    "type": ('[postgres]\nmax_connections = "many"', ":2: postgres.max_connections: expected int, got str"),
    "bool for int": ("[postgres]\nmax_connections = true", ":2: postgres.max_connections: expected int, got bool"),
    "range": ("[postgres]\n\nmax_connections = 0", ":3: postgres.max_connections: expected int >= 1"),
    "half a pair": (
        '[postgres]\ntls_key = "x.pem"',
        ":1: postgres: tls_certificate and tls_key are given together, or neither",
    ),
    "missing": ('[connections.a]\nprotocol = "postgres"', ":1: connections.a: host is missing"),
    "protocol": (
        CONNECTION.replace('"postgres"', '"postgress"'),
        ":2: connections.crm.protocol: unknown protocol 'postgress'; allowed: postgres",
    ),
    "second of a list": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\n[[issuers]]\nurl = "https://b"\naudience = 1',
        ":6: issuers[1].audience: expected str, got int",
    ),
    "algorithm": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\nalgorithms = ["HS256"]',
        ":1: issuers[0]: algorithms: 'HS256' is not supported; allowed: RS256, PS256, ES256, ES384, EdDSA",
    ),
    "plain issuer": (
        '[[issuers]]\nurl = "http://a"\naudience = "x"',
        ":1: issuers[0]: url: must be an https URL without user name, query or fragment",
    ),
    "issuer of a rule": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\n[[identities]]\nissuer = "b"\nwhen = {}\nidentity = "x"',
        ":5: identities[0].issuer: no issuer 'b'; allowed: https://a",
    ),
    "same issuer twice": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\n[[issuers]]\nurl = "https://a"\naudience = "y"',
        ":4: issuers[1]: issuer 'https://a' is given twice",
    ),
    "client without a public url": (CLIENT, ":4: issuers[0].client_id: api.public_url is missing"),
    "client without a name": (CLIENT.replace('name = "corp"', "") + PUBLIC, ":1: issuers[0]: name: is needed with"),
    "client with a name of a path": (CLIENT.replace("corp", "a/b") + PUBLIC, ":1: issuers[0]: name: is needed with"),
    "secret without client": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\nclient_secret = { env = "S" }',
        ":1: issuers[0]: client_secret: is that of client_id",
    ),
    "neither audience nor client": ('[[issuers]]\nurl = "https://a"', ":1: issuers[0]: audience is missing"),
    "events without a name": (ISSUER + EVENTS, ":1: issuers[0]: name: is needed with client_id and events"),
    "events in the clear": (
        ISSUER + 'name = "a"' + EVENTS + 'poll_url = "http://a/poll"',
        ":1: issuers[0]: events.poll_url: must be an https URL",
    ),
    "a transmitter without keys": (
        ISSUER + 'name = "a"' + EVENTS + 'transmitter = "https://b"',
        ":5: issuers[0].events: transmitter and jwks_url are given together, or neither",
    ),
    "a token for nothing": (
        ISSUER + 'name = "a"' + EVENTS + 'poll_token = { env = "T" }',
        ":5: issuers[0].events: poll_token: is for poll_url, which is missing",
    ),
    "two issuers of opaque tokens": (
        ISSUER + OPAQUE + ISSUER.replace("//a", "//b") + OPAQUE,
        ":11: issuers[1].introspection: opaque: another issuer has it already",
    ),
    "an answer that is good for an hour": (
        ISSUER + OPAQUE + "cache_s = 3600",
        ":8: issuers[0].introspection.cache_s: ",
    ),
    "devices without audience": (CLIENT + '\ndevice_client_id = "d"' + PUBLIC, ":1: issuers[0]: audience is missing"),
    "scope without openid": (CLIENT + '\nscope = "profile"' + PUBLIC, ":5: issuers[0].scope"),
    "saml without a public url": (SAML, ":1: saml: api.public_url is missing"),
    "saml provider that is an issuer's name": (
        '[[issuers]]\nurl = "https://a"\nname = "corp"\naudience = "x"\n' + SAML + PUBLIC,
        ":6: saml[0].name: issuer 'corp' is given twice",
    ),
    "saml without metadata": (
        '[[saml]]\nname = "corp"\nprovider_entity_id = "x"' + PUBLIC,
        ":1: saml[0]: exactly one of metadata_file, metadata",
    ),
    "saml metadata in the clear": (
        '[[saml]]\nname = "corp"\nprovider_entity_id = "x"\nmetadata_url = "http://idp.example/x"' + PUBLIC,
        ":1: saml[0]: metadata_url: must be an https URL without user name or fragment",
    ),
    "saml key without certificate": (SAML + '\nsigning_key = "k.pem"' + PUBLIC, ":1: saml[0]: signing_certificate and"),
    "saml name of a path": (SAML.replace("corp", "a/b") + PUBLIC, ":1: saml[0]: name: letters, digits"),
    "saml name id": (SAML + '\nname_id_format = "x"' + PUBLIC, ":1: saml[0]: name_id_format: allowed: persistent,"),
    "no host names": ("[ssh]\nhost_names = []", ":2: ssh.host_names: "),
    "host name": ('[ssh]\nhost_names = ["a b"]', ":2: ssh.host_names"),
    "device client": (
        '[[issuers]]\nurl = "https://a"\naudience = "x"\ndevice_client_id = ""',
        ":4: issuers[0].device_client_id: ",
    ),
    "list for a table": ("gateway = []", ":1: gateway: expected a table with node, data_dir, durability, log_format,"),
    "table for a list": ("[issuers]", ":1: issuers: expected a list of tables, as in [[issuers]]"),
    "text for tables": ('connections = "x"', ":1: connections: expected tables, as in [connections.NAME]"),
    "two references": (
        CONNECTION + 'credential = { env = "A", sealed = true }',
        ":6: connections.crm.credential: exactly one of env, file, sealed = true",
    ),
    "function": (
        CONNECTION + 'masking = { functions = ["slug"] }',
        ":6: connections.crm.masking.functions: ",
    ),
    "ages": (
        CONNECTION + "masking = { refresh_s = 60, max_stale_s = 30 }",
        ":6: connections.crm.masking: max_stale_s must not be less than refresh_s",
    ),
    "connection name": (
        CONNECTION.replace("crm]", '"a/b"]'),
        ":1: connections.a/b: 'a/b' cannot name a connection; allowed: letters, digits, '_', '.', '-', at most 63",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values(text: str, expected: str, tmp_path: Path) -> None:
    assert any(problem.startswith(expected) for problem in problems(tmp_path, text)), problems(tmp_path, text)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "[gateway]\nx = 1\ny = 2\n[postgres]\nlisten = 3\n")) == 3


SECRETS = {
    "password": CONNECTION + 'password = "planted-secret"',
    "credential as text": CONNECTION + 'credential = "planted-secret"',
    "password in credential": CONNECTION + 'credential = { password = "planted-secret" }',
    "value as variable": CONNECTION + 'credential = { env = "planted-secret" }',
    "key as text": '[secrets]\nkey = "planted-secret"',
    "token anywhere": '[gateway]\napi_token = "planted-secret"',
    "password in a URL": '[[issuers]]\nurl = "https://a:planted-secret@b"\naudience = "x"',
    "syntax": 'password = "planted-secret',
    "enumeration": '[gateway]\nlog_level = "planted-secret"',
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_in_the_file_is_refused_and_never_repeated(text: str, tmp_path: Path) -> None:
    assert "planted-secret" not in "\n".join(problems(tmp_path, text))


def test_a_password_is_refused_with_a_hint(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, SECRETS["password"])
    assert problem.startswith(":6: connections.crm.password: unknown key; secrets are not written in this file")
    assert 'credential = { env = "CRM_PASSWORD" }' in problem


@pytest.mark.parametrize("text", ["x = ", "[a", "a = 1\na = 2", "x = " + "[" * 5000])
def test_not_toml(text: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(": not valid TOML: ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_settings(tmp_path)
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_settings(file)
    file.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigurationError, match="larger than"):
        load_settings(file)


def test_lines_of_keys() -> None:
    lines = LineFinder(
        """\
a = 1
"b c".d = 2
[t."x.y"] # comment
k = [
  1,
]
[[l]]
m = 1
[l.n]
o = 1
[[l]]
[[l.q]]
r = 1
[[l.q]]
r = 2
"""
    )
    assert lines.line(("a",)) == 1
    assert lines.line(("b c", "d")) == 2
    assert lines.line(("t", "x.y", "k", 0)) == 4
    assert lines.line(("l", 0, "n", "o")) == 10
    assert lines.line(("l", 1, "m")) == 11
    assert lines.line(("l", 1, "q", 0, "r")) == 13
    assert lines.line(("l", 1, "q", 1, "r")) == 15
    assert lines.line(("nowhere",)) == 1
