"""Package managers. What they install comes from the sources that the host trusts, which is writing and network; a
package that is named by a file or an address is code of whoever made it.
"""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.subcommands import Rule, Tool, tool
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
    starting,
    total,
    touching,
)

_FOREIGN = re.compile(
    r"(?:\./|\.\./|/|~/).*|.*\.(?:deb|rpm|apk|whl|tar\.gz|tgz|zip|snap|flatpak|gem|pkg\.tar\.\w+)|(?:[\w+.-]+\+)?\w+://.*"
    r"|git@.*|.*@ *(?:git\+|https?|file):.*|github:.*|[\w-]+/[\w.-]+#.*"
)


def install_rule(options: str = "", *, project: bool = False) -> Rule:
    """Packages by name; ``project``: without a name, or for ``.``, those of the project are meant."""
    rules = grammar(options)

    def rule(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
        parsed = parse(rest, rules)
        if parsed.informs:
            return READS
        told = of_options(parsed, strict=False, program=invocation.program.text)
        return total(WRITES, CONTACTS, told, *(package(word, project=project) for word in parsed.operands))

    return rule


def package(word: Word, *, project: bool) -> Verdict:
    if (project and word.text in (".", "./", "./...")) or re.fullmatch(r"\.\[[\w,-]+\]", word.text):
        return NOTHING
    if not word.literal:
        return opaque("which package is installed is not known")
    if _FOREIGN.fullmatch(word.text):
        address = re.sub(r"^.*?((?:\w+\+)?\w+://)", r"\1", word.text)
        reached = contacting([(word, hosts.of_url(re.sub(r"^\w+\+", "", address)))]) if "://" in word.text else NOTHING
        return total(reached, opaque(f"{word.text} is a package from elsewhere, and packages run code"))
    return NOTHING


_APT_OPTIONS = """-qydfsumVbhvt:c!o:a: quiet yes assume-yes assume-no no-install-recommends install-recommends
    no-install-suggests download-only fix-broken fix-missing simulate dry-run reinstall allow-downgrades
    allow-unauthenticated^ allow-remove-essential allow-change-held-packages force-yes purge auto-remove autoremove
    only-upgrade no-upgrade target-release: default-release: config-file! option: print-uris show-progress
    no-download with-new-pkgs installed upgradable all-versions manual-installed arch-only allow-releaseinfo-change
    allow-insecure-repositories^ no-remove verbose-versions ignore-missing no-show-upgraded full names-only"""
_APT_TABLE = """
read: list search show policy showpkg depends rdepends madison check changelog showsrc pkgnames stats dump
    download indextargets help moo showauto showmanual showhold print-architecture print-foreign-architectures
network+write: update upgrade dist-upgrade full-upgrade safe-upgrade source satisfy build-dep
destructive: remove purge autoremove auto-remove autopurge install:--purge upgrade:--allow-remove-essential
write: clean autoclean auto-clean mark hold unhold manual auto
opaque: edit-sources
"""


def _apt(invocation: Invocation) -> Verdict:
    """Settings given with ``-o`` may name programs that run before and after."""
    parsed = parse(invocation.arguments, grammar(_APT_OPTIONS))
    settings = [word.text for word in parsed.values("o", "option")]
    harmless = re.compile(
        r"(?:Dpkg::Options::=--force-conf\w+|Acquire::(?:\w+::)?(?:Timeout|Retries|Check-Valid-Until|ForceIPv4|Queue-Mode|"
        r"Languages)=.*|DPkg::Lock::Timeout=.*|APT::Get::Assume-Yes=.*|APT::Install-\w+=.*|Dpkg::Use-Pty=.*)",
        re.IGNORECASE,
    )
    if parsed.unknown or any(not harmless.fullmatch(text) for text in settings):
        return total(_APT(invocation), opaque("apt is given a setting or an option that may run a program"))
    if parsed.has("simulate", "dry-run", "s", "print-uris"):
        return READS
    return _APT(invocation)


_APT = tool(_APT_OPTIONS, _APT_TABLE, {"install": install_rule(_APT_OPTIONS), "reinstall": install_rule(_APT_OPTIONS)})

_DNF_OPTIONS = """-yqvCbdet:R:e:d:x:c!h assumeyes assumeno quiet verbose enablerepo: disablerepo: repo: repoid: exclude:
    nogpgcheck^ installroot: releasever: setopt: config! disableplugin: enableplugin^ best nobest allowerasing
    skip-broken downloadonly downloaddir> security advisory: cacheonly refresh noplugins showduplicates installed
    available color: disableexcludes: all"""
_DNF = tool(
    _DNF_OPTIONS,
    """
    read: list search info repolist repoquery provides whatprovides history check-update deplist check grouplist
        groupinfo updateinfo version help list-sec repoinfo module.list module.info group.list group.info history.list
        history.info
    network+write: update upgrade makecache distro-sync group.install groupinstall module.install module.enable download
        update-minimal upgrade-minimal builddep downgrade
    write: mark versionlock
    persistence+network: config-manager
    destructive: remove erase autoremove group.remove groupremove module.remove history.undo history.rollback swap
    write: clean
    opaque: shell
    """,
    {
        "install": install_rule(_DNF_OPTIONS),
        "localinstall": install_rule(_DNF_OPTIONS),
        "reinstall": install_rule(_DNF_OPTIONS),
    },
)


def _dpkg(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-lLsSpicCrPVXxeIfAbW? list listfiles status search print-avail install configure audit remove
            purge verify extract vsextract control info field contents unpack get-selections
            print-architecture add-architecture remove-architecture print-foreign-architectures
            compare-versions force-all force? no-act dry-run pending a recursive root: admindir: instdir:
            set-selections path-exclude: path-include: debug: post-invoke! pre-invoke! update-avail
            clear-avail forget-old-unavail yet-to-unpack no-pager status-fd: abort-after: force-confold
            force-confdef force-depends force-overwrite build predep-package assert-support-predepends"""),
    )
    if parsed.has("post-invoke", "pre-invoke"):
        return opaque("dpkg runs a program before or after")
    if parsed.has("i", "install", "unpack", "A"):
        return total(
            WRITES, opaque("a package is a file here, and packages run code"), touching(parsed.operands, PathUse.READ)
        )
    if parsed.has("r", "remove", "P", "purge"):
        return DESTROYS
    if parsed.has("x", "X", "extract", "vextract", "e"):
        return total(WRITES, touching(parsed.operands[:1], PathUse.READ), touching(parsed.operands[1:], PathUse.WRITE))
    if parsed.has(
        "configure", "add-architecture", "remove-architecture", "set-selections", "clear-avail", "b", "build"
    ):
        return WRITES
    return READS if parsed.options and not parsed.unknown else opaque("what dpkg is told is not known")


def _rpm(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-qaVilcdRpfvhUFeKE:D:!g query all verify info list configfiles docfiles requires provides package
            file install upgrade freshen erase import checksig eval! define: pipe! scripts changelog last
            queryformat: qf: nodeps force test root: rebuilddb initdb whatprovides whatrequires nosignature
            nodigest noscripts percent hash nogpg dbpath: rcfile! macros! triggers conflicts obsoletes showrc
            state dump setperms setugids"""),
    )
    if parsed.has("eval", "E", "pipe", "rcfile", "macros", "D", "define"):
        return opaque("rpm runs macros")
    if parsed.has("q", "query", "V", "verify", "K", "checksig", "showrc"):
        remote = [(word, hosts.of_url(word.text)) for word in parsed.operands if "://" in word.text]
        return total(READS, contacting(remote) if remote else NOTHING)
    if parsed.has("e", "erase"):
        return DESTROYS
    if parsed.has("import"):
        return total(RULES, WRITES)
    if parsed.has("test"):
        return READS
    remote = [(word, hosts.of_url(word.text)) for word in parsed.operands if "://" in word.text]
    return total(
        WRITES, contacting(remote) if remote else NOTHING, opaque("a package is a file here, and packages run code")
    )


