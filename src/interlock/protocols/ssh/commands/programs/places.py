"""What it means to write to a place: some files run later, let somebody in, or are the system itself.

A path is judged as it is written; links and the working directory are not known here. A pattern of file names counts as
every name that it may match.
"""

import posixpath
import re
from fnmatch import fnmatchcase

from interlock.protocols.ssh.commands.invocation import CommandClass, PathUse
from interlock.protocols.ssh.commands.programs.tables import names

_READ = frozenset({CommandClass.READ})
_WRITE = frozenset({CommandClass.WRITE})
_REMOVE = frozenset({CommandClass.DESTRUCTIVE})
_NETWORK = frozenset({CommandClass.NETWORK})
_PERSISTS = frozenset({CommandClass.PERSISTENCE})
_RULES = frozenset({CommandClass.PRIVILEGE, CommandClass.PERSISTENCE})
_GRANTS = frozenset({CommandClass.PRIVILEGE})

_HARMLESS_DEVICES = names(
    """
    null zero full random urandom stdin stdout stderr tty fd shm mqueue pts ptmx console tcp udp log
    """
)

_NAMES_THAT_RUN = names(
    """
    authorized_keys authorized_keys2 .rhosts .shosts .k5login .forward .procmailrc .profile .login .logout
    .bashrc .bash_profile .bash_login .bash_logout .bash_aliases .kshrc .mkshrc .cshrc .tcshrc .zshrc .zshenv
    .zprofile .zlogin .zlogout .xinitrc .xprofile .xsession .xsessionrc .inputrc .pam_environment .envrc .vimrc
    .exrc .gvimrc .emacs .nanorc .gitconfig .gdbinit .psqlrc .sqliterc .pythonrc .Rprofile .irbrc .perldb
    .tmux.conf .screenrc .lesskey .curlrc .wgetrc .npmrc .pypirc .netrc config.fish crontab sudoers
    rc.local ld.so.preload
    """
)
"""Files that are run, obeyed or trusted wherever they are."""
_MODULES_THAT_RUN = names("sitecustomize.py usercustomize.py")
"""Likewise, but not meant by ``*.py``."""

_DIRECTORIES_THAT_RUN = tuple(
    tuple(each.split("/"))
    for each in names(
        """
    .ssh .git/hooks .githooks .husky .bashrc.d .profile.d .zshrc.d .gnupg .config/autostart .config/systemd
    .config/fish .config/environment.d .config/git .config/nvim .vim .emacs.d .local/share/systemd .local/bin
    cron.d cron.daily cron.hourly cron.weekly cron.monthly crontabs sudoers.d profile.d pam.d init.d
    LaunchAgents LaunchDaemons
    """
    )
)
"""What is below one of these is run or obeyed later."""

_HARMLESS_BELOW = frozenset({"known_hosts", "known_hosts2", "known_hosts.old"})

_SYSTEM_PLACES: tuple[tuple[frozenset[CommandClass], str], ...] = (
    (
        _RULES,
        """/etc/sudoers /etc/sudoers.d /etc/passwd /etc/passwd- /etc/shadow /etc/shadow- /etc/group /etc/gshadow
        /etc/pam.d /etc/pam.conf /etc/security /etc/polkit-1 /usr/share/polkit-1 /etc/doas.conf /etc/doas.d /etc/subuid
        /etc/subgid /etc/hosts.equiv /etc/nsswitch.conf /etc/login.defs /etc/krb5.keytab /etc/selinux /etc/apparmor.d
        /etc/ssh /etc/shells""",
    ),
    (
        _PERSISTS,
        """/etc/cron* /etc/anacrontab /etc/at.allow /etc/at.deny /var/spool/cron /var/spool/at /var/spool/anacron
        /etc/systemd /lib/systemd /usr/lib/systemd /usr/local/lib/systemd /run/systemd /etc/init.d /etc/init
        /etc/inittab /etc/rc* /etc/profile /etc/profile.d /etc/bash.bashrc /etc/bash.bash_logout /etc/bashrc
        /etc/bash_completion.d /etc/zsh /etc/zshrc /etc/zshenv /etc/zprofile /etc/csh.cshrc /etc/csh.login /etc/fish
        /etc/environment /etc/environment.d /etc/ld.so.preload /etc/ld.so.conf* /etc/ld.so.cache /etc/skel
        /etc/update-motd.d /etc/xdg/autostart /etc/X11 /etc/udev /lib/udev /usr/lib/udev /run/udev /etc/modules
        /etc/modules-load.d /etc/modprobe.d /etc/apt/apt.conf* /etc/apt/sources.list* /etc/apt/trusted.gpg*
        /etc/apt/keyrings /etc/apt/preferences* /etc/yum* /etc/dnf /etc/NetworkManager/dispatcher.d /etc/network
        /etc/networkd-dispatcher /etc/dhcp /etc/ppp /etc/acpi /etc/logrotate* /etc/binfmt.d /etc/tmpfiles.d
        /etc/sysctl.conf /etc/sysctl.d /etc/fstab /etc/exports /etc/inetd.conf /etc/xinetd* /etc/dbus-1 /etc/initramfs*
        /etc/dracut* /etc/kernel /etc/grub* /etc/default /etc/vim /etc/gitconfig /etc/kubernetes/manifests
        /etc/kubernetes /etc/ca-certificates* /usr/local/share/ca-certificates /etc/pki /etc/ssl/certs /etc/alternatives
        /etc/iptables /etc/nftables.conf /etc/ufw /etc/docker /etc/containerd /etc/aliases /etc/rsyslog* /etc/audit
        /bin /sbin /lib /lib32 /lib64 /libexec /usr/bin /usr/sbin /usr/lib /usr/lib32 /usr/lib64 /usr/libexec
        /usr/local/bin /usr/local/sbin /usr/local/lib /usr/games /proc/sys/kernel/core_pattern
        /proc/sys/kernel/modprobe /proc/sys/fs/binfmt_misc /var/run/docker.sock /run/docker.sock""",
    ),
    (_REMOVE, "/boot /efi /dev /proc/sysrq-trigger /proc/kcore"),
    (_GRANTS, "/proc /sys"),
    (
        _REMOVE,
        """/var/log/auth.log* /var/log/secure* /var/log/wtmp* /var/log/btmp* /var/log/lastlog /var/log/faillog
        /var/log/audit /var/log/journal /var/log/syslog* /var/log/messages* /var/log/kern.log* /var/log/sudo*
        /var/run/utmp /run/utmp""",
    ),
)
"""Places of the whole system, the first that matches counts; a name with ``*`` matches every name that begins so."""

