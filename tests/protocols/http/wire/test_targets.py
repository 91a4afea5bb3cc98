"""Targets and hosts: one canonical form for all spellings, and no spelling of what servers read in two ways."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.protocols.http.wire.messages import AbsoluteTarget, Authority, Target
from interlock.protocols.http.wire.targets import (
    MAX_QUERY_KEYS,
    absolute_form,
    asterisk_form,
    authority_form,
    canonical_authority,
    canonical_target,
)

VISIBLE = st.text(string.ascii_letters + string.digits + string.punctuation, max_size=30)
LETTERS = string.ascii_letters + string.digits + "-._~!$&'()*+,=:@ \"<>^`{|}é日?#[]"
SEGMENTS = st.text(LETTERS, min_size=1, max_size=8).filter(lambda segment: segment.strip(" ") not in (".", ".."))


@pytest.mark.parametrize(
    ("raw", "wire"),
    [
        (b"/", b"/"),
        (b"/a/b.c/", b"/a/b.c/"),
        (b"/A/a", b"/A/a"),
        (b"//a///b//", b"/a/b/"),
        (b"//evil.example/a", b"/evil.example/a"),
        (b"/%61%2D%7e", b"/a-~"),
        (b"/%c3%a9", b"/%C3%A9"),
        (b"/a%20b", b"/a%20b"),
        (b"/a%3fb%23c", b"/a%3Fb%23c"),
        (b"/v1/x%3Acancel", b"/v1/x:cancel"),
        (b"/a%2Bb%26%3d", b"/a+b&="),
        (b'/{a}|"<>^`', b"/%7Ba%7D%7C%22%3C%3E%5E%60"),
        (b"/.../..a/.b/a..", b"/.../..a/.b/a.."),
        (b"/%2ea", b"/.a"),
        (b"/a?", b"/a"),
        (b"/a?b", b"/a?b"),
        (b"/a?b=", b"/a?b="),
        (b"/a?=c", b"/a?=c"),
        (b"/a?b=c?d/e=f", b"/a?b=c?d/e=f"),
        (b"/a?%62=%63", b"/a?b=c"),
        (b"/a?b=%26&c%3d=%3D", b"/a?b=%26&c%3D=="),
        (b"/a?b=c+d%2bE%20f", b"/a?b=c+d%2BE%20f"),
        (b"/a?&&b=1&&c&", b"/a?b=1&c"),
        (b"/a?b=1;c=2", b"/a?b=1%3Bc=2"),
        (b"/a?b[c]=1", b"/a?b%5Bc%5D=1"),
        (b"/a?u=https%3A%2F%2Fb%3Fc%3D%2520", b"/a?u=https://b?c=%2520"),
        (b"/a?b=%0d%0a", b"/a?b=%0D%0A"),
        (b"/a?b=\\..\\", b"/a?b=%5C..%5C"),
        (b"/a?b=/../", b"/a?b=/../"),
    ],
)
def test_canonical_form(raw: bytes, wire: bytes) -> None:
    target = canonical_target(raw)
    assert isinstance(target, Target), target
    assert target.wire == wire
    assert canonical_target(target.wire) == target


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"a", b"?a", b"*", b"http://a/", b"/..", b"/../a", b"/a/..", b"/a/../b", b"/a/./b", b"/.", b"/a/.",
        b"/a/..?b", b"/%2e%2e/a", b"/a/%2E%2e", b"/a/.%2e/b", b"/a/%2e/b", b"/a/%2e%2e%20/b", b"/a%2fb", b"/a%2Fb",
        b"/a%5cb", b"/a%5C", b"/a\\b", b"/..\\a", b"/a%00", b"/a%00.png", b"/a%25", b"/%252e%252e/", b"/a%252fb",
        b"/a;b", b"/a;b=c/d", b"/..;/a", b"/a%3bb", b"/a%0d%0aB:", b"/a%09", b"/a%7f", b"/a%c2%85", b"/a%", b"/a%2",
        b"/a%zz", b"/a%%20", b"/a%+1", b"/a%u0041", b"/%c0%ae%c0%ae/a", b"/%c0%af", b"/%e0%80%af", b"/%ff", b"/%c3",
        b"/%ed%a0%80", b"/%f4%90%80%80", b"/\xc3\xa9", b"/a b", b"/a\tb", b"/a\r\nb", b"/a\0b", b"/a#b", b"/#",
        b"/a?b#c", b"/a?b=%00", b"/a?%00", b"/a?b=%", b"/a?b=%f", b"/a?b=%ff", b"/a?%c0%ae", b"/a?b=\xe9",
        b"/a?b=c d", b"/a?b\x01", b"/a%ef%bc%8fb", b"/%ef%bc%8e%ef%bc%8e/a", b"/%e2%80%a5/a", b"/a%ef%bc%9bb",
        b"/a%ef%bc%85", b"/%e2%84%80",
    ],
)  # fmt: skip
def test_refused_targets(raw: bytes) -> None:
    problem = canonical_target(raw)
    assert isinstance(problem, str)
    assert problem
    assert problem.isascii()


def test_keys_are_decoded_in_order_and_repeated() -> None:
    target = canonical_target(b"/a?b=1&a%62=2&b=3&c+d&e%2Bf=%26&%C3%A9&=x")
    assert isinstance(target, Target)
    assert target.query_keys == ("b", "ab", "b", "c d", "e+f", "é", "")


def test_the_number_of_keys_is_bounded() -> None:
    pairs = [b"k=%d" % number for number in range(MAX_QUERY_KEYS)]
    target = canonical_target(b"/?" + b"&".join(pairs))
    assert isinstance(target, Target)
    assert len(target.query_keys) == MAX_QUERY_KEYS
    assert isinstance(canonical_target(b"/?" + b"&".join([*pairs, b"a"])), str)


@given(VISIBLE, VISIBLE)
@example("a/", "%3B=%25&b")
def test_a_canonical_target_is_a_fixed_point(path: str, query: str) -> None:
    target = canonical_target(f"/{path}?{query}".encode())
    if isinstance(target, Target):
        assert canonical_target(target.wire) == target
        assert target.wire.isascii()
        assert not set(target.path) & set('\\;?#%"<>^`{|} ') - {"%"}
        assert "//" not in target.path
        assert not {".", ".."} & set(target.path.split("/"))
        assert not set(target.query) & set('\\;#"<>^`{|} ')


def spelled(text: str, choices: list[bool]) -> str:
    """Text with some characters escaped though they need not be, in either case."""
    found = []
    for at, character in enumerate(text):
        chosen = choices[at % len(choices)]
        escaped = "".join(f"%{byte:02x}" for byte in character.encode())
        found.append(escaped.upper() if chosen else quote(character, safe="!$'()*,:@"))
    return "".join(found)


@given(
    st.lists(SEGMENTS, max_size=4),
    st.lists(st.tuples(SEGMENTS, SEGMENTS), max_size=4),
    st.lists(st.booleans(), min_size=1),
)
def test_all_spellings_are_one(segments: list[str], pairs: list[tuple[str, str]], choices: list[bool]) -> None:
    plain, other = [False], [*choices, True]
    found = []
    for way in (plain, other):
        path = "/" + "/".join(spelled(segment, way) for segment in segments)
        query = "&".join(f"{spelled(key, way)}={spelled(value, way)}" for key, value in pairs)
        found.append(canonical_target(f"{path}?{query}".encode()))
    assert found[0] == found[1]
    assert isinstance(found[0], Target)
    assert found[0].query_keys == tuple(key for key, _ in pairs)


@pytest.mark.parametrize(
    ("raw", "authority", "wire"),
    [
        (b"A.Example", Authority("a.example"), b"a.example"),
        (b"a.example:8080", Authority("a.example", 8080), b"a.example:8080"),
        (b"my_service", Authority("my_service"), b"my_service"),
        (b"xn--bcher-kva.example", Authority("xn--bcher-kva.example"), b"xn--bcher-kva.example"),
        (b"1.2.3.4:1", Authority("1.2.3.4", 1), b"1.2.3.4:1"),
        (b"1a", Authority("1a"), b"1a"),
        (b"[::1]", Authority("::1"), b"[::1]"),
        (b"[0:0::0001]:443", Authority("::1", 443), b"[::1]:443"),
        (b"[2001:DB8::A]", Authority("2001:db8::a"), b"[2001:db8::a]"),
        (b"[::ffff:127.0.0.1]", Authority("127.0.0.1"), b"127.0.0.1"),
        (b"[::ffff:7f00:1]", Authority("127.0.0.1"), b"127.0.0.1"),
    ],
)
def test_hosts(raw: bytes, authority: Authority, wire: bytes) -> None:
    found = canonical_authority(raw)
    assert found == authority
    assert authority.wire == wire
    assert canonical_authority(wire) == authority


@pytest.mark.parametrize(
    "raw",
    [
        b"", b":80", b"a:", b"a:0", b"a:080", b"a:65536", b"a:99999", b"a:-1", b"a:+1", b"a:8a", b"a.", b".a",
        b"a..b", b"-a", b"a-", b"a.-b", b"a" * 64, b"a." * 130 + b"a", b"u@a", b"u:p@a", b"a b", b"a,b", b"a/b",
        b"a\\b", b"a%41", b"\xc3\xa9", b"a\0", b"a\r\n", b"127.1", b"2130706433", b"0x7f000001", b"0x7f.0.0.1",
        b"0177.0.0.1", b"1.2.3", b"1.2.3.4.5", b"256.1.1.1", b"01.2.3.4", b"a.1", b"a.0x1", b"::1", b"[::1", b"::1]",
        b"[]", b"[:]", b"[::g]", b"[1.2.3.4]", b"[::1%25a]", b"[::1%a]", b"[v1.a]", b"[::1]a", b"[::1]:", b"a:1:2",
        b"http://a",
    ],
)  # fmt: skip
def test_refused_hosts(raw: bytes) -> None:
    assert isinstance(canonical_authority(raw), str)


@pytest.mark.parametrize(
    ("raw", "host", "scheme", "name", "port", "wire"),
    [
        (b"http://a.example/b?c=d", b"a.example", "http", "a.example", 80, b"/b?c=d"),
        (b"HTTP://A.example:80/", b"a.example", "http", "a.example", 80, b"/"),
        (b"https://a.example", b"a.example:443", "https", "a.example", 443, b"/"),
        (b"http://a.example?b", b"A.EXAMPLE:80", "http", "a.example", 80, b"/?b"),
        (b"http://[::1]:8080/a", b"[0::1]:8080", "http", "::1", 8080, b"/a"),
        (b"http://a.example/", b"", "http", "a.example", 80, b"/"),
    ],
)
def test_absolute_form(raw: bytes, host: bytes, scheme: str, name: str, port: int, wire: bytes) -> None:
    found = absolute_form(raw, host)
    assert isinstance(found, AbsoluteTarget), found
    assert (found.scheme, found.host, found.port, found.target.wire) == (scheme, name, port, wire)


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        (b"http://a.example/", b"b.example"),
        (b"http://a.example/", b"a.example:8080"),
        (b"http://a.example:443/", b"a.example"),
        (b"https://a.example/", b"a.example:80"),
        (b"http://u:p@a.example/", b"a.example"),
        (b"http://a.example@b.example/", b"a.example"),
        (b"http://a.example\\@b.example/", b"a.example"),
        (b"http://a.example#@b.example/", b"a.example"),
        (b"http://a.example/#b", b"a.example"),
        (b"http://a.example/../b", b"a.example"),
        (b"http:///a", b"a.example"),
        (b"http:/a.example/", b"a.example"),
        (b"http:a.example/", b"a.example"),
        (b"ftp://a.example/", b"a.example"),
        (b"://a.example/", b"a.example"),
        (b"//a.example/", b"a.example"),
        (b"/a", b"a.example"),
        (b"\xe9://a.example/", b"a.example"),
        (b"http://a.example/", b"a b"),
    ],
)
def test_refused_absolute_form(raw: bytes, host: bytes) -> None:
    assert isinstance(absolute_form(raw, host), str)


def test_other_forms() -> None:
    assert authority_form(b"A.example:443") == Authority("a.example", 443)
    assert isinstance(authority_form(b"a.example"), str)
    assert isinstance(authority_form(b"/a"), str)
    assert asterisk_form(b"*") == Target("*", "", ())
    assert isinstance(asterisk_form(b"/"), str)