def _pacman(invocation: Invocation) -> Verdict:
    first = next((word.text for word in invocation.arguments if word.text.startswith("-")), "")
    if re.fullmatch(r"-Q[a-z]*|-F[a-z]*|-S[sigl]+|-T|--query|-V", first):
        return READS
    if re.fullmatch(r"-S[yucwq]*|--sync", first):
        return total(WRITES, CONTACTS)
    return (
        DESTROYS if re.fullmatch(r"-R[a-z]*|--remove", first) else opaque("what pacman is told installs from elsewhere")
    )


_SIMPLE: dict[str, Tool] = {
    "apk": tool(
        "-qvpX:U:t: no-cache update repository@ root: allow-untrusted^ virtual: latest available",
        """
        read: info list search policy version stats dot verify audit help
        network+write: update upgrade fetch fix
        write: cache
        destructive: del
        """,
        {"add": install_rule("-quUt:X@l no-cache update virtual: repository@ allow-untrusted^ latest upgrade")},
    ),
    "brew": tool(
        "-qvd",
        """
        read: list ls info search doctor config deps uses leaves outdated home desc services.list
        services.info tap-info help cat log network+write: update upgrade fetch tap bundle reinstall write:
        cleanup link unlink pin unpin autoremove destructive: uninstall remove rm untap persistence:
        services.start services.restart services.run write: services.stop opaque: edit sh irb create ruby
        """,
        {"install": install_rule("cask formula HEAD force")},
    ),
    "snap": tool(
        "",
        """
        read: list info find version changes services connections interfaces logs help get warnings
        network+write: refresh download
        write: set disable enable revert start stop restart connect disconnect alias
        destructive: remove
        opaque: run try
        """,
        {"install": install_rule("classic channel: dangerous^ devmode^ edge beta stable")},
    ),
    "flatpak": tool(
        "",
        """
        read: list info search remotes history remote-ls
        network+write: install update
        destructive: uninstall remove
        privilege: override remote-add
        opaque: run enter
        """,
    ),
    "zypper": tool(
        "-nqv non-interactive no-refresh quiet gpg-auto-import-keys root:",
        """
        read: search se info if list-updates lu repos lr packages patches services products what-provides
        list-patches lp network+write: refresh ref update up patch dist-upgrade dup write: clean cc addlock al
        persistence+network: addrepo ar destructive: remove rm removerepo rr
        """,
        {"install": install_rule("-yn"), "in": install_rule("-yn")},
    ),
    "composer": tool(
        "-nqvd: no-interaction working-dir: no-plugins no-scripts quiet",
        """
        read: show info outdated validate why depends licenses status diagnose about search audit check-platform-reqs
        network+write: install update require create-project self-update
        write: dump-autoload dumpautoload run-script run clear-cache init config
        destructive: remove
        opaque: exec global
        """,
    ),
    "bundle": tool(
        "",
        """
        read: list show info outdated check env platform config doctor version
        network+write: install update add lock
        write: clean pin package cache init
        opaque: open console
        """,
        {"exec": lambda invocation, rest: total(WRITES, starting(invocation, rest))},
    ),
    "poetry": tool(
        "-nqvC: directory: project: no-interaction",
        """
        read: show check version env.info env.list config about search help
        network+write: install update add lock sync
        write: build init export cache.clear
        destructive: remove env.remove
        network: publish
        opaque: shell
        """,
        {"run": lambda invocation, rest: total(WRITES, starting(invocation, rest))},
    ),
    "pipenv": tool(
        "",
        """
        read: graph check requirements
        network+write: install update sync lock
        write: clean
        destructive: uninstall
        opaque: shell
        """,
        {"run": lambda invocation, rest: total(WRITES, starting(invocation, rest))},
    ),
    "conda": tool(
        "-n:p:y name: prefix:",
        """
        read: list info search env.list config.--show env.export
        network+write: update create env.create env.update
        write: clean
        destructive: remove uninstall env.remove
        persistence: init config
        opaque: run
        """,
        {"install": install_rule("-n:c@y name: channel@ yes")},
    ),
    "rustup": tool(
        "-vq",
        """
        read: show which doc check help toolchain.list component.list target.list
        network+write: update default toolchain.install target.add component.add self.update
        write: override
        destructive: toolchain.uninstall self.uninstall target.remove component.remove
        """,
        {"run": lambda invocation, rest: starting(invocation, rest[1:])},
    ),
    "nix": tool(
        "",
        """
        read: search path-info store.ls derivation.show show-config
        opaque: run shell develop eval repl build
        """,
    ),
}