_HOLDING_THE_SYSTEM = (("/",), ("/", "etc"), ("/", "usr"), ("/", "usr", "local"), ("/", "root"), ("/", "var", "spool"))
"""What is unpacked or copied there ends up in places of the system."""
_HISTORIES = names(
    """
    .bash_history .zsh_history .sh_history .history .python_history .mysql_history .psql_history .lesshst
    .viminfo
    """
)
_MAX_NAMES = 128
"""Directories in a path. Longer ones are taken for any place."""
_WILD = re.compile(r"[*?\[]")
_SAYS_NOTHING = re.compile(r"[*?]+(?:\.\w+)?")


def path_classes(path: str, use: PathUse) -> frozenset[CommandClass]:
    """What using ``path`` in this way makes of a command: always the class of the use, and what its place adds.

    Reading is READ whatever is read: which files may be read is for policy to say. Writing to ``/dev/null`` and the
    like is no more than READ.
    """
    parts = _parts(path)
    if parts[:2] == ("/", "dev") and len(parts) > 2 and parts[2] in _HARMLESS_DEVICES:
        return _device(parts[2:], use)
    if len(parts) > _MAX_NAMES:
        return _WRITE | _REMOVE | _RULES
    if use is PathUse.READ:
        return _READ
    if use is PathUse.REMOVE:
        return _REMOVE
    return _WRITE | _named(parts) | _system(parts)


def _device(below: tuple[str, ...], use: PathUse) -> frozenset[CommandClass]:
    if below[0] in ("tcp", "udp"):
        return _NETWORK
    if use is PathUse.READ or below[0] not in ("shm", "mqueue"):
        return _READ
    return _WRITE if use is PathUse.WRITE else _REMOVE


def _parts(path: str) -> tuple[str, ...]:
    """The names of a path; ``/`` first when it is absolute. A detour through a root of ``/proc`` is taken out."""
    while (shorter := re.sub(r"^/+proc/(?:self|thread-self|\d+)/(?:task/\d+/)?root(?=/|$)", "/", path)) != path:
        path = shorter
    normal = posixpath.normpath(path) if path else ""
    names = tuple(name for name in normal.split("/") if name)
    return ("/", *names) if normal.startswith("/") else names


def _named(parts: tuple[str, ...]) -> frozenset[CommandClass]:
    if not parts or (any(_may_be(parts[-1], name) for name in _HARMLESS_BELOW) and not _WILD.search(parts[-1])):
        return frozenset()
    if any(_may_be(parts[-1], name) for name in _HISTORIES):
        return _REMOVE
    if any(_may_be(parts[-1], name) for name in _NAMES_THAT_RUN) or parts[-1] in _MODULES_THAT_RUN:
        return _PERSISTS
    if parts[-2:] == (".git", "config"):
        return _PERSISTS
    return _PERSISTS if any(_below(parts, directory) for directory in _DIRECTORIES_THAT_RUN) else frozenset()


def _below(parts: tuple[str, ...], directory: tuple[str, ...]) -> bool:
    """The directory or something inside of it is meant."""
    length = len(directory)
    return any(_begins(parts[at : at + length], directory) for at in range(len(parts) - length + 1))


def _system(parts: tuple[str, ...]) -> frozenset[CommandClass]:
    if parts[:1] != ("/",):
        return frozenset()
    if parts in _HOLDING_THE_SYSTEM:
        return _PERSISTS
    for classes, places in _PLACES:
        if any(_begins(parts[1:], name) or _everything_at(parts[1:], name) for name in places):
            return classes
    return frozenset()


_PLACES = tuple(
    (classes, tuple(tuple(place.split("/")[1:]) for place in places.split())) for classes, places in _SYSTEM_PLACES
)


def _begins(parts: tuple[str, ...], place: tuple[str, ...]) -> bool:
    return len(parts) >= len(place) and all(_may_be(written, name) for written, name in zip(parts, place, strict=False))


def _everything_at(parts: tuple[str, ...], place: tuple[str, ...]) -> bool:
    """``/etc/*`` has every place right below ``/etc`` in it."""
    above = parts[:-1]
    return bool(parts) and not parts[-1].strip("*?") and above == place[: len(above)] and len(place) > len(above)


def _may_be(written: str, name: str) -> bool:
    """A name, or a pattern that says something and may match it, is that place."""
    if written == name:
        return True
    if name.endswith("*"):
        return written.startswith(name[:-1]) or (_WILD.search(written) is not None and _matches(written, name[:-1]))
    return _WILD.search(written) is not None and _matches(written, name)


def _matches(pattern: str, name: str) -> bool:
    """A pattern of the shell: it does not match a leading dot unless it has one. ``*`` and ``*.py`` say nothing."""
    if _SAYS_NOTHING.fullmatch(pattern) or (name.startswith(".") and not pattern.startswith((".", "["))):
        return False
    return fnmatchcase(name, pattern)
