"""``ssh`` and what goes over it: other hosts, files there, and options that run programs here."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    DESTROYS,
    NOTHING,
    PERSISTS,
    READS,
    RULES,
    WRITES,
    contacting,
    opaque,
    shelling,
    total,
    touching,
)

_SSH = grammar("-1246AaB:b:Cc:D:E>e:F!fGgI!i<J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtvVW@w:XxYy", in_order=True)
_HARMLESS_SETTINGS = re.compile(
    r"(?:StrictHostKeyChecking|ConnectTimeout|BatchMode|UserKnownHostsFile|GlobalKnownHostsFile|LogLevel|ServerAlive\w+|TCPKeepAlive"
    r"|IdentitiesOnly|IdentityFile|PasswordAuthentication|PubkeyAuthentication|PreferredAuthentications|Port|User|Compression"
    r"|ConnectionAttempts|NumberOfPasswordPrompts|HostKeyAlgorithms|PubkeyAcceptedAlgorithms|PubkeyAcceptedKeyTypes|Ciphers"
    r"|MACs|KexAlgorithms|AddressFamily|CheckHostIP|ControlMaster|ControlPersist|ForwardAgent|ForwardX11|RequestTTY"
    r"|ExitOnForwardFailure|HashKnownHosts|VerifyHostKeyDNS|GSSAPIAuthentication|KbdInteractiveAuthentication|IPQoS"
    r"|UpdateHostKeys|ClearAllForwardings|EscapeChar|HostKeyAlias|SendEnv|SetEnv"
    r"|NoHostAuthenticationForLocalhost)[ =].*",
    re.IGNORECASE | re.DOTALL,
)


def settings_of(parsed: Parsed) -> Verdict:
    """What ``-o Name=value`` settings do: those that may run a program here are opaque."""
    verdicts = []
    for word in parsed.values("o"):
        name, _, value = word.text.replace("=", " ", 1).strip().partition(" ")
        if name.lower() in ("hostname", "proxyjump"):
            verdicts.append(contacting([(Word(value, word.literal), hosts.of_login(value.strip()))]))
        elif not word.literal or not _HARMLESS_SETTINGS.fullmatch(f"{name} {value}"):
            verdicts.append(opaque(f"ssh is given the setting {name}, which may run a program"))
    return total(*verdicts)


def jumps_of(parsed: Parsed) -> Verdict:
    """The hosts of ``-J``."""
    jumps = [Word(part, word.literal) for word in parsed.values("J") for part in word.text.split(",")]
    return contacting([(word, _host_and_port(word.text)) for word in jumps]) if jumps else NOTHING


def _host_and_port(text: str) -> str | None:
    return hosts.of_address(text.rpartition("@")[2])


def _ssh(invocation: Invocation) -> Verdict:
    """What is done at the other host is judged as if it were done here: the classes say what happens, not where."""
    parsed = parse(invocation.arguments, _SSH)
    if parsed.has("V", "Q", "G"):
        return READS
    # Options may also follow the host.
    target, rest = parsed.operands[:1], parsed.operands[1:]
    more = parse(rest, _SSH)
    told = [_ssh_options(each) for each in (parsed, more)]
    reached = contacting([(word, hosts.of_login(word.text)) for word in target]) if target else CONTACTS
    command = more.operands
    if parsed.has("s") or more.has("s"):
        return total(reached, *told, opaque("a subsystem of the other host"))
    if parsed.has("N", "O") or more.has("N"):
        return total(reached, *told)
    return total(reached, *told, _remote_command(invocation, command))


def _remote_command(invocation: Invocation, command: Sequence[Word]) -> Verdict:
    if command:
        return shelling(Word(" ".join(word.text for word in command), all(word.literal for word in command)))
    if invocation.input_text is not None:
        return shelling(Word(invocation.input_text))
    return opaque("what is done at the other host is not known")


def _ssh_options(parsed: Parsed) -> Verdict:
    forwards = parsed.has("L", "R", "D", "w", "g")
    return total(
        of_options(parsed, strict=True, program="ssh"),
        settings_of(parsed),
        jumps_of(parsed),
        opaque("it forwards ports") if forwards else NOTHING,
        RULES if parsed.has("A") else NOTHING,
    )


_SCP = grammar("-12346ABCc:D!dF!fi<J:l:o:OP:pqrRS!sTtvX:")


def _scp(invocation: Invocation) -> Verdict:
    """``scp`` from or to other hosts, and its server side (``-t`` takes files, ``-f`` gives them)."""
    parsed = parse(invocation.arguments, _SCP)
    told = total(of_options(parsed, strict=True, program="scp"), settings_of(parsed), jumps_of(parsed))
    if parsed.has("t"):
        return total(told, WRITES, touching(parsed.operands, PathUse.WRITE))
    if parsed.has("f"):
        return total(told, READS, touching(parsed.operands, PathUse.READ))
    return total(told, CONTACTS, _transfers(parsed.operands))


def _transfers(operands: Sequence[Word]) -> Verdict:
    """Sources and a destination, each here or at another host."""
    return total(
        *(_place(word, PathUse.READ) for word in operands[:-1]),
        *(_place(word, PathUse.WRITE) for word in operands[-1:]),
    )


def _place(word: Word, use: PathUse) -> Verdict:
    remote = hosts.of_remote_path(word.text)
    if remote or "://" in word.text or (":" in word.text and not word.literal):
        return contacting([(word, remote)])
    return touching([word], use)


_RSYNC = grammar(
    """-0468abB:cCdDe!Ef:FghHIikKlLmM!nNoOpPqQ:rRsStT>uUvVWxXyz append append-verify acls address: archive atimes
    backup backup-dir> batch! block-size: blocking-io bwlimit: cc: checksum checksum-choice: checksum-seed:
    chmod: chown: compare-dest< compress compress-choice: compress-level: contimeout: copy-dest< copy-devices
    copy-dirlinks copy-links copy-unsafe-links crtimes cvs-exclude daemon^ config! debug: del delay-updates
    delete delete-after delete-before delete-delay delete-during delete-excluded delete-missing-args devices
    dirs dry-run early-input< exclude: exclude-from< executability existing fake-super files-from< filter:
    force from0 fsync fuzzy group groupmap: hard-links human-readable iconv: ignore-errors ignore-existing
    ignore-missing-args ignore-non-existing ignore-times include: include-from< info: inplace ipv4 ipv6
    itemize-changes keep-dirlinks link-dest< links list-only log-file> log-file-format: max-alloc: max-delete:
    max-size: min-size: mkpath modify-window: munge-links no-implied-dirs no-motd no-o no-g no-p no-t no-perms
    no-owner no-group no-times no-whole-file no-inc-recursive no-compress no-relative numeric-ids old-args
    old-compress old-dirs omit-dir-times omit-link-times one-file-system only-write-batch> out-format: outbuf:
    owner partial partial-dir> password-file< perms port: preallocate progress protect-args protocol:
    prune-empty-dirs quiet read-batch< recursive relative remote-option! remove-sent-files remove-source-files
    rsh! rsync-path! safe-links secluded-args sender server size-only skip-compress: sockopts: sparse specials
    stats stderr: stop-after: stop-at: suffix: super temp-dir> timeout: times trust-sender update usermap:
    verbose whole-file write-batch> write-devices^ xattrs 8-bit-output"""
)
_PLAIN_SSH = re.compile(
    r"ssh(?: -(?:p ?\d+|i ?[\w~./-]+|[46CqTx]|l ?\w+"
    r"|o ?(?:StrictHostKeyChecking|ConnectTimeout|BatchMode|UserKnownHostsFile)[= ][\w./-]+))*"
)
_SERVER_DELETES = re.compile(r"--delete(?:-\w+)?|--remove-\w+|--del")


def _rsync(invocation: Invocation) -> Verdict:
    """``rsync``: ``-e`` and ``--rsync-path`` name programs; the server side is what other clients start."""
    parsed = parse(invocation.arguments, _RSYNC)
    if parsed.informs:
        return READS
    if parsed.has("server"):
        return _rsync_server(invocation)
    shells = parsed.values("e", "rsh")
    told = total(
        of_options(_without(parsed, "e", "rsh", "rsync-path"), strict=True, program="rsync"),
        NOTHING
        if all(word.literal and _PLAIN_SSH.fullmatch(word.text) for word in shells)
        else opaque("rsync -e runs a program"),
        NOTHING
        if all(_sudo_rsync(word) for word in parsed.values("rsync-path"))
        else opaque("rsync runs another program"),
    )
    if parsed.has("n", "dry-run", "list-only") or len(parsed.operands) < 2:
        listed = [_place(word, PathUse.READ) for word in parsed.operands]
        return total(told, READS, *listed)
    removes = [
        option.name
        for option in parsed.options
        if option.name == "del" or option.name.startswith(("delete", "remove-s"))
    ]
    gone = (
        touching(parsed.operands[-1:], PathUse.REMOVE)
        if removes and not hosts.of_remote_path(parsed.operands[-1].text)
        else NOTHING
    )
    if parsed.has("remove-source-files", "remove-sent-files"):
        local = [word for word in parsed.operands[:-1] if not hosts.of_remote_path(word.text)]
        gone = total(gone, touching(local, PathUse.REMOVE))
    return total(told, DESTROYS if removes else NOTHING, gone, _transfers(parsed.operands))


def _sudo_rsync(word: Word) -> bool:
    return word.literal and word.text in ("rsync", "/usr/bin/rsync", "sudo rsync")


def _without(parsed: Parsed, *names: str) -> Parsed:
    return Parsed(
        tuple(option for option in parsed.options if option.name not in names), parsed.operands, parsed.unknown
    )


def _rsync_server(invocation: Invocation) -> Verdict:
    """``rsync --server [--sender] -logDtpre.iLsfxC . PATH``, as rsync starts itself at the other side."""
    words = [word.text for word in invocation.arguments]
    operands = [word for word in invocation.arguments if not word.text.startswith("-")]
    if (
        not all(word.literal for word in invocation.arguments)
        or "--daemon" in words
        or any(
            re.match(r"--(?:config|log-file|write-batch|only-write-batch|read-batch|write-devices|files-from)", word)
            for word in words
        )
    ):
        return opaque("the server side of rsync is told something that is not known")
    if any(
        re.match(r"-[a-zA-Z.0-9]*s(?!fxC)|-s$|--protect-args|--secluded-args", word)
        and not re.match(r"-[a-zA-Z.]*e\.", word)
        for word in words
    ):
        return opaque("the server side of rsync is told its paths later")
    paths = operands[1:]
    if "--sender" in words:
        gone = any(_SERVER_DELETES.fullmatch(word) for word in words)
        return total(READS, touching(paths, PathUse.READ), touching(paths, PathUse.REMOVE) if gone else NOTHING)
    gone = any(_SERVER_DELETES.fullmatch(word) for word in words)
    removed = touching(paths, PathUse.REMOVE) if gone else NOTHING
    return total(WRITES, touching(paths, PathUse.WRITE), removed)


def _sftp(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-46AaB:b:Cc:D!F!fi<J:l:No:P:pqR:rS!s:vX:"))
    told = total(of_options(parsed, strict=True, program="sftp"), settings_of(parsed), jumps_of(parsed))
    target = contacting(
        [(word, hosts.of_remote_path(word.text) or hosts.of_login(word.text)) for word in parsed.operands[:1]]
    )
    download = len(parsed.operands) == 2 or ":" in "".join(word.text for word in parsed.operands[:1]).partition("@")[2]
    if download and not parsed.has("b"):
        return total(told, CONTACTS, target, WRITES, touching(parsed.operands[1:2], PathUse.WRITE))
    return total(told, CONTACTS, target, opaque("sftp is told what to do while it runs"))


def _keygen(invocation: Invocation) -> Verdict:
    """``ssh-keygen``: looking at keys reads; making them writes; ``-D`` and ``-w`` load code."""
    parsed = parse(
        invocation.arguments,
        grammar("-a:AB?b:C:cD!E:eF:f:gHhI:iKklLM:m:N:n:O:P:pQqR:r:s:T:t:UuV:vw!Y:yz:Z:"),
    )
    files = parsed.values("f")
    if parsed.has("l", "F", "L", "B", "y", "Q"):
        return total(READS, touching(files, PathUse.READ), of_options(parsed, strict=False, program="ssh-keygen"))
    if parsed.has("R", "H"):
        return total(WRITES, touching(files, PathUse.WRITE))
    # A new key of one's own lets nobody in by itself.
    signs = RULES if parsed.has("s") else PERSISTS if parsed.has("A") else NOTHING
    public = [Word(f"{word.text}.pub", word.literal) for word in files]
    own = touching([*files, *public], PathUse.WRITE, harmless=True)
    return total(WRITES, signs, own, of_options(parsed, strict=True, program="ssh-keygen"))


def _copy_id(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-fhi:no:p:st:x"))
    target = [(word, hosts.of_login(word.text)) for word in parsed.operands[:1]]
    return total(PERSISTS, CONTACTS, settings_of(parsed), contacting(target))


def _add_key(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-cDdE:e!H:h:KkLlM:O:qS!s!T:t:vXx"))
    if parsed.has("l", "L"):
        return READS
    return total(WRITES, of_options(parsed, strict=True, program="ssh-add"), touching(parsed.operands, PathUse.READ))


def _sftp_server(invocation: Invocation) -> Verdict:
    """Its packets are decided one by one only where they are a subsystem; as a program nobody sees them."""
    return opaque("sftp-server is told what to do while it runs")


PROGRAMS: Programs = {
    "ssh": _ssh,
    "slogin": _ssh,
    "mosh": lambda invocation: total(CONTACTS, opaque("what is done at the other host is not known")),
    "scp": _scp,
    "sftp": _sftp,
    "sftp-server": _sftp_server,
    "rsync": _rsync,
    "ssh-keygen": _keygen,
    "ssh-keyscan": plain("@*", "-46cDHvf<p:T:t:", CommandClass.NETWORK),
    "ssh-copy-id": _copy_id,
    "ssh-add": _add_key,
    "pssh": lambda invocation: total(CONTACTS, opaque("what is done at other hosts is not known")),
    "parallel-ssh": lambda invocation: total(CONTACTS, opaque("what is done at other hosts is not known")),
    "pdsh": lambda invocation: total(CONTACTS, opaque("what is done at other hosts is not known")),
    "clush": lambda invocation: total(CONTACTS, opaque("what is done at other hosts is not known")),
}
