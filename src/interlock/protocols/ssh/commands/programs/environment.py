"""Variables that change what a program does: libraries that are loaded, pagers and editors that are run, where programs
are looked for. Values that are known to be harmless are let be.
"""

import re

from interlock.protocols.ssh.commands.invocation import Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import CONTACTS, DESTROYS, NOTHING, contacting, opaque, total

_RUN_CODE = re.compile(
    r"LD_.*|DYLD_.*|GIT_.*|BASH_.*|PERL5?.*|RUBY.*|PYTHON.*|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_.*"
    r"|TAR_OPTIONS|RSYNC_.*|SSH_.*|SUDO_.*|GCONV_PATH|PATH|ENV|IFS|PS[0-4]|PROMPT_COMMAND|SHELLOPTS|BASHOPTS|SHELL|CDPATH"
    r"|GLOBIGNORE|.*PAGER|EDITOR|VISUAL|.*_EDITOR|BROWSER|LESS.*|MANOPT|FCEDIT|INPUTRC|ZDOTDIR|HOME|XDG_.*|CURL_HOME|WGETRC"
    r"|OPENSSL_.*|MAKEFLAGS|GNUMAKEFLAGS|MAKEFILES|PHPRC|PHP_INI_SCAN_DIR|LUA_.*|GEM_.*|CARGO_.*|RUSTC.*|GOFLAGS|CC|CXX|LD"
    r"|KUBECONFIG|KUBE_EDITOR|DOCKER_.*|ANSIBLE_.*|AWS_CONFIG_FILE|MAVEN_OPTS|GRADLE_OPTS|npm_config_.*|NPM_CONFIG_.*"
    r"|PIP_.*|TERMINFO.*|TERMCAP|MAIL.*|NLSPATH|LOCPATH|HOSTALIASES|RES_OPTIONS|PSQLRC|PGSERVICE.*|PGSYSCONFDIR|MYSQL_.*|AWKPATH|AWKLIBPATH"
    r"|READLINE_.*|PKG_CONFIG_.*|ACLOCAL.*|QT_PLUGIN_PATH|GTK_MODULES|PYTEST_.*|ZSH.*|fpath|POSIXLY_.*_|"
    r"RIPGREP_CONFIG_PATH|FZF_DEFAULT_COMMAND|GREP_OPTIONS|GPG_.*|LIBRARY_PATH|CLASSPATH|DEBUGINFOD_.*"
)
_HARMLESS = names(
    """
    GIT_TERMINAL_PROMPT GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
    GIT_COMMITTER_DATE GIT_OPTIONAL_LOCKS GIT_TRACE GIT_CURL_VERBOSE GIT_MERGE_AUTOEDIT PYTHONUNBUFFERED
    PYTHONDONTWRITEBYTECODE PYTHONIOENCODING PYTHONUTF8 PYTHONHASHSEED PERL_BADLANG
    LESSCHARSET LESSSECURE MYSQL_PWD CARGO_TERM_COLOR DOCKER_BUILDKIT DOCKER_CLI_HINTS
    ANSIBLE_FORCE_COLOR PIP_NO_CACHE_DIR
    PIP_DISABLE_PIP_VERSION_CHECK PIP_NO_INPUT PIP_ROOT_USER_ACTION XDG_SESSION_ID
    """
)
_PROGRAM_VALUES = names("cat less more most nano vi vim true : /bin/cat /usr/bin/less")
_COMPILER = re.compile(r"(?:ccache )?[\w-]*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|tcc|ld|lld)(?:-[\d.]+)?")
_OF_JAVA = re.compile(r"(?:\s*(?:-X(?:m[xsn]|ss)\w+|-XX:[+-]?\w+(?:=\w+)?|-D[\w.]+=[\w.]+))*")
_WITHIN = re.compile(r"(?![/~])[^:]*(?::(?![/~])[^:]*)*")
_OF_PROJECTS = {
    **dict.fromkeys(("PYTHONPATH", "NODE_PATH"), _WITHIN),
    **dict.fromkeys(("CC", "CXX", "LD"), _COMPILER),
    **dict.fromkeys(("MAVEN_OPTS", "GRADLE_OPTS"), _OF_JAVA),
    "GOFLAGS": re.compile(r"(?:\s*-(?:mod|tags|count|race|v|buildvcs|trimpath|p|timeout|short)(?:=[\w.,-]+)?)*"),
    "MAKEFLAGS": re.compile(r"(?:\s*(?:-?[jlkBnqsw]+[\d.]*|--no-print-directory|--silent|--keep-going))*"),
    "PYTEST_ADDOPTS": re.compile(r"(?:\s*(?:-[qvxsl]+|-n ?\w+|--(?:tb|maxfail|durations|color|lf|ff)(?:=\w+)?))*"),
}
"""What a project may set for its own tools."""
_SERVERS = names(
    """
    PGHOST PGHOSTADDR AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 ETCDCTL_ENDPOINTS VAULT_ADDR CONSUL_HTTP_ADDR NOMAD_ADDR
    """
)
"""The host that clients contact."""
_SYSTEM_PATH = names("/bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin")
_HEAP_SIZE = re.compile(r"--max[-_]old[-_]space[-_]size=\d+")


def setting(name: str, value: Word, *, building: bool = False) -> Verdict:
    """What it does to give a variable a value, for the programs that are started with it.

    ``building``: for a build tool, which runs the code of the project anyway.
    """
    if building and name in _OF_PROJECTS and value.literal and _OF_PROJECTS[name].fullmatch(value.text):
        return NOTHING
    if name in _SERVERS:
        return _server(value)
    if re.fullmatch(r"HIST(?:FILE|SIZE|FILESIZE|CONTROL|IGNORE)", name):
        return _history(name, value)
    if re.fullmatch(r"(?:https?|ftp|all|no)_proxy", name, re.IGNORECASE):
        proxy = hosts.of_url(value.text)
        none = name.lower() == "no_proxy" or (value.literal and not value.text)
        return NOTHING if none else total(CONTACTS, contacting([(value, proxy)]))
    if name in _HARMLESS or not _RUN_CODE.fullmatch(name):
        return NOTHING
    if not value.literal:
        return opaque(f"the value of {name} is not known, and it changes what programs do")
    return NOTHING if _harmless_value(name, value.text) else opaque(f"{name} changes what programs do")


def _server(value: Word) -> Verdict:
    """A directory of sockets and the machine itself are no other host."""
    found = hosts.of_login(value.text)
    here = not value.text or value.text.startswith("/") or (found is not None and hosts.is_loopback(found))
    return NOTHING if value.literal and here else contacting([(value, found)])


def _harmless_value(name: str, value: str) -> bool:
    if name == "PATH":
        return _SYSTEM_PATH.issuperset(value.split(":"))
    if name.endswith(("PAGER", "EDITOR", "VISUAL")):
        return not value or value in _PROGRAM_VALUES
    return name == "NODE_OPTIONS" and _HEAP_SIZE.fullmatch(value) is not None


def _history(name: str, value: Word) -> Verdict:
    """Commands that are not remembered leave no trace on the host."""
    if name in ("HISTCONTROL", "HISTIGNORE", "HISTFILE"):
        return DESTROYS
    return DESTROYS if value.text in ("", "0") else NOTHING
