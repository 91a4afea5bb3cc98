"""Package managers of languages: what they install from their registries is writing and network, packages from
elsewhere are code of whoever made them.
"""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.packages import install_rule, package
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options
from interlock.protocols.ssh.commands.programs.subcommands import Rule, tool
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    NOTHING,
    WRITES,
    opaque,
    shelling,
    starting,
    total,
)

_READ, _WRITE, _DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE

_PIP_OPTIONS = """-rUIeqvtc<i@f:d>t>r<h upgrade force-reinstall no-deps user root: prefix: target> requirement<
    constraint< find-links: trusted-host: no-cache-dir pre editable: quiet verbose
    disable-pip-version-check no-input break-system-packages no-build-isolation no-binary: only-binary: timeout: proxy@
    cert< progress-bar: require-hashes dest> wheel-dir> upgrade-strategy: log> root-user-action: no-index yes
    ignore-installed platform: python-version: python: system dry-run report>"""
_PIP_INDEXES = tuple(f"{kind}-url" for kind in ("index", "extra-index"))
_PIP_OPTIONS += "".join(f" {option}@" for option in _PIP_INDEXES)


def _pip_install(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(rest, grammar(_PIP_OPTIONS))
    elsewhere = parsed.has(*_PIP_INDEXES, "i", "find-links", "f", "trusted-host")
    packages = [*parsed.operands, *parsed.values("e", "editable")]
    return total(
        WRITES,
        CONTACTS,
        of_options(parsed, strict=False, program="pip"),
        opaque("packages from elsewhere run code") if elsewhere else NOTHING,
        *(package(word, project=True) for word in packages),
    )


_PIP = tool(
    _PIP_OPTIONS,
    """
    read: list show freeze check search help debug inspect hash cache.list cache.info cache.dir index
    config.list config.get completion network+write: download wheel write: cache.purge lock persistence:
    config.set config.edit destructive: uninstall
    """,
    {"install": _pip_install},
)


_UV = tool(
    "-qv no-cache directory: project: offline color: python-preference: native-tls",
    """
    read: version help pip.list pip.show pip.freeze pip.check pip.tree tree python.list python.find tool.list cache.dir
    write: venv build lock init export python.pin
    network+write: sync add remove pip.compile pip.sync python.install tool.install self.update tool.upgrade
    write: cache.clean cache.prune
    destructive: pip.uninstall tool.uninstall python.uninstall
    network: publish
    opaque: tool.run
    """,
    {
        "pip.install": _pip_install,
        "run": lambda invocation, rest: total(
            WRITES,
            starting(
                invocation,
                parse(
                    rest,
                    grammar(
                        "-qvm!p:with! extra: group: python: env-file! isolated frozen locked no-sync"
                        " no-project all-extras script!",
                        in_order=True,
                    ),
                ).operands,
            )
            if rest
            else NOTHING,
        ),
    },
)


_NPM_OPTIONS = """-vhgDESPBOsdqy prefix: C: registry@ global save save-dev save-exact save-prod no-save production
    only: omit: include: legacy-peer-deps force ignore-scripts no-audit no-fund audit silent loglevel: workspace: w:
    workspaces if-present json long parseable depth: no-optional prefer-offline cwd: frozen-lockfile
    immutable filter: recursive script-shell! userconfig! globalconfig! node-options! yes node-gyp! git! shell!
    otp: tag: access: dry-run all omit-dev cache> silent -F:r no-progress network-timeout: non-interactive"""


_NPM_TABLE = """
    read: list ls ll la view info show outdated search help root bin prefix explain why fund doctor ping
    whoami config.get config.list config.ls get pkg.get query cache.verify store.status help-search diff audit
    network+write: ci update upgrade up dedupe audit.fix import write: run run-script test t start stop
    restart build init version prune rebuild rb link pack cache.clean store.prune workspace workspaces lint
    dev check generate pkg.set shrinkwrap unlink set-script cache.add typecheck format persistence: config.set
    set config.edit destructive: uninstall remove rm r un unpublish deprecate privilege: login adduser logout
    token access owner team org network: publish dist-tag opaque: exec x dlx create explore edit node
    """


_NPM_INSTALL: dict[str, Rule] = {
    verb: install_rule(_NPM_OPTIONS, project=True) for verb in ("install", "i", "add", "in", "isntall")
}


_NPM = tool(_NPM_OPTIONS, _NPM_TABLE, _NPM_INSTALL)


_YARN = tool(_NPM_OPTIONS, _NPM_TABLE, _NPM_INSTALL, bare=total(WRITES, CONTACTS))


_GEM = tool(
    "-v:Nq",
    """
    read: list search info specification which environment env contents dependency outdated help query sources
    network+write: update fetch
    write: build cleanup
    destructive: uninstall
    network: push yank
    opaque: exec open rdoc
    persistence: sources:-a sources:--add
    """,
    {"install": install_rule("-v:Nfi>n> version: no-document source@ install-dir> bindir>")},
)


_CARGO = tool(
    "-vqZ:C: verbose quiet color: offline locked frozen config! manifest-path: target-dir>",
    """
    read: tree metadata search info locate-project pkgid read-manifest verify-project version help
    write: build b check c test t run r bench doc fmt clippy fix clean init new vendor generate-lockfile package nextest
        expand audit deny machete llvm-cov
    network+write: fetch update add
    destructive: uninstall remove rm
    network: publish yank owner
    privilege: login logout
    """,
    {"install": install_rule("-fjF:j: version: git! path! root> locked features: force bin: index! registry:")},
)


def _go_build(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """What is built, and what is measured, may go anywhere."""
    parsed = parse(rest, grammar("o> coverprofile> cpuprofile> memprofile> trace> outputdir> C>", single_dash=True))
    return total(WRITES, of_options(parsed, strict=False, program="go"))


_GO = tool(
    "-C:",
    """
    read: version env list doc help mod.graph mod.why mod.verify
    write: build test vet fmt clean mod.init mod.edit fix work generate mod.vendor
    network+write: mod.tidy mod.download
    persistence: env:-w
    opaque: tool test:-exec build:-toolexec run:-exec test:-toolexec vet:-vettool generate:-run
    """,
    {
        "install": install_rule("", project=True),
        "get": install_rule("-ut", project=True),
        "build": _go_build,
        "test": _go_build,
        "run": lambda invocation, rest: (
            WRITES
            if any(
                re.fullmatch(r"\.(?:/[\w./-]*)?|[\w/.-]+\.go", word.text)
                and not word.text.startswith("/")
                and word.literal
                for word in rest
            )
            else opaque("go run builds code from elsewhere")
        ),
    },
    single_dash=True,
)


_PIPX = tool(
    "",
    """
    read: list environment
    network+write: upgrade upgrade-all reinstall inject
    destructive: uninstall
    opaque: run
    """,
    {"install": install_rule("-f force python: include-deps")},
)


def _npx(invocation: Invocation) -> Verdict:
    """Runs what a package says, whichever it finds under the name."""
    parsed = parse(invocation.arguments, grammar("-yqc:p: yes no-install no package: call:", in_order=True))
    texts = parsed.values("c", "call")
    known = parsed.operands and parsed.operands[0].text in _NODE_TOOLS
    if texts:
        return total(CONTACTS, shelling(*texts))
    if known:
        does = starting(invocation, parsed.operands) if parsed.operands[0].text in _OF_DATABASES else NOTHING
        return total(WRITES, does, CONTACTS if parsed.has("yes", "y") else NOTHING)
    return total(CONTACTS, opaque("npx runs a package"))


_OF_DATABASES = ("prisma", "knex", "sequelize")
_NODE_TOOLS = frozenset(
    [
        "tsc",
        "eslint",
        "prettier",
        "jest",
        "vitest",
        "mocha",
        "webpack",
        "vite",
        "next",
        "rollup",
        "playwright",
        "cypress",
        "nx",
        "turbo",
        "stylelint",
        "biome",
        "typeorm",
        *_OF_DATABASES,
    ]
)


PROGRAMS: Programs = {
    **dict.fromkeys(("pip", "pip3", "pip2", "pip3.11", "pip3.12"), _PIP),
    "pipx": _PIPX,
    "uv": _UV,
    **dict.fromkeys(("npm", "pnpm"), _NPM),
    **dict.fromkeys(("yarn", "yarnpkg"), _YARN),
    "npx": _npx,
    "gem": _GEM,
    "cargo": _CARGO,
    "go": _GO,
    "nvm": tool(
        "",
        """
            read: ls list current version which ls-remote
            write: use alias
            network+write: install
            destructive: uninstall
        """,
    ),
    "luarocks": tool("", "read: list search show\nopaque: make"),
}
