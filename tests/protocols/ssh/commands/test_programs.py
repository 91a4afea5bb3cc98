"""What programs touch and contact, and the pieces that this is told with: options, hosts, places."""

import random

import pytest

from interlock.protocols.ssh.commands.invocation import CommandClass, Input, Invocation, PathUse, Word
from interlock.protocols.ssh.commands.programs import hosts, judge, path_classes
from interlock.protocols.ssh.commands.programs.judging import PROGRAMS
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.reading import read_command

_PROC, _ROOT = "/proc", "root"
_LETTERS = {PathUse.READ: "<", PathUse.WRITE: ">", PathUse.REMOVE: "x"}


def words(*texts: str) -> tuple[Word, ...]:
    return tuple(map(Word, texts))


def hosts_of(line: str) -> tuple[str, ...]:
    return read_command(line, 16384).hosts


def paths_of(line: str) -> set[str]:
    return {_LETTERS[each.use] + each.path for each in read_command(line, 16384).paths}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("curl https://User:pw@Example.ORG:8443/a?b", ("example.org",)),
        ("curl -s example.org/x", ("example.org",)),
        ("curl http://169.254.169.254/latest/meta-data/", ("169.254.169.254",)),
        ("curl http://2852039166/", ("169.254.169.254",)),
        ("curl http://0xa9.0xfe.0xa9fe/", ("169.254.169.254",)),
        ("curl http://0251.0376.0251.0376/", ("169.254.169.254",)),
        ("curl http://[::ffff:169.254.169.254]:80/", ("169.254.169.254",)),
        ("curl 'http://[FE80::1%25eth0]/'", ("fe80::1",)),
        ("curl http://a.example http://b.example", ("a.example", "b.example")),
        ("curl -x proxy.example:3128 http://a.example", ("proxy.example", "a.example")),
        ("curl --connect-to a.example:443:b.example:443 https://a.example", ("a.example", "b.example")),
        ("curl http://good.example@evil.example/", ("evil.example",)),
        ("curl 'http://evil.example#@good.example/'", ("evil.example",)),
        ("curl http://%65vil.example/", ("evil.example",)),
        ("wget -q https://a.example./x", ("a.example",)),
        ("ssh -p 22 root@Web1 uptime", ("web1",)),
        ("ssh -J jump.example:22,u@other.example web1 uptime", ("jump.example", "other.example", "web1")),
        ("ssh ssh://u@web1:2222 uptime", ("web1",)),
        ("ssh -o HostName=real.example web1 uptime", ("real.example", "web1")),
        ("scp a u@web1:/x", ("web1",)),
        ("scp a 'u@[2001:DB8::1]:/x'", ("2001:db8::1",)),
        ("rsync -a a rsync://r.example/m", ("r.example",)),
        ("rsync -a r.example::m a", ("r.example",)),
        ("git clone git@github.com:a/b.git", ("github.com",)),
        ("git push ssh://git@g.example:22/x", ("g.example",)),
        ("nc -zv db.example 5432", ("db.example",)),
        ("psql -h db.example -c 'select 1'", ("db.example",)),
        ("psql postgresql://u:p@db.example:5432/x -c 'select 1'", ("db.example",)),
        ("redis-cli -u redis://r.example:6379 ping", ("r.example",)),
        ("openssl s_client -connect a.example:443", ("a.example",)),
        ("docker pull registry.example:5000/a/b:1", ("registry.example",)),
        ("socat - TCP:a.example:80", ("a.example",)),
        ("socat - 'TCP:[::1]:80'", ("::1",)),
    ],
)
def test_hosts_are_reported_in_one_form(line: str, expected: tuple[str, ...]) -> None:
    assert set(hosts_of(line)) == set(expected)


