"""Programs that administer a host: disks, processes, accounts, the kernel, networks."""

import re

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.subcommands import tool
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    PERSISTS,
    READS,
    RULES,
    WRITES,
    opaque,
    total,
    touching,
)

_READ, _WRITE, _DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE
_PRIVILEGE, _PERSISTENCE = CommandClass.PRIVILEGE, CommandClass.PERSISTENCE

_GENTLE_SIGNALS = names(
    "0 1 HUP SIGHUP USR1 SIGUSR1 10 USR2 SIGUSR2 12 CONT SIGCONT 18 WINCH SIGWINCH 28 URG SIGURG CHLD"
)


def _kill(invocation: Invocation) -> Verdict:
    """Ends processes, unless the signal only makes them read their configuration or go on."""
    words = [word.text for word in invocation.arguments]
    if words[:1] in (["-l"], ["-L"], ["--list"], ["--table"]):
        return READS
    given = [word[1:] for word in words if re.fullmatch(r"-(?:\d+|[A-Z][A-Z0-9]+)", word)]
    given += [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-s", "--signal", "-n")]
    given += [word.partition("=")[2] for word in words if word.startswith("--signal=")]
    everyone = [word for word in words if word in ("-1", "1")][1 if given[:1] == ["1"] else 0 :]
    if given and all(signal in _GENTLE_SIGNALS for signal in given):
        return WRITES if given != ["0"] else READS
    jobs = [word for word in words if not word.startswith("-")]
    own = jobs and all(re.fullmatch(r"%[\w+-]*", word) for word in jobs)
    return WRITES if own and not everyone else DESTROYS


def _account(*extra: Verdict) -> Judge:
    """Accounts and groups decide who may do what."""

    def judge(invocation: Invocation) -> Verdict:
        return total(RULES, *extra)

    return judge


def _password(invocation: Invocation) -> Verdict:
    asks = any(word.text in ("-S", "--status") for word in invocation.arguments)
    return READS if asks and len(invocation.arguments) <= 2 else total(RULES, PERSISTS)


def _aging(invocation: Invocation) -> Verdict:
    return READS if any(word.text in ("-l", "--list") for word in invocation.arguments) else RULES


_TABLES = """-A:D:C:I:R:S?L?F?Z?N:X?P:E:p:s:d:j:g:i:o:t:m:nvxw?W:c:46h append: check: delete: insert: replace: list?
    list-rules? flush? zero? new-chain: delete-chain? policy: rename-chain: table: numeric verbose
    line-numbers exact wait? in-interface: out-interface: jump: protocol: source: destination: match:
    modprobe!"""


def _packet_filter(invocation: Invocation) -> Verdict:
    """Rules of a firewall say who may reach the host: listing reads, flushing destroys."""
    parsed = parse(invocation.arguments, grammar(_TABLES))
    if parsed.has("L", "S", "list", "list-rules", "C", "check") and not parsed.has("Z", "zero"):
        return READS
    gone = DESTROYS if parsed.has("F", "flush", "X", "delete-chain", "D", "delete") else NOTHING
    return total(RULES, gone, of_options(parsed, strict=False, program="iptables"))


def _nft(invocation: Invocation) -> Verdict:
    words = [word.text for word in invocation.arguments if not word.text.startswith("-")]
    if words[:1] == ["list"] or not invocation.arguments:
        return READS
    gone = DESTROYS if any(word in ("flush", "delete", "destroy", "reset") for word in words) else NOTHING
    return total(
        RULES,
        gone,
        opaque("rules come from a file")
        if any(w.text in ("-f", "--file", "-i") for w in invocation.arguments)
        else NOTHING,
    )


def _firewall(invocation: Invocation) -> Verdict:
    """``ufw`` and ``firewall-cmd``."""
    words = [word.text for word in invocation.arguments]
    if words and all(
        re.fullmatch(
            r"(?:--)?(?:status|verbose|numbered|version|app|list|show|info|state|added|raw|listening|list-\w+(?:-\w+)*"
            r"|get-\w+(?:-\w+)*|query-.*|zone=.*|permanent|info-\w+=.*|panic-query|dry-run)",
            word,
        )
        for word in words
    ):
        return READS
    gone = (
        DESTROYS
        if any(word in ("disable", "reset", "delete", "--panic-on", "--complete-reload") for word in words)
        else NOTHING
    )
    return total(RULES, gone)


_IP_CHANGES = names("add del delete set change replace flush append up down exec save restore attach detach")


def _ip(invocation: Invocation) -> Verdict:
    """``ip``: shows, changes links and routes, or runs a program in a network namespace."""
    rules = grammar(
        "-46Bhsdrcotal:f:b!n!N? batch! netns! family: details statistics json pretty brief color? oneline resolve"
        " iec human-readable force Numeric all br j p o s d c a",
        in_order=True,
        single_dash=True,
    )
    parsed = parse(invocation.arguments, rules)
    told = of_options(parsed, strict=True, program="ip")
    words = [word.text for word in parsed.operands]
    if not all(word.literal for word in parsed.operands[:2]):
        return opaque("what ip is told is not known")
    if "exec" in words[:2] or (
        words[:1] and "netns".startswith(words[0]) and len(words[0]) > 2 and words[1:2] and "exec".startswith(words[1])
    ):
        return opaque("ip runs a program in a network namespace")
    verb = words[1] if len(words) > 1 else "show"
    if verb == "s" and (len(words) > 4 or {"up", "down"} & set(words)):
        verb = "set"
    if any(verb and change.startswith(verb) and not "show".startswith(verb) for change in _IP_CHANGES):
        gone = DESTROYS if "flush".startswith(verb) or "delete".startswith(verb) or "down" in words else NOTHING
        return total(told, RULES, gone)
    return total(told, READS)


def _interface(invocation: Invocation) -> Verdict:
    """``ifconfig`` and ``route``: with no more than a name they show."""
    operands = [word.text for word in invocation.arguments if not word.text.startswith("-")]
    if len(operands) <= 1 and not (operands and operands[0] in ("add", "del", "flush")):
        return READS
    return total(RULES, DESTROYS if set(operands) & {"down", "del", "delete", "flush"} else NOTHING)


def _kernel_setting(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments, grammar("-aAbdeNnp?qwxXr: all load? system write values names quiet pattern: ignore")
    )
    loads = parsed.has("p", "load", "system", "w", "write") or any(
        "=" in word.text or not word.literal for word in parsed.operands
    )
    return total(WRITES, RULES) if loads else READS


def _module(invocation: Invocation) -> Verdict:
    """Kernel modules run with every right."""
    words = {word.text for word in invocation.arguments}
    if words & {"-n", "--dry-run", "--show", "-c", "--showconfig", "--show-depends", "-D"}:
        return READS
    removing = invocation.program.text.rpartition("/")[2] == "rmmod" or words & {"-r", "--remove"}
    return total(RULES, DESTROYS if removing else PERSISTS)


def _date(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("-d:f<I?Rr<s:u date: file< iso-8601? rfc-email rfc-3339: reference< set: utc universal debug"),
    )
    sets = parsed.has("s", "set") or any(word.literal and not word.text.startswith("+") for word in parsed.operands)
    return total(WRITES, RULES) if sets else total(READS, of_options(parsed, strict=False, program="date"))


def _clock(invocation: Invocation) -> Verdict:
    asks = not invocation.arguments or all(
        word.text in ("-r", "--show", "-v", "--verbose", "-u", "--utc") for word in invocation.arguments
    )
    return READS if asks else total(WRITES, RULES)


def _host_name(invocation: Invocation) -> Verdict:
    sets = [word for word in invocation.arguments if not word.text.startswith("-")] or any(
        word.text in ("-F", "--file", "-b") for word in invocation.arguments
    )
    return total(WRITES, RULES) if sets else READS


def _fuser(invocation: Invocation) -> Verdict:
    kills = any(re.match(r"-[a-zA-Z]*k|--kill", word.text) for word in invocation.arguments)
    return (
        DESTROYS
        if kills
        else total(READS, touching([w for w in invocation.arguments if not w.text.startswith("-")], PathUse.READ))
    )


def _sockets(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-46aAbeDEfFHhiKlmMnNoOprsStTuvVwxZz kill"))
    return DESTROYS if parsed.has("K", "kill") else READS


def _efi(invocation: Invocation) -> Verdict:
    asks = all(word.text in ("-v", "--verbose") for word in invocation.arguments)
    return READS if asks else total(DESTROYS, PERSISTS)


def _gpg(invocation: Invocation) -> Verdict:
    """Keys that are trusted or given away are privilege; encrypting and checking is not."""
    parsed = parse(
        invocation.arguments,
        grammar("""-abcdekKo>qr:R:su:vz:h armor batch clearsign clear-sign decrypt default-key: detach-sign encrypt
            export export-secret-keys export-secret-subkeys fingerprint? homedir: import dearmor enarmor
            keyring: keyserver@ list-keys list-secret-keys list-packets list-public-keys list-sigs local-user:
            no-default-keyring no-tty output> passphrase: passphrase-fd: passphrase-file< pinentry-mode: quiet
            recipient: recv-keys receive-keys search-keys send-keys show-keys sign symmetric trust-model:
            verify verbose yes with-colons with-fingerprint gen-key generate-key quick-generate-key
            quick-gen-key full-generate-key delete-key delete-keys delete-secret-keys edit-key sign-key
            lsign-key quick-sign-key import-ownertrust export-ownertrust options! exec-path! photo-viewer!
            agent-program! dirmngr-program! pinentry-program! card-edit refresh-keys print-md: status-fd:
            cipher-algo: compress-algo: s2k-cipher-algo: s2k-digest-algo: s2k-mode: s2k-count:
            keyserver-options: auto-key-locate: always-trust no-symkey-cache hidden-recipient: throw-keyids"""),
    )
    files = touching(parsed.operands, PathUse.READ)
    if parsed.has("recv-keys", "receive-keys", "search-keys", "send-keys", "refresh-keys", "keyserver"):
        return total(Verdict(frozenset({CommandClass.NETWORK})), RULES, of_options(parsed, strict=False, program="gpg"))
    if parsed.has("delete-key", "delete-keys", "delete-secret-keys"):
        return DESTROYS
    rights = (
        RULES
        if any(re.search(r"import|edit|sign-key|export-secret|card", option.name) for option in parsed.options)
        else NOTHING
    )
    keyed = rights if not parsed.has("decrypt", "d", "verify", "list-keys") else NOTHING
    output = WRITES if parsed.has("o", "output") else READS
    return total(
        output, keyed, files if not rights.classes else NOTHING, of_options(parsed, strict=True, program="gpg")
    )


def _audit(invocation: Invocation) -> Verdict:
    asks = all(word.text in ("-l", "-s", "--list", "--status") for word in invocation.arguments)
    return READS if asks else total(DESTROYS, RULES)


def _mandatory_access(invocation: Invocation) -> Verdict:
    return total(RULES, PERSISTS)


_USERS = names(
    "useradd adduser groupadd addgroup usermod groupmod gpasswd chpasswd chgpasswd newusers chsh chfn pwconv pwunconv"
    " grpconv vipw vigr smbpasswd kadmin kadmin.local pam-auth-update authselect authconfig"
)

PROGRAMS: Programs = {
    **dict.fromkeys(("kill", "killall", "pkill", "skill", "killall5", "xkill"), _kill),
    "renice": plain(".*", "", _WRITE),
    **dict.fromkeys(_USERS, _account(PERSISTS)),
    **dict.fromkeys(("userdel", "deluser", "groupdel", "delgroup"), _account(DESTROYS)),
    "passwd": _password,
    "chage": _aging,
    "faillock": plain(".*", "", _PRIVILEGE),
    "htpasswd": plain(".*", "", _PRIVILEGE),
    **dict.fromkeys(
        ("iptables", "ip6tables", "iptables-nft", "iptables-legacy", "ebtables", "arptables"), _packet_filter
    ),
    "iptables-save": plain(".*", "-f>", _READ),
    "ip6tables-save": plain(".*", "-f>", _READ),
    "iptables-restore": plain(".*", "", _PRIVILEGE, _DESTRUCTIVE),
    "ip6tables-restore": plain(".*", "", _PRIVILEGE, _DESTRUCTIVE),
    "netfilter-persistent": plain(".*", "", _PRIVILEGE, _PERSISTENCE),
    "ipset": lambda invocation: (
        READS if invocation.arguments and invocation.arguments[0].text in ("list", "-L", "test", "save") else RULES
    ),
    "conntrack": lambda invocation: (
        READS if any(word.text in ("-L", "-S", "-C", "-G") for word in invocation.arguments) else DESTROYS
    ),
    "nft": _nft,
    "ufw": _firewall,
    "firewall-cmd": _firewall,
    "fail2ban-client": tool(
        "", "read: status ping version banned get -d\nprivilege: set reload restart start\ndestructive: stop unban"
    ),
    "ip": _ip,
    "tc": _ip,
    "bridge": _ip,
    "ifconfig": _interface,
    "route": _interface,
    "iwconfig": _interface,
    "ethtool": plain(".*", "-KsAGLCE", _READ, K=_WRITE, s=_WRITE, E=_WRITE, G=_WRITE, L=_WRITE),
    "arp": plain(".*", "-aneviH:A:D:d:s:f<", _READ, d=_PRIVILEGE, s=_PRIVILEGE),
    "ifup": plain(".*", "", _WRITE),
    "ifdown": plain(".*", "", _DESTRUCTIVE),
    "dhclient": plain(".*", "-sf!cf!", _WRITE, CommandClass.NETWORK),
    "netplan": tool("", "read: get status info\nwrite: generate try\npersistence: apply set"),
    "brctl": plain(".*", "", _PRIVILEGE),
    "wg": lambda invocation: READS if not invocation.arguments or invocation.arguments[0].text == "show" else RULES,
    "sysctl": _kernel_setting,
    **dict.fromkeys(("modprobe", "insmod", "rmmod"), _module),
    "depmod": plain(".*", "", _WRITE),
    "dkms": tool("", "read: status\nprivilege: install build add\ndestructive: remove uninstall"),
    **dict.fromkeys(
        names(
            "update-grub grub-install grub-mkconfig grub2-mkconfig update-initramfs mkinitcpio dracut grub2-install"
            " grubby efibootmgr bootctl"
        ),
        _efi,
    ),
    "ldconfig": lambda invocation: (
        READS if any(word.text in ("-p", "--print-cache") for word in invocation.arguments) else PERSISTS
    ),
    "date": _date,
    "hwclock": _clock,
    "hostname": _host_name,
    "domainname": _host_name,
    "dnsdomainname": plain(".*", "", _READ),
    "fuser": _fuser,
    "ss": _sockets,
    "auditctl": _audit,
    **dict.fromkeys(
        (
            "setenforce",
            "setsebool",
            "semanage",
            "semodule",
            "aa-disable",
            "aa-complain",
            "aa-enforce",
            "apparmor_parser",
        ),
        _mandatory_access,
    ),
    "audit2allow": plain(".*", "-M>i<o>", _READ),
    "update-ca-certificates": plain(".*", "", _PRIVILEGE, _PERSISTENCE),
    "update-ca-trust": plain(".*", "", _PRIVILEGE, _PERSISTENCE),
    **dict.fromkeys(("gpg", "gpg2", "gpgv"), _gpg),
    "gpgconf": lambda invocation: (
        READS if any(word.text.startswith("--list") for word in invocation.arguments) else WRITES
    ),
    "age": plain("<*", "-o>r:R<i<pdea output> decrypt encrypt armor", _READ),
    "sops": plain("<*", "-deir", _READ, i=_WRITE),
    "pass": tool("", "read: ls show find\nwrite: insert generate\ndestructive: rm"),
    "ulimit": plain(".*", "", _READ),
    "quotacheck": plain(".*", "", _WRITE),
    "setquota": plain(".*", "", _WRITE),
    "sa-update": plain(".*", "", _WRITE),
    "ipmitool": lambda invocation: (
        READS
        if {word.text for word in invocation.arguments} & {"sdr", "sensor", "sel", "fru", "status"}
        and not {word.text for word in invocation.arguments} & {"clear", "-H"}
        else DESTROYS
    ),
    "rtcwake": plain(".*", "", _DESTRUCTIVE),
    "setterm": plain(".*", "", _READ),
    "chvt": plain(".*", "", _WRITE),
    "exportfs": lambda invocation: READS if all(word.text in ("-v", "-s") for word in invocation.arguments) else RULES,
    "logsave": lambda invocation: opaque("it starts a program"),
}
