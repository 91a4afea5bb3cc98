"""What a provider's metadata must be to be believed, and how it is fetched."""

import re
from collections.abc import Callable

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from interlock.adapters.identity.saml.document import METADATA, Malformed
from interlock.adapters.identity.saml.metadata_source import MetadataSource
from interlock.adapters.identity.saml.names import POST_BINDING, REDIRECT_BINDING
from interlock.adapters.identity.saml.provider_metadata import MAX_CERTIFICATES, read_metadata
from interlock.core.errors import LoginRefused
from interlock.core.settings import SamlSettings
from tests.adapters.identity.saml.asserter import ENTITY_ID, Asserter
from tests.clocks import ManualClock
from tests.servers.threaded import ThreadedServer

SETTINGS = SamlSettings(name="corp", provider_entity_id=ENTITY_ID, metadata_file="corp.xml")
PROVIDER = Asserter()
GOOD = PROVIDER.metadata()
SECOND = Asserter()


def several(*others: bytes) -> bytes:
    entities = b"".join(re.sub(rb"<\?xml.*?\?>", b"", each) for each in (GOOD, *others))
    return (
        b'<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">%s</md:EntitiesDescriptor>' % entities
    )


def test_what_is_read() -> None:
    metadata = read_metadata(PROVIDER.metadata(SECOND.certificate), ENTITY_ID, SETTINGS.may_ask)
    assert metadata.entity_id == ENTITY_ID
    assert metadata.certificates == (PROVIDER.certificate, SECOND.certificate)
    assert (metadata.sign_on.binding, metadata.sign_on.url) == (REDIRECT_BINDING, "https://idp.example/sso")
    assert metadata.logout is not None
    assert metadata.valid_until_s is None


def test_the_provider_that_is_named() -> None:
    other = GOOD.replace(ENTITY_ID.encode(), b"https://other.example")
    assert read_metadata(several(other), ENTITY_ID, SETTINGS.may_ask).entity_id == ENTITY_ID
    assert read_metadata(several(other), "https://other.example", SETTINGS.may_ask).entity_id == "https://other.example"


def test_a_place_that_browsers_must_not_be_sent_to_is_as_if_it_were_not_there() -> None:
    post = f'<md:SingleSignOnService Binding="{POST_BINDING}" Location="https://idp.example/post"/>'.encode()
    both = GOOD.replace(b"<md:SingleSignOnService ", post + b"<md:SingleSignOnService ")
    both = both.replace(b"https://idp.example/sso", b"javascript:alert(1)")
    assert read_metadata(both, ENTITY_ID, SETTINGS.may_ask).sign_on.url == "https://idp.example/post"


REFUSED: dict[str, tuple[bytes, str]] = {
    "no provider": (GOOD.replace(b"IDPSSODescriptor", b"SPSSODescriptor"), "no identity provider of SAML 2.0"),
    "somebody else": (GOOD.replace(ENTITY_ID.encode(), b"https://other.example"), "describes 0 entities"),
    "the same twice": (several(GOOD), "describes 2 entities"),
    "SAML 1.1": (GOOD.replace(b"SAML:2.0:protocol", b"SAML:1.1:protocol"), "no identity provider of SAML 2.0"),
    "plain http": (GOOD.replace(b"https://idp.example/sso", b"http://idp.example/sso"), "no SingleSignOnService"),
    "another binding": (PROVIDER.metadata(binding="urn:x"), "no SingleSignOnService"),
    "no certificate": (re.sub(rb"<md:KeyDescriptor.*</md:KeyDescriptor>", b"", GOOD, flags=re.DOTALL), "not 1 to 8"),
    "for encryption only": (GOOD.replace(b'use="signing"', b'use="encryption"'), "not 1 to 8"),
    "too many certificates": (
        PROVIDER.metadata(
            *(Asserter(ec.generate_private_key(ec.SECP256R1())).certificate for _ in range(MAX_CERTIFICATES))
        ),
        "not 1 to 8",
    ),
    "weak key": (Asserter(rsa.generate_private_key(65537, 1024)).metadata(), "not 1 to 8"),
    "weak curve": (Asserter(ec.generate_private_key(ec.SECP224R1())).metadata(), "not 1 to 8"),
    "not a certificate": (re.sub(rb"MII[A-Za-z0-9+/]{20}", b"MIIMIIMIIMII", GOOD), "cannot be read"),
    "doctype": (b"<!DOCTYPE x>" + re.sub(rb"<\?xml.*?\?>", b"", GOOD), "has a DOCTYPE"),
    "no time": (PROVIDER.metadata(head='validUntil="tomorrow"'), "validUntil is not a time"),
    "too large": (GOOD + b" " * METADATA.max_bytes, "larger than"),
    "empty": (b"", "not well-formed"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_believed(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as malformed:
        read_metadata(content, ENTITY_ID, SETTINGS.may_ask)
    assert reason in str(malformed.value)


class Publisher(ThreadedServer):
    """Publishes metadata, or whatever else ``answer`` makes."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Callable[[], web.Response] = lambda: web.Response(body=GOOD)
        self.requests = 0

    def new_runner(self) -> web.BaseRunner:
        application = web.Application()
        application.router.add_get("/metadata", self._metadata)
        return web.AppRunner(application)

    async def _metadata(self, _: web.Request) -> web.Response:
        self.requests += 1
        return self.answer()

    def source(self, clock: ManualClock) -> MetadataSource:
        url = f"http://127.0.0.1:{self.port}/metadata"
        settings = SamlSettings(name="corp", provider_entity_id=ENTITY_ID, metadata_url=url, allow_http_loopback=True)
        return MetadataSource(settings, clock)


async def test_it_is_fetched_when_it_is_old() -> None:
    clock = ManualClock()
    with Publisher() as publisher:
        source = publisher.source(clock)
        first = await source.current()
        assert await source.current() is first
        assert publisher.requests == 1
        clock.advance(3600)
        publisher.answer = lambda: web.Response(body=PROVIDER.metadata(SECOND.certificate))
        assert len((await source.current()).certificates) == 2
        clock.advance(3600)
        publisher.answer = lambda: web.Response(status=503)
        assert len((await source.current()).certificates) == 2


BROKEN: dict[str, Callable[[], web.Response]] = {
    "status": lambda: web.Response(status=404, body=GOOD),
    "redirect": lambda: web.Response(status=302, headers={"Location": "/metadata?again"}),
    "too large": lambda: web.Response(body=GOOD + b" " * (METADATA.max_bytes * 2)),
    "not metadata": lambda: web.Response(body=b"<html/>"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_nobody_gets_in_without_it(answer: Callable[[], web.Response]) -> None:
    clock = ManualClock()
    with Publisher() as publisher:
        publisher.answer = answer
        source = publisher.source(clock)
        for _ in range(2):
            with pytest.raises(LoginRefused, match="cannot be reached; try again later"):
                await source.current()
        assert publisher.requests == 1
        publisher.answer = lambda: web.Response(body=GOOD)
        clock.advance(10)
        assert (await source.current()).entity_id == ENTITY_ID
