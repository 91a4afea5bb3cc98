"""Tools that build, check and test a project. They run what the project says, which is why they are run at all: they
count as writing. Told to take their instructions from elsewhere, they are opaque.
"""

import re

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, plain
from interlock.protocols.ssh.commands.programs.shells import asks_version
from interlock.protocols.ssh.commands.programs.subcommands import tool
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    PERSISTS,
    READS,
    WRITES,
    opaque,
    total,
    touching,
)

_WRITE = CommandClass.WRITE


def _elsewhere(word: Word) -> bool:
    """Not a file of the project: standard input, an absolute path, or not known."""
    return not word.literal or word.text in ("-", "") or word.text.startswith(("/", "~", "..")) or "://" in word.text


def _make(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-bBC:dD:eE!f:hiI:j?kl?nNo:O?pPqrRsStvwW:m directory: debug? eval! file: makefile: ignore-errors
            jobs? keep-going load-average? dry-run just-print recon old-file: print-data-base question
            no-builtin-rules silent quiet touch always-make what-if: warn-undefined-variables
            no-print-directory print-directory output-sync? trace include-dir: environment-overrides"""),
    )
    if parsed.informs or parsed.has("v"):
        return READS
    given = parsed.values("f", "file", "makefile", "I", "include-dir")
    settings = [word.text.partition("=") for word in parsed.operands if "=" in word.text]
    shell = any(
        name.rstrip(":+?!") in ("SHELL", ".SHELLFLAGS", "MAKE", "MAKEFLAGS")
        or "$(" in value
        or "`" in value
        or name.endswith("!")
        for name, _, value in settings
    )
    if any(map(_elsewhere, given)) or shell or parsed.unknown or parsed.has("eval", "E"):
        return opaque("make is told to run something else than the project says")
    return total(WRITES, touching(parsed.values("C", "directory"), PathUse.WRITE))


def _cmake(invocation: Invocation) -> Verdict:
    first = next((word.text for word in invocation.arguments), "")
    if asks_version(invocation):
        return READS
    if first in ("-P", "-E") or not all(word.literal for word in invocation.arguments):
        return opaque("cmake runs a script")
    return WRITES


def _compiler(invocation: Invocation) -> Verdict:
    """Compiles what it is given; plug-ins and wrappers are code."""
    if asks_version(invocation):
        return READS
    words = invocation.arguments
    for word in words:
        if re.match(r"-(?:e$|wrapper|fplugin|specs|B|Xclang|load|plugin|fuse-ld=/)", word.text) or word.text.startswith(
            "@"
        ):
            return opaque(f"the compiler is given {word.text}")
    written = [words[at + 1] for at, word in enumerate(words[:-1]) if word.text == "-o"]
    written += [Word(word.text[2:], word.literal) for word in words if re.match(r"-o.", word.text)]
    sources = [word for word in words if re.search(r"\.(?:c|cc|cpp|cxx|h|s|S|o|a|go|rs|java|f90)$", word.text)]
    return total(WRITES, touching(sources, PathUse.READ), touching(written, PathUse.WRITE))


def _tests(invocation: Invocation) -> Verdict:
    """A test runner; plug-ins and configuration from elsewhere are code."""
    if asks_version(invocation):
        return READS
    if found := _from_elsewhere(invocation):
        return found
    for word in invocation.arguments:
        if not word.text.startswith("-") and re.match(r"/(?:tmp|var/tmp|dev)/", word.text):
            return opaque(f"{invocation.program.text} runs {word.text}")
    results = [Word(word.text.partition("=")[2], word.literal) for word in invocation.arguments if "=/" in word.text]
    return total(WRITES, touching(results, PathUse.WRITE))


def _hooks(invocation: Invocation) -> Verdict:
    """Hooks of a repository run later."""
    installs = any(word.text in ("install", "init-templatedir", "add") for word in invocation.arguments[:1])
    return total(_tests(invocation), PERSISTS if installs else NOTHING)


_UNDOES = re.compile(
    r"reset|clean|down(?:grade)?|down-to|revert|redo|.*drop.*|.*(?:rollback|undo).*|--force-reset|--accept-data-loss"
)


def _migrations(invocation: Invocation) -> Verdict:
    """Schemas are moved on, or thrown away."""
    undoes = any(_UNDOES.fullmatch(word.text) for word in invocation.arguments)
    return total(_tests(invocation), DESTROYS if undoes else NOTHING)


def _from_elsewhere(invocation: Invocation) -> Verdict | None:
    """Configuration and plug-ins are code; those of the project are its own."""
    words = invocation.arguments
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        following = Word(value, word.literal) if equals else (*words, Word("."))[at + 1]
        if name == "--init-hook" or (name in _TAKING_CODE and _elsewhere(following)):
            return opaque(f"{invocation.program.text} takes {name} from elsewhere")
    return None


_TAKING_CODE = names(
    """
    -c --config --config-file --rcfile --rulesdir --plugin --load-plugins --resolve-plugins-relative-to --require -r
    --rootdir --confcutdir --globalSetup -f --file --justfile --taskfile --gulpfile
    """
)


def _checker(invocation: Invocation) -> Verdict:
    """Looks at the code of the project; ``--fix`` writes."""
    if found := _from_elsewhere(invocation):
        return found
    changes = {"--fix", "-i", "--write", "-w", "--in-place", "format", "--unsafe-fixes", "-a", "-A", "--autocorrect"}
    return WRITES if any(word.text in changes for word in invocation.arguments) else READS


def _formatter(invocation: Invocation) -> Verdict:
    if found := _from_elsewhere(invocation):
        return found
    looks = {"--check", "--check-only", "--diff", "-c", "-l", "--list-different", "-d", "--version"}
    return READS if any(word.text in looks for word in invocation.arguments) else WRITES


def _maven(invocation: Invocation) -> Verdict:
    if asks_version(invocation):
        return READS
    for word in invocation.arguments:
        if (
            re.match(
                r"-Dexec\.|-D(?:maven\.ext|jvm|argLine)|exec:|.*exec-maven-plugin|-I\b|--init-script|-D.*(?:\$|`)",
                word.text,
            )
            or not word.literal
        ):
            return opaque("it is told to run something else than the project says")
    sends = any(word.text in ("deploy", "publish", "release:perform") for word in invocation.arguments)
    files = parse(invocation.arguments, grammar("-f:s:b:p:c: file: settings: build-file: project-dir: settings-file:"))
    if any(_elsewhere(word) for word in files.values("f", "file", "b", "build-file", "c", "settings-file")):
        return opaque("the project is elsewhere")
    return total(WRITES, Verdict(frozenset({CommandClass.NETWORK})) if sends else NOTHING)


def _java(invocation: Invocation) -> Verdict:
    if asks_version(invocation) or [word.text for word in invocation.arguments] == ["-version"]:
        return READS
    return opaque("java runs a program")


def _archive_of_java(invocation: Invocation) -> Verdict:
    verb = invocation.arguments[0].text if invocation.arguments else ""
    return total(
        READS if re.match(r"-?-?(?:t|list)", verb) else WRITES, touching(invocation.arguments[1:2], PathUse.READ)
    )


def _rails(invocation: Invocation) -> Verdict:
    first = next((word.text for word in invocation.arguments), "")
    if re.search(r"drop|reset|purge|destroy", first):
        return Verdict(frozenset({CommandClass.WRITE, CommandClass.DESTRUCTIVE}))
    if first in ("console", "c", "runner", "r", "dbconsole", "db") or (
        first.startswith("-") and first not in ("-T", "--tasks", "-P", "-n", "-AT", "-D", "--version")
    ):
        return opaque("it runs code")
    return WRITES


PROGRAMS: Programs = {
    **dict.fromkeys(("make", "gmake", "bmake", "remake"), _make),
    **dict.fromkeys(("cmake", "ctest", "cpack"), _cmake),
    **dict.fromkeys(
        names(
            "gcc g++ cc c++ clang clang++ tcc ld as rustc javac kotlinc tsc swiftc nasm yasm gfortran protoc ghc dmd"
            " nvcc windres flex bison yacc lex"
        ),
        _compiler,
    ),
    **dict.fromkeys(
        names(
            "pytest py.test tox nox jest vitest mocha karma ava rspec phpunit cucumber cypress playwright"
            " coverage nosetests behave robot ginkgo gotestsum bats nyc c8"
        ),
        _tests,
    ),
    **dict.fromkeys(
        names(
            "eslint flake8 pylint mypy pyright ruff bandit shellcheck hadolint yamllint jsonlint stylelint rubocop"
            " golangci-lint staticcheck govulncheck semgrep cppcheck clang-tidy phpstan psalm tflint actionlint"
            " markdownlint checkov trivy grype syft ansible-lint pydocstyle vulture pip-audit safety"
        ),
        _checker,
    ),
    **dict.fromkeys(names("black isort prettier gofmt goimports rustfmt shfmt clang-format autopep8 yapf"), _formatter),
    **dict.fromkeys(("mvn", "mvnd", "gradle", "ant", "sbt", "lein"), _maven),
    **dict.fromkeys(("strip", "objcopy", "ranlib"), plain(">*", "-o>I:O:j:R:K:N:F:", _WRITE)),
    **dict.fromkeys(("java", "javaw"), _java),
    "jar": _archive_of_java,
    **dict.fromkeys(("rake", "rails"), _rails),
    **dict.fromkeys(
        names(
            "ninja meson bazel bazelisk buck scons msbuild xcodebuild waf autoreconf autoconf automake aclocal"
            " webpack vite next nuxt rollup parcel esbuild gulp grunt turbo nx lerna hugo jekyll mkdocs sphinx-build"
            " doxygen swag wire mockgen dbt mix rebar3 just task invoke"
        ),
        _tests,
    ),
    **dict.fromkeys(("pre-commit", "lefthook", "husky"), _hooks),
    **dict.fromkeys(names("alembic flyway liquibase prisma knex sequelize goose"), _migrations),
    "dotnet": tool(
        "",
        """
        read: list --info --version --list-sdks --list-runtimes help
        write: build test run publish clean restore new add format pack watch sln tool.restore
        network+write: tool.install nuget.locals
        destructive: remove
        network: nuget.push
        opaque: exec script fsi""",
    ),
    **dict.fromkeys(
        ("cabal", "stack", "dune"),
        tool(
            "",
            """
            read: list path
            write: build test clean bench haddock install sdist
            opaque: exec run repl ghci eval
            """,
        ),
    ),
    "swift": tool("", "read: --version\nwrite: build test run package\nopaque: repl"),
    "flutter": tool("", "read: doctor devices --version\nwrite: build test analyze clean run pub.get create format"),
    "tsserver": plain(".*", "", _WRITE),
    "ctags": plain(".*", "-f>Ro> options!", _WRITE),
    "cloc": plain("<*", "", CommandClass.READ),
    "tokei": plain("<*", "", CommandClass.READ),
    "scc": plain("<*", "", CommandClass.READ),
    "virtualenv": plain(">*", "-p:", _WRITE),
    "cookiecutter": lambda invocation: opaque("a template runs code"),
    "pyenv": tool(
        "",
        """
            read: versions version which root
            write: local global rehash
            network+write: install
            destructive: uninstall
            opaque: exec
        """,
    ),
    "rbenv": tool("", "read: versions version which\nwrite: local global rehash\nnetwork+write: install\nopaque: exec"),
    **dict.fromkeys(
        names("gunicorn uvicorn flask celery streamlit"), lambda invocation: opaque("a server of the project starts")
    ),
}
