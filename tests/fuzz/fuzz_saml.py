"""SAML documents from strangers: the only rejections are ``Malformed`` and ``Refused``; nobody gets in unsigned."""

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.adapters.identity.saml"]):
    from interlock.adapters.identity.saml.assertion import read_assertion
    from interlock.adapters.identity.saml.bindings import unpack_redirected
    from interlock.adapters.identity.saml.document import Malformed, read_document
    from interlock.adapters.identity.saml.names import saml
    from interlock.adapters.identity.saml.provider_metadata import read_metadata
    from interlock.adapters.identity.saml.response import Refused, accept

from tests.adapters.identity.saml.asserter import ENTITY_ID
from tests.adapters.identity.saml.test_response import expected
from tests.fuzz.target import run


def test_one_input(data: bytes) -> None:
    try:
        accept(data, expected())
    except Refused:
        pass
    else:
        raise AssertionError("nothing in here is signed with the provider's key")
    with contextlib.suppress(Malformed):
        for assertion in read_document(data).iter(saml("Assertion")):
            read_assertion(assertion)
        read_metadata(data, ENTITY_ID, lambda url: url.startswith("https:"))
    with contextlib.suppress(Malformed):
        unpack_redirected(data.decode("latin-1"))


if __name__ == "__main__":
    run("saml", test_one_input)
