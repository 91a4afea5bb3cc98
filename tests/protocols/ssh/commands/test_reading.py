"""What command lines are read as: classes, programs, paths and hosts of ordinary ones, and reasons for opaque ones."""

import pytest

from interlock.protocols.ssh.commands.grammar.facts import MAX_COMMANDS
from interlock.protocols.ssh.commands.invocation import CommandClass, CommandReading, PathUse
from interlock.protocols.ssh.commands.reading import read_command

MAX_BYTES = 16384
_LETTERS = {PathUse.READ: "<", PathUse.WRITE: ">", PathUse.REMOVE: "x"}


def read(text: str) -> CommandReading:
    return read_command(text, MAX_BYTES)


def classes(text: str) -> set[str]:
    return {each.value for each in read(text).classes}


def paths(text: str) -> list[str]:
    return [_LETTERS[each.use] + each.path for each in read(text).paths]


ORDINARY = [
    ("ls -la /srv | grep x | sort > /tmp/y", "read write", "ls grep sort", "</srv >/tmp/y"),
    ("cat /srv/a /srv/b 2>/dev/null", "read", "cat", "</srv/a </srv/b"),
    ("cd /srv && rm x", "read destructive", "cd rm", "</srv x/srv/x"),
    ("cd /srv; rm x", "read destructive", "cd rm", "</srv x/srv/x x~/x"),
    ("cd /srv || exit 1; rm x", "read destructive", "cd exit rm", "</srv x/srv/x"),
    ("cd /srv || { echo no; exit 1; }; rm x", "read destructive", "cd echo exit rm", "</srv x/srv/x"),
    ("(cd /srv && ls a); ls b", "read", "cd ls", "</srv </srv/a <~/b"),
    ("cd /srv/a/../b && cat ./x ../y", "read", "cd cat", "</srv/b </srv/b/x </srv/y"),
    ("cat ~/a $HOME/b", "read", "cat", "<~/a <~/b"),
    ('x=ls; d=/srv; $x "$d/a"', "read", "ls", "</srv/a"),
    ("cat <<'END' > /srv/x\n$(rm -rf /)\nEND\n", "read write", "cat", ">/srv/x"),
    ("if [ -f /srv/x ]; then cat /srv/x; else echo none; fi", "read", "[ cat echo", "</srv/x"),
    ("for f in a b; do echo $f; done", "read", "echo", ""),
    ("i=0; while [ $i -lt 5 ]; do i=$((i+1)); done", "read", "[", ""),
    ("case x in (a|b) ls;; *) pwd;; esac", "read", "ls pwd", ""),
    ("[[ -n x ]] && echo yes", "read", "echo", ""),
    ("{ ls; pwd; } > /srv/log 2>&1", "read write", "ls pwd", ">/srv/log"),
    ("! grep -q x /srv/y", "read", "grep", "</srv/y"),
    ("time ls /srv", "read", "ls", "</srv"),
    ("f() { ls /srv; }; f", "read", "ls", "</srv"),
    ("set -euo pipefail; ls", "read", "set ls", ""),
    ("export PATH=$PATH:/usr/sbin; ls", "read", "export ls", ""),
    ("LC_ALL=C sort /srv/x", "read", "sort", "</srv/x"),
    ("diff <(ls /a) <(ls /b)", "read", "ls diff", "</a </b"),
    ('echo "it\'s $(whoami)"', "read", "whoami echo", ""),
    ("ls /srv # rm -rf /", "read", "ls", "</srv"),
    ("ls \\\n  -la \\\n  /srv", "read", "ls", "</srv"),
    ('echo "say \\"hi\\" there"', "read", "echo", ""),
    ("bash -c 'ls /srv'", "read", "bash ls", "</srv"),
    ("rm -rf /srv/{a,b}", "destructive", "rm", "x/srv/a x/srv/b"),
    ("command ls; type ls", "read", "command ls type", ""),
]


@pytest.mark.parametrize(("text", "expected", "programs", "touched"), ORDINARY, ids=[row[0] for row in ORDINARY])
def test_ordinary_command(text: str, expected: str, programs: str, touched: str) -> None:
    assert classes(text) == set(expected.split()), read(text).why_opaque
    assert list(read(text).programs) == programs.split()
    assert paths(text) == touched.split()


