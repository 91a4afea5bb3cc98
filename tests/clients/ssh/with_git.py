"""``git``: a bare repository at the host is cloned, pushed to and fetched from."""

import subprocess

from tests.clients.ssh.trees import make_tree, tree
from tests.clients.ssh.way import SshWay

_AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "2026-01-01T00:00:00Z"))
}


def visit(way: SshWay) -> list[object]:
    bare, clone, other = way.place / "repository.git", way.directory / "clone", way.directory / "other"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True, env=way.environment)
    url = f"ssh://target{bare}"

    variables = _AUTHOR | {"GIT_SSH_COMMAND": way.remote_shell()}

    def git(*words: str) -> object:
        done = way.run("git", *words, variables=variables)
        return done.status, done.output, done.said

    make_tree(clone)
    seen = [git("-C", str(clone), "init", "-q", "-b", "main"), git("-C", str(clone), "add", "-A")]
    seen += [git("-C", str(clone), "commit", "-q", "-m", "all"), git("-C", str(clone), "push", "-q", url, "main")]
    seen += [git("clone", "-q", url, str(other)), [entry for entry in tree(other) if ".git" not in str(entry[0])]]
    seen += [git("-C", str(other), "ls-remote", "-q"), git("clone", "-q", f"target:{way.place}/absent", "no")]
    return seen
