"""``scp`` as it is (over SFTP) and as it was (``-O``): files and trees, up and down, and what is not there."""

from tests.clients.ssh.trees import make_tree, tree
from tests.clients.ssh.way import SshWay


def visit(way: SshWay) -> list[object]:
    make_tree(way.directory / "tree")
    return [_copy(way, "new"), _copy(way, "old", "-O")]


def _copy(way: SshWay, name: str, *options: str) -> object:
    local, remote = way.directory / name, way.place / name
    local.mkdir()
    remote.mkdir()
    words = way.words("scp", "-q", *options)
    seen: list[object] = [
        way.run(*words, "-r", "-p", f"{way.directory}/tree", f"target:{remote}/up"),
        way.run(*words, "-r", "-p", f"target:{remote}/up", f"{local}/down"),
        way.run(*words, f"{way.directory}/tree/plain.txt", f"{way.directory}/tree/empty", f"target:{remote}/"),
        way.run(*words, f"target:{remote}/up/*.txt", f"target:{remote}/empty", str(local)),
        way.run(*words, f"target:{remote}/absent", str(local)),
        way.run(*words, f"{way.directory}/tree/plain.txt", f"target:{remote}/absent/x"),
    ]
    return seen, tree(remote), tree(remote / "up", times=name == "new"), tree(local)