DESTRUCTIVE = """
rm -rf /srv
r\\m -rf /srv
r''m -rf /srv
"rm" -rf /srv
'r'"m" -rf /srv
$'rm' -rf /srv
$'\\x72\\155' -rf /srv
$"rm" -rf /srv
/bin/rm -rf /srv
{rm,-rf,/srv}
x=1 rm -rf /srv
>/tmp/log rm -rf /srv
ls;rm -rf /srv
ls&rm -rf /srv
ls|rm -rf /srv
ls||rm -rf /srv
(rm -rf /srv)
((ls); (rm -rf /srv))
{ rm -rf /srv; }
if rm -rf /srv; then :; fi
while rm -rf /srv; do :; done
until ls; do rm -rf /srv; done
for x in $(rm -rf /srv); do :; done
for x; do rm -rf /srv; done
case $(rm -rf /srv) in *) ;; esac
case x in $(rm -rf /srv)) ;; esac
f() { rm -rf /srv; }
function f { rm -rf /srv; }
f() (rm -rf /srv)
echo $(rm -rf /srv)
echo "$(rm -rf /srv)"
echo `rm -rf /srv`
echo "`rm -rf /srv`"
echo `echo \\`rm -rf /srv\\``
echo ${x:-$(rm -rf /srv)}
echo "${x:-`rm -rf /srv`}"
echo $((a[$(rm -rf /srv)]))
echo ${a[$(rm -rf /srv)]}
a[$(rm -rf /srv)]=1
a=($(rm -rf /srv))
x=$(rm -rf /srv)
x=$(rm -rf /srv) ls
export "x=$(rm -rf /srv)"
declare -a a=($(rm -rf /srv))
[[ -n $(rm -rf /srv) ]]
[[ a =~ $(rm -rf /srv) ]]
[[ a || $(rm -rf /srv) ]]
((x=$(rm -rf /srv)))
let "x=$(rm -rf /srv)"
cat <<< $(rm -rf /srv)
cat <(rm -rf /srv)
echo a > >(rm -rf /srv)
echo a > $(rm -rf /srv)
tee >(rm -rf /srv)
! rm -rf /srv
time rm -rf /srv
time -p rm -rf /srv
coproc rm -rf /srv
eval rm -rf /srv
eval "rm" '-rf' /srv
eval "eval 'rm -rf /srv'"
exec rm -rf /srv
exec -a ls rm -rf /srv
command rm -rf /srv
command -p rm -rf /srv
builtin eval rm -rf /srv
trap 'rm -rf /srv' EXIT
sh -c 'rm -rf /srv'
bash -ec "rm -rf /srv"
sudo rm -rf /srv
env x=1 rm -rf /srv
nohup rm -rf /srv &
timeout 5 rm -rf /srv
xargs rm -rf < /srv/list
find /srv -delete
find /srv -exec rm -rf {} +
echo 'rm -rf /srv' | sh
printf '%s\\n' 'rm -rf /srv' | bash
sh <<< 'rm -rf /srv'
ssh-agent rm -rf /srv
alias ls='rm -rf /srv'
x=rm; $x -rf /srv
x=r; ${x}m -rf /srv
$x -rf /srv
$(echo rm) -rf /srv
`echo rm` -rf /srv
r* -rf /srv
/bin/r? -rf /srv
~/rm -rf /srv
false && rm() { :; }; rm -rf /srv
eval() { :; }; eval rm -rf /srv
unset -f rm; rm -rf /srv
[[ x || rm ]]
[[ x && rm != /srv ]]
((rm))
echo $((rm))
ls &>/dev/null rm -rf /srv
echo $[ 1 ; rm -rf /srv ]
: '\\'' ; rm -rf /srv # '
: "\\" ; rm -rf /srv # "
: $'\\' ; rm -rf /srv # '
=rm -rf /srv
{rm -rf /srv}
echo rm -rf /srv; !#:1-3
x='a[$(rm -rf /srv)]'; echo $((x))
x='a[$(rm -rf /srv)]'; [[ $x -eq 0 ]]
x='a[$(rm -rf /srv)]'; echo ${!x}
x='$(rm -rf /srv)'; echo ${x@P}
test -v 'a[$(rm -rf /srv)]'
read 'a[$(rm -rf /srv)]'
printf -v 'a[$(rm -rf /srv)]' x
PROMPT_COMMAND='rm -rf /srv' bash -i
BASH_ENV=/tmp/x bash -c ls
PATH=/tmp/evil:/bin; ls
hash -p /tmp/evil ls; ls
enable -f /tmp/evil.so ls
set -k; ls PATH=/tmp/evil
set PATH /tmp/evil; ls
shopt -s expand_aliases
source /tmp/x
. /tmp/x
exec < /tmp/x; sh
git() { rm -rf /srv; }; git status
export x=$y; ls
cat <<E | sh\\nrm -rf /srv\\nE
if true { rm -rf /srv }
repeat 3 rm -rf /srv
""".strip().splitlines()