@pytest.mark.parametrize(
    "line", ['curl "$X"', "curl 'http://{a,b}.example/'", "curl 'http://[1-3].example/'", "ssh $X ls"]
)
def test_a_host_that_is_not_known_is_opaque(line: str) -> None:
    assert CommandClass.OPAQUE in read_command(line, 16384).classes


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cp -r /a /b /srv/d", {"</a", "</b", ">/srv/d"}),
        ("cp -t /srv/d /a", {"</a", ">/srv/d"}),
        ("mv /a /b", {"x/a", ">/a", ">/b"}),
        ("grep -rn pattern /srv", {"</srv"}),
        ("grep -e pattern -f /p /srv", {"</p", "</srv"}),
        ("sed -i s/a/b/ /srv/x", {">/srv/x"}),
        ("sed -n 'w /srv/out' /srv/x", {"</srv/x", ">/srv/out"}),
        ("sort -o/srv/out /srv/x", {"</srv/x", ">/srv/out"}),
        ("sort --outp=/srv/out /srv/x", {"</srv/x", ">/srv/out"}),
        ("tar -xzf/srv/x.tgz -C /srv/d", {"</srv/x.tgz", ">/srv/d"}),
        ("tar czf /srv/x.tgz /a", {">/srv/x.tgz", "</a"}),
        ("curl -o /srv/x http://a.example", {">/srv/x"}),
        ("curl -d @/srv/x http://a.example", {"</srv/x"}),
        ("curl -F 'f=@/srv/x;type=text/plain' http://a.example", {"</srv/x"}),
        ("curl file:///srv/x", {"</srv/x"}),
        ("dd if=/a of=/srv/x", {"</a", ">/srv/x"}),
        ("find /srv -name x -delete", {"</srv", "x/srv"}),
        ("awk -F: '{print > \"/srv/out\"}' /a", {"</a", ">/srv/out"}),
        ("rm -- -x /srv/x", {"x~/-x", "x/srv/x"}),
        ("rsync --server -logDtpre.iLsfxC . /srv/x", {">/srv/x"}),
        ("rsync --server --sender -logDtpre.iLsfxC . /srv/x", {"</srv/x"}),
        ("scp -t /srv/x", {">/srv/x"}),
        ("gcc -o/srv/x /a.c", {"</a.c", ">/srv/x"}),
        ("head -n 5 /a", {"</a"}),
        ("head -5 /a", {"</a"}),
        ("jq --arg n v .x /a", {"</a"}),
        ("sudo -u bob cat /a", {"</a"}),
        ("ssh-keygen -t ed25519 -f /srv/k", {">/srv/k", ">/srv/k.pub"}),
        ("unzip /a.zip -d /srv/d", {"</a.zip", ">/srv/d"}),
    ],
)
def test_paths_are_reported_with_their_use(line: str, expected: set[str]) -> None:
    assert paths_of(line) == expected


def test_options_are_told_apart_as_getopt_does() -> None:
    rules = grammar("-vn:o> delete delete-after output> color?")
    parsed = parse(words("-vn5", "a", "--outp=x", "--color", "b", "-o", "-v", "--", "-n"), rules)
    assert [(each.name, each.value and each.value.text) for each in parsed.options] == [
        ("v", None),
        ("n", "5"),
        ("output", "x"),
        ("color", None),
        ("o", "-v"),
    ]
    assert [each.text for each in parsed.operands] == ["a", "b", "-n"]
    assert parsed.unknown == ()


def test_an_ambiguous_or_unknown_option_is_unknown() -> None:
    rules = grammar("-v delete-after delete-before= output>")
    assert parse(words("--del", "-x", "--what"), rules).unknown == ("--del", "-x", "--what")
    assert parse((Word("--", literal=False), Word("-v", literal=False)), rules).unknown == ("--", "-v")


