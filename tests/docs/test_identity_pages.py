"""The pages on workloads say what the trust templates say: what to pin, and what is never enough."""

import pytest

from interlock.core.settings import Trust
from interlock.core.trust_templates import TEMPLATES
from tests.docs.markdown import ROOT, blocks

PAGES = {
    Trust.GITHUB: "github-actions",
    Trust.GITLAB: "gitlab",
    Trust.KUBERNETES: "kubernetes",
    Trust.AWS: "aws",
    Trust.GCP: "gcp",
    Trust.ENTRA: "entra",
    Trust.SPIFFE: "spiffe",
}


@pytest.mark.parametrize("trust", Trust, ids=lambda trust: trust.value)
def test_a_page_names_what_its_template_knows(trust: Trust) -> None:
    page = ROOT / "docs" / "identity" / f"{PAGES[trust]}.md"
    text, template = page.read_text(), TEMPLATES[trust]
    pinned = {name.partition("=")[0] for pin in template.pins for name in pin.any_of}
    built = {value for built in template.built for value in (built.claim, *built.never)} - {"false"}
    assert [name for name in sorted(pinned | set(template.weak) | built) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", PAGES.values())
def test_a_page_goes_from_settings_to_a_client_to_a_test(name: str) -> None:
    page = ROOT / "docs" / "identity" / f"{name}.md"
    assert any("trust" in block.text for block in blocks(page, "toml"))
    text = page.read_text()
    assert "psql" in text
    assert "interlock trust test" in text
