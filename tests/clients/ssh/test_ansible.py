"""Ansible itself through the gateway. ``make ansible`` installs it, in an environment of its own, and runs this."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.ssh.way import Done, SshWay, Ways
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer

PROGRAM = Path(__file__).parents[3] / "build" / "ansible" / "bin" / "ansible-playbook"
PLAYBOOK = """
- hosts: all
  tasks:
    - ansible.builtin.copy: {content: "first\\n", dest: "PLACE/one", mode: "0640"}
    - ansible.builtin.lineinfile: {path: "PLACE/one", line: second}
    - ansible.builtin.file: {path: "PLACE/directory/below", state: directory}
    - ansible.builtin.shell: cat one | wc -l > lines
      args: {chdir: PLACE}
    - ansible.builtin.fetch: {src: "PLACE/one", dest: "DIRECTORY/fetched", flat: true}
    - ansible.builtin.file: {path: "PLACE/directory", state: absent}
    - ansible.builtin.command: /bin/false
      ignore_errors: true
"""
POLICY = """
@id("everything") permit (principal, action, resource) unless { principal in Group::"lookers" };
@id("look") permit (principal in Group::"lookers", action in Action::"read", resource);
"""

pytestmark = pytest.mark.skipif("ANSIBLE" not in os.environ, reason="takes long: make ansible")


@pytest.fixture(scope="module")
def gateway(openssh: OpenSshServer) -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY, ssh=True, extra=ssh_target("host", openssh))
    with GatewayServer(NO_DATABASE, options) as running:
        yield running


def play(way: SshWay, *, pipelining: bool = False) -> Done:
    playbook = PLAYBOOK.replace("PLACE", str(way.place)).replace("DIRECTORY", str(way.directory))
    (way.directory / "playbook.yml").write_text(playbook)
    host = {
        "ansible_remote_tmp": f"{way.place}/.ansible",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F {way.config_file}",
    }
    if way.password:
        host["ansible_password"] = way.password
    (way.directory / "inventory.json").write_text(json.dumps({"all": {"hosts": {"target": host}}}))
    variables = {
        "ANSIBLE_LOCAL_TEMP": str(way.directory / "local"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(way.directory / "c"),
        "ANSIBLE_PIPELINING": str(pipelining),
        "ANSIBLE_HOST_KEY_CHECKING": "False",
    }
    return way.run(str(PROGRAM), "-i", "inventory.json", "playbook.yml", variables=variables)


def counted(done: Done) -> dict[str, str]:
    """What the play's last line counts."""
    recap = done.output.decode().partition("PLAY RECAP")[2]
    return dict(re.findall(r"(\w+)=(\d+)", recap))


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_playbook(gateway: GatewayServer, pipelining: bool) -> None:
    with Ways() as ways:
        way = ways.through(gateway, "host")
        done = play(way, pipelining=pipelining)
        assert done.status == 0, done
        assert counted(done) == dict.fromkeys(("unreachable", "failed", "skipped", "rescued"), "0") | {
            "ok": "8",
            "changed": "7",
            "ignored": "1",
        }
        assert (way.place / "one").read_text() == (way.directory / "fetched").read_text() == "first\nsecond\n"
        assert (way.place / "lines").read_text().strip() == "2"
        assert not (way.place / "directory").exists()


def test_a_playbook_of_somebody_who_only_looks(gateway: GatewayServer) -> None:
    with Ways() as ways:
        way = ways.through(gateway, "host", gateway.token(groups=["lookers"]))
        done = play(way)
        assert counted(done)["unreachable"] == "1", done
        assert "exited with result 77" in done.output.decode() + done.said, done.output.decode()
        assert not list(way.place.iterdir())
