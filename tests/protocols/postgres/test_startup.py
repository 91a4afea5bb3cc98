"""The startup packet: which parameters are taken, in which spelling, and what is made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.startup import StartupRefused, StartupRequest, parse_startup
from tests.protocols.postgres import wire


def read(minor: int = 0, /, **parameters: str) -> StartupRequest:
    return parse_startup(wire.startup(minor, **({"user": "agent"} | parameters)))


def test_target_is_the_database_or_the_user() -> None:
    assert read(database="shop/main").target == "shop/main"
    assert read().target == "agent"
    assert read(database="").target == "agent"


def test_application_name() -> None:
    assert read(application_name="psql").application == "psql"
    assert read(options="-c application_name=x").application == "x"


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", {}),
        ("   ", {}),
        ("-c statement_timeout=5", {"statement_timeout": "5"}),
        ("-cstatement_timeout=5 --lock-timeout=7", {"statement_timeout": "5", "lock_timeout": "7"}),
        ("-c application_name=a\\ b\\\\c", {"application_name": "a b\\c"}),
        ("-c TimeZone=UTC", {"timezone": "UTC"}),
        ("-c application_name=a=b", {"application_name": "a=b"}),
        ("-c application_name=", {"application_name": ""}),
        ("\t-c\n application_name=x", {"application_name": "x"}),
    ],
)
def test_options(options: str, settings: dict[str, str]) -> None:
    assert read(options=options).settings == settings


@pytest.mark.parametrize(
    "options",
    ["-c", "-c x", "x", "--", "--x", "-e", "-d 5", "-c =x", "-c 'a'=b", "-c role=admin", "--session_authorization=x",
     "-c standard_conforming_strings=off", "--client-encoding=SJIS", "-c log_statement=none", "-F", "-W 99"],
)  # fmt: skip
def test_options_that_are_refused(options: str) -> None:
    with pytest.raises(StartupRefused):
        read(options=options)


@pytest.mark.parametrize(
    "name", ["replication", "Replication", "REPLICATION", "User", "DATABASE", "Options", "role", "ROLE", "unknown"]
)
def test_parameters_are_allowed_by_list(name: str) -> None:
    with pytest.raises(StartupRefused):
        read(**{name: "true"})


def test_parameters_win_over_options() -> None:
    assert read(options="-c application_name=a", Application_Name="b").settings == {"application_name": "b"}


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "unicode", "UTF-8"])
def test_spellings_of_utf8(encoding: str) -> None:
    read(client_encoding=encoding)


def test_search_path_is_read_and_not_passed_on() -> None:
    request = read(search_path='a, "B c", "$user"')
    assert request.search_path == ("a", "B c", "$user")
    assert "search_path" not in request.settings
    assert read().search_path is None


def test_unknown_protocol_options_are_negotiated() -> None:
    request = read(99, **{"_pq_.one": "1"})
    assert (request.minor, request.negotiate, request.unknown_options) == (2, True, ("_pq_.one",))
    assert "_pq_.one" not in request.settings


@given(st.text(max_size=60))
def test_options_never_do_anything_but_refuse(options: str) -> None:
    try:
        request = read(options=options.replace("\0", ""))
    except (StartupRefused, UnicodeEncodeError):
        return
    assert all("\0" not in value for value in request.settings.values())


@given(st.dictionaries(st.sampled_from(["application_name", "timezone"]), st.text("ab \\\t=-'", max_size=9)))
def test_options_say_what_parameters_say(settings: dict[str, str]) -> None:
    escaped = {name: "".join(f"\\{c}" if c in " \t\\" else c for c in value) for name, value in settings.items()}
    options = " ".join(f"-c {name}={value}" for name, value in escaped.items())
    assert read(options=options).settings == read(**settings).settings == settings
