"""Programs that start another program: some only change how it runs, some let it run as somebody else."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Input, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import environment
from interlock.protocols.ssh.commands.programs.options import Grammar, Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options
from interlock.protocols.ssh.commands.programs.shells import text_on_input
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    PERSISTS,
    READS,
    RULES,
    WRITES,
    opaque,
    shelling,
    starting,
    total,
    touching,
)


def joined(words: Sequence[Word]) -> Word:
    """The words as one text, as ``eval`` and ``ssh`` hand them to a shell."""
    return Word(" ".join(word.text for word in words), all(word.literal for word in words))


def _assignments(words: Sequence[Word]) -> tuple[Verdict, Sequence[Word]]:
    """What the leading ``NAME=value`` words do, and the words after them."""
    verdicts: list[Verdict] = []
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            return total(*verdicts), words[at:]
        verdicts.append(environment.setting(name, Word(value, word.literal)))
    return total(*verdicts), ()


def _sudo(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, _SUDO)
    if parsed.informs or parsed.has("l", "list", "v", "validate", "k", "K", "V", "remove-timestamp"):
        return READS if not parsed.operands or parsed.has("l", "list") else _as_other(invocation, parsed)
    if parsed.has("e", "edit"):
        return total(
            RULES, opaque("an editor changes files as somebody else"), touching(parsed.operands, PathUse.WRITE)
        )
    return _as_other(invocation, parsed)


def _as_other(invocation: Invocation, parsed: Parsed) -> Verdict:
    assigned, words = _assignments(parsed.operands)
    if parsed.unknown:
        return total(RULES, opaque("sudo has an option that is not known"))
    started = starting(invocation, words) if words else NOTHING
    if not words and parsed.has("i", "login", "s", "shell"):
        started = text_on_input(invocation)
    return total(RULES, assigned, started)


_SUDO = grammar(
    """-ABbEeHiKklNnPSsVvC:D:g:h:p:R:r:t:T:U:u:a:c: askpass background close-from: chdir: preserve-env? edit group:
    set-home host: login remove-timestamp reset-timestamp list non-interactive preserve-groups prompt: chroot: role:
    stdin shell type: command-timeout: other-user: user: validate no-update bell""",
    in_order=True,
)


def _doas(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-Lnsa:C:u:", in_order=True))
    if parsed.has("C"):
        return READS
    return _as_other(invocation, parsed)


def _su(invocation: Invocation) -> Verdict:
    """``su`` and ``runuser``: the text of ``-c`` for a shell, or the shell itself."""
    words = invocation.arguments
    rules = grammar(
        """-flmpPw:c:g:G:s:u:hV command: session-command: fast group: supp-group: login preserve-environment pty
        shell: user: whitelist-environment:"""
    )
    parsed = parse(words, rules)
    if parsed.informs:
        return READS
    if parsed.has("u", "user"):
        ordered = parse(words, Grammar(rules.kinds, in_order=True))
        return total(RULES, starting(invocation, ordered.operands))
    texts = parsed.values("c", "command", "session-command")
    odd = parsed.unknown or any(
        not re.fullmatch(r"(?:/usr)?/bin/(?:ba|da|z|k)?sh", shell.text) for shell in parsed.values("s", "shell")
    )
    if odd:
        return total(RULES, opaque("it starts a program of its own"))
    return total(RULES, shelling(*texts) if texts else text_on_input(invocation))


def _prefix(options: str, *, skip: int = 0, always: Verdict = NOTHING, shell_option: str = "") -> Judge:
    """A program that starts its operands after ``skip`` of its own; ``shell_option`` has a text for a shell instead."""
    rules = grammar(options, in_order=True)

    def judge(invocation: Invocation) -> Verdict:
        parsed = parse(invocation.arguments, rules)
        if parsed.informs:
            return READS
        verdicts = [always, of_options(parsed, strict=True, program=invocation.program.text)]
        texts = parsed.values(*shell_option.split())
        own, words = parsed.operands[:skip], parsed.operands[skip:]
        if words and words[0].text == "--" and words[0].literal:
            words = words[1:]
        if any(not word.literal for word in own):
            verdicts.append(opaque("which program it starts is not known"))
        verdicts.append(shelling(*texts) if texts else starting(invocation, words))
        return total(*verdicts)

    return judge


def _env(invocation: Invocation) -> Verdict:
    rules = grammar(
        """-0iu:C:S:v ignore-environment null unset: chdir: split-string: block-signal? default-signal?
        ignore-signal? list-signal-handling debug argv0:""",
        in_order=True,
    )
    words = [Word("-i") if word.text == "-" and at == 0 else word for at, word in enumerate(invocation.arguments)]
    parsed = parse(words, rules)
    if parsed.informs:
        return READS
    if parsed.unknown:
        return opaque("env has an option that is not known")
    assigned, rest = _assignments(parsed.operands)
    split = parsed.values("S", "split-string")
    if split:
        return total(assigned, shelling(joined([*split, *rest])))
    return total(assigned, starting(invocation, rest) if rest else READS)


def _watch(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            """-bcCdegn:pq:rs:tvwxh beep color no-color differences? errexit chgexit interval: equexit: precise
            no-rerun no-title no-wrap exec shotsdir:""",
            in_order=True,
        ),
    )
    if parsed.has("x", "exec"):
        return starting(invocation, parsed.operands)
    return shelling(joined(parsed.operands)) if parsed.operands else READS


def _flock(invocation: Invocation) -> Verdict:
    """``flock FILE program``, ``flock FILE -c text``, ``flock 9``."""
    rules = grammar(
        """-enosuxFvw:E:c: close command: exclusive nonblock no-fork shared timeout: wait: unlock verbose
        conflict-exit-code:""",
        in_order=True,
    )
    parsed = parse(invocation.arguments, rules)
    if parsed.informs:
        return READS
    lock, words = parsed.operands[:1], parsed.operands[1:]
    if words and words[0].text in ("-c", "--command"):
        return total(WRITES, shelling(*words[1:2]))
    held = touching([word for word in lock if not word.text.isdigit()], PathUse.WRITE)
    return total(WRITES, held, shelling(*parsed.values("c", "command")), starting(invocation, words))


def _trace(invocation: Invocation) -> Verdict:
    """``strace`` and ``ltrace``: ``-o`` is a file, or a program behind ``|`` or ``!``."""
    parsed = parse(
        invocation.arguments,
        grammar(
            """-cCdDfFhiknqrtTvVwxyYzZa:b:e:E:I:o>O:p:P:s:S:u:U:X:l:L: follow-forks output> trace: attach:
            string-limit: summary summary-only absolute-timestamps? relative-timestamps? syscall-times? decode-fds?
            env: user: path:""",
            in_order=True,
        ),
    )
    if any(value.text[:1] in ("|", "!") or not value.literal for value in parsed.values("o", "output")):
        return opaque("the trace is written to another program")
    settings = [environment.setting(*_pair(value)) for value in parsed.values("E", "env")]
    user = RULES if parsed.has("u", "user") else NOTHING
    attached = RULES if parsed.has("p", "attach") else NOTHING
    written = of_options(parsed, strict=True, program=invocation.program.text)
    return total(READS, written, *settings, user, attached, starting(invocation, parsed.operands))


def _pair(word: Word) -> tuple[str, Word]:
    name, _, value = word.text.partition("=")
    return name, Word(value, word.literal)


def _task(invocation: Invocation) -> Verdict:
    """``taskset`` and ``chrt``: a mask or priority, then a program; with ``-p`` a process that runs already."""
    parsed = parse(
        invocation.arguments,
        grammar("-abcdfioprmRvT:P:D: all-tasks pid cpu-list batch fifo idle other rr max", in_order=True),
    )
    if parsed.has("p", "pid"):
        return WRITES if len(parsed.operands) > 1 else READS
    return READS if parsed.has("m", "max") else starting(invocation, parsed.operands[1:])


def _ionice(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments, grammar("-c:n:p:P:u:t class: classdata: pid: pgid: uid: ignore", in_order=True)
    )
    return WRITES if parsed.has("p", "P", "u", "pid", "pgid", "uid") else starting(invocation, parsed.operands)


def _script(invocation: Invocation) -> Verdict:
    """``script`` records a shell: the text of ``-c``, or whatever is typed."""
    parsed = parse(
        invocation.arguments,
        grammar("""-aeEfqTc:I>O>B>m:o:t? append command: echo: return flush force quiet log-in> log-out> log-io> timing?
            output-limit: logging-format:"""),
    )
    texts = parsed.values("c", "command")
    return total(
        WRITES,
        of_options(parsed, strict=True, program="script"),
        touching(parsed.operands[:1], PathUse.WRITE),
        shelling(*texts) if texts else text_on_input(invocation),
    )


def _chroot(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("groups: userspec: skip-chdir", in_order=True))
    words = parsed.operands[1:]
    return total(RULES, starting(invocation, words) if words else text_on_input(invocation))


def _namespace(options: str) -> Judge:
    rules = grammar(options, in_order=True)

    def judge(invocation: Invocation) -> Verdict:
        parsed = parse(invocation.arguments, rules)
        if parsed.informs:
            return READS
        if parsed.unknown:
            return total(RULES, opaque(f"{invocation.program.text} has an option that is not known"))
        words = parsed.operands
        return total(RULES, starting(invocation, words) if words else text_on_input(invocation))

    return judge


def _busybox(invocation: Invocation) -> Verdict:
    words = invocation.arguments
    if not words or words[0].text in ("--list", "--list-full", "--help"):
        return READS
    if words[0].text == "--install":
        return total(WRITES, PERSISTS)
    return starting(invocation, words)


def _systemd_run(invocation: Invocation) -> Verdict:
    """A unit of its own outlives the connection, and may run again."""
    parsed = parse(
        invocation.arguments,
        grammar(
            """-GPqrtSdM:H:p:E:u: user system scope unit: property: description: slice: slice-inherit
            expand-environment: no-block remain-after-exit send-sighup service-type: uid: gid: nice:
            working-directory: same-dir setenv: pty pipe quiet collect shell on-active: on-boot:
            on-startup: on-unit-active: on-unit-inactive: on-calendar: on-clock-change on-timezone-change
            path-property: socket-property: timer-property: wait machine: host@""",
            in_order=True,
        ),
    )
    if parsed.unknown or parsed.has("p", "property", "S", "shell", "M", "machine", "E", "setenv"):
        return total(PERSISTS, RULES, opaque("systemd-run changes how the program is run"))
    who = RULES if parsed.has("uid", "gid") else NOTHING
    timers = [option for option in parsed.options if option.name.startswith("on-")]
    kept = NOTHING if parsed.has("scope") and not timers else PERSISTS
    return total(
        kept, who, of_options(parsed, strict=True, program="systemd-run"), starting(invocation, parsed.operands)
    )


def _multiplexer(invocation: Invocation) -> Verdict:
    """``tmux``: sessions are listed and shown; a command for a new one is a text for a shell."""
    parsed = parse(invocation.arguments, grammar("-2CDlNuvVc:f:L:S:T:", in_order=True))
    if parsed.has("V") or (not parsed.operands and parsed.informs):
        return READS
    if parsed.has("f", "c") or not parsed.operands:
        return opaque("what is done in the terminal is not known")
    verb, rest = parsed.operands[0].text, parsed.operands[1:]
    if verb in names(
        "ls list-sessions lsw list-windows lsp list-panes lsc list-clients has has-session capture-pane capturep"
        " display display-message show-options show info"
    ):
        return (
            READS if not any("#(" in word.text or not word.literal for word in rest) else opaque("tmux runs a format")
        )
    if verb in names("new new-session neww new-window splitw split-window"):
        own = parse(rest, grammar("-AdDEPXbdfhIkSvZc:F:e:f:l:n:s:t:x:y:", in_order=True))
        return total(WRITES, shelling(joined(own.operands)) if own.operands else opaque("a shell is opened in tmux"))
    if verb.startswith("kill-"):
        return total(WRITES, DESTROYS)
    return opaque(f"tmux {verb} types into another program or runs one")


def _screen(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-aAOqRUx?dDiLlmvc!e:f:h:p:r?s!S:t:T:X^Q^ls?w?", in_order=True))
    if any(word.text in ("-ls", "-list", "-v", "--version") for word in invocation.arguments[:1]):
        return READS
    if parsed.unknown or parsed.has("X", "Q", "c", "s", "r", "x", "R"):
        return opaque("what is typed into screen is not known")
    return total(WRITES, starting(invocation, parsed.operands) if parsed.operands else text_on_input(invocation))


def _at(invocation: Invocation) -> Verdict:
    """A job for later: its text comes from standard input."""
    parsed = parse(invocation.arguments, grammar("-VmMlbvcdrf:q:t:"))
    if parsed.has("l", "V", "c"):
        return READS
    if parsed.has("d", "r"):
        return total(WRITES, DESTROYS)
    if parsed.has("f"):
        return total(PERSISTS, opaque("a script runs later"))
    return total(PERSISTS, text_on_input(invocation) if invocation.input is not Input.NOTHING else NOTHING)


def _crontab(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-u:elrinsT:x:cVp"))
    other = RULES if parsed.has("u") and not parsed.has("l") else NOTHING
    if parsed.has("l", "V", "T"):
        return READS
    if parsed.has("r"):
        return total(PERSISTS, other, DESTROYS)
    return total(PERSISTS, other, touching(parsed.operands[:1], PathUse.READ))


PROGRAMS: Programs = {
    "sudo": _sudo,
    "sudoedit": lambda invocation: total(
        RULES, opaque("an editor changes files as somebody else"), touching(invocation.arguments, PathUse.WRITE)
    ),
    "doas": _doas,
    "su": _su,
    "runuser": _su,
    "pkexec": _prefix("user: disable-internal-agent keep-cwd", always=RULES),
    "gosu": _prefix("", skip=1, always=RULES),
    "su-exec": _prefix("", skip=1, always=RULES),
    "setpriv": _prefix(
        """-d dump no-new-privs ambient-caps: inh-caps: bounding-set: list-caps ruid: euid: rgid: egid: reuid:
        regid: clear-groups keep-groups init-groups groups: securebits: pdeathsig: selinux-label:
        apparmor-profile: reset-env""",
        always=RULES,
    ),
    "setuidgid": _prefix("", skip=1, always=RULES),
    "chpst": _prefix("-vP01234u:U:b:e:/:C:n:l:L:m:d:o:p:f:c:r:t:", always=RULES),
    "sg": lambda invocation: total(RULES, shelling(*[w for w in invocation.arguments[1:] if w.text != "-c"][:1])),
    "newgrp": lambda invocation: total(RULES, text_on_input(invocation)),
    "login": lambda invocation: total(RULES, opaque("somebody logs in")),
    "capsh": lambda invocation: (
        READS
        if invocation.arguments and invocation.arguments[0].text == "--print" and len(invocation.arguments) == 1
        else total(RULES, opaque("a shell runs with other rights"))
    ),
    "chroot": _chroot,
    "unshare": _namespace(
        """-mM?upnUTCriNfc mount? uts? ipc? net? pid? user? cgroup? time? fork mount-proc? map-root-user map-user:
        map-group: map-current-user map-auto map-users: map-groups: propagation: setgroups: keep-caps kill-child?
        -R:w:S:G: root: wd: setuid: setgid: monotonic: boottime:"""
    ),
    "nsenter": _namespace(
        """-at:m?u?i?n?p?C?U?T?S:G:r?w?W:FZe all target: mount? uts? ipc? net? pid? cgroup? user? time? setuid:
        setgid: preserve-credentials keep-caps root? wd? wdns: no-fork follow-context env user-parent"""
    ),
    "env": _env,
    "nice": _prefix("-n:# adjustment:"),
    "ionice": _ionice,
    "nohup": _prefix(""),
    "sshpass": _prefix("-p:f<d:ePvV"),
    "setsid": _prefix("-cfw ctty fork wait"),
    "timeout": _prefix("-fk:ps:v foreground kill-after: preserve-status signal: verbose", skip=1),
    "gtimeout": _prefix("-fk:ps:v foreground kill-after: preserve-status signal: verbose", skip=1),
    "stdbuf": _prefix("-i:o:e: input: output: error:"),
    "unbuffer": _prefix("-p"),
    "chronic": _prefix("-ev"),
    "time": _prefix("-af:o>pqv append format: output> portability quiet verbose"),
    "prlimit": _prefix(
        "-c?d?e?f?i?l?m?n?q?r?s?t?u?v?x?y?o:p: noheadings output: pid: raw verbose nofile? nproc? core? as? cpu?"
        " fsize? memlock? stack? data? rss?"
    ),
    "numactl": _prefix(
        "-i:N:C:m:P:p:lasHh interleave: cpunodebind: physcpubind: membind: preferred: localalloc all show hardware"
    ),
    "cpulimit": _prefix("-l:p:e:zivb limit: pid: exe: lazy include-children verbose background"),
    "taskset": _task,
    "chrt": _task,
    "setarch": _prefix("-BFILRSTXZv3 32bit addr-no-randomize", skip=1),
    "linux64": _prefix("-BFILRSTXZv3 addr-no-randomize"),
    "linux32": _prefix("-BFILRSTXZv3 addr-no-randomize"),
    "systemd-inhibit": _prefix("what: who: why: mode: list no-pager no-legend"),
    "systemd-cat": _prefix("-t:p: identifier: priority: stderr-priority: level-prefix:"),
    "systemd-run": _systemd_run,
    "caffeinate": _prefix("-disumt:w:"),
    "dbus-run-session": _prefix("config-file! dbus-daemon!"),
    "xvfb-run": _prefix("-ac:e>f:ln:p:s:w: auto-servernum server-args: error-file>"),
    "fakeroot": _prefix("-l!s>i<ub: lib! faked! save-file> load-file< unknown-is-real"),
    "hyperfine": _prefix("", always=opaque("it runs texts many times")),
    "watch": _watch,
    "flock": _flock,
    "lockfile": lambda invocation: WRITES,
    "strace": _trace,
    "ltrace": _trace,
    "script": _script,
    "busybox": _busybox,
    "toybox": _busybox,
    "tmux": _multiplexer,
    "screen": _screen,
    "at": _at,
    "batch": _at,
    "crontab": _crontab,
}
