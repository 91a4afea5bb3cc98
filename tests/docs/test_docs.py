"""The documentation says what is there: commands, settings, records, metrics; and nothing in it is broken.

That the policy guide has every action is checked with the policy's own tests.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import cedarpy
import pytest
import typer
from msgspec import convert
from tools.reference_commands import commands

from interlock.adapters.config_file import load_settings
from interlock.core.administration import COMMANDS, Command
from interlock.core.administration.remote import RemoteGateway
from interlock.core.administration.requests import shape_of, tag_of
from interlock.core.ledger import AnyRecord
from interlock.core.settings import Settings, TrustDomainSettings
from interlock.services.policy import PolicySource
from interlock.services.policy.engine import PolicyEngine
from interlock.surfaces.cli.application import build
from interlock.surfaces.cli.workbench import Workbench
from tests.docs.markdown import PAGES, ROOT, Block, anchors, blocks, relative_links
from tools import reference, reference_configuration

REFERENCE = ROOT / "docs" / "reference"
TYPER_OWN = {"--install-completion", "--show-completion"}
TOML_BLOCKS = [block for page in PAGES for block in blocks(page, "toml")]
CEDAR_BLOCKS = [block for page in PAGES for block in blocks(page, "cedar")]
PYTHON_BLOCKS = [block for page in PAGES for block in blocks(page, "python")]
TEST_NAMED = re.compile(r"`(tests/[\w/.]+)(?:::(\w+))?`")
SOURCE_NAMED = re.compile(r"`((?:src|tools|benchmarks|docs)/[\w/.-]+)`")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _no_workbench(_config: Path | None, _remote: RemoteGateway | None) -> Workbench:
    raise AssertionError


def all_commands() -> list[tuple[str, Any]]:
    return list(commands(typer.main.get_command(build(_no_workbench))))


@pytest.mark.parametrize(("path", "command"), all_commands(), ids=[path for path, _ in all_commands()])
def test_every_command_and_option_is_in_the_reference(path: str, command: Any) -> None:
    _, found, rest = (REFERENCE / "commands.md").read_text().partition(f"# `{path}`\n")
    assert found, f"{path} is not in the reference"
    section = rest.partition("\n#")[0]
    assert command.help in section
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert [option for option in sorted(options - TYPER_OWN) if option not in section] == []
    assert [parameter.name for parameter in command.params if not parameter.help] == []


@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_every_request_of_the_api_is_in_the_reference(kind: type[Command[Any]]) -> None:
    page = (REFERENCE / "api.md").read_text()
    route, shape = kind.route, shape_of(kind)
    permissions = ", ".join(f"`{permission.value}`" for permission in route.permissions) or "any caller"
    assert f"| `{route.method} {route.path}` | {permissions} |" in page
    _, found, rest = page.partition(f"\n### {tag_of(kind)}\n")
    assert found
    section = rest.partition("\n#")[0]
    assert [name for name in (*shape.path, *shape.beside) if f"| `{name}` |" not in section] == []


def test_every_record_is_in_the_reference() -> None:
    page = (REFERENCE / "events.md").read_text()
    for record in get_args(AnyRecord):
        assert f"## `{record.__struct_config__.tag}`" in page
        assert record.__doc__, f"{record.__name__} has no docstring"


def test_every_setting_is_in_the_reference() -> None:
    page = (REFERENCE / "configuration.md").read_text()
    assert reference_configuration.undocumented() == []
    for table in Settings.__struct_fields__:
        assert f"[{table}" in page


def test_generated_pages_are_up_to_date() -> None:
    stale = reference.outdated(reference.PAGES, reference.DOCS)
    assert [page_id(path) for path in stale] == [], "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in relative_links(page):
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(other), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tests_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for name, function in TEST_NAMED.findall(text):
        assert (ROOT / name).exists(), name
        assert not function or f"def {function}(" in (ROOT / name).read_text(), f"{name}::{function}"
    for name in SOURCE_NAMED.findall(text):
        assert (ROOT / name).exists(), name


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in relative_links(index)}
    assert [page_id(page) for page in (ROOT / "docs").rglob("*.md") if page not in linked | {index}] == []


@pytest.mark.parametrize("block", TOML_BLOCKS, ids=str)
def test_settings_that_are_shown_are_accepted(block: Block, tmp_path: Path) -> None:
    """A fragment is completed with what it refers to: issuers of its rules, nothing else."""
    text = block.text
    shown = tomllib.loads(text)
    known = {issuer.get("name", issuer["url"]) for issuer in shown.get("issuers", [])}
    known |= {provider["name"] for provider in shown.get("saml", [])}
    known |= {convert(domain, TrustDomainSettings).label for domain in shown.get("trust_domains", [])}
    for rule in shown.get("identities", []):
        if rule["issuer"] not in known:
            text += (
                f'\n[[issuers]]\nurl = "https://{rule["issuer"]}.example"\nname = "{rule["issuer"]}"\naudience = "x"\n'
            )
    file = tmp_path / "interlock.toml"
    file.write_text(text)
    load_settings(file)


@pytest.mark.parametrize("block", CEDAR_BLOCKS, ids=str)
def test_policies_that_are_shown_come_into_force(block: Block) -> None:
    cedarpy.format_policies(block.text)
    PolicyEngine((PolicySource(str(block), block.text),), {})


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=str)
def test_python_that_is_shown_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")