def _add_repository(invocation: Invocation) -> Verdict:
    return total(PERSISTS, CONTACTS, WRITES)


PROGRAMS: Programs = {
    **dict.fromkeys(("apt", "apt-get", "aptitude", "nala", "apt-mark", "apt-cache"), _apt),
    **dict.fromkeys(("dnf", "yum", "microdnf", "dnf5"), _DNF),
    "dpkg": _dpkg,
    "rpm": _rpm,
    "pacman": _pacman,
    "yay": _pacman,
    **_SIMPLE,
    "add-apt-repository": _add_repository,
    "apt-add-repository": _add_repository,
    "apt-key": lambda invocation: (
        READS if invocation.arguments and invocation.arguments[0].text in ("list", "finger") else total(RULES, PERSISTS)
    ),
    "dpkg-reconfigure": plain(".*", "", CommandClass.WRITE),
    "dpkg-query": plain(".*", "", CommandClass.READ),
    "dpkg-divert": plain(".*", "", CommandClass.PERSISTENCE),
    "update-alternatives": lambda invocation: (
        READS
        if any(word.text in ("--display", "--list", "--query", "--get-selections") for word in invocation.arguments)
        else PERSISTS
    ),
    "alternatives": lambda invocation: (
        READS if any(word.text in ("--display", "--list") for word in invocation.arguments) else PERSISTS
    ),
    "needrestart": plain(".*", "", CommandClass.READ),
    "debsums": plain(".*", "", CommandClass.READ),
    "subscription-manager": plain(".*", "", CommandClass.PRIVILEGE),
    "unattended-upgrade": plain(".*", "", CommandClass.WRITE, CommandClass.NETWORK),
}