@pytest.mark.parametrize(
    ("path", "use", "expected"),
    [
        ("/srv/x", PathUse.READ, "read"),
        ("/etc/shadow", PathUse.READ, "read"),
        ("/srv/x", PathUse.WRITE, "write"),
        ("/srv/x", PathUse.REMOVE, "destructive"),
        ("/dev/null", PathUse.WRITE, "read"),
        ("/dev/tcp/a/1", PathUse.WRITE, "network"),
        ("/dev/sda", PathUse.WRITE, "write destructive"),
        ("/etc/passwd", PathUse.WRITE, "write privilege persistence"),
        ("/e?c/pass*", PathUse.WRITE, "write privilege persistence"),
        ("/etc/*", PathUse.WRITE, "write privilege persistence"),
        ("/etc/nginx/nginx.conf", PathUse.WRITE, "write"),
        ("/etc/cron.d", PathUse.WRITE, "write persistence"),
        ("/srv/../etc/cron.d/x", PathUse.WRITE, "write persistence"),
        ("//etc///cron.d/x", PathUse.WRITE, "write persistence"),
        (f"{_PROC}/self/{_ROOT}/etc/cron.d/x", PathUse.WRITE, "write persistence"),
        (f"{_PROC}/1/{_ROOT}{_PROC}/self/{_ROOT}/etc/cron.d/x", PathUse.WRITE, "write persistence"),
        ("~/.ssh/authorized_keys", PathUse.WRITE, "write persistence"),
        ("authorized_keys", PathUse.WRITE, "write persistence"),
        (".s*h/x", PathUse.WRITE, "write persistence"),
        ("~/.ssh/known_hosts", PathUse.WRITE, "write"),
        ("~/x/*", PathUse.WRITE, "write"),
        ("~/.bashrc", PathUse.WRITE, "write persistence"),
        ("~/.bash_history", PathUse.WRITE, "write destructive"),
        ("x/.git/hooks/pre-commit", PathUse.WRITE, "write persistence"),
        ("/usr/local/bin/x", PathUse.WRITE, "write persistence"),
        ("/", PathUse.WRITE, "write persistence"),
        ("/sys/x", PathUse.WRITE, "write privilege"),
        ("", PathUse.WRITE, "write"),
    ],
)
def test_places_add_classes(path: str, use: PathUse, expected: str) -> None:
    assert {each.value for each in path_classes(path, use)} == set(expected.split())


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("EXAMPLE.org.", "example.org"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("999", "0.0.3.231"),
        ("256.1.1.1", "256.1.1.1"),
        ("abc", "abc"),
    ],
)
def test_hosts_are_normalised(written: str, host: str) -> None:
    assert hosts.normalised(written) == host


_WORDS = (
    *("", "-", "--", "-x", "-c", "-e", "-o", "-f", "-i", "-n", "-C", "-X", "-t", "-p", "-h", "--x=y", "--delete", "-A"),
    *(
        "a",
        "a/b",
        "/etc/x",
        "host:/x",
        "u@h:x",
        "http://h/x",
        "=",
        "a=b",
        "@x",
        "+x",
        "{}",
        ";",
        "+",
        "1",
        "::",
        "[",
        "~",
        "*",
    ),
    *("exec", "run", "add", "list", "get", "show", "stop", "install", "'", "-exec", "s/a/b/", "{print $1}"),
)


def test_no_words_break_it_and_everything_is_said_something_of() -> None:
    chosen = random.Random(6)
    for name in PROGRAMS:
        for _ in range(12):
            given = tuple(Word(chosen.choice(_WORDS), chosen.random() > 0.1) for _ in range(chosen.randint(0, 5)))
            source = chosen.choice(list(Input))
            found = judge(Invocation((Word(name), *given), (), source, chosen.choice([None, "", "x\ny"])))
            assert found.classes or found.invocations or found.shell_texts, (name, given)
            assert (CommandClass.OPAQUE in found.classes) == bool(found.why_opaque), (name, given)


def test_what_is_too_long_to_look_into_counts_for_the_worst() -> None:
    assert CommandClass.PERSISTENCE in path_classes("/a" * 1000, PathUse.WRITE)
    for program, text in (("awk", "{" + "print " * 300 + "}"), ("psql", "/*" * 100), ("chmod", "u" * 1000)):
        options = ("-c",) if program == "psql" else ()
        found = judge(Invocation(words(program, *options, text, "x"))).classes
        assert found & {CommandClass.OPAQUE, CommandClass.PRIVILEGE}