@pytest.mark.parametrize("text", DESTRUCTIVE)
def test_dangerous_command_is_destructive_or_opaque(text: str) -> None:
    found = read(text.replace("\\n", "\n") if "<<E" in text else text).classes
    assert found & {CommandClass.DESTRUCTIVE, CommandClass.OPAQUE}


def test_here_document_ends_where_the_shell_ends_it() -> None:
    assert "destructive" in classes("cat <<EOF\n EOF\ncat <<'X'\nEOF\nrm -rf /srv\nX\n") | {"opaque"}
    assert "destructive" in classes("cat <<EOF\nx\nEOF\nrm -rf /srv")
    assert "opaque" in classes("cat <<EOF\nE\\\nOF\nrm -rf /srv\nEOF\n")
    assert "opaque" in classes("cat <<'EOF'\n'EOF'\nrm -rf /srv\nEOF\n")


def test_arithmetic_of_known_numbers() -> None:
    assert "opaque" not in classes("for i in 1 2 3; do echo $((i*2)); done")
    assert "opaque" not in classes("for i in $(seq 1 5); do echo $((i+1)); done")
    assert "opaque" not in classes("n=$(ls | wc -l); echo $((n+1))")
    assert "opaque" in classes("for i in $(cat /srv/x); do echo $((i+1)); done")
    assert "opaque" in classes("read n; echo $((n+1))")


def test_values_are_followed_only_where_they_are_certain() -> None:
    assert paths("d=/srv; rm $d/x") == ["x/srv/x"]
    assert paths("d=/srv && rm $d/x") == ["x/srv/x"]
    for text in (
        "d=/srv; ls || d=/etc; rm $d/x",
        "d=/srv; if ls; then d=/etc; fi; rm $d/x",
        "d=/srv; while ls; do rm $d/x; d=/etc; done",
        "d=/srv; f() { d=/etc; }; f; rm $d/x",
        "d=/srv; read d; rm $d/x",
        "d=/srv; printf -v d /etc; rm $d/x",
        "d=5; : $((d=6)); rm /srv/$d",
        "d=/srv; ls | read d; rm $d/x",
        "d=/srv; eval 'd=/etc' || ls; rm $d/x",
        "d=/srv; IFS=/; rm $d/x",
        "readonly d=/etc; d=/srv; rm $d/x",
        "d=$(pwd); rm $d/x",
        "select d in a b; do rm /srv/$d; done",
        "d='a b'; rm $d",
        "d='*'; rm $d",
        "d=/srv; rm $d:h",
        "d=/srv; rm $d[1]",
    ):
        assert paths(text)[-1] in ("x?", "x/etc/x"), text


def test_directories_that_are_not_known() -> None:
    for text in (
        "cd $x && cat y",
        "cd - && cat y",
        "popd; cat y",
        "cat ~root/y",
        "cat ~/../y",
        "cat $x/y",
        "trap 'cat y' EXIT; cd /srv",
        "f() { cat y; }; cd /srv; f",
        "cd /srv && su bob -c 'cat y'",
        "cd /srv && sudo -i cat y",
        "find /srv -execdir cat y ';'",
        "cat '~/y'",
    ):
        assert "<?" in paths(text), text
    assert "<?" not in paths("cd /srv && sudo -u bob cat y")
    assert "opaque" in classes("cd $x && touch y")
    assert "opaque" in classes("for d in a b; do cd /srv/$d; ls; done")


def test_functions_do_not_take_the_names_of_programs() -> None:
    assert "opaque" in classes("test -f x && echo() { cat /tmp/x; }; echo ls | sh")
    assert "opaque" in classes("false && cd() { :; }; cd /srv && rm x")
    assert "opaque" not in classes("greet() { echo hi; }; greet")


def test_input_of_shells() -> None:
    assert "destructive" in classes("sh <<'END'\nrm /srv/x\nEND\n")
    for text in (
        "sh",
        "cat /srv/x | sh",
        "echo $x | sh",
        "echo ls | sh < /srv/x",
        "echo ls |& sh",
        "echo ls | { read x; sh; }",
        "sh < <(cat /srv/x)",
        "sh <<END\n$x\nEND\n",
        "echo 'a\\nb' | sh",
    ):
        assert "opaque" in classes(text), text


def test_many_commands_are_opaque() -> None:
    assert "opaque" not in classes(";".join(["ls"] * MAX_COMMANDS))
    assert "opaque" in classes(";".join(["ls"] * (MAX_COMMANDS + 1)))


def test_hosts_of_redirections() -> None:
    assert read("exec 3<>/dev/tcp/example.org/80").hosts == ("example.org",)
    assert "network" in classes("cat < /dev/udp/10.0.0.1/53")
    assert "opaque" in classes("cat < $x")
