"""A real browser that signs in at a provider on another site, with all that browsers do to cookies on the way."""

from pathlib import Path

import pytest

from tests.clients.browser import CERTUTIL, PROGRAM, running_browser
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer
from tests.servers.saml_provider import SamlProvider

_SETTINGS = """
[[saml]]
name = "corp"
provider_entity_id = "{provider.entity_id}"
metadata_url = "http://localhost:{provider.port}/metadata"
allow_http_loopback = true

[[identities]]
issuer = "corp"
when = {{}}
identity = "corp:{{sub}}"
kind = "user"
"""
SIGN_IN = "document.forms[0].login.value = 'ada', document.forms[0].submit()"


@pytest.mark.skipif(PROGRAM is None or CERTUTIL is None, reason="needs Chromium and certutil: tools/system_packages.sh")
async def test_a_person_logs_in_with_a_browser(tmp_path: Path) -> None:
    with SamlProvider() as provider:
        options = GatewayOptions(api_public=True, extra=_SETTINGS.format(provider=provider))
        with GatewayServer(NO_DATABASE, options) as gateway:
            provider.trust(gateway.api().get("/saml/corp/metadata").body)
            async with running_browser(tmp_path, gateway.certificate_file) as browser:
                await browser.visit(f"{gateway.api_url}/login?provider=corp")
                assert str(await browser.evaluate("location.href")).startswith(f"http://localhost:{provider.port}/sso?")
                await browser.evaluate(SIGN_IN)
                await browser.wait_for("You are logged in as corp:ada-4711")
                assert await browser.evaluate("document.cookie") == ""
                await browser.visit(f"{gateway.api_url}/login")
                await browser.wait_for("You are logged in as corp:ada-4711")
